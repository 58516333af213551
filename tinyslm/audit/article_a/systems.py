"""A16, A17, A18: the classifier as listed, and the two systems that the article sketches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data import load_table, stratified_split
from ...models import ClassifierConfig, TextClassifier
from ...text import keras_words, pad
from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

LENGTH, VOCABULARY = 100, 10_000
Parts = dict[str, Any]


def printed(texts: Sequence[str], labels: Sequence[Any], rng: np.random.Generator) -> Parts:
    """What the listing hands to `fit`: ids, labels, and the rows of each part."""
    order, cut = rng.permutation(len(texts)), round(0.8 * len(texts))
    train, test = order[:cut], order[cut:]
    y = np.asarray(labels, np.float32)  # a network's targets are numbers; words fail here, as they do there
    return {"x": _ids(texts, train), "y": y, "train": train, "valid": test, "test": test}


def repaired(texts: Sequence[str], labels: Sequence[Any], rng: np.random.Generator) -> Parts:
    """The same with labels of any kind, and a part of its own on which the epoch is chosen."""
    y = np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.float32)
    train, valid, test = stratified_split(y.astype(int), (0.7, 0.1, 0.2), rng=rng)
    return {"x": _ids(texts, train), "y": y, "train": train, "valid": valid, "test": test}


def _ids(texts: Sequence[str], train: np.ndarray) -> np.ndarray:
    """Keras: words by frequency in the training part from 1 on, 0 for padding, unknown words dropped."""
    tokens = [keras_words(text) for text in texts]
    common = Counter(w for i in train for w in tokens[i]).most_common(VOCABULARY - 1)
    index = {w: n for n, (w, _) in enumerate(common, 1)}
    return pad([[index[w] for w in row if w in index] for row in tokens], LENGTH)[0]


def _run(formula: Formula, names: Sequence[Any]) -> Parts:
    table = load_table("reviews")
    labels = [names[label == "positive"] for label in table.labels or ()]
    return formula(table.texts[:300], labels[:300], np.random.default_rng(0))


@asks("shapes", "Are the ids (N, 100)?")
def shape_of_ids(formula: Formula) -> Answer:
    """Length 100."""
    got = _run(formula, (0, 1))["x"].shape
    return Answer(got == (300, LENGTH), f"shape {got}")


@asks("range", "Do the ids fit into an embedding of 10000 rows?")
def ids_fit(formula: Formula) -> Answer:
    """0 to 9999."""
    x = _run(formula, (0, 1))["x"]
    return Answer(bool(x.min() >= 0 and x.max() < VOCABULARY), f"from {x.min()} to {x.max()}")


@asks("value", "Do training and test part share no text?")
def no_leak(formula: Formula) -> Answer:
    """The test part is unseen."""
    parts = _run(formula, (0, 1))
    both = len(set(parts["train"]) & set(parts["test"]))
    return Answer(both == 0, f"{both} texts in both")


@asks("complete", "Is training watched on another part than the test part?")
def own_validation(formula: Formula) -> Answer:
    """A test part that was used to choose is no test any more."""
    parts = _run(formula, (0, 1))
    both = len(set(parts["valid"]) & set(parts["test"]))
    return Answer(both == 0, f"{both} of {len(parts['test'])} test texts are also the validation part")


@asks("complete", "Does it take labels that are words, such as positive and negative?")
def takes_words(formula: Formula) -> Answer:
    """What stands in a file with a column `label`."""
    y = _run(formula, ("negative", "positive"))["y"]
    return Answer(set(np.unique(y)) == {0, 1}, "they become 0 and 1")


def parameters() -> Answer:
    """The parameters of the listing, counted in the model that is built here."""
    model = TextClassifier(ClassifierConfig(labels=("negative", "positive")), np.random.default_rng(0))
    parts = [sum(p.size for p in part.parameters()) for part in (model.embedding, model.encoder, model.head)]
    text = f"{sum(parts):,} = {parts[0]:,} + {parts[1]:,} + {parts[2]:,}"
    return Answer(parts == [640_000, 98_816, 129], text, {"parts": parts})


def padding() -> Answer:
    """How a short and a long text are brought to length 5, as in the listing."""
    ids = pad([[7, 8], [1, 2, 3, 4, 5, 6, 7]], 5)[0].tolist()
    return Answer(ids == [[0, 0, 0, 7, 8], [3, 4, 5, 6, 7]], f"{ids[0]} and {ids[1]}: at the front, not masked")


RECORDS = (
    Record(
        "A16",
        "5.2, listing",
        "the LSTM classifier",
        "incomplete",
        "Embedding, LSTM and one sigmoid output with Adam and binary cross-entropy, 10 epochs; prints a test accuracy. "
        "It reads a data.csv that does not come with the article.",
        "",
        (Reading("the listing's data path, with Keras's rules", printed),),
        (shape_of_ids, ids_fit, no_leak, own_validation, takes_words),
        "",
        repaired,
        (
            Finding("parameters: embedding, LSTM, output", parameters),
            Finding("padding and cutting", padding),
        ),
        "Keras's documented behaviour, reproduced",
        command="tinyslm train classifier --tokenizer keras",
    ),
    Record(
        "A17",
        "4.3, case 1",
        "Transformer text classifier",
        "task",
        "Text is to be classified with a Transformer, scored by accuracy and recall.",
        command="tinyslm lessons run tasks_classifier",
        note="The lesson builds it on the bundled reviews; tinyslm train classifier --model transformer trains one on "
        "any table of texts and labels.",
    ),
    Record(
        "A18",
        "4.3, case 2",
        "English to Chinese translation",
        "task",
        "Sentences are to be translated with a Transformer, scored by BLEU.",
        command="tinyslm lessons run tasks_translation",
        note="On the bundled phrases_en_zh: 200 pairs to learn from, so the score speaks about known pieces put "
        "together anew, and not about real text.",
    ),
)
