"""B13, B14, B15: the two programs of article B for two sentences, and the output that it prints for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ... import nn
from ...data import load_table
from ...engine import no_grad
from ...metrics import accuracy
from ...ops import cross_entropy
from ...text import WordTokenizer, pad
from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

TEXTS = ("This is a great movie", "This is a terrible movie")  # the two sentences of the listings
WORDS, VECTOR, HIDDEN, LENGTH = 10_000, 50, 128, 10
PRINTED = np.array([[[0.9999485], [0.0000515]], [[0.0000534], [0.9999466]]])


class Network(nn.Module):
    """Embedding(10000, 50), one or two LSTM(128), Dense(2): ids (B, T) -> logits (B, 2)."""

    def __init__(self, layers: int, seed: int):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.embedding = nn.Embedding(WORDS, VECTOR, scale=0.05, rng=rng)
        self.lstm = nn.LSTM(VECTOR, HIDDEN, layers, rng=rng)
        self.dense = nn.Linear(HIDDEN, 2, rng=rng)
        nn.init.xavier_uniform_(self.dense.weight, rng=rng)
        self.dense.bias = nn.Parameter.zeros(2)

    def forward(self, ids: Any) -> Any:
        """The last state, as class scores."""
        return self.dense(self.lstm(self.embedding(ids))[1][0][-1])


def fit(network: Network, ids: Any, classes: np.ndarray, epochs: int = 10, batch: int = 1) -> None:
    """Adam and cross-entropy, as in the listings (Keras' epsilon)."""
    from ...optim import Adam

    adam = Adam(network.parameters(), lr=1e-3, eps=1e-7)
    for _ in range(epochs):
        for k in range(0, len(ids), batch):
            adam.zero_grad()
            cross_entropy(network(ids[k : k + batch]), classes[k : k + batch]).backward()
            adam.step()


def predict(network: Network, ids: Any) -> np.ndarray:
    """Probabilities (N, 2)."""
    with no_grad():
        return network(ids).softmax(-1).numpy()


def numbered(texts: Sequence[str], tokenizer: WordTokenizer, length: int = LENGTH) -> np.ndarray:
    """Ids (N, length), filled up and cut at the front as in Keras."""
    return pad([tokenizer.encode(text) for text in texts], length)[0]


@lru_cache(maxsize=32)
def trained(layers: int, seed: int, epochs: int = 10) -> tuple[Network, np.ndarray]:
    """A network after so many epochs on the two numbered sentences, and its probabilities for them."""
    ids = numbered(TEXTS, WordTokenizer.keras(WORDS).fit(TEXTS))
    network = Network(layers, seed)
    fit(network, ids, np.array([0, 1]), epochs)
    return network, predict(network, ids)


def parameters(layers: int) -> dict[str, int]:
    """The numbers per layer: V E, 4 (E + H + 1) H, 4 (H + H + 1) H, (H + 1) 2."""
    lstm = {f"LSTM {k + 1}": 4 * (n + HIDDEN + 1) * HIDDEN for k, n in enumerate([VECTOR, HIDDEN][:layers])}
    return {"embedding": WORDS * VECTOR, **lstm, "dense": (HIDDEN + 1) * 2}


def counted(layers: int, expected: int) -> Answer:
    """Counted by formula and in the network that is built."""
    parts, built = parameters(layers), Network(layers, 0).num_parameters()
    text = f"{built:,} = " + " + ".join(f"{n:,}" for n in parts.values())
    return Answer(built == sum(parts.values()) == expected, text, {**parts, "all": built})


# -- B13: the program as stage -> what that stage gives ---------------------------------------------------------------

MADE = ("texts", "vocab_size", "embedding_dim", "max_sequence_length", "embedding_layer", "model", "predictions")


def raw_strings(stage: str) -> Any:
    """As printed: the sentences themselves go into fit."""
    if stage == "unused":
        return [name for name in MADE if name == "embedding_layer"]
    network = Network(2, 0)
    fit(network, np.array(TEXTS), np.array([0, 1]))
    return predict(network, np.array(TEXTS))


def tokenised(stage: str) -> Any:
    """Repaired: sentences to numbers first."""
    return [] if stage == "unused" else trained(2, 0)[1]


@asks("value", "Does it run on the two sentences that it is given?")
def runs(program: Formula) -> Answer:
    """From the texts to probabilities."""
    p = program("predictions")
    return Answer(p.shape == (2, 2), f"probabilities of shape {p.shape}", {"shape": p.shape})


@asks("complete", "Is everything that it makes used?")
def all_used(program: Formula) -> Answer:
    """Names that are assigned and never read."""
    unused = program("unused")
    return Answer(not unused, f"never used: {', '.join(unused) or 'nothing'}", {"unused": unused})


def what_strings_do() -> Answer:
    """The error that the embedding gives."""
    try:
        raw_strings("predictions")
    except (TypeError, ValueError) as error:
        return Answer(True, f"{type(error).__name__}: {str(error).splitlines()[0][:110]}")
    return Answer(False, "it ran")


# -- B14: seed -> scores by part of the data --------------------------------------------------------------------------


def on_two_sentences(seed: int) -> dict[str, float]:
    """As printed: trained on two sentences, judged on the same two."""
    return {"training": accuracy([0, 1], trained(1, seed)[1].argmax(-1))}


def unseen(network: Network, tokenizer: WordTokenizer, length: int) -> float:
    """Accuracy on the test part of the bundled reviews; class 0 is positive, as in the listing."""
    test = load_table("reviews").where("split", "test")
    classes = [int(label == "negative") for label in test.labels or ()]
    return accuracy(classes, predict(network, numbered(test.texts, tokenizer, length)).argmax(-1))


def on_reviews(seed: int) -> dict[str, float]:
    """Repaired: trained on 200 reviews, judged on others as well (three epochs, to be quick)."""
    train = load_table("reviews").where("split", "train").take(list(range(200)))
    tokenizer = WordTokenizer.keras(WORDS).fit(train.texts)
    ids = numbered(train.texts, tokenizer, 30)
    classes = np.array([int(label == "negative") for label in train.labels or ()])
    network = Network(1, seed)
    fit(network, ids, classes, 3, 32)
    score = accuracy(classes, predict(network, ids).argmax(-1))
    return {"training": score, "unseen": unseen(network, tokenizer, 30)}


@asks("value", "Does it run, and report how well it fits its training texts?")
def has_training_score(program: Formula) -> Answer:
    """An accuracy from 0 to 1."""
    scores = program(0)
    return Answer(0 <= scores["training"] <= 1, f"training accuracy {scores['training']:.0%}", scores)


@asks("complete", "Does it report a score on texts that it was not trained on?")
def has_unseen_score(program: Formula) -> Answer:
    """Any part beside the training part."""
    others = {k: v for k, v in program(0).items() if k != "training"}
    found = ", ".join(f"{k} {v:.0%}" for k, v in others.items()) or "only the training score"
    return Answer(bool(others), found, others)


def says_nothing() -> Answer:
    """Two networks with full marks on their two sentences, on 200 reviews."""
    tokenizer = WordTokenizer.keras(WORDS).fit(TEXTS)
    scores = []
    for seed in range(2):
        network, p = trained(1, seed, 40)
        scores.append((accuracy([0, 1], p.argmax(-1)), unseen(network, tokenizer, LENGTH)))
    text = "; ".join(f"{a:.0%} of its own two, {b:.0%} of 200 reviews" for a, b in scores)
    return Answer(all(a == 1 and b < 0.6 for a, b in scores), text, {"scores": scores})


# -- B15: seed -> the printed array -----------------------------------------------------------------------------------


def as_printed(seed: int) -> np.ndarray:
    """The array that the article shows."""
    return PRINTED


def as_run(seed: int) -> np.ndarray:
    """What the program of B14 gives."""
    return trained(1, seed)[1]


@asks("shapes", "Has it one row of two probabilities for each of the two texts?")
def two_by_two(output: Formula) -> Answer:
    """(2, 2)."""
    shape = np.shape(output(0))
    return Answer(shape == (2, 2), f"shape {shape}, wanted (2, 2)", {"shape": shape})


@asks("value", "Do the last axis' numbers, which the softmax makes, add up to 1?")
def adds_up(output: Formula) -> Answer:
    """A softmax normalises over the last axis."""
    sums = np.sum(output(0), axis=-1)
    return Answer(bool(np.allclose(sums, 1, atol=1e-5)), f"from {sums.min():.5f} to {sums.max():.5f}")


@asks("value", "Is it as sure as 20 steps of Adam make this network, over six seeds?")
def reachable(output: Formula) -> Answer:
    """The range over seeds, doubled to both sides in log odds."""
    found = np.array([trained(1, seed)[1].max() for seed in range(1, 7)])
    highest = 2 * np.log(found.max() / (1 - found.max()))
    got = float(np.max(output(0)))
    text = f"{got:.5f}; over six seeds from {found.min():.3f} to {found.max():.3f}"
    return Answer(bool(np.log(got / (1 - got)) <= highest), text, {"got": got, "over seeds": found.tolist()})


def surest() -> Answer:
    """The highest probability after 20 steps over eight seeds."""
    found = [float(trained(1, seed)[1].max()) for seed in range(8)]
    return Answer(max(found) < 0.999, f"at most {max(found):.3f} over 8 seeds, printed 0.99995", {"found": found})


def four_times_as_long() -> Answer:
    """The same after 40 epochs instead of 10, for two seeds."""
    found = [float(trained(1, seed, 40)[1].max()) for seed in range(2)]
    return Answer(max(found) < 0.9999, f"{min(found):.4f} to {max(found):.4f} after 40 epochs", {"found": found})


NETWORK = "An embedding of 10,000 words of size 50, LSTM layers of 128, a softmax of 2; Adam, 10 epochs, batches of 1. "
KERAS = "F. Chollet et al., Keras, keras.io: Embedding, LSTM, Dense"
RECORDS = (
    Record(
        "B13",
        "4.3, case implementation",
        "classifier with two LSTM layers",
        "wrong: value",
        NETWORK + "Two LSTM layers; the text promises GloVe vectors.",
        readings=(Reading("sentences passed to fit", raw_strings),),
        questions=(runs, all_used),
        repaired=r"\mathrm{ids} = \mathrm{pad}(\mathrm{tokenise}(\mathrm{texts})), \quad \mathrm{fit}(\mathrm{ids}, y)",
        repair=tokenised,
        findings=(
            Finding("parameters", lambda: counted(2, 723_490)),
            Finding("an embedding is fed with strings", what_strings_do),
        ),
        source=KERAS,
        command="tinyslm train classifier DATA --layers 2 --embedding 50 --outputs softmax",
        note="GloVe is promised and no file of vectors is read; embedding_layer is made and never used.",
    ),
    Record(
        "B14",
        "5.2, source code",
        "classifier trained on two sentences",
        "incomplete",
        NETWORK + "One LSTM layer; the sentences are numbered and filled up to 10. The article says itself that two "
        "samples may not give an exact result.",
        readings=(Reading("two sentences", on_two_sentences),),
        questions=(has_training_score, has_unseen_score),
        repaired=r"\text{train on one part, report on another}",
        repair=on_reviews,
        findings=(
            Finding("parameters", lambda: counted(1, 591_906)),
            Finding("trained for 40 epochs on the two sentences, two seeds", says_nothing),
        ),
        source=KERAS,
        command="tinyslm train classifier DATA --embedding 50 --outputs softmax",
    ),
    Record(
        "B15",
        "5.4, results",
        "printed predictions",
        "wrong: shape",
        "The output of 5.2 after 10 epochs: both sentences classified with a probability of 0.9999.",
        r"[[[0.9999485], [0.0000515]], [[0.0000534], [0.9999466]]]",
        (Reading("as printed", as_printed),),
        (two_by_two, adds_up, reachable),
        r"p \in \mathbb{R}^{2 \times 2}, \quad \sum_c p_{nc} = 1",
        as_run,
        (
            Finding("probability after 20 steps of Adam", surest),
            Finding("highest probability after 40 epochs instead of 10", four_times_as_long),
        ),
        KERAS,
        note="A softmax over a last axis of size 1, as in the printed shape (2, 2, 1), could only give ones.",
    ),
)
