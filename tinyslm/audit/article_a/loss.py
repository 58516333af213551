"""A1: the cross-entropy."""

from __future__ import annotations

import numpy as np

from ...ops import log_softmax, softmax
from ...tensor import Tensor
from ..questions import Answer, asks, equals, gradient, gradients, shapes, symmetric, value, within
from ..record import Finding, Formula, Reading, Record

Y, P = np.array([0.3, 0.7]), np.array([0.6, 0.4])


def over_classes(y: Tensor, p: Tensor) -> Tensor:
    """As printed, i over the classes of one sample: y, p (C,) -> a number."""
    return -(y * p.log()).sum()


def over_samples(y: Tensor, p: Tensor) -> Tensor:
    """As printed, i over samples with one sigmoid output each, as in the code of 5.2: class 1 alone is seen."""
    return -(y[1] * p[1].log())


def fused(y: Tensor, p: Tensor) -> Tensor:
    """From scores (here log p) through the log-softmax, which never takes the logarithm of 0."""
    return -(y * log_softmax(p.log())).sum()


@asks("value", "Is it smallest where the prediction p is the distribution y?")
def smallest_at_y(formula: Formula) -> Answer:
    """Gibbs' inequality, for 200 random predictions."""
    others = np.random.default_rng(0).dirichlet([1.0, 1.0], 200)
    best = min(float(value(formula, Y, p)) for p in others)
    here = float(value(formula, Y, Y.copy()))
    return Answer(here <= best + 1e-12, f"{here:.4f} at p = y, {best:.4f} for the best of 200 others")


@asks("gradient", "Is its gradient for the scores, through the softmax, p - y?")
def is_p_minus_y(formula: Formula) -> Answer:
    """The gradient that makes softmax and cross-entropy a pair."""
    z = Tensor(np.array([0.4, -0.9]), requires_grad=True)
    p = softmax(z)
    g = gradients(formula(Tensor(Y), p), [z])[0]
    gap = float(np.abs(g - (p.numpy() - Y)).max())
    return Answer(gap < 1e-12, f"they differ by {gap:.2g}", {"gap": gap})


def at_zero() -> Answer:
    """Loss and gradient where a probability has become 0 in floating point, unfused and fused."""
    rows = {}
    for name, formula in {"unfused": lambda y, z: over_classes(y, softmax(z)), "fused": _from_scores}.items():
        for y in (1.0, 0.0):
            z = Tensor(np.array([0.0, 1000.0]), requires_grad=True)
            with np.errstate(all="ignore"):
                loss = formula(Tensor(np.array([y, 1 - y])), z)
                rows[f"{name}, y = {y:.0f}"] = (loss.item(), *gradients(loss, [z])[0].tolist())
    ok = _is_as_stated(rows)
    told = f"unfused: loss {rows['unfused, y = 1'][0]} for y = 1, {rows['unfused, y = 0'][0]} for y = 0, gradients NaN"
    return Answer(ok, f"{told}; fused: {rows['fused, y = 1'][0]:g} and {abs(rows['fused, y = 0'][0]):g}", rows)


def _from_scores(y: Tensor, z: Tensor) -> Tensor:
    return -(y * log_softmax(z)).sum()


def _is_as_stated(rows: dict[str, tuple[float, ...]]) -> bool:
    broken = np.isposinf(rows["unfused, y = 1"][0]) and np.isnan(rows["unfused, y = 0"][0])
    gradients = all(np.isnan(rows[f"unfused, y = {y}"][1:]).any() for y in (0, 1))
    return bool(broken and gradients and np.isfinite([*rows["fused, y = 1"], *rows["fused, y = 0"]]).all())


def half_missing() -> Answer:
    """What minimises the loss of the code's one sigmoid output if i runs over samples."""
    y = np.array([1.0, 0.0, 0.0, 1.0])
    losses = {p: float(-(y * np.log(p)).sum()) for p in (0.5, 0.9, 1.0)}
    return Answer(losses[1.0] == 0, "0 for p = 1 everywhere, whatever the labels: the half of y = 0 is missing", losses)


RECORDS = (
    Record(
        "A1",
        "3.2 and 4.1, loss function",
        "cross-entropy",
        "right",
        "y is the actual label, p the predicted probability; what i counts is not said.",
        r"\mathrm{Loss} = -\sum_i y_i \log(p_i)",
        (Reading("i over the classes of one sample", over_classes), Reading("i over samples", over_samples)),
        (
            shapes((Y, P), (), "(), one number"),
            within((Y, P), 0, np.inf, "Is it at least 0?"),
            equals((np.array([0.0, 1.0]), np.array([1e-12, 1 - 1e-12])), 0.0, "Is it 0 for a certain, right answer?"),
            symmetric(
                (Y, P), lambda y, p: (y[::-1].copy(), p[::-1].copy()), "Is the order of classes of no importance?"
            ),
            smallest_at_y,
            is_p_minus_y,
            gradient((Y, P)),
        ),
        r"\mathrm{Loss} = -\sum_i y_i \, (z_i - \log \sum_j e^{z_j})",
        fused,
        (
            Finding("a probability that underflows to 0", at_zero),
            Finding("i over samples, one sigmoid output", half_missing),
        ),
        "C. Bishop, Pattern recognition and machine learning, 2006, 4.3",
    ),
)
