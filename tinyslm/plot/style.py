"""The one look of all pictures, and saving them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, OptionError
from ..files import atomic_write
from .fonts import choose_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), "-")
INK, FAINT = "#222222", "#8A8A8A"
DOTS_PER_INCH = 150


def blank(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
    pads = {"w_pad": 0.1, "h_pad": 0.1}  # inches
    figure.get_layout_engine().set(**pads)  # type: ignore[union-attr]
    figure._repr_png_ = lambda: as_bytes(figure, "png")  # type: ignore[attr-defined]  # shown in notebooks
    return figure


def dress(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    """Name the axes and give them the look of all pictures."""
    axes.set_xlabel(xlabel, fontsize=12, color=INK)
    axes.set_ylabel(ylabel, fontsize=12, color=INK)
    axes.set_title(title, loc="left", fontsize=13, color=INK)
    axes.tick_params(labelsize=11)
    _frame(axes)


def _frame(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK)
    axes.grid(axis="x" if _has_names(axes.yaxis) else "y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)


def _has_names(axis: Any) -> bool:
    """Whether names stand at the axis, as beside bars that lie, and not numbers."""
    words = [t.get_text() for t in axis.get_ticklabels()] if _is_fixed(axis) else []
    return any(c.isalpha() for c in "".join(words))


def _is_fixed(axis: Any) -> bool:
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    return isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter, StrCategoryFormatter))


def legend(axes: Axes) -> None:
    """A legend, if there is something to say."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=11, handlelength=2.6)


def house_style(figure: Figure) -> Figure:
    """Give a figure that was drawn by hand the look of the other pictures; its data and limits stay as they are."""
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            axes.spines[:].set_visible(False)
        elif axes.axison and axes.name == "rectilinear":
            _dress_again(axes)
    for words in [*figure.legends, *(axes.get_legend() for axes in figure.axes)]:
        if words:  # on white, so that one can read them over a line or a grid
            words.get_frame().set(facecolor="white", edgecolor="none", alpha=0.85)
    return done(figure)


def _dress_again(axes: Axes) -> None:
    if axes.images:
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelcolor=INK)
    else:
        _frame(axes)
    if title := axes.get_title():
        axes.set_title("")
        axes.set_title(title, loc="left", fontsize=12, color=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=11, color=INK)


def safe(text: str) -> str:
    """Text in which a dollar is a dollar, not the start of a formula."""
    return str(text).replace("$", r"\$")


def tick_names(values: Sequence) -> list[str]:
    """What stands at the ticks: short, and blanks in sight."""
    return [safe(_name(str(v))) for v in values]


def _name(text: str) -> str:
    # Blanks and line ends are tokens too, for a character or byte-pair tokenizer.
    shown = text.replace("\n", "\\n").replace("\t", "\\t").replace(" ", "␣") if not text.strip() else text
    return cut(shown, 20)


def cut(text: str, length: int) -> str:
    """The text, or its beginning and three dots where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def done(figure: Figure, path: Any = None) -> Figure:
    """Choose fonts that have all characters, and save the picture if asked."""
    choose_fonts(figure)
    if path is not None:
        save(figure, path)
    return figure


# -- saving -----------------------------------------------------------------------------------------------------------


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG or SVG, by the suffix of `path`, whole or not at all. The same figure gives the same bytes.

    Raises:
        OptionError: for another suffix. DataError: if the folder does not exist.
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise OptionError(f"save: expected a path that ends in .png or .svg, got {str(target)!r}")
    if not target.parent.is_dir():
        raise DataError(f"save: expected a folder that exists, got {str(target.parent)!r}; make it first")
    with atomic_write(target) as file:
        file.write(as_bytes(figure, kind))
    return target


def as_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as a file's content, "png" or "svg"."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    stamp: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    with rc_context({"svg.hashsalt": "tinyslm"}):
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=stamp)
    return buffer.getvalue()
