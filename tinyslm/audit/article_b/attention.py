"""B10 and B11: attention over the states of a recurrent network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ops import cat, cumsum, softmax
from ...tensor import Tensor
from ..questions import Answer, asks, gradient, influences, shapes, symmetric, value, within
from ..record import Finding, Formula, Reading, Record

T, H = 5, 3
_rng = np.random.default_rng(0)
STATES = _rng.normal(size=(T, H))  # h_1 ... h_T
PARAMETERS = _rng.normal(size=H * (2 * H + 1))  # as many as the hungriest reading needs; others use the first ones
BAHDANAU = "D. Bahdanau, K. Cho and Y. Bengio, Neural machine translation by jointly learning to align, ICLR 2015"


# -- B10: (states (T, H), parameters) -> weights ----------------------------------------------------------------------


def scores(states: Any, parameters: Any, rows: int) -> Any:
    """W_a [h_{t-1}, h_t] + b_a of every step, (T, rows); h_0 = 0."""
    before = cat([states[:1] * 0, states[:-1]], dim=0)
    weight, bias = parameters[: rows * 2 * H].reshape(rows, 2 * H), parameters[-rows:]
    return cat([before, states], dim=-1) @ weight.mT + bias


def one_score(states: Any, parameters: Any) -> Any:
    """W_a one row: a softmax of one number, for each step."""
    return softmax(scores(states, parameters, 1)).squeeze(-1)


def over_features(states: Any, parameters: Any) -> Any:
    """W_a with H rows: a softmax over the features of each step."""
    return softmax(scores(states, parameters, H))


def over_time(states: Any, parameters: Any) -> Any:
    """Repaired: one score per step, the softmax over all steps."""
    return softmax(scores(states, parameters, 1).squeeze(-1))


def sums_over_time() -> Any:
    """The weights of a weighted mean add up to 1."""
    return within((STATES, PARAMETERS), 1, 1, "Do the weights of all steps add up to 1?", lambda a: a.sum(0))


@asks("range", "Can one step get more weight than another?")
def distinguishes(weights: Formula) -> Answer:
    """The spread of the weights, which are to say where to look."""
    a = value(weights, STATES, PARAMETERS)
    spread = float((a.max(0) - a.min(0)).min())
    return Answer(spread > 1e-6, f"from {a.min():.4g} to {a.max():.4g} over {T} steps", {"spread": spread})


WEIGHT_QUESTIONS = (
    shapes((STATES, PARAMETERS), (T,), "(T,), one weight per step"),
    within((STATES, PARAMETERS), 0, 1, "Are all weights between 0 and 1?"),
    sums_over_time(),
    distinguishes,
    influences((STATES, PARAMETERS), 0, "Do the weights depend on the states?"),
    influences((STATES, PARAMETERS), 1, "Can W_a learn: do the weights depend on it?", kind="learnability"),
    gradient((STATES, PARAMETERS)),
)


def always_one() -> Answer:
    """The weights and the gradient of W_a when each softmax sees one score."""
    from ... import engine

    w = Tensor(PARAMETERS, requires_grad=True)
    a = one_score(Tensor(STATES), w)
    gradient = engine.grad((a * Tensor(STATES[:, 0].copy())).sum(), [w])[0]
    assert gradient is not None
    g = gradient.numpy()
    ok = bool((a.numpy() == 1).all() and not g.any())
    return Answer(ok, f"weights {a.numpy().min():g} to {a.numpy().max():g}, largest gradient {np.abs(g).max():g}")


def features_add_up() -> Answer:
    """The sums of the vector reading: over features and over time."""
    a = value(over_features, STATES, PARAMETERS)
    text = f"over features {a[0].sum():.3f}, over {T} steps {np.round(a.sum(0), 2).tolist()}"
    return Answer(bool(np.allclose(a.sum(-1), 1) and not np.allclose(a.sum(0), 1)), text)


# -- B11: (weights (T,), states (T, H), t) -> h*_t -------------------------------------------------------------------

WEIGHTS = np.random.default_rng(1).dirichlet(np.ones(T))


def a_sum_per_step(a: Any, states: Any, t: int) -> Any:
    """Both t taken literally: for each t of the left side the sum of the right, T equal rows."""
    context = (a.unsqueeze(-1) * states).sum(0)
    return context.unsqueeze(0).expand(T, H)


def up_to_t(a: Any, states: Any, t: int) -> Any:
    """The sum runs up to the t of the left side."""
    return cumsum(a.unsqueeze(-1) * states, dim=0)[t]


def no_sum(a: Any, states: Any, t: int) -> Any:
    """Only the t of the left side: each state times its weight."""
    return a[t] * states[t]


def dot(a: Any, states: Any, t: int) -> Any:
    """The dot as a dot product, the same weight for all features: one number per step, summed."""
    return (a.unsqueeze(-1) * states).sum()


def context(a: Any, states: Any, t: int) -> Any:
    """Repaired: t only summed, one context vector."""
    return (a.unsqueeze(-1) * states).sum(0)


@asks("range", "Is it a weighted mean, between the smallest and the largest state in every feature?")
def in_hull(formula: Formula) -> Answer:
    """States shifted by 3, so that a sum of weights below 1 shows."""
    states = STATES + 3
    y = value(formula, WEIGHTS, states, 1)
    out = float(np.maximum(states.min(0) - y, y - states.max(0)).max())
    return Answer(out < 1e-12, f"at worst {max(out, 0):.3g} outside", {"outside": out})


@asks("limits", "With all weight on one step, is the result the state of that step?")
def picks(formula: Formula) -> Answer:
    """Weight 1 on step 3."""
    gap = float(np.abs(value(formula, np.eye(T)[3], STATES, 1) - STATES[3]).max())
    return Answer(gap < 1e-12, f"difference {gap:.2g}", {"difference": gap})


def reordered(a: np.ndarray, states: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs of weight and state in another order."""
    order = [2, 0, 4, 1, 3]
    return a[order], states[order], t


SUM_QUESTIONS = (
    shapes((WEIGHTS, STATES, 1), (H,), "(H,), one context vector"),
    in_hull,
    picks,
    symmetric((WEIGHTS, STATES, 1), reordered, "Is the order of the pairs of weight and state of no importance?"),
    symmetric((WEIGHTS, STATES, 1), lambda a, s, t: (a, s, 4), "Is it the same for every t on the left?"),
    influences((WEIGHTS, STATES, 1), 0, "Does it depend on the weights?"),
    gradient((WEIGHTS, STATES, 1)),
)


def equal_rows() -> Answer:
    """With t free and summed, the left side is the same vector T times."""
    rows = value(a_sum_per_step, WEIGHTS, STATES, 0)
    gap = float(np.abs(rows - rows[0]).max())
    return Answer(gap == 0, f"{T} vectors h*_1 to h*_{T} that differ by {gap:g}", {"difference": gap})


def partial_weights() -> Answer:
    """What the weights of a partial sum add up to."""
    sums = np.cumsum(WEIGHTS)
    return Answer(bool(sums[0] < 0.9 and abs(sums[-1] - 1) < 1e-12), f"up to each t: {np.round(sums, 2).tolist()}")


def picture(numbers: Mapping[str, Any]) -> Any:
    """The weights over the steps in each reading."""
    from ... import plot

    series = {
        "one score per step (printed)": value(one_score, STATES, PARAMETERS),
        "over features (printed), feature 1": value(over_features, STATES, PARAMETERS)[:, 0],
        "over time (repaired)": value(over_time, STATES, PARAMETERS),
    }
    steps = np.arange(1, T + 1)
    figure = plot.lines(steps, series, xlabel="step", ylabel="weight", title="Where does attention look?")
    figure.axes[0].set_xticks(steps)
    return figure


RECORDS = (
    Record(
        "B10",
        "4.1, attention; 4.2",
        "attention weights over states",
        "wrong: notation",
        "Computed for each input word; W_a is a weight matrix, b_a a bias. How many rows W_a has is not said.",
        r"a_t = \text{softmax}(W_a \cdot [h_{t-1}, h_t] + b_a)",
        (
            Reading("W_a one row, softmax of its number", one_score),
            Reading("W_a many rows, softmax over features", over_features),
            Reading("softmax over the scores of all steps", over_time, "what stands in the softmax belongs to one t"),
        ),
        WEIGHT_QUESTIONS,
        r"e_t = W_a [h_{t-1}, h_t] + b_a, \quad a = \mathrm{softmax}(e_1, \ldots, e_T)",
        over_time,
        (
            Finding("one score per step: softmax of one number", always_one),
            Finding("a vector per step: what adds up to 1", features_add_up),
        ),
        BAHDANAU,
        picture=picture,
        note="The sum in B11 shows what is meant: one weight per step, normalised over the steps.",
    ),
    Record(
        "B11",
        "4.1, attention; 4.2",
        "weighted sum of states",
        "wrong: notation",
        "The weighted hidden state: a weighted sum of the states with the attention weights.",
        r"h_t^* = \sum_{t=1}^T a_t \cdot h_t",
        (
            Reading("the same sum for every t", a_sum_per_step),
            Reading("sum up to the t on the left", up_to_t),
            Reading("no sum: only the t on the left", no_sum),
            Reading("dot product", dot),
            Reading("t only summed, one vector", context, "the left side is printed with the index t"),
        ),
        SUM_QUESTIONS,
        r"h^* = \sum_{t=1}^T a_t \, h_t",
        context,
        (
            Finding("t free and summed: how many different vectors", equal_rows),
            Finding("sum up to t: what the weights add up to", partial_weights),
        ),
        BAHDANAU,
        note="One context vector per query. With several queries the weights need a second index, as in A9.",
    ),
)
