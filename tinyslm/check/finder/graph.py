"""What a learner's code computes, recorded: tracers that look like arrays, and the graph that can run again, changed.

A tracer is a mutable handle to an immutable node, so that `a[k] = v` and `a += v` become new nodes and the graph stays
functional. A basic slice remembers its base: writing into it writes into the base, as in NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, ClassVar, cast

import numpy as np

from ...messages import say

Site = tuple[tuple[int, int], ...]


class CannotTrace(Exception):
    """The learner's code does something that a tracer can't follow."""


class Node:
    """One recorded call: `fn(*args, **kwargs)`, its value, and where in the learner's file it was asked for."""

    __slots__ = ("args", "fn", "index", "kwargs", "leaf", "live", "name", "parents", "site", "value")

    def __init__(self, name: str, fn: Any, args: tuple, kwargs: dict, value: Any, site: Site, leaf: str = ""):
        self.name, self.fn, self.args, self.kwargs, self.value, self.site, self.leaf = (
            name,
            fn,
            args,
            kwargs,
            value,
            site,
            leaf,
        )
        self.parents: list[Node] = [] if leaf else list(nodes_in((args, kwargs)))
        self.live: bool = bool(leaf) or any(p.live for p in self.parents)
        self.index = -1

    @property
    def line(self) -> int:
        """The line in the learner's function (not in a helper it calls)."""
        return self.site[0][0] if self.site else 0

    @property
    def inner(self) -> int:
        """The line of the innermost helper."""
        return self.site[-1][0] if self.site else 0

    @property
    def role(self) -> str:
        """The name; of one of several results also which."""
        return f"pick {self.args[1]}" if self.name == "pick" else self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape."""
        return np.shape(self.value)


def nodes_in(x: Any) -> Iterator[Node]:
    """All nodes in nested arguments."""
    if isinstance(x, Node):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from nodes_in(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from nodes_in(part)
    elif isinstance(x, slice):
        yield from nodes_in((x.start, x.stop, x.step))


def fill(x: Any, get: Callable[[Node], Any]) -> Any:
    """Nested arguments with each node replaced by `get(node)`."""
    if isinstance(x, Node):
        return get(x)
    if isinstance(x, (tuple, list)):
        return type(x)(fill(part, get) for part in x)
    if isinstance(x, dict):
        return {k: fill(v, get) for k, v in x.items()}
    if isinstance(x, slice):
        return slice(fill(x.start, get), fill(x.stop, get), fill(x.step, get))
    return x


class Graph:
    """Nodes in the order in which they were computed, and where the learner wrote into an input."""

    current: ClassVar[Graph | None] = None
    limit = 20_000

    def __init__(self, path: str):
        self.path = path
        self.nodes: list[Node] = []
        self.written: list[tuple[str, int]] = []

    def add(self, node: Node) -> Node:
        """Append a node."""
        if len(self.nodes) >= self.limit:
            raise CannotTrace(say("finder.trace.many", limit=self.limit))
        node.index = len(self.nodes)
        self.nodes.append(node)
        return node

    def leaf(self, name: str, value: np.ndarray) -> Traced:
        """A tracer for an input."""
        return Traced(self.add(Node("leaf", None, (), {}, value, (), name)))

    def __enter__(self) -> Graph:
        self.before, Graph.current = Graph.current, self
        return self

    def __exit__(self, *exc: Any) -> None:
        Graph.current = self.before

    def where(self) -> Site:
        """The lines of the learner's file that are being executed, outermost first."""
        frame, found = cast(Any, sys._getframe(2)), []
        while frame is not None:
            if frame.f_code.co_filename == self.path and frame.f_code.co_name != "<module>":
                found.append((frame.f_lineno, _column(frame.f_code, frame.f_lasti)))
            frame = frame.f_back
        return tuple(reversed(found))


_columns: dict[CodeType, list[int]] = {}


def _column(code: CodeType, instruction: int) -> int:
    """Which part of the line is executed: its columns. (Instruction numbers move when the interpreter warms up.)"""
    if not hasattr(code, "co_positions"):
        return instruction  # Python 3.10
    if code not in _columns:
        _columns[code] = [(a or 0) * 10_000 + (b or 0) for _, _, a, b in code.co_positions()]
    return _columns[code][instruction // 2]


def unwrap(x: Any) -> Any:
    """Nested arguments with tracers replaced by their nodes."""
    if isinstance(x, Traced):
        return x.node
    if isinstance(x, tuple) and type(x) is not tuple:
        return x
    if isinstance(x, (tuple, list)):
        return type(x)(map(unwrap, x))
    if isinstance(x, dict):
        return {k: unwrap(v) for k, v in x.items()}
    if isinstance(x, slice):
        return slice(unwrap(x.start), unwrap(x.stop), unwrap(x.step))
    return x.copy() if isinstance(x, np.ndarray) else x


def value_of(x: Node) -> Any:
    """A node's recorded value."""
    return x.value


def record(name: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Compute a call and record it."""
    graph = Graph.current
    if graph is None:
        raise CannotTrace(say("finder.trace.after"))
    plain, options = unwrap(args), unwrap(kwargs)
    value = fn(*fill(plain, value_of), **fill(options, value_of))
    if isinstance(value, (tuple, list)):
        whole = graph.add(Node(name, fn, plain, options, list(value), graph.where()))
        return [_part(graph, whole, i) for i in range(len(value))]
    kind = next((type(a) for a in args if isinstance(a, Traced) and type(a) is not Traced), Traced)
    return kind(graph.add(Node(name, fn, plain, options, np.asarray(value), graph.where())))


def pick(values: Any, i: int) -> Any:
    """One of several results."""
    return np.asarray(values[i])


def _part(graph: Graph, whole: Node, i: int) -> Traced:
    return Traced(graph.add(Node("pick", pick, (whole, i), {}, pick(whole.value, i), whole.site)))


# -- item access, as functions ----------------------------------------------------------------------------------------


def getitem(x: Any, key: Any) -> Any:
    """x[key], as a copy."""
    return np.array(x[key])


def setitem(x: Any, key: Any, value: Any) -> Any:
    """A copy of x with x[key] = value."""
    y = np.array(x)
    y[key] = value
    return y


def add_at(x: Any, key: Any, value: Any) -> Any:
    """A copy of x with value added at key, repeats adding up."""
    y = np.array(x)
    np.add.at(y, key, value)
    return y


def subtract_at(x: Any, key: Any, value: Any) -> Any:
    """A copy of x with value taken away at key, repeats adding up."""
    y = np.array(x)
    np.subtract.at(y, key, value)
    return y


def is_basic(key: Any) -> bool:
    """True for keys that give a view."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(k is None or k is Ellipsis or isinstance(k, (int, np.integer, slice)) for k in parts)


AT = {"add": ("add_at", add_at), "subtract": ("subtract_at", subtract_at)}
SAME = {"true_divide": "divide", "absolute": "abs", "float_power": "power"}


class Traced:
    """Looks like an ndarray; every operation on it is recorded."""

    __slots__ = ("_base", "_key", "_node", "_seen")
    __array_priority__ = 1000

    def __init__(self, node: Node, base: Traced | None = None, key: Any = None):
        self._node, self._base, self._key = node, base, key
        self._seen = base.node if base is not None else None

    @property
    def node(self) -> Node:
        """The current node; a view of a base that was written into meanwhile is read again."""
        if self._base is not None and self._base.node is not self._seen:
            self._seen = self._base.node
            self._node = record("getitem", getitem, self._base, self._key)._node
        return self._node

    def assign(self, new: Traced) -> Traced:
        """Take another value in place, and hand it on to the base."""
        graph = Graph.current
        if self._node.leaf and graph is not None:
            graph.written.append((self._node.leaf, new._node.line))
        if new.dtype != self.dtype and self.dtype.kind in "fiub":
            new = record("cast", np.ndarray.astype, new, self.dtype)
        if self._base is not None:
            self._base[self._key] = new
            self._seen = self._base.node
        self._node = new.node if new is not self else self._node
        return self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        name = SAME.get(ufunc.__name__, ufunc.__name__)
        if method == "at":
            if name not in AT or not isinstance(inputs[0], Traced):
                raise CannotTrace(f"np.{name}.at")
            label, fn = AT[name]
            inputs[0].assign(record(label, fn, *inputs))
            return None
        if method == "__call__":
            found = record(name, ufunc, *inputs, **kwargs)
        elif method == "reduce" and name in REDUCE:
            kwargs.setdefault("axis", 0)
            found = record(REDUCE[name], getattr(np, REDUCE[name]), *inputs, **kwargs)
        else:
            found = record(f"{name}.{method}", getattr(ufunc, method), *inputs, **kwargs)
        return found if out is None else _into(out, found)

    def __array_function__(self, func: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        name = func.__name__
        if name in ("shape", "ndim", "size"):
            return func(np.empty(args[0].shape), *args[1:], **kwargs)
        if name == "full_like" and isinstance(args[1], Traced):
            return record("broadcast_to", np.broadcast_to, args[1], np.shape(args[0]))
        if name in ("zeros_like", "ones_like", "empty_like", "full_like"):
            value = func(np.empty(args[0].shape, args[0].dtype), *args[1:], **kwargs) if name != "empty_like" else None
            return constant(np.zeros(args[0].shape, args[0].dtype) if value is None else value)
        if name in (
            "array_equal",
            "allclose",
            "array_str",
            "array_repr",
            "array2string",
            "isclose",
            "may_share_memory",
        ):
            return func(*[concrete(a) for a in args], **kwargs)
        if name in ("copyto", "put_along_axis", "fill_diagonal", "put", "place", "putmask"):
            return _changed_in_place(func, args, kwargs)
        name = RENAMED.get(name, name)
        out = kwargs.pop("out", None)
        found = record(name, func, *args, **kwargs)
        return found if out is None else _into((out,), found)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.node.live:
            return np.asarray(self.node.value)
        raise CannotTrace(say("finder.trace.foreign"))

    # -- what it is
    @property
    def shape(self) -> tuple[int, ...]:
        """As of an ndarray."""
        return self.node.shape

    @property
    def ndim(self) -> int:
        """As of an ndarray."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """As of an ndarray."""
        return int(np.size(self.node.value))

    @property
    def dtype(self) -> np.dtype:
        """As of an ndarray."""
        return np.asarray(self.node.value).dtype

    def __len__(self) -> int:
        return len(self.node.value)

    def __iter__(self) -> Iterator[Traced]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.node.value)

    def _number(self, kind: Any) -> Any:
        if self.node.live and self.dtype.kind == "f":
            raise CannotTrace(say("finder.trace.number"))
        return kind(self.node.value)

    def __float__(self) -> float:
        return self._number(float)

    def __int__(self) -> int:
        return self._number(int)

    def __index__(self) -> int:
        return int(self.node.value)

    def item(self) -> Any:
        """As of an ndarray."""
        return self._number(lambda v: v.item())

    def tolist(self) -> Any:
        """As of an ndarray."""
        return self._number(lambda v: v.tolist())

    def __repr__(self) -> str:
        return repr(self.node.value)

    def __format__(self, spec: str) -> str:
        return format(self.node.value, spec)

    # -- items
    def __getitem__(self, key: Any) -> Any:
        found = record("getitem", getitem, self, key)
        return type(self)(found._node, self, key) if is_basic(key) else found

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, Traced) and value._base is self and value._key is key:
            return
        self.assign(record("setitem", setitem, self, key, value))

    # -- shapes
    @property
    def T(self) -> Any:
        """As of an ndarray."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        """As of an ndarray."""
        return np.swapaxes(self, -1, -2)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """As of an ndarray."""
        wanted = shape[0] if len(shape) == 1 else shape
        return record("reshape", np.reshape, self, wanted, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        """As of an ndarray."""
        wanted = axes[0] if len(axes) == 1 else axes or None
        return record("transpose", np.transpose, self, wanted)

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        """As of an ndarray."""
        return record("cast", np.ndarray.astype, self, dtype)

    def copy(self, order: str = "C") -> Any:
        """As of an ndarray."""
        return record("copy", np.copy, self)

    def flatten(self, order: str = "C") -> Any:
        """As of an ndarray."""
        return self.reshape(-1)

    def fill(self, value: Any) -> None:
        """As of an ndarray."""
        self[...] = value

    def view(self, *args: Any) -> Any:
        """As of an ndarray."""
        return self.copy()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        if name in ("real", "flat", "strides", "data", "base", "itemsize", "nbytes"):
            raise CannotTrace(say("finder.trace.attribute", name=name))
        return _method(self, name)


def _method(x: Traced, name: str) -> Callable[..., Any]:
    fn = getattr(np, name, None)
    if fn is None:
        raise CannotTrace(say("finder.trace.attribute", name=name))
    return lambda *args, **kwargs: fn(x, *args, **kwargs)


def _into(out: Any, found: Traced) -> Traced:
    target = out[0] if isinstance(out, tuple) else out
    if not isinstance(target, Traced):
        raise CannotTrace(say("finder.trace.written"))
    return target.assign(found)


def _changed_in_place(func: Any, args: tuple, kwargs: dict) -> None:
    def functional(x: Any, *rest: Any, **options: Any) -> Any:
        y = np.array(x)
        func(y, *rest, **options)
        return y

    if not isinstance(args[0], Traced):
        raise CannotTrace(f"np.{func.__name__}")
    args[0].assign(record(func.__name__, functional, *args, **kwargs))


REDUCE = {"add": "sum", "maximum": "max", "minimum": "min", "multiply": "prod"}
RENAMED = {"amax": "max", "amin": "min", "round_": "round", "dot": "matmul"}


def constant(value: Any) -> Traced:
    """A tracer of a number that depends on nothing."""
    graph = Graph.current
    if graph is None:
        return value
    return Traced(graph.add(Node("constant", None, (), {}, np.asarray(value), graph.where())))


def concrete(x: Any) -> Any:
    """The array of a tracer; lists and dicts of them too."""
    if isinstance(x, Traced):
        return x.node.value
    if isinstance(x, (list, tuple)):
        return type(x)(map(concrete, x))
    return {k: concrete(v) for k, v in x.items()} if isinstance(x, dict) else x


def _binary(name: str, ufunc: Any) -> None:
    def forward(self: Traced, other: Any) -> Any:
        return NotImplemented if isinstance(other, str) else record(name, ufunc, self, other)

    def reflected(self: Traced, other: Any) -> Any:
        return record(name, ufunc, other, self)

    def inplace(self: Traced, other: Any) -> Any:
        return self.assign(record(name, ufunc, self, other))

    operator = OPERATORS[name]
    setattr(Traced, f"__{operator}__", forward)
    setattr(Traced, f"__r{operator}__", reflected)
    setattr(Traced, f"__i{operator}__", inplace)


OPERATORS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "power": "pow",
    "matmul": "matmul",
}
OPERATORS |= {"floor_divide": "floordiv", "remainder": "mod", "bitwise_and": "and", "bitwise_or": "or"}
for _name in OPERATORS:
    _binary(_name, getattr(np, _name))


def _unary(operator: str, name: str, ufunc: Any) -> None:
    setattr(Traced, f"__{operator}__", lambda self, *other: record(name, ufunc, self, *other))


for _operator, _name in {
    "neg": "negative", "pos": "positive", "abs": "abs", "invert": "invert", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}.items():  # fmt: skip
    _unary(_operator, _name, getattr(np, _name))
setattr(Traced, "__hash__", object.__hash__)  # noqa: B010 - a class with __eq__ has none of its own
