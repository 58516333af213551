"""Pictures of numbers: curves, lines, matrices, and the gates of a recurrent layer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, OptionError, ShapeError
from .style import BLUE, COLOURS, DASHES, FAINT, INK, VERMILION, blank, done, dress, legend, safe, tick_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# -- curves -----------------------------------------------------------------------------------------------------------


def curves(log: Sequence[Mapping[str, Any]], path: str | os.PathLike[str] | None = None) -> Figure:
    """Loss and accuracy over the epochs of a training run.

    Args:
        log: one record per epoch with "epoch" and some of "train_loss", "valid_loss" (nats), "train_accuracy",
            "valid_accuracy" (0 to 1). A missing or None value leaves a gap.
        path: where to save the picture as well, or None.
    """
    if not log:
        raise DataError("curves: expected a log with at least one epoch, got an empty one; has training begun?")
    figure = blank(8, 3.6)
    left, right = figure.subplots(1, 2)
    _curve_panel(left, log, "loss", "loss (nats)", 1)
    _curve_panel(right, log, "accuracy", "accuracy (%)", 100)
    right.set_ylim(top=min(102, right.get_ylim()[1]))
    return done(figure, path)


def _curve_panel(axes: Axes, log: Sequence[Mapping[str, Any]], kind: str, ylabel: str, factor: float) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [record.get("epoch", i + 1) for i, record in enumerate(log)]
    for part, colour, dash in (("train", BLUE, "-"), ("valid", VERMILION, "--")):
        y = factor * np.array([_number(record.get(f"{part}_{kind}")) for record in log])
        if not np.isnan(y).all():
            marker = "o" if len(y) <= 30 else ""
            axes.plot(epochs, y, color=colour, linestyle=dash, marker=marker, markersize=4, label=part)
    dress(axes, "epoch", ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def lines(
    x: Any, series: Mapping[str, Any], xlabel: str, ylabel: str, title: str = "", log: str = "", path: Any = None
) -> Figure:
    """Several lines over the same x.

    Args:
        x: shape (n,).
        series: name -> values of shape (n,).
        xlabel: with its unit.
        ylabel: with its unit.
        title: above the picture.
        log: axes with a logarithmic scale: "", "x", "y" or "xy".
        path: where to save the picture as well, or None.
    """
    if log not in ("", "x", "y", "xy"):
        raise OptionError(f'lines: expected log "", "x", "y" or "xy", got {log!r}')
    x = np.asarray(x)
    figure = blank(8, 4.5)
    axes = figure.subplots()
    for i, (name, values) in enumerate(series.items()):
        y = _fitting(values, x.shape, f"series[{name!r}]")
        style: dict[str, Any] = {
            "color": COLOURS[i % 7],
            "linestyle": DASHES[i % 7],
            "marker": "o" if x.size <= 20 else "",
        }
        axes.plot(x, y, label=safe(name), markersize=4, **style)
    axes.set(xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    dress(axes, xlabel, ylabel, title)
    if len(series) > 1:
        legend(axes)
    return done(figure, path)


def _fitting(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    a = np.asarray(values)
    if a.shape != shape:
        raise ShapeError(f"{name} does not fit.\n  Expected: shape {shape}\n  Got: {a.shape}")
    return a


# -- matrices ---------------------------------------------------------------------------------------------------------


def confusion(matrix: Any, labels: Sequence[str], path: Any = None) -> Figure:
    """A confusion matrix: counts as numbers, colour by the share of the true class (its recall on the diagonal).

    Args:
        matrix: counts, shape (C, C), true classes as rows (see `metrics.confusion_matrix`).
        labels: C names.
        path: where to save the picture as well, or None.
    """
    counts = _fitting(matrix, (len(labels), len(labels)), "confusion: the matrix")
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    texts = counts.astype(str) if len(labels) <= 16 else None
    figure, axes = _matrix(shares, labels, labels, "Blues", (0, 100), "share of the true class (%)", texts)
    axes.set_xlabel("predicted class", fontsize=12)
    axes.set_ylabel("true class", fontsize=12)
    return done(figure, path)


def heatmap(
    matrix: Any, rows: Sequence[str], columns: Sequence[str], title: str = "", unit: str = "weight", path: Any = None
) -> Figure:
    """A matrix as colours, such as attention weights: rows are queries, columns keys.

    Args:
        matrix: shape (len(rows), len(columns)). Negative numbers get a scale with two colours around 0.
        rows: names from top to bottom.
        columns: names from left to right.
        title: above the picture.
        unit: what the numbers are, beside the colour bar.
        path: where to save the picture as well, or None.
    """
    a = _fitting(matrix, (len(rows), len(columns)), "heatmap: the matrix").astype(float)
    top = float(np.nanmax(np.abs(a), initial=1e-12))
    signed = bool((a < 0).any())
    texts = np.array([[f"{v:.2g}" for v in row] for row in a]) if a.size <= 100 and len(columns) <= 10 else None
    figure, axes = _matrix(a, rows, columns, "PuOr" if signed else "cividis", (-top if signed else 0, top), unit, texts)
    axes.set_title(title, loc="left", fontsize=13, color=INK)
    return done(figure, path)


def _matrix(
    a: np.ndarray, rows: Sequence, columns: Sequence, cmap: str, limits: tuple, unit: str, texts: np.ndarray | None
) -> tuple[Figure, Axes]:
    figure = blank(*_matrix_size(rows, columns))
    axes = figure.subplots()
    image = axes.imshow(a, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(safe(unit), fontsize=11)
    bar.outline.set_visible(False)
    _name_ticks(axes, rows, columns)
    if texts is not None:
        _write_cells(axes, image, a, texts)
    return figure, axes


def _matrix_size(rows: Sequence, columns: Sequence) -> tuple[float, float]:
    """Inches, so that cells are about square and the picture is at most 8 wide."""
    beside = 1.5 + 0.09 * max(map(len, tick_names(rows)), default=0)
    cell = float(np.clip((8 - beside) / max(len(columns), 1), 0.3, 0.9))
    below = 0.9 + (0.06 * max(map(len, tick_names(columns))) if _are_long(columns) else 0)
    width = np.clip(beside + cell * len(columns), 5, 8)
    return float(width), float(np.clip(below + cell * len(rows), 2.2, 10))


def _name_ticks(axes: Axes, rows: Sequence, columns: Sequence) -> None:
    step = [max(1, -(-len(names) // 40)) for names in (columns, rows)]  # at most 40 names a side
    axes.set_xticks(range(0, len(columns), step[0]), labels=tick_names(columns)[:: step[0]], fontsize=11)
    axes.set_yticks(range(0, len(rows), step[1]), labels=tick_names(rows)[:: step[1]], fontsize=11)
    _turn_long_names(axes, columns)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _turn_long_names(axes: Axes, names: Sequence) -> None:
    if _are_long(names):
        # Slanted ones need more room side by side than upright ones.
        steep: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 10}
        slanted: dict[str, Any] = {"rotation": 45, "ha": "right"}
        for label in axes.get_xticklabels():
            label.set(rotation_mode="anchor", **(steep if len(names) > 22 else slanted))


def _are_long(names: Sequence) -> bool:
    # About 60 characters of this size fit side by side.
    return len(names) * (max(map(len, tick_names(names)), default=0) + 1.5) > 60


def _write_cells(axes: Axes, image: Any, a: np.ndarray, texts: np.ndarray) -> None:
    size = float(np.clip(90 / max(a.shape), 7, 12))
    for (i, j), value in np.ndenumerate(a):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        axes.text(j, i, texts[i, j], ha="center", va="center", fontsize=size, color="white" if dark else INK)


# -- gates ------------------------------------------------------------------------------------------------------------

GATES = {
    "i": "input gate i",
    "f": "forget gate f",
    "o": "output gate o",
    "r": "reset gate r",
    "z": "update gate z",
    "g": "candidate g",
    "c": "cell state c",
    "h": "output h",
}


def gates(traces: Mapping[str, Any], tokens: Sequence[str], title: str = "", path: Any = None) -> Figure:
    """The gates and the state of a recurrent layer while it reads a sentence.

    Args:
        traces: "i", "f", "o", "c" (others too) -> values of shape (T,), or (T, H): then the line is the mean over the
            H units and the band holds the middle 80 % of them.
        tokens: T tokens.
        title: above the picture.
        path: where to save the picture as well, or None.
    """
    if not traces or not len(tokens):
        raise DataError(f"gates: expected at least one trace and one token, got {len(traces)} and {len(tokens)}")
    figure = blank(8, 0.9 + 1.25 * len(traces))
    panels = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values), colour in zip(panels, traces.items(), COLOURS * 2, strict=False):
        _gate_panel(axes, name, np.asarray(values), len(tokens), colour)
    _name_tokens(panels[-1], tokens)
    figure.suptitle(safe(title), x=0.01, ha="left", fontsize=13, color=INK)
    return done(figure, path)


def _gate_panel(axes: Axes, name: str, values: np.ndarray, length: int, colour: str) -> None:
    if values.ndim not in (1, 2) or len(values) != length:
        raise ShapeError(
            f"gates: the trace {name!r} does not fit the tokens.\n  Expected: shape ({length},) or ({length}, H)\n"
            f"  Got: {values.shape}"
        )
    steps = range(length)
    units = values.reshape(length, -1)
    if units.shape[1] > 1:
        axes.fill_between(steps, *np.quantile(units, [0.1, 0.9], axis=1), color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, units.mean(axis=1), color=colour, marker="o" if length <= 60 else "", markersize=4)
    dress(axes, "", "")
    axes.set_title(safe(GATES.get(name, name)), loc="left", fontsize=11, color=INK)
    _gate_scale(axes, name, units)


def _gate_scale(axes: Axes, name: str, units: np.ndarray) -> None:
    if name in ("i", "f", "o", "r", "z"):
        axes.set(ylim=(-0.04, 1.04), yticks=[0, 0.5, 1], yticklabels=["0 shut", "0.5", "1 open"])
    else:
        bound = 1.1 * max(float(np.abs(units).max(initial=0)), 0.1)
        axes.set_ylim(-bound, bound)
        axes.axhline(0, color=FAINT, linewidth=0.8)


def _name_tokens(axes: Axes, tokens: Sequence[str]) -> None:
    step = -(-len(tokens) // 40)
    axes.set_xticks(range(0, len(tokens), step), labels=tick_names(tokens)[::step], fontsize=11)
    _turn_long_names(axes, tokens)
