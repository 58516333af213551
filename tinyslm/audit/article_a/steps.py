"""A7 to A12: the six steps by which 4.2 derives attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...ops import attention, cat, softmax
from ...tensor import Tensor
from ..questions import (
    Answer,
    Question,
    asks,
    gradient,
    gradients,
    homogeneous,
    influences,
    shapes,
    symmetric,
    value,
    within,
)
from ..record import Finding, Formula, Reading, Record
from .attention import SOURCE, weights

HEADING = "4.2, derivation"
_rng = np.random.default_rng(1)
IDS = np.array([2, 0, 3, 2, 1])  # five tokens of four words
E, W = _rng.normal(size=(4, 6)), _rng.normal(size=(5, 6, 6))  # a table of word vectors; per position a 6 x 6 matrix
X, WQ = _rng.normal(size=(5, 4)), _rng.normal(size=(4, 2))
Q, K, V = (_rng.normal(size=(5, d)) for d in (2, 2, 3))
TURN = [2, 4, 1, 0, 3]


# -- step 1: (table, weights) -> (x, what step 2 takes) ---------------------------------------------------------------


def x_as_dot(table: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """A dot product of two vectors: one number per token."""
    v = table[IDS]
    return (v * w[:, 0]).sum(-1), v


def x_elementwise(table: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Element by element."""
    v = table[IDS]
    return v * w[:, 0], v


def x_by_matrix(table: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix for every position."""
    v = table[IDS]
    return (v.unsqueeze(1) @ w).squeeze(1), v


def x_repaired(table: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """The word's row of the table plus a vector for the position."""
    x = table[IDS] + w[:, 0]
    return x, x


def first(formula: Formula) -> Formula:
    """The formula, giving only x."""
    return lambda *inputs: formula(*inputs)[0]


def second(formula: Formula) -> Formula:
    """The formula, giving only what step 2 takes."""
    return lambda *inputs: formula(*inputs)[1]


def of(part: Callable[[Formula], Formula], question: Question) -> Question:
    """The question, asked of one part of the result."""
    return Question(question.kind, question.text, lambda formula: question.test(part(formula)))


UNUSED = "step 2 takes the word's vector again, not x: a vector x goes nowhere"
STEP1 = Record(
    "A7",
    HEADING + ", step 1",
    "input vectors",
    "wrong: shape",
    "v is the word's vector, w the weight of the input vector; both carry an arrow.",
    r"x_i = \vec{v}_{x_i} \cdot \vec{w}_i",
    (
        Reading("dot product", x_as_dot),
        Reading("element by element", x_elementwise, UNUSED),
        Reading("a matrix per position", x_by_matrix, UNUSED),
    ),
    (
        of(first, shapes((E, W), (5, 6), "(n, d), a vector per token, as the text calls it")),
        of(second, influences((E, W), 1, "Does anything that follows depend on w?")),
        of(second, influences((E, W), 0, "Does what follows depend on the word's vector?")),
        of(first, gradient((E, W))),
    ),
    r"x_i = E_{w_i} + p_i",
    x_repaired,
    (
        Finding("gradient of w in steps 2 to 6 (dot, elementwise, matrix)", lambda: unused_weights()),
        Finding("the lookup is a one-hot vector times the table", lambda: one_hot()),
    ),
    SOURCE + " (3.4 and 3.5)",
    note="x stands on both sides. If step 2 took x, the elementwise reading would scale every position: computable, "
    "but that is not what is printed.",
)


def unused_weights() -> Answer:
    """The gradient of w of everything that step 2 gets, by readings."""
    found = {}
    for formula in (x_as_dot, x_elementwise, x_by_matrix):
        table, w = Tensor(E, requires_grad=True), Tensor(W, requires_grad=True)
        g = gradients((formula(table, w)[1] ** 2).sum(), [table, w])[1]
        found[formula.__name__] = float(np.abs(g).max())
    return Answer(set(found.values()) == {0.0}, "exactly 0 in every reading", found)


def one_hot() -> Answer:
    """Row lookup against the product with one-hot rows."""
    gap = float(np.abs(np.eye(4)[IDS] @ E - E[IDS]).max())
    return Answer(gap == 0, f"largest difference {gap:g}", {"gap": gap})


# -- step 2: (word vectors, weight) -> queries ------------------------------------------------------------------------


def q_as_dot(x: Tensor, w: Tensor) -> Tensor:
    """A dot product with a weight vector: one number per token."""
    return x @ w[:, 0]


def q_elementwise(x: Tensor, w: Tensor) -> Tensor:
    """Element by element with a weight vector."""
    return x * w[:, 0]


def q_by_matrix(x: Tensor, w: Tensor) -> Tensor:
    """A matrix product."""
    return x @ w


STEP2 = Record(
    "A8",
    HEADING + ", step 2",
    "queries, keys, values",
    "wrong: notation",
    "The w are called query, key and value weights and carry an arrow, as vectors do; Q, K, V are called vectors.",
    r"Q_i = \vec{v}_{x_i} \cdot \vec{w}_Q",
    (
        Reading("dot product with a vector", q_as_dot),
        Reading("element by element with a vector", q_elementwise),
        Reading("product with a matrix", q_by_matrix, "the weights are printed as vectors"),
    ),
    (
        shapes((X, WQ), (5, 2), "(n, d_k), for n = 5, d = 4, d_k = 2"),
        homogeneous((X, WQ), (0,), 1, "Is it linear in the word vectors?"),
        symmetric((X, WQ), lambda x, w: (x[TURN], w), "Does it move with its token?", lambda y: y[TURN]),
        influences((X, WQ), 1, "Does it depend on the weight?"),
        gradient((X, WQ)),
    ),
    r"Q = X W_Q, \quad W_Q \in \mathbb{R}^{d \times d_k}",
    lambda x, w: x @ w,
    (Finding("width of a query if the weight is a vector", lambda: one_number()),),
    SOURCE,
)


def one_number() -> Answer:
    """d_k under the dot reading."""
    size = value(q_as_dot, X, WQ).size // len(X)
    return Answer(size == 1, f"d_k = {size}", {"d_k": size})


# -- step 3: (queries, keys) -> scores --------------------------------------------------------------------------------


def own_score(q: Tensor, k: Tensor) -> Tensor:
    """As printed: token i with itself."""
    return (q * k).sum(-1) * q.shape[-1] ** -0.5


def outer_score(q: Tensor, k: Tensor) -> Tensor:
    """With column vectors Q K^T is an outer product."""
    return q.unsqueeze(-1) * k.unsqueeze(-2) * q.shape[-1] ** -0.5


def all_scores(q: Tensor, k: Tensor) -> Tensor:
    """Every token with every token."""
    return q @ k.mT * q.shape[-1] ** -0.5


@asks("scaling", "Do independent entries of variance 1 give scores of variance 1, for d_k = 4 and 64?")
def unit_variance(formula: Formula) -> Answer:
    """The reason for the root."""
    rng = np.random.default_rng(2)
    found = {d: float(value(formula, *(rng.normal(size=(600, d)) for _ in "qk")).var()) for d in (4, 64)}
    ok = all(abs(v - 1) < 0.2 for v in found.values())
    return Answer(ok, ", ".join(f"{v:.2f} for d_k = {d}" for d, v in found.items()), found)


def saturation() -> Answer:
    """Entropy and gradients of the scores with and without the root, d_k = 256."""
    rng, d, out = np.random.default_rng(0), 256, {}
    many, keys, g = rng.normal(size=(150, d)), rng.normal(size=(25, d)), Tensor(rng.normal(size=(150, 25)))
    for name, scale in (("with", d**-0.5), ("without", 1.0)):
        scores = Tensor(many @ keys.T * scale, requires_grad=True)
        rows = softmax(scores)
        back = gradients(rows, [scores], g)[0]
        out[f"entropy {name}"] = float(-(rows.numpy() * np.log(rows.numpy() + 1e-300)).sum(1).mean())
        out[f"median gradient {name}"] = float(np.median(np.linalg.norm(back, axis=1)))
        out[f"mean gradient of Q {name}"] = float(np.linalg.norm(back @ keys * scale, axis=1).mean())
    ok = out["entropy without"] < out["entropy with"] / 10
    ok = ok and out["median gradient without"] < out["median gradient with"] / 5
    ok = ok and out["mean gradient of Q without"] > out["mean gradient of Q with"]
    text = "; ".join(f"{k} {out[f'{k} with']:.3g} / {out[f'{k} without']:.3g}" for k in _SATURATION)
    return Answer(ok, f"with / without the root: {text}", out)


_SATURATION = ("entropy", "median gradient", "mean gradient of Q")


def variance() -> Answer:
    """Var(q.k) / d_k over 20000 pairs."""
    rng = np.random.default_rng(3)
    ratio = {d: float((rng.normal(size=(20_000, d)) * rng.normal(size=(20_000, d))).sum(1).var() / d) for d in (4, 64)}
    ok = all(abs(r - 1) < 0.06 for r in ratio.values())  # standard error about 0.01 to 0.015
    return Answer(ok, ", ".join(f"{r:.3f} for d_k = {d}" for d, r in ratio.items()), ratio)


def saturation_picture(numbers: Mapping[str, Any]) -> Any:
    """Shares of six random tokens with and without the root."""
    from matplotlib.figure import Figure

    rng, d = np.random.default_rng(0), 64
    q, k = (rng.normal(size=(6, d)) for _ in range(2))
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, scale, title in zip(panels, (d**-0.5, 1.0), ("with the root of d_k", "without it"), strict=True):
        image = axes.imshow(softmax(Tensor(q @ k.T * scale)).numpy(), cmap="cividis", vmin=0, vmax=1)
        axes.set(title=title, xlabel="key: token looked at")
    panels[0].set_ylabel("query: token that looks")
    figure.colorbar(image, ax=panels, label="weight")
    return figure


STEP3 = Record(
    "A9",
    HEADING + ", step 3",
    "attention scores",
    "wrong: notation",
    "Query and key vector give the score; d_k is the dimension of the keys.",
    r"\mathrm{Score}(Q_i, K_i) = Q_i K_i^T / \sqrt{d_k}",
    (
        Reading("token i with itself", own_score),
        Reading("column vectors: an outer product", outer_score),
        Reading("every token i with every token j", all_scores, "both carry the same index i"),
    ),
    (
        shapes((Q, K), (5, 5), "(n, n), a score for every pair"),
        homogeneous((Q, K), (0,), 1, "Is it linear in Q?"),
        unit_variance,
        symmetric((Q, K), lambda q, k: (q[TURN], k), "Do the rows move with the queries?", lambda y: y[TURN]),
        gradient((Q, K)),
    ),
    r"S_{ij} = Q_i K_j^\top / \sqrt{d_k}",
    lambda q, k: q @ k.mT * q.shape[-1] ** -0.5,
    (
        Finding(
            "scores printed, and needed, for 5 tokens", lambda: Answer(True, f"{value(own_score, Q, K).size} of 25")
        ),
        Finding("Var(q.k) / d_k for independent entries of variance 1", variance),
        Finding("softmax of the scores, d_k = 256", saturation),
    ),
    SOURCE + " (3.2.1)",
    picture=saturation_picture,
    note="The root is right. Without it a typical query hardly gets a gradient (the median falls); the mean gradient "
    "of Q does not fall, for the few queries near a tie get a large one.",
)


# -- step 4: (Q, K, V) -> weights -------------------------------------------------------------------------------------


def one_softmax(q: Tensor, k: Tensor) -> Tensor:
    """Softmax of one number per token, (n, 1): always 1."""
    return softmax(own_score(q, k).unsqueeze(-1))


def own_over_v(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As printed, divided element by element."""
    return one_softmax(q, k) / v


def own_by_pseudo_inverse(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Divided by a vector as its pseudo-inverse V / |V|^2."""
    return one_softmax(q, k) * v / (v * v).sum(-1, keepdim=True)


def over_tokens(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """With i running over the tokens: softmax over their own scores, then divided."""
    return softmax(own_score(q, k)).unsqueeze(-1) / v


STEP4 = Record(
    "A10",
    HEADING + ", step 4",
    "attention weights",
    "wrong: value",
    "The softmax turns scores into a probability distribution: the weights. (Nothing about a division is said.)",
    r"\mathrm{Attention}(Q_i, K_i, V_i) = \frac{\mathrm{softmax}(Q_i K_i^T / \sqrt{d_k})}{V_i}",
    (
        Reading("one score, divided elementwise", own_over_v),
        Reading("one score, pseudo-inverse of V", own_by_pseudo_inverse),
        Reading("softmax over the tokens' own scores, divided elementwise", over_tokens),
    ),
    (
        influences((Q, K, V), 0, "Do the weights depend on Q?"),
        influences((Q, K, V), 1, "Do the weights depend on K?"),
        symmetric((Q, K, V), lambda q, k, v: (q, k, 2 * v), "Are the weights the same for other values V?"),
        within((Q, K, V), 0, 1, "Is every weight between 0 and 1?"),
        within((Q, K, V), 1, 1, "Do the weights of a query add up to 1?", lambda y: y.sum(-1)),
        gradient((Q, K, V)),
    ),
    r"a_{ij} = \frac{e^{S_{ij}}}{\sum_l e^{S_{il}}}",
    lambda q, k, v: weights(q, k),
    (
        Finding("softmax of one number, and the gradients of Q and K", lambda: constant_one()),
        Finding("without the division and over all keys, steps 5 and 6 for one query", lambda: as_the_prose_says()),
    ),
    SOURCE,
)


def constant_one() -> Answer:
    """The softmax and the largest gradients of Q and K."""
    q, k = (Tensor(x, requires_grad=True) for x in (Q, K))
    ones = one_softmax(q, k)
    largest = [float(np.abs(g).max()) for g in gradients((ones / Tensor(V)).sum(), [q, k])]
    ok = bool((ones.numpy() == 1).all()) and max(largest) == 0
    return Answer(ok, f"1 for every token; largest gradients {largest[0]:g} and {largest[1]:g}", {"gradients": largest})


def as_the_prose_says() -> Answer:
    """Weighted sum for query 2 against the row of attention."""
    q, k, v = (Tensor(x) for x in (Q, K, V))
    summed = sum(weights(q, k)[2, j] * v[j] for j in range(5))
    gap = float(np.abs(value(lambda: summed) - attention(q, k, v).numpy()[2]).max())
    return Answer(gap < 1e-14, f"equal to row i of attention, difference {gap:.1g}", {"gap": gap})


# -- step 5: (Q, K, V) -> outputs -------------------------------------------------------------------------------------


def times_v(attend: Formula) -> Formula:
    """Step 5 with the product element by element."""
    return lambda q, k, v: attend(q, k, v) * v


def dot_v(attend: Formula) -> Formula:
    """Step 5 with a dot product."""
    return lambda q, k, v: (attend(q, k, v) * v).sum(-1)


def outer_v(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Step 5 with a product of a column and a row."""
    return own_over_v(q, k, v).unsqueeze(-1) * v.unsqueeze(-2)


@asks("range", "Does every feature of the output stay between its smallest and largest value in V?")
def in_hull(formula: Formula) -> Answer:
    """As for A6."""
    gaps = [value(formula, Q, K, c * V) / c for c in (0.1, 1.0, 10.0)]
    outside = max(float(np.maximum(y - V.max(0), V.min(0) - y).max()) for y in gaps)
    return Answer(outside < 1e-9, f"at worst {max(outside, 0):.3g} outside, in units of V", {"outside": outside})


def with_a_zero() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Q, K, V with one value of 0."""
    v = V.copy()
    v[1, 2] = 0
    return Q, K, v


@asks("limits", "Is the output finite where a value is 0?")
def finite_at_zero(formula: Formula) -> Answer:
    """0 is a value like any other."""
    y = value(formula, *with_a_zero())
    return Answer(bool(np.isfinite(y).all()), f"{int((~np.isfinite(y)).sum())} of {y.size} numbers are not finite")


STEP5 = Record(
    "A11",
    HEADING + ", step 5",
    "output of a token",
    "wrong: value",
    "The weights of step 4 give the output vector.",
    r"\mathrm{Output}(Q_i, K_i, V_i) = \mathrm{Attention}(Q_i, K_i, V_i) \cdot V_i",
    (
        Reading("element by element", times_v(own_over_v)),
        Reading("dot product", dot_v(own_over_v)),
        Reading("column times row", outer_v),
        Reading("element by element, pseudo-inverse in step 4", times_v(own_by_pseudo_inverse)),
        Reading("element by element, softmax over the tokens in step 4", times_v(over_tokens)),
    ),
    (
        shapes((Q, K, V), (5, 3), "(n, d_v), a vector per token"),
        influences((Q, K, V), 0, "Does the output depend on Q?"),
        influences((Q, K, V), 2, "Does the output depend on V?"),
        homogeneous((Q, K, V), (2,), 1, "Do values c times as large give an output c times as large?"),
        in_hull,
        finite_at_zero,
        gradient((Q, K, V)),
    ),
    r"\mathrm{Output}_i = \sum_j a_{ij} V_j",
    attention,
    (
        Finding("steps 4 and 5 as printed: (1 / V) V", lambda: ones()),
        Finding("with a value of 0", lambda: finite_at_zero_of_printed()),
    ),
    SOURCE,
)


def ones() -> Answer:
    """The output for large and small inputs, both readings of the dot."""
    rng = np.random.default_rng(4)
    gap = 0.0
    for _ in range(100):
        q, k, v = (rng.normal(size=s) * 10 ** rng.uniform(-3, 3) for s in ((5, 2), (5, 2), (5, 3)))
        gap = max(gap, float(np.abs(value(times_v(own_over_v), q, k, v) - 1).max()))
    dot = value(dot_v(own_over_v), Q, K, V)
    ok = gap < 1e-15 and np.allclose(dot, 3)
    return Answer(
        bool(ok), f"1 to {gap:.1g} for 100 random inputs; d_v = {dot[0]:.0f} under the dot reading", {"gap": gap}
    )


def finite_at_zero_of_printed() -> Answer:
    """0 / 0."""
    with np.errstate(all="ignore"):
        bad = int(np.isnan(value(times_v(own_over_v), *with_a_zero())).sum())
    return Answer(bad == 1, f"{bad} NaN", {"nan": bad})


# -- step 6: all six steps, (word vectors, W_Q, W_K, W_V) -> output ---------------------------------------------------

WK, WV, WO = (_rng.normal(size=(4, 4)) for _ in range(3))
WQ4 = _rng.normal(size=(4, 4))


def all_steps(last: Formula) -> Formula:
    """Steps 2 to 6 with matrices in step 2 and `last` for steps 4 and 5."""
    return lambda x, wq, wk, wv: last(x @ wq, x @ wk, x @ wv).sum(0)


def two_heads(x: Tensor, wq: Tensor, wk: Tensor, wv: Tensor) -> Tensor:
    """One output per position; two heads side by side, then W_O."""
    q, k, v = x @ wq, x @ wk, x @ wv
    heads = [attention(*(t[:, part] for t in (q, k, v))) for part in (slice(0, 2), slice(2, 4))]
    return cat(*heads, dim=-1) @ Tensor(WO)


ALL = (X, WQ4, WK, WV)
STEP6 = Record(
    "A12",
    HEADING + ", step 6",
    "collected output",
    "wrong: value",
    "All output vectors are collected into the final output; the section is about multi-head attention.",
    r"\mathrm{Output} = \sum_i \mathrm{Output}(Q_i, K_i, V_i)",
    (
        Reading("element by element in step 5", all_steps(times_v(own_over_v))),
        Reading("dot product in step 5", all_steps(dot_v(own_over_v))),
        Reading("softmax over the tokens in step 4", all_steps(times_v(over_tokens))),
    ),
    (
        influences(ALL, 0, "Does the output depend on the words?"),
        influences(ALL, 1, "Does the output depend on W_Q?"),
        influences(ALL, 3, "Does the output depend on W_V?"),
        symmetric(
            ALL,
            lambda x, *w: (x[TURN], *w),
            "Has each position an output of its own, which moves with its token?",
            lambda y: y[TURN],
        ),
        gradient(ALL),
    ),
    r"\mathrm{Output} = \mathrm{Concat}(H_1, \dots, H_N) \, W_O, \quad H_h = A_h V_h",
    two_heads,
    (
        Finding("all six steps for n = 5, d_v = 4", lambda: constant_n()),
        Finding("a right attention, summed up as in step 6, with the words in another order", lambda: order_lost()),
    ),
    SOURCE + " (3.2.2)",
)


def constant_n() -> Answer:
    """What the six steps give for two different inputs."""
    other = np.random.default_rng(5).normal(size=X.shape)
    got = [value(all_steps(times_v(own_over_v)), x, *ALL[1:]) for x in (X, other)]
    dot = float(value(all_steps(dot_v(own_over_v)), *ALL))
    ok = np.allclose(got, 5, rtol=1e-14) and abs(dot - 20) < 1e-12
    return Answer(bool(ok), f"{got[0][0]:.0f} everywhere for any input; {dot:.0f} under the dot reading", {"dot": dot})


def order_lost() -> Answer:
    """The sum over positions for the words in two orders."""
    summed = all_steps(attention)
    gap = float(np.abs(value(summed, X[TURN], *ALL[1:]) - value(summed, *ALL)).max())
    return Answer(gap < 1e-13, f"the same to {gap:.1g}: without positions the order is lost", {"gap": gap})


RECORDS = (STEP1, STEP2, STEP3, STEP4, STEP5, STEP6)
