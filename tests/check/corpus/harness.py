"""Load learner files, plant mistakes in them, and compare their gradients with differences taken here.

Nothing of the mistake finder is used: the corpus is its independent judge.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PRIMES = (2, 3, 5, 7, 11, 13)
KINKED = ("relu_zeros", "l1_ties", "max_pool", "clip_grid")  # these stand on kinks on purpose


class Sizes(dict):
    """The sizes a file asks for: those it declares, else the next free prime."""

    def __missing__(self, key: str) -> int:
        self[key] = next(q for q in PRIMES if q not in self.values())
        return self[key]


@functools.cache
def right_files() -> dict[str, str]:
    """Name -> text of every right derivation."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((HERE / "right").glob("*.py"))}


def load(text: str, name: str = "learner") -> dict[str, Any]:
    """The names a learner's file defines."""
    space: dict[str, Any] = {"__name__": name}
    exec(compile(text, f"<{name}>", "exec"), space)
    return space


def point(space: dict, seed: int) -> dict[str, Any]:
    """One point of the file's inputs."""
    return space["inputs"](np.random.default_rng(seed), Sizes(space.get("sizes", {})))


def copied(p: dict) -> dict:
    """A copy whose arrays may be written into."""
    return {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in p.items()}


def plain(value: Any) -> Any:
    """A forward's value as plain NumPy."""
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value)
    return np.asarray(value._data) if hasattr(value, "_data") else value


def run_forward(space: dict, p: dict) -> dict[str, Any]:
    """The forward's intermediates, as plain NumPy."""
    return {k: plain(v) for k, v in space["forward"](p).items()}


def output(cache: dict) -> np.ndarray:
    """The output among the intermediates."""
    key = "out" if "out" in cache else "loss" if "loss" in cache else list(cache)[-1]
    return np.asarray(cache[key])


def cotangent(space: dict, p: dict, seed: int) -> Any:
    """A random cotangent with the output's shape; a float for a scalar output."""
    y = output(run_forward(space, copied(p)))
    g = np.random.default_rng(seed + 1000).normal(size=y.shape)
    return float(g) + 2.5 if y.ndim == 0 else g


def gradients(space: dict, p: dict, g: Any) -> dict[str, np.ndarray]:
    """What the learner's backward returns at a point."""
    p = copied(p)
    cache = run_forward(space, p)
    return {k: np.asarray(v) for k, v in space["backward"](p, cache, np.array(g) if np.ndim(g) else g).items()}


def float_inputs(p: dict) -> list[str]:
    """The inputs that have a gradient."""
    return [k for k, v in p.items() if isinstance(v, np.ndarray) and v.dtype == float]


def _weighted(space: dict, p: dict, g: Any) -> float:
    return float(np.sum(g * output(run_forward(space, copied(p)))))


def _shifted(space: dict, p: dict, key: str, index: tuple, step: float, g: Any) -> float:
    moved = dict(p)
    moved[key] = p[key].copy()
    moved[key][index] += step
    return _weighted(space, moved, g)


def differences(space: dict, p: dict, g: Any, h: float = 1e-3) -> dict[str, np.ndarray]:
    """Fourth-order central differences of sum(g * out), for every float input."""
    result = {}
    for key in float_inputs(p):
        d = np.zeros_like(p[key])
        for index in np.ndindex(*d.shape):
            f = {s: _shifted(space, p, key, index, s * h, g) for s in (-2, -1, 1, 2)}
            d[index] = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
        result[key] = d
    return result


def one_sided(space: dict, p: dict, g: Any, h: float = 1e-6) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The smaller and the larger of the two one-sided slopes, for every float input."""
    base, result = _weighted(space, p, g), {}
    for key in float_inputs(p):
        slopes = np.zeros((2, *p[key].shape))
        for index in np.ndindex(*p[key].shape):
            for k, s in enumerate((-1, 1)):
                slopes[(k, *index)] = s * (_shifted(space, p, key, index, s * h, g) - base) / h
        result[key] = (slopes.min(0), slopes.max(0))
    return result


def error(got: np.ndarray, want: np.ndarray) -> float:
    """Largest error relative to the gradient's own scale; infinite for a wrong shape or NaN."""
    if np.shape(got) != np.shape(want):
        return float("inf")
    scale = max(float(np.max(np.abs(want), initial=0.0)), 1e-12)
    worst = float(np.max(np.abs(got - want), initial=0.0))
    return worst / scale if np.isfinite(worst) else float("inf")


class _Bump(ast.NodeTransformer):
    """Adds `_bump[name]` to what forward assigns to each named intermediate."""

    def __init__(self, names: list[str], filled: set[str]) -> None:
        self.names, self.filled = names, filled

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        target = node.targets[0]
        part = target.value if isinstance(target, ast.Subscript) else target
        name = getattr(part, "id", None)
        if name not in self.names or (part is target and name in self.filled):
            return node
        extra: ast.expr = ast.parse(f"_bump[{name!r}]", mode="eval").body
        if isinstance(target, ast.Subscript):
            extra = ast.Subscript(extra, target.slice, ast.Load())
        node.value = ast.BinOp(node.value, ast.Add(), extra)
        return node


def bumped(text: str, names: list[str]) -> dict[str, Any]:
    """The file with a hook behind every named intermediate, to differentiate with respect to it."""
    tree = ast.parse(text)
    forward = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "forward")
    filled = {
        target.value.id
        for node in ast.walk(forward)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name)
    }
    _Bump(names, filled).visit(forward)
    return load(ast.unparse(ast.fix_missing_locations(tree)))


def intermediate_differences(text: str, p: dict, g: Any, names: list[str], h: float = 1e-3) -> dict[str, np.ndarray]:
    """Total gradients of sum(g * out) with respect to named intermediates."""
    plain_space = load(text)
    cache = run_forward(plain_space, copied(p))
    space = bumped(text, names)
    space["_bump"] = {k: np.zeros(np.shape(cache[k])) for k in names}
    result = {}
    for key in names:
        bump, d = space["_bump"][key], np.zeros(np.shape(cache[key]))
        for index in np.ndindex(*d.shape):
            f = {}
            for s in (-2, -1, 1, 2):
                bump[index] = s * h
                f[s] = _weighted(space, p, g)
            bump[index] = 0.0
            d[index] = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
        result[key] = d
    return result
