"""Pictures: training curves, confusions, attention maps, gate traces, and the graph of a computation.

Each function returns a matplotlib `Figure` of its own, without pyplot and its global state; `save` writes it as PNG or
SVG. matplotlib is loaded by the first picture. The colours are those of Okabe & Ito 2008, which people with any form of
colour blindness can tell apart; lines differ in their dashes as well.
"""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .engine import Node, topological_order
from .errors import DataError, OptionError, ShapeError
from .files import atomic_write
from .tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), "-")
INK, FAINT = "#222222", "#8A8A8A"
DOTS_PER_INCH = 150

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
    figure = _figure(8, 3.6)
    left, right = figure.subplots(1, 2)
    _curve_panel(left, log, "loss", "loss (nats)", 1)
    _curve_panel(right, log, "accuracy", "accuracy (%)", 100)
    right.set_ylim(top=min(102, right.get_ylim()[1]))
    return _done(figure, path)


def _curve_panel(axes: Axes, log: Sequence[Mapping[str, Any]], kind: str, ylabel: str, factor: float) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [record.get("epoch", i + 1) for i, record in enumerate(log)]
    for part, colour, dash in (("train", BLUE, "-"), ("valid", VERMILION, "--")):
        y = factor * np.array([_number(record.get(f"{part}_{kind}")) for record in log])
        if not np.isnan(y).all():
            marker = "o" if len(y) <= 30 else ""
            axes.plot(epochs, y, color=colour, linestyle=dash, marker=marker, markersize=4, label=part)
    _dress(axes, "epoch", ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes)


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
    figure = _figure(8, 4.5)
    axes = figure.subplots()
    for i, (name, values) in enumerate(series.items()):
        y = _fitting(values, x.shape, f"series[{name!r}]")
        style: dict[str, Any] = {
            "color": COLOURS[i % 7],
            "linestyle": DASHES[i % 7],
            "marker": "o" if x.size <= 20 else "",
        }
        axes.plot(x, y, label=_safe(name), markersize=4, **style)
    axes.set(xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    _dress(axes, xlabel, ylabel, title)
    if len(series) > 1:
        _legend(axes)
    return _done(figure, path)


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
    return _done(figure, path)


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
    return _done(figure, path)


def _matrix(
    a: np.ndarray, rows: Sequence, columns: Sequence, cmap: str, limits: tuple, unit: str, texts: np.ndarray | None
) -> tuple[Figure, Axes]:
    figure = _figure(*_matrix_size(rows, columns))
    axes = figure.subplots()
    image = axes.imshow(a, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(_safe(unit), fontsize=11)
    bar.outline.set_visible(False)
    _name_ticks(axes, rows, columns)
    if texts is not None:
        _write_cells(axes, image, a, texts)
    return figure, axes


def _matrix_size(rows: Sequence, columns: Sequence) -> tuple[float, float]:
    """Inches, so that cells are about square and the picture is at most 8 wide."""
    beside = 1.5 + 0.09 * max(map(len, _names(rows)), default=0)
    cell = float(np.clip((8 - beside) / max(len(columns), 1), 0.3, 0.9))
    below = 0.9 + (0.06 * max(map(len, _names(columns))) if _are_long(columns) else 0)
    width = np.clip(beside + cell * len(columns), 5, 8)
    return float(width), float(np.clip(below + cell * len(rows), 2.2, 10))


def _name_ticks(axes: Axes, rows: Sequence, columns: Sequence) -> None:
    step = [max(1, -(-len(names) // 40)) for names in (columns, rows)]  # at most 40 names a side
    axes.set_xticks(range(0, len(columns), step[0]), labels=_names(columns)[:: step[0]], fontsize=11)
    axes.set_yticks(range(0, len(rows), step[1]), labels=_names(rows)[:: step[1]], fontsize=11)
    _turn_long_names(axes, columns)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _turn_long_names(axes: Axes, names: Sequence) -> None:
    if _are_long(names):
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")


def _are_long(names: Sequence) -> bool:
    # About 60 characters of this size fit side by side.
    return len(names) * (max(map(len, _names(names)), default=0) + 1.5) > 60


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
    figure = _figure(8, 0.9 + 1.25 * len(traces))
    panels = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values), colour in zip(panels, traces.items(), COLOURS * 2, strict=False):
        _gate_panel(axes, name, np.asarray(values), len(tokens), colour)
    _name_tokens(panels[-1], tokens)
    figure.suptitle(_safe(title), x=0.01, ha="left", fontsize=13, color=INK)
    return _done(figure, path)


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
    _dress(axes, "", "")
    axes.set_title(_safe(GATES.get(name, name)), loc="left", fontsize=11, color=INK)
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
    axes.set_xticks(range(0, len(tokens), step), labels=_names(tokens)[::step], fontsize=11)
    _turn_long_names(axes, tokens)


# -- the graph: what is drawn -----------------------------------------------------------------------------------------

Key = Any  # a Node, or a Tensor that no operation made


@dataclass
class _Box:
    """A box of the picture, or a bend in a long line (no texts)."""

    texts: tuple[str, ...]
    colour: str
    inputs: list[Key] = field(default_factory=list)
    layer: int = 0
    x: float = 0.0


def graph_text(tensor: Tensor, limit: int = 100) -> str:
    """The graph behind a tensor as a tree of text, from the result down to the parameters and constants.

    An operation that is used twice is written once; "see #3" points to it. After `limit` lines the rest is counted.

    Raises:
        GraphError: if a backward pass has freed the graph.
    """
    order = topological_order([tensor])
    numbers = {node: i + 1 for i, node in enumerate(reversed(order))}
    rows: list[str] = []
    seen: set[Key] = set()
    stack = [(tensor, "", "")]
    while stack and len(rows) < limit:
        t, first, rest = stack.pop()
        key = t if t.node is None else t.node
        known = key in seen and t.node is not None
        rows.append(first + (f"see #{numbers[t.node]}" if known and t.node else _row_text(t, numbers)))
        if not known and t.node is not None:
            seen.add(key)
            stack.extend(_branches(t.node.inputs or (), rest))
    left = len(order) - len(seen)
    return "\n".join(rows + ([f"... and {left} more operations"] if stack and left else []))


def _branches(inputs: Sequence[Tensor], indent: str) -> list[tuple[Tensor, str, str]]:
    marks = [("├─ ", "│  ")] * (len(inputs) - 1) + [("└─ ", "   ")]
    rows = [(t, indent + first, indent + rest) for t, (first, rest) in zip(inputs, marks, strict=True)]
    return rows[::-1]  # the stack gives the last one first


def _row_text(t: Tensor, numbers: Mapping[Node, int]) -> str:
    if t.node is None:
        return " ".join(_leaf_texts(t))
    name, shape, line = _node_texts(t.node)
    return f"#{numbers[t.node]} {name} {shape}  {line}"


def _node_texts(node: Node) -> tuple[str, ...]:
    given = {k: _value_text(v) for k, v in node.attrs.items()}
    changed = [f"{k}={v}" for k, v in given.items() if v != _value_text(node.op.defaults.get(k))]
    name = node.op.name + (f"({', '.join(changed)})" if changed else "")
    outputs = node.outputs if isinstance(node.outputs, tuple) else (node.outputs,)
    return _cut(name, 24), _cut(", ".join(map(_shape_text, outputs)), 24), _cut(node.line, 24)


def _value_text(value: Any) -> str:
    if isinstance(value, slice):
        return ":".join("" if v is None else str(v) for v in (value.start, value.stop))
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value_text, value))}]"
    return f"array {_shape_text(value)}" if hasattr(value, "shape") else str(value)


def _leaf_texts(t: Tensor) -> tuple[str, ...]:
    kind = "parameter" if t.requires_grad else "constant"
    if t.size == 1 and not (t.requires_grad or t.name):
        return f"{t.item():.4g}", kind
    return (_cut(t.name, 24), _shape_text(t), kind) if t.name else (kind, _shape_text(t))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _shape_text(a: Any) -> str:
    return str(tuple(a.shape)) if a.shape else "one number"


# -- the graph: how it is laid out ------------------------------------------------------------------------------------
# In four steps (Sugiyama et al. 1981): boxes go into layers, long lines get a bend in every layer they cross, each
# layer is ordered so that few lines cross, and the boxes are shifted towards what they are connected with.


def graph(tensor: Tensor, title: str = "", limit: int = 80, path: Any = None) -> Figure:
    """A picture of the graph behind a tensor: inputs at the top, the result at the bottom.

    Blue boxes are operations with the shape of their result and the line that asked for them, orange ones parameters
    (they get gradients), grey ones constants.

    Args:
        tensor: the result, before a backward pass frees its graph.
        title: above the picture.
        limit: the largest number of boxes that is drawn.
        path: where to save the picture as well, or None.

    Raises:
        GraphError: if a backward pass has freed the graph. OptionError: for more than `limit` boxes.
    """
    boxes = _boxes(tensor)
    if len(boxes) > limit:
        raise OptionError(
            f"graph: a picture of {len(boxes)} boxes can't be read.\n  Expected: at most {limit}\n"
            "  Got: more; draw a smaller example (one sentence, two steps), raise limit, or print graph_text(...)"
        )
    _assign_layers(boxes)
    routes = _bend_long_lines(boxes)
    layers = _ordered_layers(boxes, routes)
    width = _box_width(boxes)
    _assign_x(boxes, layers, routes, width)
    return _done(_draw_graph(boxes, routes, width, title), path)


def _box_width(boxes: dict[Key, _Box]) -> float:
    """Inches: the first text of a box is larger and bold."""
    lengths = [len(t) * (0.105 if i == 0 else 0.075) for b in boxes.values() for i, t in enumerate(b.texts)]
    return max(1.2, 0.25 + max(lengths))


def _boxes(tensor: Tensor) -> dict[Key, _Box]:
    """All boxes, each after its inputs."""
    boxes: dict[Key, _Box] = {}
    for node in topological_order([tensor]):
        for t in node.inputs or ():
            if t.node is None and t not in boxes:
                boxes[t] = _Box(_leaf_texts(t), "#FBE3C0" if t.requires_grad else "#E8E8E8")
        inputs = [t if t.node is None else t.node for t in node.inputs or ()]
        boxes[node] = _Box(_node_texts(node), "#D6E9F5", list(dict.fromkeys(inputs)))
    return boxes or {tensor: _Box(_leaf_texts(tensor), "#FBE3C0" if tensor.requires_grad else "#E8E8E8")}


def _assign_layers(boxes: dict[Key, _Box]) -> None:
    for box in boxes.values():
        box.layer = max((boxes[k].layer + 1 for k in box.inputs), default=0)
    first_use: dict[Key, int] = {}
    for box in boxes.values():
        for k in box.inputs:
            first_use[k] = min(first_use.get(k, box.layer), box.layer)
    for k, box in boxes.items():
        if not box.inputs:  # leaves go right above the first operation that uses them
            box.layer = first_use.get(k, 1) - 1


def _bend_long_lines(boxes: dict[Key, _Box]) -> list[list[Key]]:
    """The lines as routes of neighbours: [input, bend, ..., bend, operation]."""
    routes = []
    for key, box in list(boxes.items()):
        for source in box.inputs:
            bends = [(source, key, layer) for layer in range(boxes[source].layer + 1, box.layer)]
            boxes.update({bend: _Box((), "", layer=bend[2]) for bend in bends})
            routes.append([source, *bends, key])
    return routes


def _neighbours(routes: Sequence[Sequence[Key]]) -> tuple[dict[Key, list[Key]], dict[Key, list[Key]]]:
    above: dict[Key, list[Key]] = {}
    below: dict[Key, list[Key]] = {}
    for route in routes:
        for a, b in pairwise(route):
            above.setdefault(b, []).append(a)
            below.setdefault(a, []).append(b)
    return above, below


def _sweeps(layers: list[list[Key]], routes: Sequence, count: int) -> Iterator[tuple[list[Key], dict]]:
    """Down and up through the layers in turn: (layer, the neighbours in the layer just passed)."""
    above, below = _neighbours(routes)
    for i in range(count):
        down = i % 2 == 0
        for layer in layers if down else reversed(layers):
            yield layer, above if down else below


def _ordered_layers(boxes: dict[Key, _Box], routes: Sequence) -> list[list[Key]]:
    layers: list[list[Key]] = [[] for _ in range(1 + max(b.layer for b in boxes.values()))]
    for key, box in boxes.items():
        box.x = len(layers[box.layer])
        layers[box.layer].append(key)
    for layer, linked in _sweeps(layers, routes, 8):
        layer.sort(key=lambda k: _mean_x(boxes, linked.get(k), boxes[k].x))
        for i, key in enumerate(layer):
            boxes[key].x = i
    return layers


def _mean_x(boxes: dict[Key, _Box], keys: list[Key] | None, otherwise: float) -> float:
    return sum(boxes[k].x for k in keys) / len(keys) if keys else otherwise


def _assign_x(boxes: dict[Key, _Box], layers: list[list[Key]], routes: Sequence, width: float) -> None:
    for layer in layers:
        for i, key in enumerate(layer):
            boxes[key].x = (i - len(layer) / 2) * width
    for layer, linked in _sweeps(layers, routes, 12):
        wanted = [_mean_x(boxes, linked.get(k), boxes[k].x) for k in layer]
        half = [(width + 0.25) / 2 if boxes[k].texts else 0.2 for k in layer]
        for key, x in zip(layer, _apart(wanted, half), strict=True):
            boxes[key].x = x


def _apart(wanted: list[float], half: list[float]) -> list[float]:
    """Places near the wanted ones that keep their distances: the mean of pushing right and of pushing left."""
    right, left = list(wanted), list(wanted)
    for i in range(1, len(wanted)):
        right[i] = max(right[i], right[i - 1] + half[i - 1] + half[i])
    for i in reversed(range(len(wanted) - 1)):
        left[i] = min(left[i], left[i + 1] - half[i + 1] - half[i])
    return [(a + b) / 2 for a, b in zip(right, left, strict=True)]


PITCH, TALL = 1.1, 0.66  # inches from layer to layer, and of a box


def _draw_graph(boxes: dict[Key, _Box], routes: Sequence[Sequence[Key]], width: float, title: str) -> Figure:
    xs, depth = [b.x for b in boxes.values()], max(b.layer for b in boxes.values())
    margin = width / 2 + 0.2
    span = max(max(xs) - min(xs) + 2 * margin, 4.0)
    centre = (max(xs) + min(xs)) / 2
    figure = _figure(span, (depth + 1) * PITCH + 0.4)
    axes = figure.subplots()
    axes.set(xlim=(centre - span / 2, centre + span / 2), ylim=(-(depth + 0.5) * PITCH, 0.5 * PITCH), aspect="equal")
    axes.axis("off")
    axes.set_title(_safe(title), loc="left", fontsize=13, color=INK)
    for route in routes:
        _draw_line(axes, [(boxes[k].x, -boxes[k].layer * PITCH) for k in route])
    for box in boxes.values():
        if box.texts:
            _draw_box(axes, box, width)
    return figure


def _draw_line(axes: Axes, points: list[tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    # Straight through the height of every layer, so that no line cuts a box; curves only between the layers.
    ends = [(x, y + side * TALL / 2) for x, y in points for side in (1, -1)][1:-1]
    corners, codes = [ends[0]], [Curve.MOVETO]
    for i, ((xa, ya), (xb, yb)) in enumerate(pairwise(ends)):
        middle = (ya + yb) / 2
        corners += [(xb, yb)] if i % 2 else [(xa, middle), (xb, middle), (xb, yb)]
        codes += [Curve.LINETO] if i % 2 else [Curve.CURVE4] * 3
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 10, "color": FAINT, "linewidth": 1.1}
    axes.add_patch(FancyArrowPatch(path=Curve(corners, codes), shrinkA=0, shrinkB=0, zorder=1, **arrow))


def _draw_box(axes: Axes, box: _Box, width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = box.x, -box.layer * PITCH
    corner = (x - width / 2, y - TALL / 2)
    look: dict[str, Any] = {"facecolor": box.colour, "edgecolor": "#666666", "linewidth": 0.8}
    axes.add_patch(FancyBboxPatch(corner, width, TALL, boxstyle="round,pad=0,rounding_size=0.08", zorder=2, **look))
    for i, text in enumerate(box.texts):
        at = y + 0.19 * ((len(box.texts) - 1) / 2 - i)
        style: dict[str, Any] = {"fontsize": 11, "fontweight": "bold"} if i == 0 else {"fontsize": 9}
        axes.text(x, at, _safe(text), ha="center", va="center", color=INK if i < 2 else "#5A5A5A", zorder=3, **style)


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
        file.write(_picture(figure, kind))
    return target


def _picture(figure: Figure, kind: str) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    stamp: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    with rc_context({"svg.hashsalt": "tinyslm"}):
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=stamp)
    return buffer.getvalue()


# -- style ------------------------------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
    pads = {"w_pad": 0.1, "h_pad": 0.1}  # inches
    figure.get_layout_engine().set(**pads)  # type: ignore[union-attr]
    figure._repr_png_ = lambda: _picture(figure, "png")  # type: ignore[attr-defined]  # shown in notebooks
    return figure


def _dress(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> None:
    axes.set_xlabel(xlabel, fontsize=12, color=INK)
    axes.set_ylabel(ylabel, fontsize=12, color=INK)
    axes.set_title(title, loc="left", fontsize=13, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=11, color=FAINT, labelcolor=INK)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=11, handlelength=2.6)


def _safe(text: str) -> str:
    """Text in which a dollar is a dollar, not the start of a formula."""
    return str(text).replace("$", r"\$")


def _names(values: Sequence) -> list[str]:
    return [_safe(_name(str(v))) for v in values]


def _name(text: str) -> str:
    # Blanks and line ends are tokens too, for a character or byte-pair tokenizer.
    shown = text.replace("\n", "\\n").replace("\t", "\\t").replace(" ", "␣") if not text.strip() else text
    return _cut(shown, 20)


def _done(figure: Figure, path: Any = None) -> Figure:
    """Choose fonts that have all characters, and save the picture if asked."""
    _choose_fonts(figure)
    if path is not None:
        save(figure, path)
    return figure


# -- fonts ------------------------------------------------------------------------------------------------------------

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


def _choose_fonts(figure: Figure) -> None:
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
    first.set_title(f"{title}\n{note}" if title else note, loc="left", fontsize=11, color=INK)
