"""A5: word vectors as a sum over co-occurring words, called Word2Vec."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import log_softmax, softplus
from ...tensor import Tensor, raw
from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

SENTENCES = (
    "the cat drinks milk the dog drinks water the cat eats fish the dog eats meat the king rules the land the queen "
    "rules the land a cat sees a dog a king sees a queen the dog chases the cat the queen drinks water"
)
TEXT = SENTENCES.split()
WORDS = sorted(set(TEXT))
DIM = 4


def counts(window: int = 2) -> np.ndarray:
    """How often two words stand within `window` of each other in the text, (V, V), symmetric."""
    c = np.zeros((len(WORDS), len(WORDS)))
    for i, word in enumerate(TEXT):
        for other in TEXT[max(0, i - window) : i] + TEXT[i + 1 : i + 1 + window]:
            c[WORDS.index(word), WORDS.index(other)] += 1
    return c


COUNTS = counts()
START = np.random.default_rng(0).normal(size=(len(WORDS), DIM))


# -- (counts, start vectors) -> (vectors of words, vectors of contexts) -----------------------------------------------


def joint(c: np.ndarray) -> np.ndarray:
    """p(w, j) as a joint probability: all entries add up to 1."""
    return c / c.sum()


def conditional(c: np.ndarray) -> np.ndarray:
    """p(w, j) read as p(j | w): every row adds up to 1."""
    return c / c.sum(1, keepdims=True)


def fixed_point(p: np.ndarray, v: np.ndarray, steps: int = 3000) -> np.ndarray:
    """v = p v, solved by putting the result in again and again."""
    for _ in range(steps):
        v = p @ v
    return v


def defined_by_joint(c: Any, start: Any) -> tuple[np.ndarray, np.ndarray]:
    """The equation as a definition, joint probabilities."""
    v = fixed_point(joint(_array(c)), _array(start))
    return v, v


def defined_by_rows(c: Any, start: Any) -> tuple[np.ndarray, np.ndarray]:
    """The equation as a definition, row by row."""
    v = fixed_point(conditional(_array(c)), _array(start))
    return v, v


def averaged_joint(c: Any, start: Any) -> tuple[np.ndarray, np.ndarray]:
    """One averaging step over given vectors, joint probabilities."""
    return joint(_array(c)) @ _array(start), _array(start)


def averaged_rows(c: Any, start: Any) -> tuple[np.ndarray, np.ndarray]:
    """One averaging step over given vectors, row by row."""
    return conditional(_array(c)) @ _array(start), _array(start)


def skip_gram(c: Any, start: Any, steps: int = 400, rate: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Learned: p(context | word) = softmax(u . v), fitted to the counts by gradient descent."""
    p, v = joint(_array(c)), 0.3 * _array(start)
    u = v[::-1].copy()
    for _ in range(steps):
        error = p.sum(1, keepdims=True) * _softmax(v @ u.T) - p  # gradient of the mean loss for the scores
        v, u = v - rate * error @ u, u - rate * error.T @ v
    return v, u


def _array(x: Any) -> np.ndarray:
    return np.asarray(raw(x), float)


def _softmax(s: np.ndarray) -> np.ndarray:
    e = np.exp(s - s.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


# -- the questions ----------------------------------------------------------------------------------------------------


@asks("shapes", "Is there a vector per word, (V, D)?")
def vector_per_word(formula: Formula) -> Answer:
    """The form."""
    got = formula(COUNTS, START)[0].shape
    return Answer(got == START.shape, f"shape {got}, wanted {START.shape}")


@asks("value", "Do words with different neighbours have different vectors?")
def different(formula: Formula) -> Answer:
    """The smallest and largest distance between two words, in units of the start vectors."""
    v = formula(COUNTS, START)[0]
    gap = np.linalg.norm(v[:, None] - v[None], axis=-1)
    size = float(np.abs(v).max())
    return Answer(gap.max() > 1e-6, f"largest distance {gap.max():.2g}, largest entry {size:.2g}", {"largest": size})


@asks("learnability", "Do the vectors tell neighbours better than word frequencies alone, by softmax(u . v)?")
def predicts(formula: Formula) -> Answer:
    """Mean surprise at the text's own pairs, in nats."""
    v, u = formula(COUNTS, START)
    told, frequency = surprise(_softmax(v @ u.T)), surprise(np.tile(joint(COUNTS).sum(0), (len(WORDS), 1)))
    text = f"{told:.3f} nats per pair, {frequency:.3f} by frequencies"
    return Answer(told < frequency - 0.05, text, {"model": told, "unigram": frequency})


def surprise(p: np.ndarray) -> float:
    """The cross-entropy of the counted pairs under p(context | word)."""
    return float(-(joint(COUNTS) * np.log(p)).sum())


# -- the numbers ------------------------------------------------------------------------------------------------------


def radius() -> Answer:
    """The spectral radius of the joint matrix, and what the iteration leaves."""
    r = float(np.abs(np.linalg.eigvals(joint(COUNTS))).max())
    left = float(np.abs(defined_by_joint(COUNTS, START)[0]).max())
    return Answer(r < 1 and left < 1e-100, f"radius {r:.3f} < 1, so only 0 solves it (left: {left:.1g})", {"radius": r})


def all_equal() -> Answer:
    """How far apart the words' vectors are with row-conditional p."""
    v = defined_by_rows(COUNTS, START)[0]
    spread = float(np.ptp(v, axis=0).max())
    return Answer(spread < 1e-12, f"all words share one vector, to {spread:.1g}", {"spread": spread})


def swaps() -> Answer:
    """Two words that only ever stand beside each other."""
    p, v = np.array([[0.0, 1.0], [1.0, 0.0]]), START[:2]
    period = [fixed_point(p, v, steps) for steps in (1000, 1001, 1002)]
    ok = np.array_equal(period[0], period[2]) and not np.allclose(period[0], period[1])
    return Answer(bool(ok), "the iteration swaps the two vectors for ever")


def is_count_model() -> Answer:
    """One averaging step over long random vectors keeps the counts: similarities in it are those of the rows."""
    p = conditional(COUNTS)
    long = np.random.default_rng(1).normal(size=(len(WORDS), 5000)) / 5000**0.5
    pairs = np.triu_indices(len(WORDS), 1)
    agreement = float(np.corrcoef(((p @ long) @ (p @ long).T)[pairs], (p @ p.T)[pairs])[0, 1])
    text = f"its similarities agree with those of the counts' rows, correlation {agreement:.3f}: random indexing"
    return Answer(agreement > 0.97, text, {"correlation": agreement})


def gradients() -> Answer:
    """The gradients of both objectives of Word2Vec."""
    from ...check import gradcheck

    rng = np.random.default_rng(2)
    v, u, negative = rng.normal(size=(3, 4)), rng.normal(size=(6, 4)), rng.normal(size=(3, 5, 4))
    full = gradcheck(lambda v, u: -log_softmax(v @ u.mT)[np.arange(3), np.array([1, 5, 2])].sum(), [v, u])
    sampled = gradcheck(negative_sampling, [v, u[:3], negative])
    text = f"full softmax {full.verdict} ({full.largest_error:.1e}), negative sampling {sampled.verdict}"
    return Answer(full.ok and sampled.ok, f"{text} ({sampled.largest_error:.1e})")


def negative_sampling(v: Tensor, u: Tensor, negative: Tensor) -> Tensor:
    """-log sigma(u.v) - sum over k of log sigma(-n_k.v), v and u (B, D), n (B, K, D)."""
    return softplus(-(v * u).sum(-1)).sum() + softplus((negative * v.unsqueeze(1)).sum(-1)).sum()


RECORDS = (
    Record(
        "A5",
        "4.1, word vectors",
        "word vectors",
        "wrong: value",
        "It is called the basic formula of Word2Vec: v are the words' vectors, p the probability that two co-occur.",
        r"\vec{v}_w = \sum_j p(w, j) \, \vec{v}_j",
        (
            Reading("a definition, p joint", defined_by_joint),
            Reading("a definition, p given the word", defined_by_rows),
            Reading("one averaging step over given vectors, p joint", averaged_joint),
            Reading("one averaging step over given vectors, p given the word", averaged_rows),
        ),
        (vector_per_word, different, predicts),
        r"p(c \mid w) = \frac{e^{u_c \cdot v_w}}{\sum_j e^{u_j \cdot v_w}}",
        skip_gram,
        (
            Finding("as a definition, p joint", radius),
            Finding("as a definition, p given the word", all_equal),
            Finding("the same where two words only stand beside each other", swaps),
            Finding("one averaging step over 5000 random numbers per word", is_count_model),
            Finding("gradient of the repaired objectives", gradients),
        ),
        "T. Mikolov et al., arXiv:1301.3781 and NIPS 2013",
        note="As one averaging step it is a legitimate count model (random indexing). It is not Word2Vec: nothing is "
        "predicted, so there is no objective, no negative example, and nothing is learned.",
    ),
)
