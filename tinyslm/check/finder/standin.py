"""The stand-in for NumPy that a learner's file gets while it is traced, and the loading of that file."""

from __future__ import annotations

import ast
import builtins
import copy
import types
from typing import Any

import numpy as np

from .graph import CannotTrace, Graph, Traced, constant, record
from .tensors import TensorStandIn

MADE = ("zeros", "ones", "empty", "full", "eye", "identity", "tri")


class NumpyStandIn(types.ModuleType):
    """NumPy, except that arrays made by it are tracers, so that results can be written into them."""

    def __init__(self) -> None:
        super().__init__("numpy")

    def __getattr__(self, name: str) -> Any:
        if name in MADE:
            return _made(name)
        if name in ("array", "asarray", "ascontiguousarray", "asanyarray"):
            return _array(getattr(np, name))
        if name == "vectorize":
            return _vectorized
        if name == "sum":
            return _sum
        return getattr(np, name)


def _sum(x: Any, *args: Any, **kwargs: Any) -> Any:
    """np.sum also takes lists of tracers."""
    if isinstance(x, (list, tuple)) and any(isinstance(v, Traced) for v in x):
        x = np.stack(x)
    return np.sum(x, *args, **kwargs)


def _made(name: str) -> Any:
    fn = np.zeros if name == "empty" else getattr(np, name)

    def make(*args: Any, **kwargs: Any) -> Any:
        if name == "full" and _has_tracer(args):
            return record("broadcast_to", np.broadcast_to, args[1], args[0])
        value = fn(*args, **kwargs)
        return constant(value) if value.dtype.kind in "fb" else value

    return make


def _has_tracer(x: Any) -> bool:
    return isinstance(x, Traced) or (isinstance(x, (list, tuple)) and any(map(_has_tracer, x)))


def _array(fn: Any) -> Any:
    def make(x: Any, dtype: Any = None, **kwargs: Any) -> Any:
        if isinstance(x, Traced):
            if dtype is not None and np.dtype(dtype) != x.dtype:
                return x.astype(dtype)
            return x.copy() if fn is np.array else x
        if _has_tracer(x):
            return np.stack([make(v) for v in x])
        value = fn(x, dtype=dtype, **kwargs)
        return constant(value) if value.dtype.kind == "f" and Graph.current is not None else value

    return make


def _vectorized(function: Any, *args: Any, **kwargs: Any) -> Any:
    fn = np.vectorize(function, *args, **kwargs)
    name = getattr(function, "__name__", "vectorize")

    def call(*inputs: Any) -> Any:
        return record(name, fn, *inputs) if _has_tracer(inputs) else fn(*inputs)

    return call


def load(path: str, source: str, traced: bool, tree: ast.Module | None = None) -> dict[str, Any]:
    """Execute a learner's file (or its changed `tree`); `traced` gives it the stand-ins. Returns its names."""
    names: dict[str, Any] = {"__name__": "learner", "__file__": path}
    if traced:
        stand_in = NumpyStandIn()

        def find(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            if name == "numpy":
                return stand_in
            found = builtins.__import__(name, globals, locals, fromlist, level)
            return TensorStandIn(found) if name.split(".")[0] == "tinyslm" else found

        own = {"__import__": find, "__alias__": _alias, "__given__": _given}  # a class would mangle __alias
        own |= {"__as_float__": _as_float, "sum": _plain_sum}
        names["__builtins__"] = {**vars(builtins), **own}
    tree = ast.parse(source, path) if tree is None else copy.deepcopy(tree)
    tree = ast.fix_missing_locations(_LetThrough().visit(tree) if traced else tree)
    exec(compile(tree, path, "exec"), names)
    return names


class _LetThrough(ast.NodeTransformer):
    """Lets traced values through where Python would not tell us.

    `float(x)` keeps a traced number in the graph. `a = b` and `{"dx": a}` become places of their own, because a factor
    may have been forgotten there; only outside of inputs and forward.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        if node.name not in ("inputs", "forward"):
            for part in ast.walk(node):
                _mark_aliases(part)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "float" and len(node.args) == 1:
            node.func.id = "__as_float__"
        return node


def _mark_aliases(node: ast.AST) -> None:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and not _in_an_array(node.targets[0]):
        if isinstance(node.value, ast.Tuple):
            node.value.elts = [_aliased(v) for v in node.value.elts]
        else:
            node.value = _aliased(node.value)
    elif isinstance(node, ast.Dict):
        named = [isinstance(k, ast.Constant) and str(k.value).startswith("d") for k in node.keys]
        node.values = [_aliased(v, "__given__") if ok else v for ok, v in zip(named, node.values, strict=True)]


def _in_an_array(target: ast.expr) -> bool:
    """Whether `target = ...` writes into an array: `dx[t] = dh`, which is a place already."""
    return isinstance(target, ast.Subscript) and not isinstance(target.slice, (ast.Constant, ast.BinOp, ast.JoinedStr))


def _aliased(value: ast.expr, name: str = "__alias__") -> ast.expr:
    if not isinstance(value, ast.Name):
        return value
    call = ast.Call(ast.copy_location(ast.Name(name, ast.Load()), value), [value], [])
    return ast.copy_location(call, value)


def _alias(x: Any, name: str = "alias") -> Any:
    """The same array under another name; what is written into one is seen in the other."""
    if not isinstance(x, Traced) or Graph.current is None:
        return x
    return type(x)(record(name, np.array, x).node, x, ...)


def _given(x: Any) -> Any:
    """A gradient in the dict that is returned."""
    return _alias(x, "given")


def _as_float(x: Any) -> Any:
    return x if isinstance(x, Traced) and x.size == 1 else float(x)


def _plain_sum(values: Any, start: Any = 0) -> Any:
    found = start
    for v in values:
        found = v if isinstance(found, int) and found == 0 else found + v
    return found


__all__ = ["CannotTrace", "NumpyStandIn", "load"]
