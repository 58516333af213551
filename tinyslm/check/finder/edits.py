# mypy: disable-error-code="misc,index"
"""The catalogue of single mistakes: for one place of a learner's backward pass, what it might have been meant to be.

An edit gives the value that a node should have had. It is described by names, not by numbers, so that it can be tried
again at another point with other sizes: `apply(spot)` gets the node, its number in its group (the use of the same line
in a loop), and a way to read current values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graph import AT, Node, add_at, fill, getitem, is_basic
from .rules import unbroadcast

Trace = Any  # search.Trace; not imported, because imports run one way


@dataclass
class Spot:
    """One node of a group that is being edited: number `i` of `k`."""

    trace: Trace
    node: Node
    i: int
    k: int
    get: Callable[[Node], Any]

    def arg(self, j: int) -> Any:
        """Its j-th operand, current."""
        return fill(self.node.args[j], self.get)

    def value(self, swap: dict[int, Any] | None = None) -> Any:
        """Its result, with some operands replaced."""
        args = [fill(a, self.get) if j not in (swap or {}) else swap[j] for j, a in enumerate(self.node.args)]
        return self.node.fn(*args, **fill(self.node.kwargs, self.get))


@dataclass(frozen=True)
class Edit:
    """One way to repair a node: its class, how far-fetched it is (small is likely), and what was missing."""

    kind: str
    cost: float
    text: str
    apply: Callable[[Spot], Any] = field(compare=False)
    only: str = "every"  # every use of the line, or the "first" or "last"


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


FORMS: dict[str, Callable[[Any], Any]] = {
    "{}": lambda e: e,
    "1 - {}": lambda e: 1 - e,
    "1 - {}**2": lambda e: 1 - e * e,
    "{} * (1 - {})": lambda e: e * (1 - e),
    "({} > 0)": lambda e: 1.0 * (e > 0),
    "{}**2": lambda e: e * e,
    "tanh({})": np.tanh,
    "1 - tanh({})**2": lambda e: 1 - np.tanh(e) ** 2,
    "sigmoid({})": sigmoid,
    "sigmoid'({})": lambda e: sigmoid(e) * (1 - sigmoid(e)),
    "exp({})": np.exp,
    "1 / {}": lambda e: 1 / e,
    "sqrt({})": np.sqrt,
    "sign({})": np.sign,
}
FACTORS = (
    "{}",
    "1 - {}",
    "1 - {}**2",
    "{} * (1 - {})",
    "({} > 0)",
    "1 - tanh({})**2",
    "sigmoid'({})",
    "{}**2",
    "1 / {}",
    "exp({})",
)


def is_float(x: Any) -> bool:
    """True for float arrays and numbers."""
    return np.asarray(x).dtype.kind == "f"


Fetch = Callable[[Spot], Any]


@dataclass(frozen=True)
class Known:
    """A value that the learner's code has at hand: what it is called, and how to read it."""

    name: str
    shape: tuple[int, ...]
    fetch: Fetch = field(compare=False)
    cost: float = 0.0


def edits(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """All edits of a group of nodes, likely ones first."""
    node = group[0]
    yield from _scaled()
    yield from _operators(node)
    yield from _dropped(node)
    yield from _axes(node)
    yield from _keys(trace, node)
    yield from _accumulated(node)
    yield from _transposed(node)
    yield from _transformed(node)
    known = list(trace.known(group))
    yield from _substituted(node, known)
    yield from _factors(node, known)
    yield from _projected(node, known)
    yield from _summed(trace, node)


# -- the kinds --------------------------------------------------------------------------------------------------------


def _scaled() -> Iterator[Edit]:
    for c, text in ((-1.0, "the sign"), (2.0, "a factor 2"), (0.5, "a factor 1/2")):
        kind = "sign" if c < 0 else "factor"
        yield Edit(kind, 1, text, lambda s, c=c: c * s.get(s.node))
    yield Edit("zero", 2.5, "0", lambda s: 0.0 * s.get(s.node))


SWAPS: dict[str, tuple[tuple[str, Any], ...]] = {
    "add": (("-", np.subtract), ("*", np.multiply)),
    "subtract": (("+", np.add), ("reversed", lambda a, b: b - a)),
    "multiply": (
        ("/", np.divide), ("reversed /", lambda a, b: b / a), ("+", np.add), ("-", np.subtract), ("@", np.matmul),
    ),
    "divide": (("*", np.multiply), ("reversed", lambda a, b: b / a)),
    "matmul": (
        ("a.T @ b", lambda a, b: _t(a) @ b),
        ("a @ b.T", lambda a, b: a @ _t(b)),
        ("a.T @ b.T", lambda a, b: _t(a) @ _t(b)),
        ("b @ a", lambda a, b: b @ a),
        ("b.T @ a", lambda a, b: _t(b) @ a),
        ("b @ a.T", lambda a, b: b @ _t(a)),
        ("*", np.multiply),
    ),
    "tanh": (("sigmoid", sigmoid),),
    "greater": (("<", np.less), ("<=", np.less_equal), (">=", np.greater_equal)),
    "less": ((">", np.greater), (">=", np.greater_equal)),
    "greater_equal": (("<", np.less), ("<=", np.less_equal)),
    "less_equal": ((">", np.greater), (">=", np.greater_equal)),
    "exp": (("log", np.log),),
    "log": (("exp", np.exp), ("log2", np.log2), ("log10", np.log10)),
    "log2": (("log", np.log),),
    "log10": (("log", np.log),),
    "sqrt": (("no root", lambda a: a), ("power -1/2", lambda a: 1 / np.sqrt(a)), ("cube root", lambda a: a ** (1 / 3))),
    "cos": (("sin", np.sin),),
    "sin": (("cos", np.cos),),
    "maximum": (("min", np.minimum),),
    "minimum": (("max", np.maximum),),
    "tril": (("triu", np.triu),),
    "triu": (("tril", np.tril),),
}  # fmt: skip
KINDS = {"matmul": "transpose", "tanh": "activation"}


def _t(x: Any) -> Any:
    return np.swapaxes(x, -1, -2) if np.ndim(x) > 1 else x


def _operators(node: Node) -> Iterator[Edit]:
    for text, fn in SWAPS.get(node.name, ()):
        kind = KINDS.get(node.name, "sign" if text in "+-" or text == "reversed" else "operator")
        yield Edit(kind, 1.1, text, lambda s, fn=fn: fn(*(s.arg(j) for j in range(len(s.node.args)))))
    if node.name == "where" and len(node.args) == 3:
        yield Edit("mask", 1.1, "the other branch", lambda s: np.where(s.arg(0), s.arg(2), s.arg(1)))
    if node.name == "power":
        for e in (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0):
            yield Edit("power", 1.2, f"the power {e:g}", lambda s, e=e: np.power(s.arg(0) * 1.0, e))
    if node.name == "einsum" and isinstance(node.args[0], str):
        yield from _einsums(node)


def _einsums(node: Node) -> Iterator[Edit]:
    parts, arrow, out = node.args[0].replace(" ", "").partition("->")
    if not arrow:
        return
    for other in itertools.islice(itertools.permutations(out), 24):
        text = f"{parts}->{''.join(other)}"
        yield Edit("transpose", 1.2, f"'{text}'", lambda s, text=text: s.value({0: text}))
    names = parts.split(",")
    for k, part in enumerate(names):
        for other in itertools.islice(itertools.permutations(part), 24):
            text = ",".join([*names[:k], "".join(other), *names[k + 1 :]]) + "->" + out
            yield Edit("transpose", 1.2, f"'{text}'", lambda s, text=text: s.value({0: text}))


def _dropped(node: Node) -> Iterator[Edit]:
    """One operand only: a term or factor too many."""
    if node.name in ("add", "subtract"):
        yield Edit("counted twice", 1.4, "without its second term", lambda s: s.arg(0) + 0 * s.get(s.node))
        sign = -1.0 if node.name == "subtract" else 1.0
        yield Edit("counted twice", 1.4, "without its first term", lambda s: sign * s.arg(1) + 0 * s.get(s.node))
    elif node.name in ("multiply", "divide"):
        yield Edit("factor too many", 1.3, "without its second factor", lambda s: s.arg(0))
        if node.name == "multiply":
            yield Edit("factor too many", 1.3, "without its first factor", lambda s: s.arg(1))
    elif len(node.args) and isinstance(node.args[0], Node) and node.name not in ("getitem", "setitem"):
        yield Edit("operation too many", 1.5, f"without {node.name}", lambda s: s.arg(0))


def _axes(node: Node) -> Iterator[Edit]:
    """Sums over other dimensions, and the mean for the sum."""
    if node.name not in ("sum", "mean", "max"):
        return
    ndim = len(np.shape(node.args[0].value)) if isinstance(node.args[0], Node) else 0
    dims = [d for n in range(1, ndim + 1) for d in itertools.combinations(range(ndim), n)]
    for fn, text in ((np.sum, "sum"), (np.mean, "mean")):
        for d, keep in itertools.product(dims, (False, True)):
            cost = 1.2 if text == "sum" else 1.3
            yield Edit(
                "sum",
                cost,
                f"{text} over axis {d}",
                lambda s, fn=fn, d=d, keep=keep: fn(s.arg(0), axis=d, keepdims=keep),
            )


def _keys(trace: Trace, node: Node) -> Iterator[Edit]:
    """Another index: one step earlier or later, another half of a block, the other end."""
    if node.name == "getitem":
        for text, key in other_keys(node.args[1], node.args[0].shape if isinstance(node.args[0], Node) else ()):
            yield Edit("index", 1.2, text, lambda s, key=key: getitem(s.arg(0), key(s.node.args[1])))
    elif node.name == "setitem":
        for text, key in other_keys(node.args[1], node.args[0].shape if isinstance(node.args[0], Node) else ()):
            yield Edit("index", 1.3, text, lambda s, key=key: s.value({1: key(s.node.args[1])}))


def other_keys(key: Any, shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Changes of an index: (text, key -> key)."""
    parts = key if isinstance(key, tuple) else (key,)
    for j, part in enumerate(parts):
        for text, change in _other_part(part):
            yield text, lambda k, j=j, change=change: _with_part(k, j, change)
    if len(parts) == 2 and not any(isinstance(p, slice) for p in parts):
        yield "the indices exchanged", lambda k: (k[1], k[0])


def _other_part(part: Any) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    if isinstance(part, (int, np.integer)):
        yield "one step earlier", lambda t: t - 1
        yield "one step later", lambda t: t + 1
        yield "counted from the end", lambda t: -1 - t
    elif isinstance(part, slice) and (part.start, part.stop) != (None, None) and not list(_nodes_of(part)):
        step = _width(part)
        yield "the block before", lambda s: _moved(s, -step(s))
        yield "the block after", lambda s: _moved(s, step(s))
        yield "one step earlier", lambda s: _moved(s, -1)
        yield "one step later", lambda s: _moved(s, 1)
        yield "all", lambda s: slice(None)
        yield "two blocks after", lambda s: _moved(s, 2 * step(s))
        yield "two blocks before", lambda s: _moved(s, -2 * step(s))


def _nodes_of(part: slice) -> Iterator[Any]:
    return (x for x in (part.start, part.stop, part.step) if isinstance(x, Node))


def _width(part: slice) -> Callable[[slice], int]:
    def width(s: slice) -> int:
        return abs(s.stop - (s.start or 0)) if s.stop is not None else abs(s.start or 1)

    return width


def _moved(s: slice, by: int) -> slice:
    start = None if s.start is None else s.start + by
    stop = None if s.stop is None else s.stop + by
    if start is None and by > 0:
        start = by
    if stop == 0 and (start or 0) < 0:
        stop = None
    return slice(start, stop, s.step)


def _with_part(key: Any, j: int, change: Callable[[Any], Any]) -> Any:
    if not isinstance(key, tuple):
        return change(key)
    return (*key[:j], change(key[j]), *key[j + 1 :])


def _accumulated(node: Node) -> Iterator[Edit]:
    """Adding up in place of overwriting, also where an index repeats."""
    if node.name != "setitem":
        return
    yield Edit("overwritten", 1.0, "+= for =", lambda s: add_at(s.arg(0), s.arg(1), s.arg(2)))
    added = node.args[2]
    if isinstance(added, Node) and added.name in ("add", "subtract") and not is_basic(node.args[1]):
        yield Edit("scatter", 1.0, f"np.{added.name}.at", _scattered)


def _scattered(s: Spot) -> Any:
    term = s.node.args[2]
    assert isinstance(term, Node)
    other = fill(term.args[1], s.get)
    return AT[term.name][1](s.arg(0), s.arg(1), other)


def _transposed(node: Node) -> Iterator[Edit]:
    for a, b in itertools.combinations(range(len(node.shape)), 2):
        yield Edit("transpose", 1.2, "the transpose", lambda s, a=a, b=b: np.swapaxes(s.get(s.node), a, b))
    if node.name in ("reshape", "transpose") and isinstance(node.args[0], Node):
        yield Edit("transpose", 1.5, "another order", lambda s: np.reshape(np.swapaxes(s.arg(0), 0, 1), s.node.shape))
        yield Edit("transpose", 1.5, "reshape", lambda s: np.reshape(s.arg(0), s.node.shape))
    if node.name == "transpose":
        ndim = len(node.shape)
        for axes in itertools.islice(itertools.permutations(range(ndim)), 24):
            yield Edit("transpose", 1.3, f"axes {axes}", lambda s, axes=axes: np.transpose(s.arg(0), axes))


def _transformed(node: Node) -> Iterator[Edit]:
    """A function of an operand in its place: y**2 for y, 1 - y for y."""
    for j, a in enumerate(node.args):
        if isinstance(a, Node) and is_float(a.value):
            for text, form in FORMS.items():
                if text != "{}":
                    label = text.replace("{}", "operand")
                    yield Edit("activation", 1.5, label, lambda s, j=j, form=form: s.value({j: form(s.arg(j))}))
            yield Edit("sign", 1.5, "minus its operand", lambda s, j=j: s.value({j: -s.arg(j)}))
            yield Edit("transpose", 1.5, "its operand transposed", lambda s, j=j: s.value({j: _t(s.arg(j))}))
        elif isinstance(a, (int, float)) and not isinstance(a, bool) and node.name in OPERATED:
            for c in (0.0, 1.0, 2.0, 3.0, 0.5, -a):
                yield Edit("factor", 1.3, f"{c:g} for {a:g}", lambda s, j=j, c=c: s.value({j: c}))


OPERATED = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "greater", "less", "greater_equal")


def _substituted(node: Node, known: list[Known]) -> Iterator[Edit]:
    """Another value of the same shape in the place of an operand."""
    for j, a in enumerate(node.args):
        if isinstance(a, Node) and is_float(a.value):
            for e in known:
                if e.shape == a.shape:
                    yield Edit("operand", 1.6 + e.cost, e.name, lambda s, j=j, e=e: s.value({j: e.fetch(s)}))
                elif node.name in ("matmul", "multiply", "divide", "subtract", "add", "tensordot"):
                    yield Edit("operand", 1.9 + e.cost, e.name, lambda s, j=j, e=e: s.value({j: e.fetch(s)}))


def _factors(node: Node, known: list[Known]) -> Iterator[Edit]:
    """A factor that was forgotten: of an activation, a mask, a gate, the cotangent."""
    shape = node.shape
    for e in known:
        if not _broadcasts(e.shape, shape):
            continue
        for text in FACTORS:
            form = FORMS[text]
            label = text.replace("{}", e.name)
            cost = 1.8 + e.cost + 0.02 * FACTORS.index(text)
            yield Edit("factor missing", cost, label, lambda s, e=e, form=form: s.get(s.node) * form(e.fetch(s)))


def _broadcasts(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, shape) == shape
    except ValueError:
        return False


def _projected(node: Node, known: list[Known]) -> Iterator[Edit]:
    """The share through a normaliser or a mean: v - mean(v), v - e sum(e v), v - e mean(e v)."""
    for d in range(len(node.shape)):
        yield Edit(
            "normaliser", 2.0, f"minus its mean over axis {d}", lambda s, d=d: _minus(s.get(s.node), None, d, np.mean)
        )
        yield Edit(
            "normaliser", 2.0, f"minus its sum over axis {d}", lambda s, d=d: _minus(s.get(s.node), None, d, np.sum)
        )
        for e in known:
            if e.shape == node.shape:
                for fn, name in ((np.sum, "sum"), (np.mean, "mean")):
                    text = f"minus {e.name} * {name}(... * {e.name}) over axis {d}"
                    yield Edit(
                        "normaliser",
                        2.1 + e.cost,
                        text,
                        lambda s, d=d, e=e, fn=fn: _minus(s.get(s.node), e.fetch(s), d, fn),
                    )
                text = f"minus {e.name} * sum over axis {d}"
                yield Edit(
                    "normaliser",
                    2.1 + e.cost,
                    text,
                    lambda s, d=d, e=e: s.get(s.node) - e.fetch(s) * s.get(s.node).sum(axis=d, keepdims=True),
                )
                text = f"minus its sum with {e.name} over axis {d}"
                yield Edit(
                    "normaliser",
                    2.1 + e.cost,
                    text,
                    lambda s, d=d, e=e: s.get(s.node) - (e.fetch(s) * s.get(s.node)).sum(axis=d, keepdims=True),
                )


def _minus(v: Any, e: Any, d: int, fn: Any) -> Any:
    e = 1.0 if e is None else e
    return v - e * fn(v * e, axis=d, keepdims=True)


def _summed(trace: Trace, node: Node) -> Iterator[Edit]:
    """A sum over dimensions that was forgotten, where the shape says so."""
    for shape in trace.wanted_shapes:
        if len(node.shape) >= len(shape) and node.shape != shape:
            yield Edit(
                "sum",
                1.2,
                "the sum over the repeated dimensions",
                lambda s, name=trace.wanted_shapes[shape]: _down(s, name),
            )
    for n in range(1, len(node.shape) + 1):
        for d in itertools.combinations(range(len(node.shape)), n):
            for keep in (False, True):
                yield Edit(
                    "sum",
                    2.0,
                    f"the sum over axis {d}",
                    lambda s, d=d, keep=keep: s.get(s.node).sum(axis=d, keepdims=keep),
                )


def _down(s: Spot, name: str) -> Any:
    return unbroadcast(s.get(s.node), s.trace.right[name].shape)
