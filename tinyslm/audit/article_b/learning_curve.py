"""B21: how much data is needed, measured on the bundled reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data import Table, load_table, stratified_split
from ...engine import no_grad
from ...models import ClassifierConfig, TextClassifier
from ...tensor import Tensor
from ...text import WordTokenizer, pad
from ..questions import Answer
from ..record import Measured, Record

SIZES, SEEDS, STEPS, BATCH, LENGTH = (40, 75, 150, 300, 600), (0, 1), 120, 32, 32
MODELS = {"bag of words": ("bow", 0.01), "LSTM": ("lstm", 0.003), "Transformer": ("transformer", 0.003)}
MARGIN = 0.05  # about two standard errors of an accuracy on 400 texts


def parts(seed: int) -> tuple[Table, list[Table]]:
    """600 reviews to train on, in an order drawn by the seed; and the other 400, 200 of them of other kinds."""
    table = load_table("reviews")
    known = table.where("split", "train")
    keep, held = stratified_split(known.labels or [], (0.75, 0.25), rng=np.random.default_rng(seed))
    order = np.random.default_rng(seed + 100).permutation(list(keep))
    return known.take([int(k) for k in order]), [known.take(list(held)), table.where("split", "test")]


def numbered(table: Table, tokenizer: WordTokenizer, side: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N, T) and classes (N,)."""
    ids, _ = pad([tokenizer.encode(t) for t in table.texts], LENGTH, side, "left")
    return ids, np.array([label == "positive" for label in table.labels or ()], np.int64)


def accuracy(name: str, size: int, seed: int) -> float:
    """Train on the first `size` reviews with a fixed number of steps, then count right answers on the 400."""
    from ...optim import Adam

    kind, rate = MODELS[name]
    train, others = parts(seed)
    train = train.take(list(range(size)))
    tokenizer = WordTokenizer(size=10_000, punctuation=True).fit(train.texts)
    config = ClassifierConfig(("negative", "positive"), kind, 10_000, 32, 32, LENGTH, heads=2)
    rng = np.random.default_rng(seed)
    model = TextClassifier(config, rng)
    side = "right" if config.uses_mask else "left"
    ids, classes = numbered(train, tokenizer, side)
    adam = Adam(model.parameters(), lr=rate)
    for _ in range(STEPS):
        rows = rng.choice(size, min(BATCH, size), replace=False)
        adam.zero_grad()
        model.loss(ids[rows], classes[rows])[0].backward()
        adam.step()
    return float(np.mean(np.concatenate([_hits(model, *numbered(t, tokenizer, side)) for t in others])))


def _hits(model: TextClassifier, ids: np.ndarray, classes: np.ndarray) -> np.ndarray:
    model.eval()
    with no_grad():
        return Tensor.wrap(model.loss(ids, classes)[1]).numpy() == classes


def curve(name: str) -> list[float]:
    """Mean accuracy over the seeds, for each size."""
    return [float(np.mean([accuracy(name, n, s) for s in SEEDS])) for n in SIZES]


def measure() -> Measured:
    """All curves, and what they say about both claims."""
    curves = {name: curve(name) for name in MODELS}
    answers = tuple((claim, test(curves)) for claim, test in (_MUCH, _LITTLE, _LEADER))
    much, little = (a.ok for _, a in answers[:2])
    words = {
        (True, False): "measured: more data helps, little does not suffice here",
        (False, True): "measured: little data suffices here",
    }.get((bool(much), bool(little)), "measured: neither claim holds for all models")
    return Measured(words, answers, {"sizes": list(SIZES), "curves": curves})


def _shown(curves: Mapping[str, list[float]], first: int, last: int) -> str:
    return ", ".join(f"{k} {v[first]:.0%} to {v[last]:.0%}" for k, v in curves.items())


def more_helps(curves: Mapping[str, list[float]]) -> Answer:
    """From the smallest to the largest size, by more than the margin, for every model."""
    ok = all(v[-1] > v[0] + MARGIN for v in curves.values())
    return Answer(ok, f"from {SIZES[0]} to {SIZES[-1]} texts: {_shown(curves, 0, -1)} (guessing: 50%)")


def little_suffices(curves: Mapping[str, list[float]]) -> Answer:
    """A quarter of the texts gives what all of them give, to the margin, and more than guessing, for every model."""
    few = SIZES.index(150)
    ok = all(v[few] > v[-1] - MARGIN and v[few] > 0.5 + MARGIN for v in curves.values())
    return Answer(ok, f"from {SIZES[few]} to {SIZES[-1]} texts: {_shown(curves, few, -1)}")


def small_model_leads(curves: Mapping[str, list[float]]) -> Answer:
    """Whether the smallest model, one weight per word, is at least as good as both networks at every size."""
    bag = np.array(curves["bag of words"])
    gaps = [float((bag - curves[k]).min()) for k in ("LSTM", "Transformer")]
    return Answer(min(gaps) >= -MARGIN, f"its smallest lead: {min(gaps):+.0%}", {"gaps": gaps})


_MUCH = ("more data helps every model (2, 3.3, 9.3: much data is needed)", more_helps)
_LITTLE = ("a quarter of the data suffices for every model (8.1, 9.2)", little_suffices)
_LEADER = ("the simplest model is never clearly behind", small_model_leads)


def picture(numbers: Mapping[str, Any]) -> Any:
    """Accuracy against the number of training texts."""
    from ... import plot

    if not numbers:
        return None
    series = {name: [100 * v for v in values] for name, values in numbers["curves"].items()}
    figure = plot.lines(
        numbers["sizes"], series, xlabel="training texts", ylabel="right on 400 other reviews in %", log="x"
    )
    figure.axes[0].set_xticks(numbers["sizes"], [str(n) for n in numbers["sizes"]])
    figure.axes[0].minorticks_off()
    return figure


RECORDS = (
    Record(
        "B21",
        "2, 3.3, 8.1, 9.2, 9.3",
        "how much data",
        "to measure",
        "Sections 2, 3.3 and 9.3 say that small models need much and good data, 8.1 and 9.2 that little suffices.",
        measure=measure,
        slow=True,
        picture=picture,
        note="The two claims contradict each other; article A's question 4 does so, too. One small task, "
        f"{STEPS} steps for every size, two orders of the data: it says what these models do with these reviews.",
    ),
)
