"""Pictures: training curves, confusions, attention maps, gate traces, and the graph of a computation.

Each function returns a matplotlib `Figure` of its own, without pyplot and its global state; `save` writes it as PNG or
SVG, and `house_style` gives a figure drawn by hand the same look. matplotlib is loaded by the first picture. The
colours are those of Okabe & Ito 2008, which people with any form of colour blindness can tell apart; lines differ in
their dashes as well.
"""

from .charts import confusion, curves, gates, heatmap, lines
from .computation import graph, graph_text
from .style import BLUE, COLOURS, DASHES, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION, house_style, save

__all__ = [
    "BLUE",
    "COLOURS",
    "DASHES",
    "FAINT",
    "GREEN",
    "INK",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "confusion",
    "curves",
    "gates",
    "graph",
    "graph_text",
    "heatmap",
    "house_style",
    "lines",
    "save",
]
