"""The derivative of each recorded NumPy call: what it hands to each operand.

A call without a rule here is differentiated numerically, by fourth-order differences of that one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...engine.functional import vjp
from ...tensor import Tensor
from .graph import Node, add_at, fill, setitem, value_of
from .tensors import EngineCall

Share = tuple[Node, np.ndarray]
Rule = Callable[[Node, np.ndarray], Iterator[tuple[Any, Any]]]
RULES: dict[str, Rule] = {}
SMOOTHLESS = {"maximum", "minimum", "max", "min", "abs", "clip", "where", "sort", "greater", "less", "fmax", "fmin"}
FLAT = {
    "constant", "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "sign", "argmax", "argmin",
    "invert", "isnan", "isfinite", "round", "floor", "ceil", "argsort", "logical_and", "logical_or", "logical_not",
    "isinf", "any", "all", "zeros_like", "ones_like", "nonzero", "bitwise_and", "bitwise_or", "floor_divide",
}  # fmt: skip


def unbroadcast(g: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the dimensions along which an operand was repeated."""
    g = np.asarray(g)
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape)))) if g.ndim > len(shape) else g
    ones = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return np.broadcast_to(g.sum(axis=ones, keepdims=True) if ones else g, shape)


def shares(node: Node, g: np.ndarray) -> list[Share]:
    """What the node hands to each live operand, given the cotangent of its result."""
    if node.name in FLAT or not node.live:
        return []
    if node.name == "pick" or node.name.startswith("end "):
        return [(node.args[0], g)]
    rule = RULES.get(node.name) or (_by_engine if isinstance(node.fn, EngineCall) else None)
    try:
        found = list(rule(node, g)) if rule else list(_numeric(node, g))
    except (TypeError, KeyError, IndexError):
        found = list(_numeric(node, g))
    return [(p, unbroadcast(s, p.shape)) for p, s in found if isinstance(p, Node) and p.live and s is not None]


def pull(
    nodes: list[Node], seeds: dict[Node, np.ndarray], stop: frozenset[Node] = frozenset()
) -> tuple[dict[Node, Any], list[tuple[Node, Node, Any]]]:
    """The gradients of all nodes, and every single share on the way as (from, to, share); `stop` hands nothing on."""
    total: dict[Node, Any] = dict(seeds)
    edges: list[tuple[Node, Node, Any]] = []
    for node in reversed(nodes):
        g = total.get(node)
        if g is None or node.leaf or node in stop:
            continue
        for parent, share in shares(node, g):
            edges.append((node, parent, share))
            _collect(total, node, parent, share)
    return total, edges


def _collect(total: dict[Node, Any], node: Node, parent: Node, share: Any) -> None:
    if node.name == "pick":
        parts = total.setdefault(parent, [np.zeros(np.shape(v)) for v in parent.value])
        parts[node.args[1]] = parts[node.args[1]] + share
    else:
        total[parent] = total[parent] + share if parent in total else share


def _by_engine(node: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    """A tinyslm operation, by its own rule."""
    wanted = [p for p in dict.fromkeys(node.parents) if p.live and np.asarray(p.value).dtype.kind == "f"]

    def function(*tensors: Any) -> Any:
        given = dict(zip(wanted, tensors, strict=True))
        args, kwargs = fill((node.args, node.kwargs), lambda q: given.get(q, q.value))
        return node.fn.on_tensors(*args, **kwargs)

    found = vjp(function, *(Tensor.wrap(np.asarray(p.value)) for p in wanted))[1](np.asarray(g))
    yield from ((p, d.numpy()) for p, d in zip(wanted, found, strict=True))


def _numeric(node: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    for p in dict.fromkeys(node.parents):
        if p.live and np.asarray(p.value).dtype.kind == "f":
            yield p, _one_by_one(node, p, g)


def _one_by_one(node: Node, p: Node, g: Any) -> np.ndarray:
    found, x = np.zeros(p.shape), np.asarray(p.value)
    for i in range(x.size):
        h = 1e-3 * max(1.0, abs(float(x.flat[i])))
        found.flat[i] = (8 * _moved(node, p, i, h, g) - _moved(node, p, i, 2 * h, g)) / (12 * h)
    return found


def _moved(node: Node, p: Node, i: int, h: float, g: Any) -> float:
    def at(step: float) -> Any:
        y = np.array(p.value)
        y.flat[i] += step
        args = fill((node.args, node.kwargs), lambda q: y if q is p else value_of(q))
        out = node.fn(*args[0], **args[1])
        return sum(np.vdot(a, b) for a, b in zip(g, out, strict=True)) if isinstance(g, list) else np.vdot(g, out)

    return float(at(h) - at(-h))


def _v(x: Any) -> Any:
    return x.value if isinstance(x, Node) else x


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Decorator: enter a rule for calls of these names."""

    def enter(f: Rule) -> Rule:
        for name in names:
            RULES[name] = f
        return f

    return enter


def _unary(name: str, slope: Callable[[Any, Any], Any]) -> None:
    """A rule for an elementwise function by its slope, a function of (x, y)."""

    def pulled(node: Node, g: Any) -> Iterator[tuple[Any, Any]]:
        yield node.args[0], g * slope(_v(node.args[0]), node.value)

    RULES[name] = pulled


for _name, _slope in {
    "negative": lambda x, y: -1.0, "positive": lambda x, y: 1.0, "exp": lambda x, y: y, "expm1": lambda x, y: y + 1,
    "log": lambda x, y: 1 / x, "log1p": lambda x, y: 1 / (1 + x), "log2": lambda x, y: 1 / (x * math.log(2)),
    "log10": lambda x, y: 1 / (x * math.log(10)), "sqrt": lambda x, y: 0.5 / y, "square": lambda x, y: 2 * x,
    "abs": lambda x, y: np.sign(x), "sin": lambda x, y: np.cos(x), "cos": lambda x, y: -np.sin(x),
    "tanh": lambda x, y: 1 - y * y, "reciprocal": lambda x, y: -y * y, "cosh": lambda x, y: np.sinh(x),
    "sinh": lambda x, y: np.cosh(x), "erf": lambda x, y: 2 / math.sqrt(math.pi) * np.exp(-x * x),
    "expit": lambda x, y: y * (1 - y), "copy": lambda x, y: 1.0, "cast": lambda x, y: 1.0,
    "alias": lambda x, y: 1.0, "given": lambda x, y: 1.0,
    "arctan": lambda x, y: 1 / (1 + x * x),
    "nan_to_num": lambda x, y: 1.0 * np.isfinite(x),
}.items():  # fmt: skip
    _unary(_name, _slope)


@rule("add")
def _add(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], g
    yield n.args[1], g


@rule("subtract")
def _subtract(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], g
    yield n.args[1], -g


@rule("multiply")
def _multiply(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = n.args
    yield a, g * _v(b)
    yield b, g * _v(a)


@rule("divide")
def _divide(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = n.args
    yield a, g / _v(b)
    yield b, -g * n.value / _v(b)


@rule("power")
def _power(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = n.args
    yield a, g * _v(b) * np.power(_v(a) * 1.0, _v(b) - 1.0)
    if isinstance(b, Node) and b.live:
        yield b, g * n.value * np.log(_v(a))


@rule("maximum", "fmax")
def _maximum(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = n.args
    share = ((_v(a) > _v(b)) * 0.5) + ((_v(a) >= _v(b)) * 0.5)
    yield a, g * share
    yield b, g * (1 - share)


@rule("minimum", "fmin")
def _minimum(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = n.args
    share = ((_v(a) < _v(b)) * 0.5) + ((_v(a) <= _v(b)) * 0.5)
    yield a, g * share
    yield b, g * (1 - share)


@rule("logaddexp")
def _logaddexp(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    for x in n.args:
        yield x, g * np.exp(_v(x) - n.value)


@rule("where")
def _where(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    c = np.asarray(_v(n.args[0]), bool)
    yield n.args[1], np.where(c, g, 0.0)
    yield n.args[2], np.where(c, 0.0, g)


@rule("clip")
def _clip(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], g * (n.value == _v(n.args[0]))


@rule("matmul")
def _matmul(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = np.asarray(_v(n.args[0])), np.asarray(_v(n.args[1]))
    if a.ndim == 0 or b.ndim == 0:
        yield from _multiply(n, g)
        return
    left, right = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    h = np.expand_dims(g, -2) if a.ndim == 1 and b.ndim > 1 else np.expand_dims(g, -1) if b.ndim == 1 else g
    h = h[None] if a.ndim == 1 and b.ndim == 1 else h
    yield n.args[0], unbroadcast(h @ np.swapaxes(right, -1, -2), left.shape).reshape(a.shape)
    yield n.args[1], unbroadcast(np.swapaxes(left, -1, -2) @ h, right.shape).reshape(b.shape)


@rule("outer")
def _outer(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    a, b = np.asarray(_v(n.args[0])), np.asarray(_v(n.args[1]))
    yield n.args[0], (g @ b.ravel()).reshape(a.shape)
    yield n.args[1], (a.ravel() @ g).reshape(b.shape)


@rule("einsum")
def _einsum(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    names, arrow, out = n.args[0].replace(" ", "").partition("->")
    parts, xs = names.split(","), n.args[1:]
    if not arrow or "." in names or any(len(set(p)) < len(p) for p in parts):
        raise TypeError
    for k, part in enumerate(parts):
        others = [(np.asarray(_v(x)), p) for i, (x, p) in enumerate(zip(xs, parts, strict=True)) if i != k]
        alone = "".join(c for c in part if c not in out and not any(c in p for _, p in others))
        ones = np.ones([xs[k].shape[part.index(c)] for c in alone]) if alone else None
        operands = [(g, out), *others, *([(ones, alone)] if alone else [])]
        yield xs[k], np.einsum(",".join(p for _, p in operands) + "->" + part, *[x for x, _ in operands])


def axes_of(n: Node) -> tuple[int, ...]:
    """The reduced dimensions of a sum, mean, maximum..."""
    axis = n.kwargs.get("axis", n.args[1] if len(n.args) > 1 else None)
    ndim = len(np.shape(_v(n.args[0])))
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (int(axis),)))


def spread(n: Node, g: Any) -> np.ndarray:
    """A cotangent of a reduced array, with the reduced dimensions back."""
    x = np.asarray(_v(n.args[0]))
    axes = axes_of(n)
    kept = tuple(1 if d in axes else s for d, s in enumerate(x.shape))
    return np.broadcast_to(np.reshape(g, kept), x.shape)


def count(n: Node) -> int:
    """How many elements fall into one result."""
    return math.prod(np.shape(_v(n.args[0]))[a] for a in axes_of(n))


@rule("sum")
def _sum(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], spread(n, g)


@rule("mean")
def _mean(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], spread(n, g) / count(n)


@rule("var")
def _var(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    x = _v(n.args[0])
    centred = x - x.mean(axis=axes_of(n), keepdims=True)
    yield n.args[0], spread(n, g) * 2 * centred / (count(n) - n.kwargs.get("ddof", 0))


@rule("std")
def _std(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    x = _v(n.args[0])
    centred = x - x.mean(axis=axes_of(n), keepdims=True)
    yield n.args[0], spread(n, g / n.value) * centred / (count(n) - n.kwargs.get("ddof", 0))


@rule("max", "min")
def _max(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    hits = 1.0 * (_v(n.args[0]) == spread(n, n.value))
    yield n.args[0], spread(n, g) * hits / hits.sum(axis=axes_of(n), keepdims=True)


@rule("cumsum")
def _cumsum(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    axis = n.kwargs.get("axis", n.args[1] if len(n.args) > 1 else None)
    if axis is None:
        raise TypeError
    yield n.args[0], np.flip(np.cumsum(np.flip(g, axis), axis), axis)


@rule("reshape", "expand_dims", "squeeze", "ravel", "atleast_2d")
def _reshape(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], np.reshape(g, np.shape(_v(n.args[0])))


@rule("transpose")
def _transpose(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    axes = n.kwargs.get("axes", n.args[1] if len(n.args) > 1 else None)
    yield n.args[0], np.transpose(g, None if axes is None else np.argsort([a % g.ndim for a in axes]))


@rule("swapaxes")
def _swapaxes(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], np.swapaxes(g, n.args[1], n.args[2])


@rule("moveaxis")
def _moveaxis(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], np.moveaxis(g, n.args[2], n.args[1])


@rule("flip")
def _flip(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], np.flip(g, *n.args[1:], **n.kwargs)


@rule("broadcast_to")
def _broadcast_to(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], g


@rule("tril", "triu")
def _tri(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    yield n.args[0], n.fn(g, *n.args[1:], **n.kwargs)


@rule("concatenate")
def _concatenate(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    axis, start = n.kwargs.get("axis", n.args[1] if len(n.args) > 1 else 0), 0
    for x in n.args[0]:
        size = np.shape(_v(x))[axis]
        yield x, np.take(g, np.arange(start, start + size), axis=axis)
        start += size


@rule("hstack")
def _hstack(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    start = 0
    for x in n.args[0]:
        size = np.shape(_v(x))[min(1, g.ndim - 1)]
        yield x, np.take(g, np.arange(start, start + size), axis=min(1, g.ndim - 1))
        start += size


@rule("stack")
def _stack(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    axis = n.kwargs.get("axis", n.args[1] if len(n.args) > 1 else 0)
    for i, x in enumerate(n.args[0]):
        yield x, np.take(g, i, axis=axis)


@rule("split", "array_split")
def _split(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    axis = n.kwargs.get("axis", n.args[2] if len(n.args) > 2 else 0)
    yield n.args[0], np.concatenate(g, axis=axis)


@rule("getitem")
def _getitem(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    key = fill(n.args[1], value_of)
    yield n.args[0], add_at(np.zeros(np.shape(_v(n.args[0]))), key, g)


@rule("setitem")
def _setitem(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    x, key, value = n.args
    key = fill(key, value_of)
    yield x, setitem(g, key, 0.0)
    yield value, unbroadcast(np.array(g[key]), np.shape(_v(value)))


@rule("add_at", "subtract_at")
def _add_at(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    x, key, value = n.args
    sign = -1.0 if n.name == "subtract_at" else 1.0
    yield x, g
    yield value, unbroadcast(sign * np.array(g[fill(key, value_of)]), np.shape(_v(value)))


@rule("take_along_axis")
def _take_along(n: Node, g: Any) -> Iterator[tuple[Any, Any]]:
    x, index = np.zeros(np.shape(_v(n.args[0]))), np.asarray(_v(n.args[1]))
    axis = n.kwargs.get("axis", n.args[2] if len(n.args) > 2 else -1)
    places: list[Any] = list(np.indices(index.shape, sparse=True))
    places[axis] = index
    np.add.at(x, tuple(places), g)
    yield n.args[0], x
