"""Numerical derivatives in float64, each with its own error bar.

A derivative is taken along a line through a point: t -> W (f(x + t u) - f(x)), where the rows of W are the cotangents
that weigh the results of f. The value at t = 0 is taken off first, so results that do not change cancel exactly.

Ridders' method shrinks the step of a central difference and extrapolates the table to step 0; neighbours in the table
give the error bar. It is optimistic, so a judge should allow a hundred of them. The complex step f(x + ih).imag / h has
no cancellation at all, but needs an f that is analytic and takes complex numbers.

Source: C. J. F. Ridders, Adv. Eng. Software 4 (1982) 75; W. Squire & G. Trapp, SIAM Rev. 40 (1998) 110.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)
STEPS = (0.1, 1e-3, 1e-5)  # smaller ones help where a kink or the edge of the domain is near
SHRINK = 1.9  # not 2: halved steps can hit the same phase of a fast oscillation again and again
LEVELS = 7
TINY = 1e-50  # the complex step: its square is lost beside any number

Field = Callable[[Sequence[Any]], np.ndarray]  # arrays -> all results as one vector
Curve = Callable[[Any], np.ndarray]  # t -> (K,), with 0 at t = 0


class Estimate(NamedTuple):
    """A derivative (K,), its error bar (K,), and whether the curve looks bent like |t| at 0 (K,)."""

    value: np.ndarray
    error: np.ndarray
    bent: np.ndarray


class Line:
    """t -> W (f(x + t u) - f(x)), remembering which results of f moved.

    Args:
        field: all inputs -> all results as one vector (n,).
        arrays: the point x, one array per input.
        moves: input number -> its share of the direction u, an array of that input's shape or one flat position.
        weights: W (K, n), one cotangent per row.
        unit: the natural size of a step, about max(1, |x|).
        start: field(arrays), where it is known already.
    """

    def __init__(
        self,
        field: Field,
        arrays: Sequence[Any],
        moves: dict[int, Any],
        weights: np.ndarray,
        unit: float = 1.0,
        start: np.ndarray | None = None,
    ):
        self.field, self.arrays, self.moves, self.weights, self.unit = field, arrays, moves, weights, unit
        self.start = field(arrays) if start is None else start
        self.moved = np.zeros(self.start.shape, bool)

    def __call__(self, t: Any) -> np.ndarray:
        """The weighted change of the results (K,) at t, a float or a complex number."""
        change = self.at(t) - self.start
        self.moved |= change != 0
        return self.weights @ change

    def at(self, t: Any) -> np.ndarray:
        """All results (n,) at t."""
        return self.field([self._shifted(i, a, t) for i, a in enumerate(self.arrays)])

    def rounding(self) -> np.ndarray:
        """How far rounding alone can move the weighted results (K,)."""
        seen = self.moved if self.moved.any() else ~self.moved
        return EPS * np.sqrt((self.weights[:, seen] ** 2) @ (self.start[seen] ** 2))

    def _shifted(self, i: int, array: Any, t: Any) -> Any:
        if i not in self.moves:
            return array
        move = self.moves[i]
        if not isinstance(move, (int, np.integer)):
            return np.asarray(array + t * move)
        moved = np.array(array, np.result_type(array, type(t)))
        moved.flat[move] += t
        return moved


def extrapolate(quotient: Curve, step: float, order: int, rounding: Callable[[], np.ndarray]) -> tuple:
    """The limit of `quotient(h)` as h -> 0 and its error bar, from a table of shrinking steps.

    Args:
        quotient: h -> (K,), whose error is a series in h ** order.
        step: the first and largest h.
        order: 2 for central differences, 1 for one-sided ones.
        rounding: the size of rounding errors in the numerator.
    """
    row = [quotient(step)]
    best, error = row[0], np.full(np.shape(row[0]), np.inf)
    for _ in range(1, LEVELS):
        step /= SHRINK
        above, row = row, [quotient(step)]
        for j, before in enumerate(above):
            row.append(row[j] + (row[j] - before) / (SHRINK ** (order * (j + 1)) - 1))
            e = np.maximum(np.abs(row[j + 1] - row[j]), np.abs(row[j + 1] - before))
            best, error = np.where(e < error, row[j + 1], best), np.fmin(e, error)
        if (error <= np.maximum(1e-13 * np.abs(best), rounding() / step)).all():
            break
    return best, np.maximum(error, rounding() / step)


class _Central:
    """h -> (f(h) - f(-h)) / 2h, remembering |f(h) + f(-h)| / h, which falls with h unless f has a kink at 0."""

    def __init__(self, line: Curve):
        self.line = line
        self.bends: list[np.ndarray] = []

    def __call__(self, h: float) -> np.ndarray:
        up, down = self.line(h), self.line(-h)
        self.bends.append(np.abs(up + down) / h)
        return (up - down) / (2 * h)

    def bent(self, value: np.ndarray, error: np.ndarray) -> np.ndarray:
        first, last = self.bends[0], self.bends[-1]
        return (last > 0.7 * first) & (last > 1e-4 * np.abs(value)) & (last > 100 * error)


@np.errstate(all="ignore")
def ridders(line: Line) -> Estimate:
    """The derivative at t = 0 by extrapolated central differences; smaller first steps are tried while it is vague."""
    found: Estimate | None = None
    for step in STEPS:
        central = _Central(line)
        value, error = extrapolate(central, step * line.unit, 2, line.rounding)
        new = Estimate(value, error, central.bent(value, error))
        found = new if found is None else _sharper(found, new)
        if (found.error <= np.maximum(1e-9 * np.abs(found.value), 100 * line.rounding() / line.unit)).all():
            break
    assert found is not None
    return found


def _sharper(a: Estimate, b: Estimate) -> Estimate:
    pick = ~(a.error <= b.error)
    return Estimate(*(np.where(pick, y, x) for x, y in zip(a, b, strict=True)))


@np.errstate(all="ignore")
def one_sided(line: Line, side: int) -> Estimate:
    """The derivative from the right (side = 1) or from the left (side = -1)."""
    found: Estimate | None = None
    for step in STEPS:
        value, error = extrapolate(lambda h: line(side * h) / (side * h), step * line.unit, 1, line.rounding)
        new = Estimate(value, error, np.zeros(value.shape, bool))
        found = new if found is None else _sharper(found, new)
    assert found is not None
    return found


def fourth_order(line: Line, step: float = 1e-3) -> np.ndarray:
    """The derivative at t = 0 (K,) by one central difference of fourth order: four evaluations, no error bar."""
    h = step * line.unit
    return (8 * (line(h) - line(-h)) - (line(2 * h) - line(-2 * h))) / (12 * h)


def complex_step(line: Line) -> Estimate:
    """The derivative at t = 0 from one evaluation at an imaginary t; exact to rounding where f is analytic."""
    slope = np.imag(line.at(1j * TINY)) / TINY
    value = line.weights @ slope
    return Estimate(value, 8 * EPS * (np.abs(line.weights) @ np.abs(slope)), np.zeros(value.shape, bool))
