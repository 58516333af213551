"""The catalogue of single mistakes: for one place of a learner's backward pass, what it might have been meant to be.

An edit gives the value that a node should have had. It is described by names, not by numbers, so that it can be tried
again at another point with other sizes: `apply(spot)` gets the node, its number in its group (the use of the same line
in a loop), and a way to read current values. The families are ordered by how likely and how cheap they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graph import AT, Node, add_at, fill, getitem, is_basic
from .rules import unbroadcast

Trace = Any  # trace.Trace; not imported, because imports run one way


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
        other = swap or {}
        args = [other[j] if j in other else fill(a, self.get) for j, a in enumerate(self.node.args)]
        return self.node.fn(*args, **fill(self.node.kwargs, self.get))


@dataclass(frozen=True)
class Edit:
    """One way to repair a node.

    Attributes:
        kind: the class of the mistake.
        cost: how far-fetched it is; small is likely.
        says: which message tells it ("finder.fix.SAYS").
        wanted: what was meant, as code; {0}, {1} stand for the operands, {part} for the place, {value} for a value.
        apply: gives the value that the node should have had.
        value: what the learner calls a value that is missing or in the wrong place.
        slot: which operand is concerned, where it is one.
        line: the forward line whose share or gradient it is about.
    """

    kind: str
    cost: float
    says: str
    wanted: str
    apply: Callable[[Spot], Any] = field(compare=False)
    value: str = ""
    slot: int | None = None
    line: int = 0
    only: str = "every"  # every use of the line, or "sum", "source", "name"


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


FORMS: dict[str, Callable[[Any], Any]] = {
    "{value}": lambda e: e,
    "1 - {value}": lambda e: 1 - e,
    "1 - {value}**2": lambda e: 1 - e * e,
    "{value} * (1 - {value})": lambda e: e * (1 - e),
    "({value} > 0)": lambda e: 1.0 * (e > 0),
    "{value}**2": lambda e: e * e,
    "tanh({value})": np.tanh,
    "1 - tanh({value})**2": lambda e: 1 - np.tanh(e) ** 2,
    "sigmoid({value})": sigmoid,
    "sigmoid'({value})": lambda e: sigmoid(e) * (1 - sigmoid(e)),
    "exp({value})": np.exp,
    "1 / {value}": lambda e: 1 / e,
    "sqrt({value})": np.sqrt,
    "sign({value})": np.sign,
}
FACTORS = (
    "{value}", "1 - {value}", "1 - {value}**2", "{value} * (1 - {value})", "({value} > 0)", "1 - tanh({value})**2",
    "sigmoid'({value})", "{value}**2", "1 / {value}", "exp({value})",
)  # fmt: skip


def is_float(x: Any) -> bool:
    """True for float arrays and numbers."""
    return np.asarray(x).dtype.kind == "f"


Fetch = Callable[[Spot], Any]
Apply = Callable[[Spot], Any]


@dataclass(frozen=True)
class Known:
    """A value that the learner's code has at hand: what it is called, and how to read it."""

    name: str
    shape: tuple[int, ...]
    fetch: Fetch = field(compare=False)
    cost: float = 0.0
    earlier: bool = False  # as it was one step of the loop before
    line: int = 0


Family = Callable[[Trace, list[Node]], Iterator[Edit]]


def simple(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """Signs, constants, operators, axes, indices, `+=` for `=`, transposes: cost 1 to 1.3."""
    node = group[0]
    yield from _scaled()
    yield from _operators(node)
    yield from _axes(node)
    yield from _keys(node)
    yield from _accumulated(node)
    yield from _transposed(node)
    yield from _down_to(trace, node)


def rearranged(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """A term or factor too many, a function of an operand in its place, a carry: cost 1.3 to 1.6."""
    yield from _dropped(group[0])
    yield from _transformed(group[0])


def carried(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """What the step before should have handed on, where an operand comes from before this step of the loop."""
    slots = [j for j, a in enumerate(group[-1].args) if isinstance(a, Node) and a.index < trace.second_step(len(group))]
    known = [e for e in trace.known(group, True) if e.earlier] if slots and len(group) > 1 else []
    for j in slots:
        shape = np.shape(group[0].args[j].value) if isinstance(group[0].args[j], Node) else ()
        for e in known:
            if e.shape == shape:
                instead = _earlier(e, lambda s, v, j=j: s.value({j: v}))
                yield Edit("carry", 1.55, "carry.instead", "{value}", instead, e.name, j)
            if _broadcasts(e.shape, shape):
                times = _earlier(e, lambda s, v, j=j: s.value({j: s.arg(j) * v}))
                yield Edit("carry", 1.6, "carry.factor", "{value}", times, e.name, j)


def _earlier(e: Known, change: Callable[..., Any]) -> Apply:
    def apply(s: Spot) -> Any:
        value = e.fetch(s)
        return s.get(s.node) if value is None else change(s, value)

    return apply


def borrowed(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """Another value in the place of an operand, a factor or a sum that was forgotten: cost 1.6 to 2."""
    known = list(trace.known(group))
    yield from _substituted(group[0], known)
    yield from _factors(group[0], known)
    yield from _summed(group[0])


def within(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """A factor that was forgotten for one use of a value: `da @ W` for `(da * r) @ W`: cost 1.9."""
    node = group[0]
    if node.name not in ("matmul", "add", "subtract"):
        return
    known = list(trace.known(group))
    for j, a in enumerate(node.args):
        if isinstance(a, Node) and is_float(a.value):
            for e in known:
                if _broadcasts(e.shape, a.shape):
                    wanted = f"{{{j}}} * {{value}}"
                    yield Edit("factor missing", 1.9 + e.cost, "operand", wanted, _with_factor(j, e), e.name, j)


def _with_factor(j: int, e: Known) -> Apply:
    return lambda s: s.value({j: s.arg(j) * e.fetch(s)})


def projected(trace: Trace, group: list[Node]) -> Iterator[Edit]:
    """The share through a normaliser or a mean: v - mean(v), v - e sum(e v), v - e mean(e v): cost 2 to 2.3."""
    node = group[0]
    for d in range(len(node.shape)):
        for fn, name in ((np.mean, "mean"), (np.sum, "sum")):
            text = f"{{part}}.{name}(axis={d}, keepdims=True)"
            yield Edit("normaliser", 2.0, "normaliser", text, _minus(None, d, fn))
        for e in trace.known(group):
            if e.shape == node.shape:
                yield from _projected_on(e, d)


def _projected_on(e: Known, d: int) -> Iterator[Edit]:
    keep, cost = f"axis={d}, keepdims=True", 2.1 + e.cost
    for fn, name in ((np.sum, "sum"), (np.mean, "mean")):
        text = f"{{value}} * ({{part}} * {{value}}).{name}({keep})"
        yield Edit("normaliser", cost, "normaliser", text, _minus(e, d, fn), e.name)
    text = f"{{value}} * {{part}}.sum({keep})"
    yield Edit("normaliser", cost, "normaliser", text, _minus_sum(e, d), e.name)
    text = f"({{part}} * {{value}}).sum({keep})"
    yield Edit("normaliser", cost, "normaliser", text, _minus_product(e, d), e.name)


def _minus(e: Known | None, d: int, fn: Any) -> Apply:
    def apply(s: Spot) -> Any:
        v, w = s.get(s.node), 1.0 if e is None else e.fetch(s)
        return v - w * fn(v * w, axis=d, keepdims=True)

    return apply


def _minus_sum(e: Known, d: int) -> Apply:
    return lambda s: s.get(s.node) - e.fetch(s) * s.get(s.node).sum(axis=d, keepdims=True)


def _minus_product(e: Known, d: int) -> Apply:
    return lambda s: s.get(s.node) - (e.fetch(s) * s.get(s.node)).sum(axis=d, keepdims=True)


# -- the kinds --------------------------------------------------------------------------------------------------------


def _times(c: float) -> Apply:
    return lambda s: c * s.get(s.node)


def _scaled() -> Iterator[Edit]:
    yield Edit("sign", 1, "sign", "-{part}", _times(-1.0))
    yield Edit("factor", 1, "factor", "2", _times(2.0))
    yield Edit("factor", 1, "factor", "1/2", _times(0.5))
    yield Edit("zero", 1.45, "zero", "0", _times(0.0))


Swap = tuple[str, Callable[..., Any]]
SWAPS: dict[str, tuple[Swap, ...]] = {
    "add": (("{0} - {1}", np.subtract), ("{0} * {1}", np.multiply)),
    "subtract": (("{0} + {1}", np.add), ("{1} - {0}", lambda a, b: b - a)),
    "multiply": (
        ("{0} / {1}", np.divide), ("{1} / {0}", lambda a, b: b / a), ("{0} + {1}", np.add), ("{0} - {1}", np.subtract),
        ("{0} @ {1}", np.matmul),
    ),
    "divide": (("{0} * {1}", np.multiply), ("{1} / {0}", lambda a, b: b / a)),
    "matmul": (
        ("{0}.T @ {1}", lambda a, b: _t(a) @ b),
        ("{0} @ {1}.T", lambda a, b: a @ _t(b)),
        ("{0}.T @ {1}.T", lambda a, b: _t(a) @ _t(b)),
        ("{1} @ {0}", lambda a, b: b @ a),
        ("{1}.T @ {0}", lambda a, b: _t(b) @ a),
        ("{1} @ {0}.T", lambda a, b: b @ _t(a)),
        ("{0} * {1}", np.multiply),
    ),
    "tanh": (("sigmoid({0})", sigmoid),),
    "greater": (("{0} < {1}", np.less), ("{0} <= {1}", np.less_equal), ("{0} >= {1}", np.greater_equal)),
    "less": (("{0} > {1}", np.greater), ("{0} >= {1}", np.greater_equal), ("{0} <= {1}", np.less_equal)),
    "greater_equal": (("{0} < {1}", np.less), ("{0} <= {1}", np.less_equal), ("{0} > {1}", np.greater)),
    "less_equal": (("{0} > {1}", np.greater), ("{0} >= {1}", np.greater_equal), ("{0} < {1}", np.less)),
    "exp": (("log({0})", np.log),),
    "log": (("exp({0})", np.exp), ("log2({0})", np.log2), ("log10({0})", np.log10)),
    "log2": (("log({0})", np.log),),
    "log10": (("log({0})", np.log),),
    "sqrt": (("{0}", lambda a: a), ("{0} ** -0.5", lambda a: 1 / np.sqrt(a)), ("{0} ** (1/3)", lambda a: a ** (1 / 3))),
    "cos": (("sin({0})", np.sin),),
    "sin": (("cos({0})", np.cos),),
    "maximum": (("minimum({0}, {1})", np.minimum),),
    "minimum": (("maximum({0}, {1})", np.maximum),),
    "tril": (("triu({0})", np.triu),),
    "triu": (("tril({0})", np.tril),),
}  # fmt: skip
KINDS = {"matmul": "transpose", "tanh": "activation", "add": "sign", "subtract": "sign"}


def _t(x: Any) -> Any:
    return np.swapaxes(x, -1, -2) if np.ndim(x) > 1 else x


def _turned(a: Any) -> str:
    """How one writes the transposes of the matrices of an array."""
    return ".swapaxes(-1, -2)" if isinstance(a, Node) and len(a.shape) > 2 else ".T"


def _calls(fn: Callable[..., Any]) -> Apply:
    return lambda s: fn(*(s.arg(j) for j in range(len(s.node.args))))


def _operators(node: Node) -> Iterator[Edit]:
    for text, fn in SWAPS.get(node.name, ()):
        for j, a in enumerate(node.args):
            text = text.replace(f"{{{j}}}.T", f"{{{j}}}{_turned(a)}")
        yield Edit(KINDS.get(node.name, "operator"), 1.1, "instead", text, _calls(fn))
    if node.name == "where" and len(node.args) == 3:
        other: Apply = lambda s: np.where(s.arg(0), s.arg(2), s.arg(1))  # noqa: E731
        yield Edit("mask", 1.1, "instead", "where({0}, {2}, {1})", other)
    if node.name == "power":
        for e in (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0):
            yield Edit("power", 1.2, "instead", f"{{0}} ** {e:g}", _to_the(e))
    if node.name == "einsum" and isinstance(node.args[0], str):
        yield from _einsums(node)


def _to_the(e: float) -> Apply:
    return lambda s: np.power(s.arg(0) * 1.0, e)


def _swapped(j: int, value: Any) -> Apply:
    """With another constant as an operand."""
    return lambda s: s.value({j: value})


def _einsums(node: Node) -> Iterator[Edit]:
    parts, arrow, out = node.args[0].replace(" ", "").partition("->")
    if not arrow:
        return
    names = parts.split(",")
    texts = [f"{parts}->{''.join(o)}" for o in itertools.islice(itertools.permutations(out), 24)]
    for k, part in enumerate(names):
        for o in itertools.islice(itertools.permutations(part), 24):
            texts.append(",".join([*names[:k], "".join(o), *names[k + 1 :]]) + "->" + out)
    for text in dict.fromkeys(texts):
        yield Edit("transpose", 1.2, "instead", f"'{text}'", _swapped(0, text))


NOT_LEFT_OUT = ("getitem", "setitem", "alias", "given")


def _dropped(node: Node) -> Iterator[Edit]:
    """One operand only: a term or factor too many."""
    if node.name in ("add", "subtract"):
        sign = -1.0 if node.name == "subtract" else 1.0
        yield Edit("counted twice", 1.4, "term", "", lambda s: s.arg(0) + 0 * s.get(s.node), slot=1)
        yield Edit("counted twice", 1.4, "term", "", lambda s: sign * s.arg(1) + 0 * s.get(s.node), slot=0)
    elif node.name in ("multiply", "divide"):
        yield Edit("factor too many", 1.3, "instead", "{0}", lambda s: s.arg(0))
        if node.name == "multiply":
            yield Edit("factor too many", 1.3, "instead", "{1}", lambda s: s.arg(1))
    elif len(node.args) and isinstance(node.args[0], Node) and node.name not in NOT_LEFT_OUT:
        yield Edit("operation too many", 1.5, "instead", "{0}", lambda s: s.arg(0))


def _axes(node: Node) -> Iterator[Edit]:
    """Sums over other dimensions, and the mean for the sum."""
    if node.name not in ("sum", "mean", "max"):
        return
    ndim = len(np.shape(node.args[0].value)) if isinstance(node.args[0], Node) else 0
    dims = [d for n in range(1, ndim + 1) for d in itertools.combinations(range(ndim), n)]
    for name, fn in (("sum", np.sum), ("mean", np.mean)):
        for d, keep in itertools.product(dims, (False, True)):
            text = f"{{0}}.{name}(axis={_axis(d)}{', keepdims=True' if keep else ''})"
            cost = 0.95 if (node.name, name) == ("mean", "sum") else 1.2 if name == "sum" else 1.3
            yield Edit("sum", cost, "instead", text, _reduced(fn, d, keep))


def _axis(d: tuple[int, ...]) -> str:
    return str(d[0]) if len(d) == 1 else str(d)


def _reduced(fn: Any, d: tuple[int, ...], keep: bool) -> Apply:
    return lambda s: fn(s.arg(0), axis=d, keepdims=keep)


def _keys(node: Node) -> Iterator[Edit]:
    """Another index: one step earlier or later, another half of a block, the other end."""
    if node.name not in ("getitem", "setitem"):
        return
    for text, key in other_keys(node.args[1]):
        if node.name == "getitem":
            yield Edit("index", 1.2, "index", text, _read_at(key))
        else:
            yield Edit("index", 1.3, "index", text, _written_at(key))


def _read_at(key: Callable[[Any], Any]) -> Apply:
    return lambda s: getitem(s.arg(0), key(s.node.args[1]))


def _written_at(key: Callable[[Any], Any]) -> Apply:
    return lambda s: s.value({1: key(s.node.args[1])})


def other_keys(key: Any) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Changes of an index: (message, key -> key)."""
    parts = key if isinstance(key, tuple) else (key,)
    for j, part in enumerate(parts):
        for text, change in _other_part(part):
            yield text, _part_changed(j, change)
    if len(parts) == 2 and not any(isinstance(p, slice) for p in parts):
        yield "exchanged", lambda k: (k[1], k[0])


def _part_changed(j: int, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda k: _with_part(k, j, change)


def _other_part(part: Any) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    if isinstance(part, (int, np.integer)):
        yield "earlier", lambda t: t - 1
        yield "later", lambda t: t + 1
        yield "end", lambda t: -1 - t
    elif isinstance(part, slice) and (part.start, part.stop) != (None, None) and not list(_nodes_of(part)):
        step = _width(part)
        yield "block.before", lambda s: _moved(s, -step(s))
        yield "block.after", lambda s: _moved(s, step(s))
        yield "earlier", lambda s: _moved(s, -1)
        yield "later", lambda s: _moved(s, 1)
        yield "all", lambda s: slice(None)
        yield "block.after2", lambda s: _moved(s, 2 * step(s))
        yield "block.before2", lambda s: _moved(s, -2 * step(s))


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
    added = node.args[2]
    if isinstance(added, Node) and added.name in ("add", "subtract") and not is_basic(node.args[1]):
        yield Edit("scatter", 1.0, "scatter", f"np.{added.name}.at", _scattered)
    yield Edit("overwritten", 1.0, "add", "+=", lambda s: add_at(s.arg(0), s.arg(1), s.arg(2)))


def _scattered(s: Spot) -> Any:
    term = s.node.args[2]
    assert isinstance(term, Node)
    other = fill(term.args[1], s.get)
    return AT[term.name][1](s.arg(0), s.arg(1), other)


def _transposed(node: Node) -> Iterator[Edit]:
    for a, b in itertools.combinations(range(len(node.shape)), 2):
        text = "{part}.T" if len(node.shape) == 2 else f"{{part}}.swapaxes({a}, {b})"
        yield Edit("transpose", 1.2, "instead", text, _swapped_axes(a, b))
    if node.name in ("reshape", "transpose") and isinstance(node.args[0], Node):
        turned: Apply = lambda s: np.reshape(np.swapaxes(s.arg(0), 0, 1), s.node.shape)  # noqa: E731
        text = f"{{0}}.swapaxes(0, 1).reshape{node.shape}"
        yield Edit("transpose", 1.5, "instead", text, turned)
        yield Edit(
            "transpose", 1.5, "instead", f"{{0}}.reshape{node.shape}", lambda s: np.reshape(s.arg(0), s.node.shape)
        )
    if node.name == "transpose":
        for axes in itertools.islice(itertools.permutations(range(len(node.shape))), 24):
            yield Edit("transpose", 1.3, "instead", f"{{0}}.transpose{axes}", _with_axes(axes))


def _swapped_axes(a: int, b: int) -> Apply:
    return lambda s: np.swapaxes(s.get(s.node), a, b)


def _with_axes(axes: tuple[int, ...]) -> Apply:
    return lambda s: np.transpose(s.arg(0), axes)


def _transformed(node: Node) -> Iterator[Edit]:
    """A function of an operand in its place: y**2 for y, 1 - y for y."""
    for j, a in enumerate(node.args):
        operand = f"{{{j}}}"
        if isinstance(a, Node) and is_float(a.value):
            for text, form in FORMS.items():
                if text != "{value}":
                    wanted = text.replace("{value}", operand)
                    yield Edit("activation", 1.5, "operand", wanted, _with_form(j, form), slot=j)
            yield Edit("sign", 1.5, "operand", "-" + operand, _with_form(j, np.negative), slot=j)
            yield Edit("transpose", 1.5, "operand", operand + _turned(a), _with_form(j, _t), slot=j)
        elif isinstance(a, (int, float)) and not isinstance(a, bool) and node.name in OPERATED:
            for c in (0.0, 1.0, 2.0, 3.0, 0.5, -a):
                yield Edit("factor", 1.3, "operand", f"{c:g}", _swapped(j, c), slot=j)


def _with_form(j: int, form: Callable[[Any], Any]) -> Apply:
    return lambda s: s.value({j: form(s.arg(j))})


OPERATED = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "greater", "less", "greater_equal")
SHAPING = ("matmul", "multiply", "divide", "subtract", "add", "tensordot")


def _substituted(node: Node, known: list[Known]) -> Iterator[Edit]:
    """Another value of the same shape in the place of an operand."""
    for j, a in enumerate(node.args):
        if isinstance(a, Node) and is_float(a.value):
            for e in known:
                if e.shape == a.shape or node.name in SHAPING:
                    cost = (1.6 if e.shape == a.shape else 1.9) + e.cost
                    yield Edit("operand", cost, "operand", "{value}", _with_known(j, e), e.name, j)


def _with_known(j: int, e: Known) -> Apply:
    return lambda s: s.value({j: e.fetch(s)})


def _factors(node: Node, known: list[Known]) -> Iterator[Edit]:
    """A factor that was forgotten: of an activation, a mask, a gate, the cotangent."""
    fitting = [e for e in known if _broadcasts(e.shape, node.shape)]
    for i, text in enumerate(FACTORS):
        for e in fitting:
            cost = 1.8 + e.cost + 0.02 * i
            yield Edit("factor missing", cost, "missing", text, _times_form(e, FORMS[text]), e.name)


def _times_form(e: Known, form: Callable[[Any], Any]) -> Apply:
    return lambda s: s.get(s.node) * form(e.fetch(s))


def _broadcasts(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, shape) == shape
    except ValueError:
        return False


def _down_to(trace: Trace, node: Node) -> Iterator[Edit]:
    """A sum over repeated dimensions that was forgotten, where the shape says so."""
    for shape, name in trace.wanted_shapes.items():
        if len(node.shape) >= len(shape) and node.shape != shape:
            yield Edit("sum", 1.2, "unbroadcast", name, _down(name))


def _down(name: str) -> Apply:
    return lambda s: unbroadcast(s.get(s.node), s.trace.right[name].shape)


def _summed(node: Node) -> Iterator[Edit]:
    for n in range(1, len(node.shape) + 1):
        for d, keep in itertools.product(itertools.combinations(range(len(node.shape)), n), (False, True)):
            text = f"{{part}}.sum(axis={_axis(d)}{', keepdims=True' if keep else ''})"
            yield Edit("sum", 2.0, "instead", text, _summed_over(d, keep))


def _summed_over(d: tuple[int, ...], keep: bool) -> Apply:
    return lambda s: s.get(s.node).sum(axis=d, keepdims=keep)


def of_right_quantity(q: Known) -> Iterator[Edit]:
    """A right quantity added here (a path was dropped), taken away, or in this place."""
    yield Edit("path dropped", 2.2, "path", "", lambda s: s.get(s.node) + q.fetch(s), line=q.line)
    yield Edit("counted twice", 2.3, "twice", "", lambda s: s.get(s.node) - q.fetch(s), line=q.line)
    yield Edit("other", 3.0, "other", "", q.fetch, line=q.line)
