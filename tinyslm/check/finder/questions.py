"""The questions before any number is compared: is it repeatable, finite, linear, and does it leave its inputs alone?"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...messages import say
from .graph import CannotTrace, Graph, Node
from .learner import Backward, Forward, Point, holds_numbers
from .outcome import Finding
from .rules import SMOOTHLESS

RIGHT, WRONG = 1e-8, 1e-5
EXTREME = 300.0


def at_line(line: int | None) -> str:
    """The words for a line, or nothing."""
    return say("finder.where", line=line) if line else ""


def finding(key: str, kind: str, line: int | None = None, forward: bool = False, **fields: Any) -> Finding:
    """A finding with its message and, where known, its line."""
    text = say("finder." + key, where=at_line(line), **fields)
    found = Finding("finder." + key, kind, text, [line] if line else [])
    found.forward_line, found.backward_line = (line, None) if forward else (None, line)
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two results are equal to the last bit, NaN and all, in nested lists and dicts."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same, a, b))
    if not holds_numbers(a):
        return True
    return np.shape(a) == np.shape(b) and np.array_equal(
        np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f"
    )


def _first_difference(a: list[Node], b: list[Node]) -> int | None:
    """The line of the first node whose value differs although its operands agree."""
    for x, y in zip(a, b, strict=False):
        if x.site != y.site or not same(x.value, y.value):
            return y.inner or None
    return None


def repeatable(point: Point) -> Finding | None:
    """Two calls of forward, and two of backward, each on copies."""
    if not same(point.cache, point.run_forward()):
        return finding("random.forward", "random", _line_of_chance(point, Forward), forward=True)
    a, b = (point.run_backward(point.cotangent) for _ in range(2))
    if not same(a, b):
        return finding("random.backward", "random", _line_of_chance(point, Backward))
    return None


def _line_of_chance(point: Point, kind: Any) -> int | None:
    graphs = []
    for _ in range(2):
        graph = Graph(point.learner.path)
        try:
            _bare_run(point, kind, graph)
        except Exception:  # then the line stays unknown
            return None
        graphs.append(graph.nodes)
    return _first_difference(*graphs)


def _bare_run(point: Point, kind: Any, graph: Graph) -> None:
    from .learner import _leaves

    with graph, np.errstate(all="ignore"):
        p = _leaves(graph, "p", point.p)
        if kind is Forward:
            point.learner.traced["forward"](p)
        else:
            point.learner.traced["backward"](p, _leaves(graph, "cache", point.cache), graph.leaf("g", point.cotangent))


def bad_number(x: Any) -> str:
    """The word for what is not finite, or nothing."""
    x = np.asarray(x)
    if x.dtype.kind not in "fc" or np.isfinite(x).all():
        return ""
    return "NaN" if np.isnan(x).any() else "Inf"


def first_bad_line(nodes: list[Node]) -> int | None:
    """The line that makes the first NaN or Inf."""
    for n in nodes:
        if n.site and not isinstance(n.value, list) and bad_number(n.value):
            return n.inner
    return None


def finite_forward(point: Point, forward: Forward | None) -> Finding | None:
    """The output of forward holds numbers."""
    what = bad_number(point.out)
    if not what:
        return None
    line = first_bad_line(forward.graph.nodes) if forward else None
    return finding("not_finite.forward", "not finite", line, True, name=point.output, what=what)


def finite_backward(point: Point, found: dict[str, Any], backward: Backward | None) -> Finding | None:
    """The gradients hold numbers."""
    for name, v in found.items():
        what = bad_number(v)
        if what:
            place = [int(i) for i in np.argwhere(~np.isfinite(np.asarray(v)))[0]]
            line = first_bad_line(backward.graph.nodes) if backward else None
            return finding("not_finite.backward", "numerics", line, name=name, what=what, place=place)
    return None


def typed(found: dict[str, Any]) -> Finding | None:
    """The gradients are arrays of floats."""
    for name, v in found.items():
        kind = np.asarray(v).dtype
        if kind.kind not in "fiu":
            return finding("type", "type", name=name, got=f"of type {kind}")
    return None


def linear(point: Point, found: dict[str, Any]) -> Finding | None:
    """B(0) = 0, B(a + b) = B(a) + B(b), B(-1.7 a) = -1.7 B(a), up to the rounding of float32."""
    a, b = point.cotangent, point.other
    fa, fb = ({k: np.asarray(v, float) for k, v in x.items()} for x in (found, point.compared(point.run_backward(b))))
    laws = [
        ("zero", 0.0 * a, {k: 0.0 * v for k, v in fa.items()}),
        ("sum", a + b, {k: fa[k] + fb[k] for k in fa if k in fb}),
        ("scale", -1.7 * a, {k: -1.7 * v for k, v in fa.items()}),
    ]
    size = max([1e-300, *(float(np.abs(v).max(initial=0.0)) for v in fa.values())])
    for law, g, wanted in laws:
        for k, v in point.compared(point.run_backward(np.asarray(g))).items():
            off = np.abs(np.asarray(v, float) - wanted[k]).max(initial=0.0) if k in wanted else 0.0
            if not off <= WRONG * max(size, 1e-3):
                return finding(f"linear.{law}", "cotangent", None, name=k, off=off)
    return None


# -- arrays changed in place ------------------------------------------------------------------------------------------


def shared_run(point: Point) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """The gradients where forward and backward see the same objects: of a first and a second call; was p changed?"""
    p = copy.deepcopy(point.p)
    cache = point.run_forward(p)
    changed = not same(p, point.p)
    first = copy.deepcopy(point.compared(point.run_backward(point.cotangent, p, cache)))
    second = point.compared(point.run_backward(point.cotangent, p, cache))
    return first, second, changed


def one_buffer(entries: list[Any]) -> bool:
    """Whether all entries of a list are the same memory, or all but the first."""
    rest = entries[1:]
    return len(rest) > 1 and all(isinstance(v, np.ndarray) and np.shares_memory(v, rest[0]) for v in rest)


def written_line(point: Point, forward: Forward | None, backward: Backward | None) -> tuple[str, int | None]:
    """Which input or cached array is written into, and on which line."""
    for trace in (forward, backward):
        for name, line in trace.graph.written if trace else ():
            if name != "g":
                return name, line
    return "an array", None


# -- extremes ---------------------------------------------------------------------------------------------------------


class Scaled(Point):
    """A point with its float inputs multiplied."""

    def __init__(self, point: Point, scale: float):
        self.__dict__.update(point.__dict__)
        self.p = {k: v * scale if k in point.floats else v for k, v in point.p.items()}
        self.cache = self.run_forward()
        self.out = np.asarray(self.cache[self.output])


def extremes(point: Point) -> Finding | None:
    """Gradients stay finite where forward does, also for large inputs."""
    try:
        large = Scaled(point, EXTREME)
        if any(bad_number(v) for v in large.cache.values() if holds_numbers(v)):
            return None
        found = large.compared(large.run_backward(point.cotangent))
    except Exception:  # forward itself does not go there
        return None
    for name, v in found.items():
        what = bad_number(v)
        if what:
            return finding("numerics", "numerics", _bad_line(large), name=name, what=what, scale=EXTREME)
    return None


def _bad_line(point: Point) -> int | None:
    graph = Graph(point.learner.path)
    try:
        _bare_run(point, Backward, graph)
    except CannotTrace:
        return None
    return first_bad_line(graph.nodes)


# -- kinks ------------------------------------------------------------------------------------------------------------


def at_a_kink(forward: Forward) -> bool:
    """Whether the point sits exactly where some operation has no derivative."""
    return any(_tied(n) for n in forward.graph.nodes if n.live)


def _tied(n: Node) -> bool:
    values = [a.value if isinstance(a, Node) else a for a in n.args[:2]]
    if n.name in ("maximum", "minimum", "greater", "less", "greater_equal", "less_equal", "fmax", "fmin"):
        return bool(np.any(np.equal(values[0], values[1])))
    if n.name in ("abs", "sign"):
        return bool(np.any(np.asarray(values[0]) == 0))
    if n.name in ("max", "min"):
        return int(np.sum(values[0] == np.max(values[0]))) > 1 and n.name in SMOOTHLESS
    return n.name == "clip"
