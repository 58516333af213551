"""The stand-in for NumPy that a learner's file gets while it is traced, and the loading of that file."""

from __future__ import annotations

import ast
import builtins
import types
from typing import Any

import numpy as np

from .graph import CannotTrace, Graph, Traced, constant, record

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


def load(path: str, source: str, traced: bool) -> dict[str, Any]:
    """Execute a learner's file; `traced` gives it the stand-in. Returns its names."""
    names: dict[str, Any] = {"__name__": "learner", "__file__": path}
    if traced:
        stand_in = NumpyStandIn()

        def find(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            if name == "numpy":
                return stand_in
            return builtins.__import__(name, globals, locals, fromlist, level)

        names["__builtins__"] = {**vars(builtins), "__import__": find, "__as_float": _as_float, "sum": _plain_sum}
    tree = ast.parse(source, path)
    exec(compile(_LetThrough().visit(tree) if traced else tree, path, "exec"), names)
    return names


class _LetThrough(ast.NodeTransformer):
    """Turns `float(x)` into a call that lets a traced number through, so that `float(loss)` stays in the graph."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "float" and len(node.args) == 1:
            node.func.id = "__as_float"
        return node


def _as_float(x: Any) -> Any:
    return x if isinstance(x, Traced) and x.size == 1 else float(x)


def _plain_sum(values: Any, start: Any = 0) -> Any:
    found = start
    for v in values:
        found = v if isinstance(found, int) and found == 0 else found + v
    return found


__all__ = ["CannotTrace", "NumpyStandIn", "load"]
