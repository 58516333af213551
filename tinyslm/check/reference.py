"""The numerical gradient that a given one is judged against.

It is computed once for a function, a point and some cotangents; many gradients (a rule and its mutants, say) can then
be judged against it. Small inputs are probed element by element. Of large ones, 64 random elements, the boundary (where
off-by-one mistakes live) and 8 random directions, in which an error of any element shows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..device import to_host
from ..engine import enable_grad, no_grad, topological_order
from ..tensor import Tensor, raw
from .kinks import kinked_elements
from .numeric import EPS, Estimate, Line, complex_step, fourth_order, one_sided, ridders

COMPLEX, RIDDERS = "complex step", "Ridders"
LIMIT = 2000
DIRECTIONS, ELEMENTS, BOUNDARY = 8, 64, 512


def signs(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """Random numbers of either sign with sizes from 0.5 to 1.5: none is tiny, none stands out."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def is_float(array: Any) -> bool:
    """True for inputs that have a gradient; integers and bools are indices and masks."""
    return array.dtype.kind in "fc"


@dataclass
class InputReference:
    """The numerical gradient of one input, probed at M elements and directions for K cotangents.

    Attributes:
        name: of the input.
        shape: of the input.
        indices: flat positions of the probed elements (m,).
        directions: (d, n) with m + d = M.
        values: (K, M).
        errors: error bars (K, M).
        bent: probes along which the function looks like |t| (M,).
        noise: the size of derivative that rounding alone can feign (K, 1).
        method: "complex step" or "Ridders".
        line: probe number -> the line it was taken along.
    """

    name: str
    shape: tuple[int, ...]
    indices: np.ndarray
    directions: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    bent: np.ndarray
    noise: np.ndarray
    method: str
    line: Callable[[int], Line]
    _sides: dict[int, tuple[Estimate, Estimate]] = field(default_factory=dict)

    def project(self, gradient: np.ndarray) -> np.ndarray:
        """What a gradient (K, *shape) says at the probes: (K, M)."""
        flat = gradient.reshape(len(gradient), -1)
        return np.concatenate([flat[:, self.indices], flat @ self.directions.T], axis=1)

    @cached_property
    def scale(self) -> np.ndarray:
        """The size of this input's gradient for each cotangent (K, 1)."""
        size = np.abs(self.values)
        size[:, len(self.indices) :] /= math.sqrt(max(1, math.prod(self.shape)))
        return np.nan_to_num(size, nan=0.0, posinf=0.0).max(axis=1, keepdims=True, initial=0.0)

    def place(self, probe: int) -> tuple[int, ...] | None:
        """The index of a probed element; None for a direction."""
        if probe >= len(self.indices):
            return None
        return tuple(int(i) for i in np.unravel_index(self.indices[probe], self.shape)) if self.shape else ()

    def sides(self, probe: int) -> tuple[Estimate, Estimate]:
        """The derivatives from the left and from the right."""
        if probe not in self._sides:
            line = self.line(probe)
            self._sides[probe] = one_sided(line, -1), one_sided(line, 1)
        return self._sides[probe]


def field_of(function: Callable[..., Any]) -> Callable[[Sequence[Any]], np.ndarray]:
    """The function on arrays: all inputs -> all results as one vector, unrecorded; complex where any input is."""

    def evaluate(arrays: Sequence[Any]) -> np.ndarray:
        if any(a.dtype.kind == "c" for a in arrays):
            arrays = [a.astype(complex) if is_float(a) else a for a in arrays]
        with no_grad():
            out = function(*map(Tensor.wrap, arrays))
        parts = [np.ravel(to_host(raw(y))) for y in (out if isinstance(out, (tuple, list)) else (out,))]
        return np.concatenate(parts) if parts else np.zeros(0)

    return evaluate


def reference(
    function: Callable[..., Any],
    arrays: Sequence[Any],
    weights: np.ndarray,
    rng: np.random.Generator,
    names: Sequence[str] = (),
    analytic: bool | str = "auto",
    limit: int = LIMIT,
) -> list[InputReference]:
    """The numerical gradient of W f with respect to every float input.

    Args:
        function: tensors -> a tensor or a tuple of them.
        arrays: the point; float64 arrays, and integer ones that stay fixed.
        weights: W (K, n): K cotangents for all n results, laid out as one vector.
        rng: chooses directions and elements.
        names: of the inputs, for the report.
        analytic: True, False, or "auto": the complex step where every recorded operation is analytic and one real
            difference agrees with it.
        limit: up to so many elements in all, every single one is probed.
    """
    evaluate = field_of(function)
    use_complex = analytic is True or (analytic == "auto" and only_analytic(function, arrays))
    use_complex = use_complex and _complex_agrees(evaluate, arrays, weights, rng)
    everything = sum(a.size for a in arrays if is_float(a)) <= limit
    prober = _Prober(evaluate, arrays, weights, rng, use_complex)
    slots = [i for i, a in enumerate(arrays) if is_float(a)]
    return [prober.one_input(slot, _name(names, slot), everything) for slot in slots]


def _name(names: Sequence[str], slot: int) -> str:
    return names[slot] if slot < len(names) else f"input {slot}"


def only_analytic(function: Callable[..., Any], arrays: Sequence[Any]) -> bool:
    """True when every operation between the inputs and the results is declared analytic."""
    with enable_grad():
        out = function(*[Tensor.wrap(a).requires_grad_() if is_float(a) else Tensor.wrap(a) for a in arrays])
    outs = out if isinstance(out, (tuple, list)) else (out,)
    return all(node.op.analytic for node in topological_order(t for t in outs if isinstance(t, Tensor)))


def _complex_agrees(evaluate: Any, arrays: Sequence[Any], weights: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether complex numbers come through the function: one direction, held against real differences.

    This catches what the record cannot show, such as a function that leaves the graph and takes an absolute value. Two
    steps are tried, for curves with fast wiggles and with coarse rounding.
    """
    moves = {i: signs(rng, a.shape) for i, a in enumerate(arrays) if is_float(a)}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            line = Line(evaluate, arrays, moves, weights, 1.0)
            exact, bar, _ = complex_step(line)
            off = np.min([np.abs(exact - fourth_order(line, step)) for step in (1e-3, 1e-5)], axis=0)
    except Exception:  # whatever a function does with complex numbers, it only means: not this way
        return False
    return bool((off <= 1e-6 * (np.abs(exact) + bar / EPS) + 1e4 * line.rounding()).all())


class _Prober:
    """Takes derivatives along the elements and directions of one input after the other."""

    def __init__(self, evaluate: Any, arrays: Sequence[Any], weights: np.ndarray, rng: Any, use_complex: bool):
        self.evaluate, self.arrays, self.weights, self.rng = evaluate, arrays, weights, rng
        self.method = COMPLEX if use_complex else RIDDERS
        self.derive = complex_step if use_complex else ridders
        self.start = evaluate(arrays)
        self.rounding = self._rounding()

    def _rounding(self) -> np.ndarray:
        """How far rounding moves the weighted results (K, 1): their last bit, or what the last bits of x do to them."""
        size = EPS * np.sqrt(self.weights**2 @ self.start**2)
        for _ in range(3):
            change = self.evaluate([_jittered(a, self.rng) for a in self.arrays]) - self.start
            size = np.fmax(size, np.abs(self.weights @ change))
        return size[:, None]

    def one_input(self, slot: int, name: str, everything: bool) -> InputReference:
        x = self.arrays[slot]
        indices, directions = (np.arange(x.size), np.zeros((0, x.size))) if everything else _probes(x, self.rng)
        if self.method == RIDDERS and len(directions):
            indices, directions = self._without_kinks(slot, indices, directions)
        moves = [*map(int, indices), *(d.reshape(x.shape) for d in directions)]

        def line(probe: int) -> Line:
            return Line(
                self.evaluate, self.arrays, {slot: moves[probe]}, self.weights, _unit(x, moves[probe]), self.start
            )

        values, errors, bent = self._stacked([self.derive(line(p)) for p in range(len(moves))])
        errors = np.maximum(errors, 1e-4 * self.rounding)  # less than that changes no bit of the value
        noise = 1e3 * self.rounding
        found = InputReference(name, x.shape, indices, directions, values, errors, bent, noise, self.method, line)
        if self.method == COMPLEX and (found.scale < 1e12 * self.rounding).any():
            self._measure_noise(found, slot, moves)
        return found

    def _without_kinks(self, slot: int, indices: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Directions that leave out the elements with kinks; those are probed one by one instead."""
        x = self.arrays[slot]

        def line(part: np.ndarray) -> Line:
            return Line(self.evaluate, self.arrays, {slot: part.reshape(x.shape)}, self.weights, start=self.start)

        kinks = kinked_elements(line, directions[0])
        directions[:, kinks] = 0
        return np.union1d(indices, kinks).astype(int), directions

    def _stacked(self, estimates: list[Estimate]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if not estimates:
            return np.zeros((len(self.weights), 0)), np.zeros((len(self.weights), 0)), np.zeros(0, bool)
        values, errors, bent = (np.stack(part, axis=1) for part in zip(*estimates, strict=True))
        return values, errors, np.asarray(bent.any(axis=0))

    def _measure_noise(self, found: InputReference, slot: int, moves: list) -> None:
        """A gradient that is small beside the value may be what rounding leaves of 0: move x by last bits and see."""
        spread, x = np.zeros_like(found.scale), self.arrays[slot]
        for _ in range(3 if found.values.any() else 0):  # an exact zero needs no such test
            moved = list(self.arrays)
            moved[slot] = _jittered(x, self.rng)
            lines = [Line(self.evaluate, moved, {slot: m}, self.weights, start=self.start) for m in moves]
            again = np.stack([complex_step(line).value for line in lines], axis=1)
            spread = np.maximum(spread, np.abs(again - found.values).max(axis=1, keepdims=True))
        lost = 100 * spread >= found.scale
        found.errors = np.maximum(found.errors, np.where(lost, np.maximum(spread, self.rounding), spread))


def _jittered(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x with its last bits changed."""
    return np.asarray(x * (1 + EPS * rng.integers(-4, 5, x.shape))) if is_float(x) else x


def _unit(x: np.ndarray, move: Any) -> float:
    """The natural size of a step: max(1, |x|) of the element, or of all elements on average."""
    return max(1.0, abs(float(x.flat[move])) if isinstance(move, int) else float(np.sqrt(np.mean(x * x))))


def _probes(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions and directions to look at in a large problem."""
    if x.size <= ELEMENTS:
        return np.arange(x.size), np.zeros((0, x.size))
    inner = rng.choice(x.size, ELEMENTS, replace=False)
    edge = boundary(x.shape)
    if len(edge) > BOUNDARY:
        edge = rng.choice(edge, BOUNDARY, replace=False)
    return np.union1d(inner, edge), signs(rng, (DIRECTIONS, x.size))


def boundary(shape: tuple[int, ...]) -> np.ndarray:
    """Flat positions of the corners and edges: all indices but at most one are the first or last of their dimension."""
    extreme = sum(_extreme(n, d, len(shape)) for d, n in enumerate(shape))
    return np.flatnonzero(np.broadcast_to(extreme >= max(1, len(shape) - 1), shape))


def _extreme(n: int, d: int, ndim: int) -> np.ndarray:
    hits = np.zeros(n, int)
    hits[[0, -1]] = 1
    return hits.reshape([-1 if i == d else 1 for i in range(ndim)])
