"""The pictures: ratios of all rows, and time against size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..plot.style import BLUE, FAINT, INK, VERMILION, blank, dress, legend, save
from .growth import Curve
from .measure import OURS, Row

TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50)


def ratios_picture(rows: Sequence[Row], path: Path) -> None:
    """Each row's ratio with its smallest and largest; its goal as a grey bar across, and 1 as a line."""
    shown = [row for row in rows if row.ratio is not None]
    figure = blank(8, 1.5 + 0.32 * max(len(shown), 1))
    axes = figure.subplots()
    dress(axes, "their time / ours, median and range (grey: the goal)", "")
    places = range(len(shown), 0, -1)
    for y, row in zip(places, shown, strict=True):
        _one_ratio(axes, y, row)
    axes.axvline(1, color=FAINT, linestyle="--", linewidth=1)
    axes.set_yticks(list(places), [_label(row) for row in shown])
    _ratio_axis(axes, shown)
    save(figure, path)


def _label(row: Row) -> str:
    return f"{row.name}, {row.against}" + (f", {row.threads} T" if row.threads else "")  # none: on a GPU


def _one_ratio(axes: Any, y: int, row: Row) -> None:
    colour, marker = (BLUE, "o") if row.threads == 1 else (VERMILION, "s")
    axes.plot([row.lowest, row.highest], [y, y], color=colour, linewidth=2)
    axes.plot([row.ratio], [y], marker, color=colour, markersize=6)
    if row.least:
        axes.plot([row.least] * 2, [y - 0.35, y + 0.35], color=FAINT, linewidth=2.5)


def _ratio_axis(axes: Any, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ends = [value for row in rows for value in (row.lowest, row.highest, row.least) if value]
    axes.set_xlim(0.85 * min([1.0, *ends]), 1.15 * max([1.0, *ends]))


# -- growth -----------------------------------------------------------------------------------------------------------


def growth_picture(curves: Sequence[Curve], path: Path, footer: str = "") -> None:
    """A panel per axis, both scales logarithmic; the fitted exponent stands beside each name, `footer` below all."""
    curves = [curve for curve in curves if curve.sizes]
    titles = list(dict.fromkeys(curve.title for curve in curves))
    rows = max(-(-len(titles) // 3), 1)
    figure = blank(11, 3.3 * rows + (0.5 if footer else 0))
    panels = list(figure.subplots(rows, 3, squeeze=False).flat)
    for axes, title in zip(panels, titles):  # noqa: B905 - some panels may stay empty
        _growth_panel(axes, [curve for curve in curves if curve.title == title])
    for axes in panels[len(titles) :]:
        axes.remove()
    if footer:
        figure.supxlabel(footer, fontsize=9, color=INK, x=0.01, ha="left")
    save(figure, path)


def _growth_panel(axes: Any, curves: Sequence[Curve]) -> None:
    for curve in curves:
        ours = curve.side == OURS
        e = curve.exponent
        axes.plot(
            curve.sizes,
            [value / (1e6 if curve.unit == "bytes" else 1e-3) for value in curve.values],
            color=BLUE if ours else VERMILION,
            linestyle="-" if ours else "--",
            marker="o" if ours else "s",
            markersize=4,
            label=curve.side if e is None else f"{curve.side}: exponent {e:.2f}",
        )
    axes.set(xscale="log", yscale="log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.4)  # room for the legend above the lines
    _size_ticks(axes, sorted({size for curve in curves for size in curve.sizes}))
    _value_ticks(axes, high / low)
    unit = "MB, inputs included" if curves[0].unit == "bytes" else "ms per step"
    dress(axes, curves[0].letter, unit, curves[0].title)
    legend(axes)
    axes.get_legend().set(frame_on=True)
    axes.get_legend().get_frame().set(facecolor="white", edgecolor="none", alpha=1)  # the grid does not cross the words


def _size_ticks(axes: Any, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xticks(sizes, [f"{size // 1000}k" if size % 1000 == 0 else f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())


def _value_ticks(axes: Any, range_: float) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    subs = (1,) if range_ > 300 else (1, 3) if range_ > 15 else (1, 2, 5) if range_ > 4 else (1, 1.5, 2, 3, 4, 6, 8)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
