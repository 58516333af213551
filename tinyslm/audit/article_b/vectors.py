"""B3 and B4: a number called a word vector, and the list of vectors that is called one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ...messages import say
from ...tensor import Tensor
from ..questions import Answer, asks, influences, shapes, symmetric
from ..record import Finding, Formula, Reading, Record
from .words import REFRAIN, WEATHER, Corpus, over_tokens, over_vocabulary, vocabulary, words_in

HALVES: Corpus = (["rain", "sun", "rain", "snow"],)  # p = 1/2, 1/4, 1/4


# -- B3: corpus -> vectors, one row per word in alphabetical order ----------------------------------------------------


def root(idf: Callable[[str, Corpus], float], k: float = 1.0) -> Formula:
    """sqrt(tf idf / k) with either reading of idf; NaN where there is no root."""

    def vectors(corpus: Corpus) -> np.ndarray:
        counts = Counter(words_in(corpus))
        values = np.array([counts[w] * idf(w, corpus) / k for w in vocabulary(corpus)])
        with np.errstate(invalid="ignore"):
            return np.sqrt(values)

    return vectors


def co_occurrences(corpus: Corpus, window: int = 3) -> np.ndarray:
    """X (V, V): each pair within the window of one document counts 1 / distance."""
    number = {w: i for i, w in enumerate(vocabulary(corpus))}
    X = np.zeros((len(number), len(number)))
    for document in corpus:
        ids = [number[w] for w in document]
        for d in range(1, window + 1):
            np.add.at(X, (ids[d:], ids[:-d]), 1 / d)
    return X + X.T


def glove_loss(w: Tensor, u: Tensor, b: Tensor, c: Tensor, *, X: np.ndarray, top: float = 2.0) -> Tensor:
    """sum_ij f(X_ij) (w_i u_j + b_i + c_j - ln X_ij)² over the pairs that occur, f(x) = min(1, (x / top)^0.75).

    w, u (V, d); b, c (V,); X (V, V). Pennington et al. 2014, eq. 8 and 9; `top` is their x_max.
    """
    seen = X > 0
    weight = np.where(seen, np.minimum(1, (X / top) ** 0.75), 0.0)
    error = w @ u.mT + b.unsqueeze(-1) + c - np.log(np.where(seen, X, 1.0))
    return (Tensor.wrap(weight) * error * error).sum()


def glove_start(V: int, size: int = 3) -> list[np.ndarray]:
    """The same random start each time: w, u (V, size) and b, c (V,)."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) * 0.3 for shape in ((V, size), (V, size), (V,), (V,))]


def train_glove(corpus: Corpus, steps: int = 60) -> tuple[np.ndarray, list[float]]:
    """Vectors (V, 3), w + u after some steps of Adam on the loss, and the loss before each step."""
    from ...optim import Adam

    X, losses = co_occurrences(corpus), []
    parameters = [Tensor(a, requires_grad=True) for a in glove_start(len(X))]
    adam = Adam(parameters, lr=0.05)
    for _ in range(steps):
        loss = glove_loss(*parameters, X=X)
        losses.append(loss.item())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return parameters[0].numpy() + parameters[1].numpy(), losses


def glove(corpus: Corpus) -> np.ndarray:
    """Repaired: vectors (V, 3) that are learnt from co-occurrences."""
    return train_glove(corpus)[0]


@asks("shapes", "Does each word get a vector, several numbers?")
def several_numbers(vectors: Formula) -> Answer:
    """(V, d) with d > 1."""
    shape = np.shape(vectors(WEATHER))
    wanted = len(shape) == 2 and shape[0] == len(vocabulary(WEATHER)) and shape[1] > 1
    return Answer(wanted, f"shape {shape} for {len(vocabulary(WEATHER))} words", {"shape": shape})


@asks("range", "Are all numbers defined, also for a word more frequent than there are different words?")
def defined(vectors: Formula) -> Answer:
    """A small song of 3 different words, one of them 6 times."""
    found = np.asarray(vectors(REFRAIN))
    bad = int((~np.isfinite(found)).sum())
    return Answer(bad == 0, f"{bad} of {found.size} numbers are not defined", {"undefined": bad})


@asks("value", "Do words of different frequency or different neighbours get different vectors?")
def tells_apart(vectors: Formula) -> Answer:
    """The smallest distance between two words, of p = 1/2 and 1/4 among them, and of equal counts."""
    rows = np.asarray(vectors(HALVES)).reshape(3, -1)
    gaps = [float(np.abs(rows[i] - rows[j]).max()) for i in range(3) for j in range(i)]
    return Answer(min(gaps) > 1e-9, f"the smallest distance of two words is {min(gaps):.3g}", {"gaps": gaps})


@asks("symmetry", "Do the neighbours matter: do the vectors change when all words of a text are reordered?")
def neighbours_matter(vectors: Formula) -> Answer:
    """The same words in another order, hence other co-occurrences with the same counts."""
    words = words_in(WEATHER)
    order = np.random.default_rng(1).permutation(len(words))
    before, after = (np.asarray(vectors((text,))) for text in (words, [words[k] for k in order]))
    change = float(np.nanmax(np.abs(before - after)))
    return Answer(change > 1e-9, f"they change by {change:.3g}", {"change": change})


def halves_coincide() -> Answer:
    """-p log2 p is 1/2 for p = 1/2 and for p = 1/4."""
    rain, snow, sun = root(over_tokens)(HALVES)
    return Answer(rain == snow == sun, f"p = 1/2: {rain:.6f}; p = 1/4: {snow:.6f}", {"values": [rain, snow, sun]})


def no_root() -> Answer:
    """With N the size of the vocabulary the root of a negative number is taken."""
    values = root(over_vocabulary)(REFRAIN)
    hey, _, na = values
    return Answer(bool(np.isnan(na) and hey > 0), f"'na': square root of 6 log2(3/6) = -6 is {na}", {"na": float(na)})


def glove_gradient() -> Answer:
    """The gradient of the repaired loss in all four parameters."""
    from ...check import gradcheck

    X = co_occurrences(WEATHER)
    report = gradcheck(lambda w, u, b, c: glove_loss(w, u, b, c, X=X), glove_start(len(X), 2))
    return Answer(report.ok, say("audit.answer.gradient", verdict=report.verdict, error=report.largest_error))


def glove_learns() -> Answer:
    """The loss at the start and at the end of the steps."""
    _, losses = train_glove(WEATHER)
    text = f"from {losses[0]:.2f} to {losses[-1]:.2f} in {len(losses)} steps of Adam"
    return Answer(losses[-1] < losses[0] / 5, text, {"loss": losses})


# -- B4: (vectors (T, D), t) -> x_t -----------------------------------------------------------------------------------

TEXT = np.random.default_rng(0).normal(size=(6, 4))  # T = 6 words, D = 4


def whole_list(vectors: Any, t: int) -> Any:
    """As printed: all vectors, at every t."""
    return vectors


def one_long_vector(vectors: Any, t: int) -> Any:
    """The brackets as in [h, x]: all vectors behind each other."""
    return vectors.reshape(-1)


def numbers(vectors: Any, t: int) -> Any:
    """With v(w) one number, as B3 has it: a vector of T numbers."""
    return vectors[:, 0]


def one_step(vectors: Any, t: int) -> Any:
    """Repaired: the vector of word t."""
    return vectors[t]


def later_words_do_not_enter() -> Any:
    """x_2 with other words after it."""

    def change(vectors: np.ndarray, t: int) -> tuple[np.ndarray, int]:
        return np.concatenate([vectors[: t + 1], 2 * vectors[t + 1 :]]), t

    return symmetric((TEXT, 2), change, "Is the input of step t the same whatever words follow it?")


@asks("value", "Do different steps get different inputs?")
def depends_on_step(step: Formula) -> Answer:
    """x_1 against x_4."""
    a, b = (np.asarray(step(TEXT, t)) for t in (1, 4))
    gap = float(np.abs(a - b).max())
    return Answer(gap > 0, f"x_1 and x_4 differ by {gap:.3g}", {"gap": gap})


def growing_gate() -> Answer:
    """How many weights a gate of 128 units would need per text length, all vectors of size 50 in one."""
    sizes = {T: 128 * (128 + 50 * T) for T in (10, 100)}
    return Answer(sizes[100] > 8 * sizes[10], f"{sizes[10]:,} weights for 10 words, {sizes[100]:,} for 100", sizes)


RECORDS = (
    Record(
        "B3",
        "4.1, word embedding",
        "a vector from tf and idf",
        "wrong: shape",
        "k is a constant. 4.2 says that the square root maps a word to a high-dimensional vector, and all of it is "
        "called GloVe.",
        r"v(w_i) = \sqrt{\frac{tf(w_i) \cdot idf(w_i)}{k}}",
        (
            Reading("N counts all words", root(over_tokens)),
            Reading("N counts different words", root(over_vocabulary)),
        ),
        (several_numbers, defined, tells_apart, neighbours_matter),
        r"J = \sum_{ij} f(X_{ij}) (w_i^\top \tilde w_j + b_i + \tilde b_j - \log X_{ij})^2",
        glove,
        (
            Finding("words with p = 1/2 and with p = 1/4 coincide", halves_coincide),
            Finding("N different words: the root does not exist", no_root),
            Finding("the repaired loss: its gradient", glove_gradient),
            Finding("the repaired loss falls", glove_learns),
        ),
        "J. Pennington, R. Socher and C. D. Manning, GloVe: global vectors for word representation, EMNLP 2014, "
        "equations 8 and 9",
        note="There is nothing to learn in it, and no pair of words is counted anywhere.",
    ),
    Record(
        "B4",
        "4.1, neural network",
        "the input of a step",
        "wrong: notation",
        "The input layer gets the sequence of word vectors, called x_t; w_1 to w_T are the words of the text.",
        r"x_t = [v(w_1), v(w_2), ..., v(w_T)]",
        (
            Reading("the whole list at every step", whole_list),
            Reading("one long vector", one_long_vector),
            Reading("v(w) one number, as in B3", numbers),
            Reading("x_t is entry t of the list", one_step, "the text calls x_t the whole sequence"),
        ),
        (
            shapes((TEXT, 2), (4,), "(D,), for a gate with weights of a fixed size"),
            depends_on_step,
            later_words_do_not_enter(),
            influences((TEXT, 2), 0, "Does it depend on the words?", kind="value"),
        ),
        r"X = [v(w_1), \ldots, v(w_T)] \in \mathbb{R}^{T \times D}, \quad x_t = v(w_t)",
        one_step,
        (Finding("a gate of 128 units that reads all vectors of size 50 at once", growing_gate),),
        "J. L. Elman, Finding structure in time, Cognitive Science 14 (1990) 179",
        note="The list is the whole input X. The gates (B5 to B8) use x_t for one step.",
    ),
)
