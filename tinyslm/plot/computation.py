"""The graph of a computation, as text and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..engine import Node, topological_order
from ..errors import OptionError
from ..tensor import Tensor
from .style import FAINT, INK, blank, cut, done, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# -- what is drawn ----------------------------------------------------------------------------------------------------

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
    return cut(name, 24), cut(", ".join(map(_shape_text, outputs)), 24), cut(node.line, 24)


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
    return (cut(t.name, 24), _shape_text(t), kind) if t.name else (kind, _shape_text(t))


def _shape_text(a: Any) -> str:
    return str(tuple(a.shape)) if a.shape else "one number"


# -- how it is laid out -----------------------------------------------------------------------------------------------
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
    return done(_draw_graph(boxes, routes, width, title), path)


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
    figure = blank(span, (depth + 1) * PITCH + 0.4)
    axes = figure.subplots()
    axes.set(xlim=(centre - span / 2, centre + span / 2), ylim=(-(depth + 0.5) * PITCH, 0.5 * PITCH), aspect="equal")
    axes.axis("off")
    axes.set_title(safe(title), loc="left", fontsize=13, color=INK)
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
        axes.text(x, at, safe(text), ha="center", va="center", color=INK if i < 2 else "#5A5A5A", zorder=3, **style)
