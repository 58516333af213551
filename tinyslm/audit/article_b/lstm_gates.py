"""B5, B6, B7: the three gates of the LSTM, one formula with three sets of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...messages import say
from ...ops import cat, sigmoid
from ...tensor import Tensor
from ..questions import Answer, asks, gradient, influences, shapes, within
from ..record import Finding, Formula, Reading, Record

D, H = 3, 2
_rng = np.random.default_rng(0)
W, PREVIOUS, X, BIAS = (_rng.normal(size=s) for s in ((H, H + D), (H,), (D,), (H,)))
INPUTS = (W, PREVIOUS, X, BIAS)


# -- the formula: (W (H, H + D), h (H,), x (D,), b (H,)) -> (H,) -------------------------------------------------------


def by_matrix(W: Any, h: Any, x: Any, b: Any) -> Any:
    """The dot as a matrix product."""
    return sigmoid(W @ cat([h, x], dim=-1) + b)


def elementwise(W: Any, h: Any, x: Any, b: Any) -> Any:
    """The dot element by element: each row of W times [h, x]."""
    return sigmoid(W * cat([h, x], dim=-1) + b)


def by_vector(W: Any, h: Any, x: Any, b: Any) -> Any:
    """The dot as a dot product with one vector of weights: one number for all units."""
    return sigmoid((W[0] * cat([h, x], dim=-1)).sum() + b[0])


# -- the questions ----------------------------------------------------------------------------------------------------


@asks("limits", "Does a large bias open the gate and a large negative one close it?")
def opens_and_closes(gate: Formula) -> Answer:
    """Bias +40 and -40."""
    found = [np.asarray(gate(*map(Tensor, (W, PREVIOUS, X, np.full(H, b)))).numpy()) for b in (40.0, -40.0)]
    ok = bool(found[0].min() > 1 - 1e-9 and found[1].max() < 1e-9)
    return Answer(ok, f"{found[0].min():.6f} and {found[1].max():.2g}")


@asks("symmetry", "Has each unit weights of its own?")
def own_weights(gate: Formula) -> Answer:
    """Other weights for the last unit leave the first as it is and change the last."""
    other = W.copy()
    other[-1] += 1
    a, b = (np.asarray(gate(*map(Tensor, (w, PREVIOUS, X, BIAS))).numpy()) for w in (W, other))
    ok = bool(a[0] == b[0] and a[-1] != b[-1])
    return Answer(ok, f"first unit changes by {abs(a[0] - b[0]):.2g}, last by {abs(a[-1] - b[-1]):.2g}")


@asks("limits", "Does each step of the bias open the gate further?")
def rises(gate: Formula) -> Answer:
    """Bias from -4 to 4."""
    found = np.array([gate(*map(Tensor, (W, PREVIOUS, X, np.full(H, b)))).numpy() for b in np.linspace(-4, 4, 9)])
    least = float(np.diff(found, axis=0).min())
    return Answer(least > 0, f"the smallest rise is {least:.2g}", {"rise": least})


QUESTIONS = (
    shapes(INPUTS, (H,), "(H,), one number per unit"),
    within((10 * W, PREVIOUS, X, BIAS), 0, 1, "Does it lie between 0 and 1, a share to keep?"),
    opens_and_closes,
    rises,
    own_weights,
    influences(INPUTS, 1, "Does it depend on the previous output h?"),
    influences(INPUTS, 2, "Does it depend on the input x?"),
    gradient(INPUTS),
)


def reach(bias: float, steps: int = 20) -> float:
    """d c_T / d c_0 of a cell whose forget gate has this bias and no weights: sigmoid(bias)^T."""
    return float((1 / (1 + np.exp(-bias))) ** steps)


def forget_bias() -> Answer:
    """How much of the gradient passes through 20 steps at the start of training."""
    low, high = reach(0), reach(1)
    text = f"{low:.1e} with bias 0, {high:.1e} with bias 1"
    return Answer(high > 1000 * low, text, {"bias 0": low, "bias 1": high})


def gradient_error() -> Answer:
    """The largest error of the gradient in weights, bias and both inputs."""
    from ...check import gradcheck

    report = gradcheck(by_matrix, list(INPUTS))
    return Answer(report.ok, say("audit.answer.gradient", verdict=report.verdict, error=report.largest_error))


def picture(numbers: Mapping[str, Any]) -> Any:
    """What share of a cell and its gradient is left after so many steps."""
    from ... import plot

    steps = np.arange(31)
    series = {f"forget bias {b}": [reach(b, int(t)) for t in steps] for b in (0, 1, 3)}
    return plot.lines(steps, series, xlabel="steps", ylabel="share that is left", title="What a bias keeps", log="y")


def _record(
    id: str,
    gate: str,
    letter: str,
    source: str,
    findings: tuple[Finding, ...] = (),
    draw: Callable[..., Any] | None = None,
) -> Record:
    latex = rf"{letter}_t = \sigma(W_{letter} \cdot [h_{{t-1}}, x_t] + b_{letter})"
    return Record(
        id,
        "4.1, hidden layer",
        f"LSTM, {gate} gate",
        "right",
        "W is a weight matrix, b a bias; gates have vectors as input and output; sigma is the sigmoid.",
        latex,
        (
            Reading("matrix product", by_matrix),
            Reading("elementwise", elementwise, "the text calls W a matrix and the gate a vector"),
            Reading("dot product with one vector", by_vector, "the text calls W a matrix and the gate a vector"),
        ),
        QUESTIONS,
        latex.replace(r"\cdot ", r"\, "),
        by_matrix,
        findings,
        source,
        picture=draw,
    )


GERS = "F. Gers, J. Schmidhuber and F. Cummins, Learning to forget, Neural Computation 12 (2000) 2451"
HOCHREITER = "S. Hochreiter and J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997) 1735"
BIASES = Finding("share of the gradient left after 20 steps (bias 1: Jozefowicz et al. 2015)", forget_bias)
CHECKED = Finding("gradient in W, h, x and b", gradient_error)
RECORDS = (
    _record("B5", "forget", "f", GERS, (BIASES,), picture),
    _record("B6", "input", "i", HOCHREITER, (CHECKED,)),
    _record("B7", "output", "o", HOCHREITER, (CHECKED,)),
)
