"""A2, A3, A4: the three formulas printed for Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..questions import Answer, Question, asks, equals, gradient, homogeneous, influences, shapes, symmetric, within
from ..record import Finding, Reading, Record

B1, B2, EPS, ETA, T = 0.9, 0.999, 1e-8, 1e-3, 1000
SOURCE = "D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1"
_rng = np.random.default_rng(0)
M, G, ZERO = _rng.normal(size=5) * 0.1, _rng.normal(size=5) * 0.1, np.zeros(5)


# -- the formulas: (old mean, gradient, t) -> new mean ----------------------------------------------------------------


def m_printed(m: Any, g: Any, t: float) -> Any:
    """As printed; the old m does not enter."""
    return B1 * g + (1 - B1) * (1 - t / T)


def m_repaired(m: Any, g: Any, t: float) -> Any:
    """A running mean of the gradient."""
    return B1 * m + (1 - B1) * g


def v_printed(v: Any, g: Any, t: float) -> Any:
    """As printed; the old v does not enter."""
    return B2 * g * g + (1 - B2) * (1 - t / T)


def v_repaired(v: Any, g: Any, t: float) -> Any:
    """A running mean of the squared gradient."""
    return B2 * v + (1 - B2) * g * g


def from_zero(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The reading in which t counts from 0."""
    return lambda old, g, t: formula(old, g, t - 1)


def step_printed(theta: Any, m: Any, v: Any, t: float) -> Any:
    """The step as printed, (theta, m, v, t) -> theta."""
    return theta - ETA * m / (v**0.5 + EPS)


def step_repaired(theta: Any, m: Any, v: Any, t: float) -> Any:
    """The step with both means corrected for their start at 0."""
    return theta - ETA * (m / (1 - B1**t)) / ((v / (1 - B2**t)) ** 0.5 + EPS)


# -- the questions ----------------------------------------------------------------------------------------------------


def settles(target: float, g: float = -0.05) -> Question:
    """Does the mean tend to the value that is fed in again and again?"""

    @asks("limits", f"With the same gradient {g} again and again from 0, does it tend to {target:g}?")
    def question(formula: Callable[..., Any]) -> Answer:
        mean = 0.0
        for t in range(1, T // 2 + 1):  # half way the printed decay is neither 1 nor 0
            mean = float(formula(mean, g, t))
        return Answer(abs(mean / target - 1) < 0.5, f"{mean:.4g} after {T // 2} steps", {"mean": mean})

    return question


A2_QUESTIONS = (
    shapes((M, G, 3), (5,), "that of the gradient"),
    equals((ZERO, ZERO, 3), ZERO, "Does it stay 0 where the gradient is 0?"),
    homogeneous((M, G, 3), (0, 1), 1, "Does it grow with the unit of the loss, as a gradient does?"),
    symmetric((M, G, 3), lambda m, g, t: (-m, -g, t), "Does it turn its sign with the gradient?", lambda y: -y),
    influences((M, G, 3), 0, "Does it remember the old m?"),
    settles(-0.05),
    gradient((M, G, 3)),
)
A3_QUESTIONS = (
    shapes((M * M, G, 3), (5,), "that of the gradient"),
    equals((ZERO, ZERO, 3), ZERO, "Does it stay 0 where the gradient is 0?"),
    homogeneous((ZERO, G * 0.01, 3), (1,), 2, "Does it grow with the square of the unit of the loss?"),
    symmetric((M * M, G, 3), lambda v, g, t: (v, -g, t), "Is it the same for the opposite gradient?"),
    within((M * M, G, 3), 0, np.inf, "Is it at least 0, so that its root exists?"),
    influences((M * M, G, 3), 0, "Does it remember the old v?", step=1e-3),
    gradient((M * M, G, 3)),
)
FIRST = ((1 - B1) * G, (1 - B2) * G * G)  # the repaired means after one step from 0
A4_QUESTIONS = (
    shapes((ZERO, *FIRST, 1), (5,), "that of the parameters"),
    equals((G, ZERO, ZERO, 5), G, "Does the parameter stay where all gradients have been 0?"),
    symmetric(
        (ZERO, *FIRST, 1),
        lambda theta, m, v, t: (theta, 1000 * m, 1e6 * v, t),
        "Is the step the same in another unit of the loss (up to epsilon)?",
        tolerance=1e-5,
    ),
    symmetric((ZERO, *FIRST, 1), lambda theta, m, v, t: (theta, -m, v, t), "Does it turn around with m?", lambda y: -y),
    equals((ZERO, *FIRST, 1), -ETA * np.sign(G), "Has the first step the length eta?", kind="complete", rtol=1e-3),
    gradient((M, G, np.linspace(0.5, 2, 5), 3)),
)


# -- the numbers ------------------------------------------------------------------------------------------------------


def path(gradient_at: Callable[[float], float], steps: int = T, start: int = 1) -> list[float]:
    """Where a parameter goes by the three printed formulas, from 0."""
    theta = [0.0]
    for t in range(start, start + steps):
        g = gradient_at(theta[-1])
        theta.append(step_printed(theta[-1], m_printed(0, g, t), v_printed(0, g, t), t))
    return theta


def drift() -> Answer:
    """Where the printed steps lead without any gradient."""
    end, other = path(lambda _: 0.0)[-1], path(lambda _: 0.0, start=0)[-1]
    text = f"{end:.3f} (t from 1), {other:.3f} (t from 0)"
    return Answer(abs(end + 2.107) < 5e-4 and abs(other / end - 1) < 0.01, text, {"drift": end, "from_zero": other})


def wrong_way() -> Answer:
    """The sign of m for a small negative gradient at the first step."""
    m = m_printed(0, -0.05, 1)
    return Answer(abs(m - 0.0549) < 5e-5, f"m = {m:+.4f}", {"m": m})


def memory(new: float) -> Answer:
    """How many steps back the mean looks if only the old value is put back, `new` weighing the new gradient."""
    weights = new * (1 - new) ** np.arange(2000)
    age = float((weights * np.arange(1, 2001)).sum() / weights.sum())
    return Answer(
        abs(age - 1 / new) < 1e-6, f"{age:.3f} steps, where Adam's weights give {1 / (1 - new):.0f}", {"age": age}
    )


def first_step() -> Answer:
    """The first step with the repaired means and no correction."""
    length = abs(step_printed(0.0, 1 - B1, 1 - B2, 1)) / ETA
    return Answer(abs(length - 3.162) < 1e-3, f"{length:.3f} eta", {"length": length})


def large_step() -> Answer:
    """The step by all three printed formulas for a very large gradient."""
    length = abs(step_printed(0.0, m_printed(0, 1e8, 1), v_printed(0, 1e8, 1), 1)) / ETA
    return Answer(abs(length - B1 / B2**0.5) < 1e-3, f"{length:.4f} eta", {"length": length})


def picture(numbers: Mapping[str, Any]) -> Any:
    """The drift without a gradient."""
    from ... import plot

    series = {"as printed": path(lambda _: 0.0), "repaired": [0.0] * (T + 1)}
    return plot.lines(
        range(T + 1),
        series,
        xlabel="step",
        ylabel="parameter",
        title="No gradient at all: where does the parameter go?",
    )


SAID = "g is the gradient, the betas are momentum coefficients, t counts iterations of T, epsilon smooths."
RECORDS = (
    Record(
        "A2",
        "3.2, optimisation algorithm",
        "Adam, first moment",
        "wrong: value",
        SAID,
        r"m = \beta_1 g + (1 - \beta_1)(1 - \frac{t}{T})",
        (Reading("as printed, t from 1", m_printed), Reading("as printed, t from 0", from_zero(m_printed))),
        A2_QUESTIONS,
        r"m \leftarrow \beta_1 m + (1 - \beta_1) g",
        m_repaired,
        (
            Finding("drift at gradient 0 over 1000 steps of 0.001", drift),
            Finding("g = -0.05 at the first step of 1000: m has the wrong sign", wrong_way),
            Finding("memory if only the old m is put back", lambda: memory(B1)),
        ),
        SOURCE,
        picture=picture,
    ),
    Record(
        "A3",
        "3.2, optimisation algorithm",
        "Adam, second moment",
        "wrong: value",
        SAID,
        r"v = \beta_2 g^2 + (1 - \beta_2)(1 - \frac{t}{T})",
        (Reading("as printed, t from 1", v_printed), Reading("as printed, t from 0", from_zero(v_printed))),
        A3_QUESTIONS,
        r"v \leftarrow \beta_2 v + (1 - \beta_2) g^2",
        v_repaired,
        (Finding("memory if only the old v is put back", lambda: memory(B2)),),
        SOURCE,
    ),
    Record(
        "A4",
        "3.2, optimisation algorithm",
        "Adam, the step",
        "incomplete",
        SAID,
        r"\theta = \theta - \eta \frac{m}{\sqrt{v} + \epsilon}",
        (Reading("with the repaired m and v", step_printed),),
        A4_QUESTIONS,
        r"\theta \leftarrow \theta - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}",
        step_repaired,
        (
            Finding("first step without bias correction", first_step),
            Finding("step by all three printed formulas for a very large gradient", large_step),
        ),
        SOURCE + "; decoupled weight decay: I. Loshchilov and F. Hutter, ICLR 2019",
        note="A factor (1 - t/T) is a linear decay; it belongs on eta, not in m and v.",
    ),
)
