"""Links between single numbers, tested again with fifty digits: small differences that float64 can't see show there."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from ..messages import say
from .digits import DIGITS, Exact, relative_error
from .outcome import LinkVerdict, Outcome
from .steps import Point, Points, Step

TRIES = 5
STEP = Decimal("1e-10")  # with a central difference of fourth order: forty digits
AGREE, ROUNDED = 1e-38, 1e-15

Pair = Callable[[Point], "list[tuple[Any, Any]]"]


def with_digits(outcome: Outcome, pairs: Pair, points: Points) -> Outcome:
    """A link that holds in float64, with what fifty digits say about it, if all inputs are single numbers."""
    if any(a.ndim for a in points.at(0).arrays.values()):
        return outcome
    off = _largest(pairs, points)
    if off is None:
        return Outcome(outcome.verdict, f"{outcome.note}; {say('derivation.no_digits')}", outcome.error)
    if off > ROUNDED:
        return Outcome(LinkVerdict.APPROXIMATE, say("derivation.digits_off", error=off, digits=DIGITS), off)
    key = "derivation.digits" if off <= AGREE else "derivation.digits_rounded"
    return Outcome(outcome.verdict, f"{outcome.note}; {say(key, digits=DIGITS, error=off)}", outcome.error)


def values(earlier: Step, later: Step) -> Pair:
    """The values of two steps."""
    return lambda point: list(zip(_results(earlier, point), _results(later, point), strict=True))


def slopes(earlier: Step, later: Step, wrt: tuple[str, ...]) -> Pair:
    """The differences of one step and the values of the other."""
    return lambda point: [
        (_slope(earlier, point, name), given) for name, given in zip(wrt, _results(later, point), strict=True)
    ]


def _slope(step: Step, point: Point, name: str) -> Any:
    x = point.arrays[name]
    near, far = (
        _results(step, point.changed(**{name: x + k * h}))[0] - _results(step, point.changed(**{name: x - k * h}))[0]
        for k, h in ((1, Exact(STEP)), (2, Exact(STEP)))
    )
    return (8 * near - far) / (12 * Exact(STEP))


def _largest(pairs: Pair, points: Points) -> float | None:
    """The largest relative difference, or None where a step can't be evaluated so."""
    try:
        return max(relative_error(a, b) for k in range(TRIES) for a, b in pairs(_exact(points.at(k))))
    except Exception:  # whatever stops it, it only means: compared in float64 alone
        return None


def _exact(point: Point) -> Point:
    return point.changed(**{n: Exact(a) if a.dtype.kind == "f" else a for n, a in point.arrays.items()})


def _results(step: Step, point: Point) -> tuple:
    found = step.function(**{n: point.arrays[n] for n in step.arguments})
    found = found if isinstance(found, tuple) else (found,)
    if not all(isinstance(x, Exact) or (isinstance(x, np.ndarray) and x.dtype == object) for x in found):
        raise TypeError("digits were lost on the way")
    return found
