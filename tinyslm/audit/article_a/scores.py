"""A15: the scores that the article names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import exp, log
from typing import Any

import numpy as np

from ... import metrics
from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

Scores = dict[str, float]
_rng = np.random.default_rng(0)
TRUE, PREDICTED = _rng.integers(0, 2, 60), _rng.integers(0, 2, 60)


def by_counting(true: Any, predicted: Any) -> Scores:
    """As the names are commonly defined, counted pair by pair in fractions; class 1 is the positive one."""
    pairs = Counter(zip(map(int, true), map(int, predicted), strict=True))
    hits, misses, alarms = pairs[1, 1], pairs[1, 0], pairs[0, 1]
    accuracy = Fraction(hits + pairs[0, 0], len(true))
    precision, recall = (_part(hits, hits + other) for other in (alarms, misses))
    f1 = _part(2 * precision * recall, precision + recall)
    found = {"accuracy": accuracy, "precision": precision, "recall": recall, "F1": f1, "error rate": 1 - accuracy}
    return {name: float(score) for name, score in found.items()}


def _part(a: Any, b: Any) -> Fraction:
    return Fraction(a) / Fraction(b) if b else Fraction(0)


def by_library(true: Any, predicted: Any) -> Scores:
    """The scores of `tinyslm.metrics`."""
    scores = metrics.class_scores(metrics.confusion_matrix(true, predicted, 2))[1]
    return {
        "accuracy": metrics.accuracy(true, predicted),
        "precision": scores.precision,
        "recall": scores.recall,
        "F1": scores.f1,
        "error rate": metrics.error_rate(true, predicted),
    }


@asks("range", "Are all scores between 0 and 1?")
def from_0_to_1(formula: Formula) -> Answer:
    """Shares."""
    found = formula(TRUE, PREDICTED)
    return Answer(all(0 <= s <= 1 for s in found.values()), ", ".join(f"{k} {v:.3f}" for k, v in found.items()), found)


@asks("limits", "Are they 1 (error rate 0) where all is right, and 0 (1) where all is wrong?")
def at_the_ends(formula: Formula) -> Answer:
    """Perfect and hopeless predictions."""
    best, worst = formula(TRUE, TRUE), formula(TRUE, 1 - TRUE)
    ok = all(best[k] == (k != "error rate") and worst[k] == (k == "error rate") for k in best)
    return Answer(ok, f"accuracy {best['accuracy']:g} and {worst['accuracy']:g}")


@asks("symmetry", "Do precision and recall change places when truth and prediction do, and F1 stays?")
def exchanged(formula: Formula) -> Answer:
    """What each of the two looks at."""
    a, b = formula(TRUE, PREDICTED), formula(PREDICTED, TRUE)
    gap = max(abs(a["precision"] - b["recall"]), abs(a["recall"] - b["precision"]), abs(a["F1"] - b["F1"]))
    return Answer(gap < 1e-15, f"largest difference {gap:.1g}", {"gap": gap})


@asks("value", "Are they right for 3 hits, 1 miss, 2 false alarms, 4 rightly rejected?")
def small_table(formula: Formula) -> Answer:
    """A table that can be worked out by hand: 7/10, 3/5, 3/4, 2/3, 3/10."""
    true, predicted = np.repeat([1, 1, 0, 0], [3, 1, 2, 4]), np.repeat([1, 0, 1, 0], [3, 1, 2, 4])
    found = formula(true, predicted)
    wanted = {"accuracy": 0.7, "precision": 0.6, "recall": 0.75, "F1": 2 / 3, "error rate": 0.3}
    gap = max(abs(found[k] - v) for k, v in wanted.items())
    return Answer(gap < 1e-15, f"largest difference {gap:.1g}", {"gap": gap})


# -- the numbers ------------------------------------------------------------------------------------------------------


def agreement() -> Answer:
    """The library against counting, over 300 random tables with rare and missing classes."""
    rng, gap = np.random.default_rng(1), 0.0
    for _ in range(300):
        true, predicted = (rng.random(rng.integers(1, 40)) < rng.random() for _ in range(2))
        n = min(len(true), len(predicted))
        a, b = (f(true[:n].astype(int), predicted[:n].astype(int)) for f in (by_counting, by_library))
        gap = max(gap, *(abs(a[k] - b[k]) for k in a))
    return Answer(gap < 1e-12, f"300 random tables, largest difference {gap:.1g}", {"gap": gap})


def bleu_agreement() -> Answer:
    """BLEU of the library against BLEU written out, over 200 random sentence pairs."""
    rng, gap, above = np.random.default_rng(2), 0.0, 0
    for _ in range(200):
        reference = [str(w) for w in rng.integers(0, 4, rng.integers(5, 12))]
        candidate = [w if rng.random() < 0.8 else "x" for w in reference][: rng.integers(4, 12)]
        ours = bleu_by_hand(reference, candidate)
        above += ours > 0
        gap = max(gap, abs(ours - float(metrics.bleu([[reference]], [candidate]))))
    text = f"200 random pairs ({above} of them above 0), largest difference {gap:.1g}"
    return Answer(gap < 1e-12 and above > 50, text, {"gap": gap})


def bleu_by_hand(reference: Sequence[str], candidate: Sequence[str]) -> float:
    """BP exp(mean of log p_n), n = 1 to 4, each n-gram counted at most as often as in the reference."""
    logs = []
    for n in range(1, 5):
        mine, theirs = ([tuple(s[i : i + n]) for i in range(len(s) - n + 1)] for s in (candidate, reference))
        hits = sum(min(mine.count(g), theirs.count(g)) for g in set(mine))
        if not hits:
            return 0.0
        logs.append(log(hits / len(mine)))
    return min(1.0, exp(1 - len(reference) / len(candidate))) * exp(sum(logs) / 4)


RECORDS = (
    Record(
        "A15",
        "4.3 and appendix, question 5",
        "scores",
        "right",
        "Accuracy, precision, recall, F1, BLEU and error rate are named as the scores to use; no formula is printed.",
        "",
        (Reading("the common definitions, counted by hand", by_counting),),
        (from_0_to_1, at_the_ends, exchanged, small_table),
        "",
        by_library,
        (
            Finding("accuracy, precision, recall, F1, error rate against tinyslm.metrics", agreement),
            Finding("BLEU written out against tinyslm.metrics", bleu_agreement),
        ),
        "K. Papineni et al., BLEU, ACL 2002; word error rate is our addition, for speech",
        command="tinyslm evaluate",
    ),
)
