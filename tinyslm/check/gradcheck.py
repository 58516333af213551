"""Is this gradient right? Compares a gradient, the engine's or a hand-written one, with numerical derivatives.

The order of the questions: is the function repeatable, is it finite, is everything float64, do the shapes fit, is the
backward pass linear in its cotangent; only then numbers are compared. Cotangents are random, never ones: the sum of a
softmax is constant, so with ones even a gradient of zero would pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import to_host
from ..errors import DTypeError, OptionError
from ..messages import say
from ..tensor import raw
from .case import Case, Finding, second_order
from .judge import judge
from .numeric import EPS
from .reference import LIMIT, is_float, reference
from .report import Report, Verdict, worst


def gradcheck(
    function: Callable[..., Any],
    inputs: Any,
    *,
    rng: np.random.Generator | None = None,
    backward: Callable[..., Any] | None = None,
    order: int = 1,
    points: int = 1,
    analytic: bool | str = "auto",
    convention: str = "",
    limit: int = LIMIT,
) -> Report:
    """Check the gradient of a function against numerical derivatives, in float64.

    Each input's error is taken relative to the largest gradient of that input. Up to 1e-8 (or a hundred error bars of
    the numerical derivative) is right, above 1e-5 is wrong, between is undecided. Where the derivatives from both sides
    differ and the gradient lies between them, it is right by convention. Where a gradient is so small that differences
    show nothing but the rounding of the value, zero and such a gradient both count as right.

    Args:
        function: takes tensors, returns a tensor or a tuple of tensors.
        inputs: the point: float64 arrays or tensors of any shape; integers and bools are passed on as they are.
        rng: for cotangents and directions; a fixed seed if left out.
        backward: backward(g, *inputs) -> the gradients, one per input (or per float input; None for zero), as tensors
            or arrays; g is a tensor, or a tuple where the function returns one. The engine's own pass if left out.
        order: 2 also checks the derivatives of the gradient (engine only).
        points: at how many points: the one given, then copies with each number scaled by 0.8 to 1.25.
        analytic: whether the complex step may be used; "auto" finds out.
        convention: what is declared about kinks, for the report.
        limit: up to so many elements every single one is probed; beyond, a sample, the boundary, and 8 directions.

    Raises:
        DTypeError: for float32 inputs: differences have no precision there.
        OptionError: for something that is no function or returns None, for order not 1 or 2, or order 2 with a
            hand-written backward.
    """
    if not callable(function):
        raise OptionError(
            f"gradcheck: there is nothing to call.\n  Expected: a function of tensors, first\n  Got: {function!r}"
        )
    _check_options(order, points, backward)
    rng = np.random.default_rng(0) if rng is None else rng
    arrays = _arrays(inputs)
    reports = []
    for k in range(points):
        at = arrays if k == 0 else _nearby(arrays, rng)
        case = Case(function, at, rng, backward)
        reports.append(_check(case, analytic, limit))
        if order == 2 and reports[-1].ok:
            reports.append(_check(second_order(case), analytic, limit, order=2))
    return _merged(reports, convention)


def gradgradcheck(function: Callable[..., Any], inputs: Any, **options: Any) -> Report:
    """`gradcheck` of first and second order."""
    return gradcheck(function, inputs, **{"order": 2, **options})


def _check_options(order: int, points: int, backward: Any) -> None:
    if order not in (1, 2) or points < 1:
        raise OptionError(
            f"gradcheck: expected order 1 or 2 and at least one point, got order {order}, points {points}"
        )
    if order == 2 and backward is not None:
        raise OptionError(
            "gradcheck: a hand-written backward has no second derivative. Expected: order=1. Got: order=2"
        )


def _arrays(inputs: Any) -> list[np.ndarray]:
    listed = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    arrays = [np.asarray(to_host(raw(x))) for x in listed]
    for i, a in enumerate(arrays):
        if a.dtype.kind not in "iub" and a.dtype != np.float64:
            raise DTypeError(
                f"gradcheck: differences need double precision.\n  Expected: input {i} as float64\n"
                f"  Got: {a.dtype}; convert with .to('float64') or np.asarray(x, np.float64)"
            )
    return arrays


def _nearby(arrays: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    return [np.asarray(a * rng.uniform(0.8, 1.25, a.shape)) if is_float(a) else a for a in arrays]


def _merged(reports: list[Report], convention: str) -> Report:
    verdict = worst([r.verdict for r in reports])
    entries = tuple(e for r in reports for e in r.entries)
    return Report(verdict, entries, tuple(f for r in reports for f in r.findings), convention)


# -- the questions, in order ------------------------------------------------------------------------------------------


def _check(case: Case, analytic: bool | str, limit: int, order: int = 1) -> Report:
    try:
        _repeatable(case)
        _finite_values(case)
        gradients = _gradients(case)
        _linear(case, gradients)
    except Finding as finding:
        return Report(finding.verdict, findings=(str(finding),))
    expected = reference(case.function, case.arrays, case.weights, case.rng, case.names, analytic, limit)
    entries = judge(gradients, expected, order)
    return Report(worst([e.verdict for e in entries]), tuple(entries))


def _repeatable(case: Case) -> None:
    for a, b, name in zip(case.arrays, case.before, case.names, strict=True):
        if not _same(a, b):
            raise Finding(say("gradcheck.finding.changes", name=name))
    if not all(_same(a, b) for a, b in zip(case.values, case.forward(), strict=True)):
        raise Finding(say("gradcheck.finding.random"))


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _finite_values(case: Case) -> None:
    for i, y in enumerate(case.values):
        which = say("gradcheck.which", number=i) if case.several else say("gradcheck.the_result")
        if y.dtype != np.float64:
            raise Finding(say("gradcheck.finding.dtype", which=which, dtype=y.dtype), Verdict.UNDECIDED)
        if not np.isfinite(y).all():
            kind = "NaN" if np.isnan(y).any() else "Inf"
            raise Finding(say("gradcheck.finding.not_finite", which=which, kind=kind), Verdict.UNDECIDED)


def _gradients(case: Case) -> list[np.ndarray]:
    """The gradient of each float input for both cotangents (2, *shape), after looking at their form."""
    first, second = (case.pull(c) for c in case.cotangents)
    for k, again in enumerate(case.pull(case.cotangents[0])):
        _check_form(case, k, first[k])
        _check_form(case, k, second[k])
        if not _same(np.asarray(again), np.asarray(first[k])):
            raise Finding(say("gradcheck.finding.gradient_random", name=case.name(k)))
    return [np.stack([a, b]) for a, b in zip(first, second, strict=True)]


def _check_form(case: Case, k: int, g: Any) -> None:
    name, shape = case.name(k), case.arrays[case.slots[k]].shape
    if np.shape(g) != shape:
        raise Finding(say("gradcheck.finding.shape", name=name, got=np.shape(g), wanted=shape))
    if np.asarray(g).dtype != np.float64:
        raise Finding(say("gradcheck.finding.gradient_dtype", name=name, dtype=np.asarray(g).dtype))
    if not np.isfinite(g).all():
        kind = "NaN" if np.isnan(g).any() else "Inf"
        place = [int(i) for i in np.argwhere(~np.isfinite(g))[0]]
        raise Finding(say("gradcheck.finding.gradient_not_finite", name=name, kind=kind, place=place))


def _linear(case: Case, gradients: list[np.ndarray]) -> None:
    """A backward pass is linear in its cotangent whatever the function is: B(a + b) = B(a) + B(b), B(s a) = s B(a)."""
    a, b = case.cotangents
    pairs = [
        ("B(0) = 0", [0 * x for x in a], lambda g: 0 * g[0]),
        ("B(a + b) = B(a) + B(b)", [x + y for x, y in zip(a, b, strict=True)], lambda g: g[0] + g[1]),
        ("B(-1.7 a) = -1.7 B(a)", [-1.7 * x for x in a], lambda g: -1.7 * g[0]),
    ]
    rounding = 1e3 * EPS * np.sqrt(sum(float((y * y).sum()) for y in case.values))
    for law, cotangent, wanted in pairs:
        for k, (got, g) in enumerate(zip(case.pull(cotangent), gradients, strict=True)):
            off = np.abs(got - wanted(g)).max(initial=0.0)
            if not off <= 1e-9 * np.abs(g).max(initial=0.0) + rounding:
                raise Finding(say("gradcheck.finding.linear", name=case.name(k), law=law, off=off))
