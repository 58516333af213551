"""Characters that matplotlib's own font lacks, such as Chinese ones."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BOX = "□"
FONTS_WITH_CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Heiti TC",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
PERHAPS = re.compile(r"CJK|Han |Hei|Song|Ming|Kai|Gothic|WenQuanYi|Unicode|Noto Sans|Unifont", re.IGNORECASE)


def choose_fonts(figure: Figure) -> None:
    """Add a font that has the characters which matplotlib's own lacks; where none has them, write □ and say so."""
    logging.getLogger("matplotlib.font_manager").addFilter(_is_no_remark_on_weight)
    texts = _texts(figure)
    wanted = {c for t in texts for c in t.get_text() if ord(c) > 127}
    found, lacking = _fonts_for(frozenset(wanted))
    if found:
        for t in texts:
            t.set_fontfamily(["DejaVu Sans", *found])
    if lacking:
        _write_boxes(figure, lacking)


def _is_no_remark_on_weight(record: logging.LogRecord) -> bool:
    # Some Chinese fonts have one weight that is not called normal; matplotlib takes it, and there is nothing to do.
    return "Failed to find font weight" not in record.getMessage()


def _texts(figure: Figure) -> list[Any]:
    from matplotlib.text import Text

    for axes in figure.axes:  # makes the tick labels' texts
        axes.get_xticklabels(), axes.get_yticklabels()
    return figure.findobj(Text)


@lru_cache(maxsize=64)
def _fonts_for(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of fonts that together have the characters, and the characters that none has."""
    left = wanted - _has("DejaVu Sans", wanted)
    found: list[str] = []
    for name in _candidates() if left else ():
        covered = _has(name, left)
        if covered:
            found.append(name)
            left -= covered
        if not left:
            break
    return tuple(found), left


def _candidates() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    others = sorted(name for name in installed - set(FONTS_WITH_CHINESE) if PERHAPS.search(name))
    return [name for name in FONTS_WITH_CHINESE if name in installed] + others


def _has(name: str, characters: frozenset[str]) -> frozenset[str]:
    from matplotlib.font_manager import findfont, get_font

    try:
        font = get_font(findfont(name, fallback_to_default=False))
    except (OSError, RuntimeError, ValueError):  # a font that is listed but gone or damaged
        return frozenset()
    return frozenset(c for c in characters if font.get_char_index(ord(c)))


def _write_boxes(figure: Figure, lacking: frozenset[str]) -> None:
    table = str.maketrans(dict.fromkeys(lacking, BOX))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [t.get_text() for t in axis.get_ticklabels()]
            if lacking & set("".join(labels)):
                axis.set_ticklabels([t.translate(table) for t in labels])
    for t in _texts(figure):
        t.set_text(t.get_text().translate(table))
    first = figure.axes[0]
    title = first.get_title(loc="left")
    note = f"({BOX}: no font installed here has these characters)"
    first.set_title(f"{title}\n{note}" if title else note, loc="left", fontsize=11)
