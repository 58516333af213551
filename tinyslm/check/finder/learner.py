"""A learner's derivation: three functions, run plainly or traced, at a point of sizes and numbers that we choose."""

from __future__ import annotations

import ast
import copy
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tinyslm

from ...errors import TinyslmError
from ...messages import say
from ...tensor import Tensor
from .graph import CannotTrace, Graph, Node, Traced, concrete, unwrap
from .rules import pull
from .standin import NumpyStandIn, load
from .tensors import TensorStandIn, TracedTensor

CHOSEN = ("inputs", "forward", "backward")
TAKEN = {"inputs": ("rng", "sizes"), "forward": ("p",), "backward": ("p", "cache", "g")}
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
TIMES = (3, 5, 4)  # steps at the first, second and third kind of point
OTHERS = ((2, *PRIMES[2:]), PRIMES[1:], (5, 3, 7, 2, 13, 11, 19, 17))


class CannotRun(TinyslmError):
    """The file can't be checked: it does not hold what the protocol asks for, or it raises."""


class Sizes(dict):
    """Sizes by name; a name that is asked for and not known gets the next free prime."""

    def __init__(self, known: dict[str, int], shift: int, defaults: dict[str, int]):
        super().__init__(known)
        self.shift, self.defaults = shift, defaults

    def __missing__(self, key: str) -> int:
        taken, first = set(self.values()), TIMES[self.shift]
        time = str(key)[:1] in "TtS"
        room = [first] if time else [p for p in OTHERS[self.shift] if p != first]
        self[key] = next((p for p in [*room, *PRIMES] if p not in taken and (time or p != first)), 41)
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The size; made up where it is not known, and the default remembered, in case nothing else will do."""
        if isinstance(default, int) and key not in self:
            self.defaults.setdefault(key, default)
        return self[key]


@dataclass
class Learner:
    """The functions of a derivation, plain and as they run on tracers (None where that is not possible)."""

    path: str
    source: str
    functions: dict[str, Callable[..., Any]]
    traced: dict[str, Callable[..., Any]]
    sizes: dict[str, int] = field(default_factory=dict)
    kinks: str = ""
    tree: ast.Module = field(default_factory=lambda: ast.Module([], []))
    defaults: dict[str, int] = field(default_factory=dict)  # sizes.get("B", 4): what it asks for without declaring it
    kept: dict[int, dict[str, int]] = field(default_factory=dict)  # sizes that have to be as declared, by `shift`

    def with_tree(self, tree: ast.Module) -> Learner:
        """The same derivation with the source changed."""
        plain, traced = (load(self.path, self.source, traced=t, tree=tree) for t in (False, True))
        chosen = {k: plain[k] for k in CHOSEN}, {k: traced[k] for k in CHOSEN}
        return Learner(self.path, self.source, *chosen, self.sizes, self.kinks, tree, self.defaults, self.kept)

    def inputs(self, rng: np.random.Generator, sizes: Sizes) -> dict[str, Any]:
        """The learner's inputs."""
        wanted = len(inspect.signature(self.functions["inputs"]).parameters)
        p = self.functions["inputs"](*(rng, sizes)[:wanted])
        if not isinstance(p, dict) or not p:
            raise CannotRun(say("finder.cannot.inputs", got=_kind(p)))
        return {k: _float64(v) for k, v in p.items()}

    def line_of(self, function: str) -> int:
        """The line on which a function starts."""
        return self.functions[function].__code__.co_firstlineno


def _float64(v: Any) -> Any:
    if isinstance(v, np.ndarray) and v.dtype.kind == "f":
        return np.array(v, np.float64)
    return v


def _kind(x: Any) -> str:
    return say("finder.nothing") if x is None else say("finder.kind", name=type(x).__name__)


def from_file(path: str) -> Learner:
    """Read a learner's file."""
    source = _text(path)
    path = str(Path(path).resolve())
    names = load(path, source, traced=False)
    for name in CHOSEN:
        if not callable(names.get(name)):
            raise CannotRun(say("finder.cannot.function", name=name))
        _takes(names[name], name)
    traced = load(path, source, traced=True)
    declared = names.get("sizes") or {}
    sizes = {k: int(v) for k, v in declared.items()} if isinstance(declared, dict) else {}
    plain = {k: names[k] for k in CHOSEN}
    known = {k: traced[k] for k in CHOSEN}
    return Learner(path, source, plain, known, sizes, str(names.get("KINKS", "")), ast.parse(source))


def _text(path: str) -> str:
    try:
        source = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CannotRun(say("finder.cannot.text", line=line, byte=f"0x{error.object[error.start]:02x}")) from None
    if "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
        raise CannotRun(say("finder.cannot.text", line=line, byte="0x00"))
    return source


def _takes(function: Any, name: str) -> None:
    """Raise where a function can't be called with what it will get."""
    try:
        found = inspect.signature(function)
    except ValueError:  # one that does not tell
        return
    counts = range(3) if name == "inputs" else (len(TAKEN[name]),)
    for count in counts:
        try:
            found.bind(*range(count))
        except TypeError:
            continue
        return
    raise CannotRun(say("finder.cannot.signature", name=name, got=str(found), wanted=", ".join(TAKEN[name])))


def from_functions(forward: Any, backward: Any, inputs: Any, sizes: dict[str, int] | None = None) -> Learner:
    """A derivation given as functions; `inputs` may also be a dict of arrays."""
    make = (lambda: inputs) if isinstance(inputs, dict) else inputs
    plain = {"forward": forward, "backward": backward, "inputs": make}
    for name, function in plain.items():
        _takes(function, name)
    code = getattr(forward, "__code__", None)
    if code is None:
        return Learner("", "", plain, {}, dict(sizes or {}))
    path = code.co_filename
    source = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    seen: dict[Any, Any] = {}
    traced = {k: _retargeted(f, path, seen) for k, f in plain.items()}
    return Learner(path, source, plain, traced, dict(sizes or {}))


def _retargeted(f: Any, path: str, seen: dict[Any, Any]) -> Any:
    """A function of the learner's file that sees the stand-in where it saw NumPy, and so do its helpers."""
    if not isinstance(f, types.FunctionType) or f.__code__.co_filename != path:
        return f
    if f not in seen:
        names: dict[str, Any] = dict(f.__globals__)
        cells = f.__closure__
        seen[f] = types.FunctionType(f.__code__, names, f.__name__, f.__defaults__, cells)
        seen[f].__kwdefaults__ = f.__kwdefaults__
        for k, v in list(names.items()):
            names[k] = NumpyStandIn() if v is np else TensorStandIn(v) if v is tinyslm else _retargeted(v, path, seen)
    return seen[f]


# -- a point ----------------------------------------------------------------------------------------------------------


def sizes_for(learner: Learner, shift: int, fixed: dict[str, int]) -> Sizes:
    """Distinct primes in the order of the declared sizes, others for each `shift`. Times are the smallest."""
    order = sorted(learner.sizes, key=lambda k: (k[:1] not in "TtS", learner.sizes[k]))
    room = ([3, 2, *PRIMES[2:]], [*PRIMES[2:], 41, 43, 47], [4, 3, 7, 2, 13, 11, 19, 17, 23, 29, 31])[shift]
    free = [p for p in room if p not in fixed.values()]
    chosen = {k: free[min(i, len(free) - 1)] for i, k in enumerate(k for k in order if k not in fixed)}
    return Sizes({**chosen, **fixed}, shift, learner.defaults)


def kept_sizes(learner: Learner, seed: int, shift: int) -> dict[str, int]:
    """The sizes that have to be as the file declares them: with others in their place it does not run."""
    if shift not in learner.kept:
        found: dict[str, int] = {}
        if not _runs(learner, seed, shift, found):
            found = {**learner.defaults, **learner.sizes}
            for k in [*found] if _runs(learner, seed, shift, found) else ():
                others = {name: size for name, size in found.items() if name != k}
                found = others if _runs(learner, seed, shift, others) else found
        learner.kept[shift] = found
    return learner.kept[shift]


def _runs(learner: Learner, seed: int, shift: int, fixed: dict[str, int]) -> bool:
    """Whether both passes run with these sizes as they are and others in place of the rest."""
    try:
        point = Point(learner, seed, shift, fixed, whole=True)
        point.run_backward(point.cotangent)
    except Exception:  # whatever a size that does not fit leads to
        return False
    return bool(np.isfinite(point.out).all())


class Point:
    """One set of inputs, the learner's results there, and the traces."""

    def __init__(
        self, learner: Learner, seed: int, shift: int = 0, fixed: dict[str, int] | None = None, whole: bool = False
    ):
        self.learner, self.seed, self.shift = learner, seed, shift
        rng = np.random.default_rng(seed)
        kept = {} if whole else kept_sizes(learner, seed, shift)
        self.sizes = sizes_for(learner, shift, {**kept, **(fixed or {})})
        self.p = learner.inputs(rng, self.sizes)
        self.floats = [k for k, v in self.p.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f" and v.size]
        if not self.floats:
            raise CannotRun(say("finder.cannot.floats"))
        self.cache = self.run_forward()
        self.output = output_of(self.cache)
        out = self.cache[self.output]
        if isinstance(out, (list, tuple)) or np.asarray(out).dtype.kind != "f":
            raise CannotRun(say("finder.cannot.output", name=self.output, got=_kind(out)))
        self.out = np.asarray(out)
        signs = rng.choice([-1.0, 1.0], self.out.shape)
        self.cotangent = np.asarray(signs * rng.uniform(0.5, 1.5, self.out.shape))
        self.other = np.asarray(rng.normal(size=self.out.shape))

    def run_forward(self, p: Any = None) -> dict[str, Any]:
        """The learner's forward on copies, or on the given inputs themselves."""
        p = copy.deepcopy(self.p) if p is None else p
        with np.errstate(all="ignore"):
            cache = self.learner.functions["forward"](p)
        if not isinstance(cache, dict) or not cache:
            raise CannotRun(say("finder.cannot.forward", got=_kind(cache)))
        return cache

    def run_backward(self, g: np.ndarray, p: Any = None, cache: Any = None) -> dict[str, Any]:
        """The learner's gradients on copies, or on the given objects themselves."""
        p = copy.deepcopy(self.p) if p is None else p
        cache = copy.deepcopy(self.cache) if cache is None else cache
        given = float(g) if g.ndim == 0 else g.copy()
        with np.errstate(all="ignore"):
            found = self.learner.functions["backward"](p, cache, given)
        if not isinstance(found, dict):
            raise CannotRun(say("finder.cannot.backward", got=_kind(found)))
        return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in found.items()}

    def compared(self, found: dict[str, Any]) -> dict[str, Any]:
        """The gradients by the name of what they belong to: inputs first, then intermediates."""
        names = [*self.floats, *(k for k in self.cache if k not in self.p)]
        return {k: found["d" + k] for k in names if found.get("d" + k) is not None and holds_numbers(found["d" + k])}


def holds_numbers(x: Any) -> bool:
    """True for arrays and numbers, traced ones among them."""
    return isinstance(x, (np.ndarray, np.generic, float, int, Traced))


def output_of(cache: dict[str, Any]) -> str:
    """The name of the output."""
    return next((k for k in ("out", "loss") if k in cache), list(cache)[-1])


# -- traces -----------------------------------------------------------------------------------------------------------


class Forward:
    """The learner's forward, recorded, and its right gradients: of every node, and every share on the way."""

    def __init__(self, point: Point):
        self.point = point
        self.graph = Graph(point.learner.path)
        with self.graph, np.errstate(all="ignore"):
            p = {k: self.graph.leaf(k, v) if k in point.floats else copy.deepcopy(v) for k, v in point.p.items()}
            self.leaves = {k: p[k].node for k in point.floats}
            cache = point.learner.traced["forward"](p)
            self.named = {k: unwrap(v) for k, v in cache.items()}
        for k, v in cache.items():
            if holds_numbers(v) and not _close(concrete(v), point.cache.get(k)):
                raise CannotTrace(say("finder.trace.other", name=k))
        self.out = self.named[point.output]
        if not isinstance(self.out, Node):
            raise CannotTrace(say("finder.trace.output"))
        with np.errstate(all="ignore"):
            self.total, self.shares = pull(self.graph.nodes, {self.out: point.cotangent})

    def right(self, name: str) -> np.ndarray | None:
        """The right gradient of an input or intermediate; None where it can't be told."""
        node = self.leaves.get(name) or self.named.get(name)
        if not isinstance(node, Node):
            return None
        if name in self.leaves:
            return np.asarray(self.total.get(node, np.zeros(node.shape)))
        if node.name in ("setitem", "constant", "stack") or node not in self.total:
            return None  # an array that only collects values: its own gradient depends on what one counts
        return np.asarray(self.total[node])


def _close(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True))


class Backward:
    """The learner's backward, recorded."""

    def __init__(self, point: Point):
        self.point = point
        self.graph = Graph(point.learner.path)
        g = point.cotangent
        with self.graph, np.errstate(all="ignore"):
            p = _leaves(self.graph, "p", point.p)
            cache = _leaves(self.graph, "cache", point.cache)
            self.g = self.graph.leaf("g", g)
            found = point.learner.traced["backward"](p, cache, self.g)
            self.ends = {k: self._node(v) for k, v in point.compared(found).items()}
            self._separate_ends()
        plain = point.compared(point.run_backward(g))
        if any(not _close(self.ends[k].value, plain[k]) for k in plain):
            raise CannotTrace(say("finder.trace.other", name="backward"))
        self.groups: dict[Any, list[Node]] = {}
        for node in self.graph.nodes:
            if node.site:
                self.groups.setdefault((node.site, node.role), []).append(node)

    def _separate_ends(self) -> None:
        """A gradient that is also used further on gets a node of its own, so that it can be changed alone."""
        used = {p for n in self.graph.nodes for p in n.parents}
        for k, node in self.ends.items():
            if node.name not in ("alias", "given") and (node in used or sum(n is node for n in self.ends.values()) > 1):
                line = key_line(self.point.learner.source, "d" + k)
                site = ((line, 0),) if line else node.site
                self.ends[k] = self.graph.add(Node(f"end {k}", np.array, (node,), {}, np.array(node.value), site))

    def _node(self, v: Any) -> Node:
        if isinstance(v, Traced):
            return v.node
        return self.graph.add(Node("constant", None, (), {}, np.asarray(v), ()))


def key_line(source: str, name: str) -> int:
    """Where a gradient got its name without being computed: `dx = da`, or `"dx": da`; 0 where it was computed."""
    tree = ast.parse(source) if source else ast.Module([], [])
    plain = {
        t.id: n.lineno
        for n in ast.walk(tree)
        if isinstance(n, ast.Assign) and isinstance(n.value, ast.Name)
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    for d in (n for n in ast.walk(tree) if isinstance(n, ast.Dict)):
        for k, v in zip(d.keys, d.values, strict=True):
            if isinstance(k, ast.Constant) and k.value == name and isinstance(v, ast.Name):
                return plain.get(v.id, 0 if v.id == name else v.lineno)
    return 0


def _leaves(graph: Graph, name: str, x: Any) -> Any:
    if isinstance(x, dict):
        return {k: _leaves(graph, f"{name}[{k!r}]", v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(_leaves(graph, f"{name}[{i}]", v) for i, v in enumerate(x))
    if isinstance(x, Tensor):
        return TracedTensor(graph.leaf(name, x.numpy()).node) if x.numpy().dtype.kind == "f" else x
    if isinstance(x, (np.ndarray, np.floating)) and np.asarray(x).dtype.kind == "f":
        return graph.leaf(name, np.array(x))
    return copy.deepcopy(x)
