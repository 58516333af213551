"""A14: the flowchart from cleaning to inference; stop words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from ...data import load_table
from ...text import clean, remove_stop_words, words
from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

_rng = np.random.default_rng(0)
X = _rng.normal(size=(80, 5))
Y = (X @ _rng.normal(size=5) + 0.3 * _rng.normal(size=80) > 0).astype(float)
START = np.zeros(5)


def forward(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Probabilities of a logistic model."""
    return 1 / (1 + np.exp(-x @ w))


def loss(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """Mean cross-entropy."""
    p = forward(x, w)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


def backward(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Its gradient."""
    return x.T @ (forward(x, w) - y) / len(y)


def printed(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Initialise, forward, backward, and on to inference: the gradient is computed and nothing is done with it."""
    w = start.copy()
    forward(x, w)
    backward(x, y, w)
    return w


def repaired(x: np.ndarray, y: np.ndarray, start: np.ndarray, steps: int = 200) -> np.ndarray:
    """Forward, backward, update; again and again."""
    w = start.copy()
    for _ in range(steps):
        w = w - 1.0 * backward(x, y, w)
    return w


@asks("shapes", "Are there as many weights afterwards as before?")
def keeps_form(formula: Formula) -> Answer:
    """The form of the result."""
    got = formula(X, Y, START).shape
    return Answer(got == START.shape, f"shape {got}")


@asks("complete", "Are the weights others than before the training?")
def changes(formula: Formula) -> Answer:
    """Whether the backward pass has an effect."""
    change = float(np.abs(formula(X, Y, START) - START).max())
    return Answer(change > 0, f"largest change {change:.3g}", {"change": change})


@asks("complete", "Is the loss at least a fifth lower than before?")
def lowers(formula: Formula) -> Answer:
    """Whether something was learned."""
    before, after = loss(X, Y, START), loss(X, Y, formula(X, Y, START))
    return Answer(after < 0.8 * before, f"{before:.3f} before, {after:.3f} after", {"before": before, "after": after})


# -- stop words -------------------------------------------------------------------------------------------------------


def one_sentence() -> Answer:
    """Every stage of the flowchart on one sentence."""
    raw = "<p>The film was <b>not</b> good!</p>"
    cleaned = clean(raw)
    tokens = words(cleaned)
    kept = remove_stop_words(tokens)
    text = f"{raw} -> {cleaned} -> {' | '.join(tokens)} -> {' | '.join(kept)}"
    return Answer("not" in tokens and "not" not in kept and "good" in kept, text, {"kept": kept})


@cache
def accuracies() -> dict[str, dict[str, float]]:
    """Accuracy of single-word logistic models, each kind of product left out in turn, by style and treatment."""
    table = load_table("reviews")
    y = np.array([label == "positive" for label in table.labels or ()])
    kinds, styles = (np.array(table.extra[c]) for c in ("kind", "style"))
    found = {}
    for name, keep in (("all words", None), ("without stop words", ()), ("negations kept", NEGATIONS)):
        right = _left_out(*_bags(table.texts, keep), y, kinds)
        found[name] = {s: float(right[styles == s].mean()) for s in sorted(set(styles))} | {"all": float(right.mean())}
    return found


NEGATIONS = ("not", "no", "never", "nothing", "don't", "doesn't", "didn't", "isn't", "wasn't", "won't", "can't", "nor")
Bags = list[np.ndarray]  # per text the numbers of the words in it, each once


def _bags(texts: list[str], keep: tuple[str, ...] | None) -> tuple[Bags, int]:
    rows = [[t.lower() for t in words(text)] for text in texts]
    rows = rows if keep is None else [remove_stop_words(row, "en", keep=keep) for row in rows]
    index = {w: i for i, w in enumerate(sorted({w for row in rows for w in row}))}
    return [np.array(sorted({index[t] for t in row})) for row in rows], len(index)


def _left_out(bags: Bags, size: int, y: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    right = np.zeros(len(y), bool)
    for kind in sorted(set(kinds)):
        train, test = np.flatnonzero(kinds != kind), np.flatnonzero(kinds == kind)
        w = _fit([bags[i] for i in train], y[train], size)
        right[test] = np.array([w[bags[i]].sum() > 0 for i in test]) == y[test]
    return right


def _fit(bags: Bags, y: np.ndarray, size: int, steps: int = 120, rate: float = 1.0, decay: float = 1e-3) -> np.ndarray:
    where, lengths = np.concatenate(bags), [len(b) for b in bags]
    rows, starts = np.repeat(np.arange(len(bags)), lengths), np.cumsum([0, *lengths[:-1]])
    w = np.zeros(size)
    for _ in range(steps):
        error = 1 / (1 + np.exp(-np.add.reduceat(w[where], starts))) - y
        w -= rate * (np.bincount(where, error[rows], size) / len(y) + decay * w)
    return w


def effect() -> Answer:
    """The negation part of the reviews (200 texts) with and without stop words."""
    found = accuracies()
    text = ", ".join(f"{found[k]['negation']:.1%} {k}" for k in found)
    overall = ", ".join(f"{found[k]['all']:.1%}" for k in found)
    ok = found["without stop words"]["negation"] < found["all words"]["negation"]
    return Answer(ok, f"{text} (200 texts); all 1,000 reviews: {overall}", found)


def picture(numbers: Mapping[str, Any]) -> Any:
    """Accuracy by style for each treatment."""
    from matplotlib.figure import Figure

    found = accuracies()
    styles = list(next(iter(found.values())))
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for i, (name, colour) in enumerate(zip(found, ("#0072B2", "#D55E00", "#009E73"), strict=True)):
        heights = [100 * found[name][s] for s in styles]
        axes.bar(np.arange(len(styles)) + 0.27 * (i - 1), heights, 0.25, color=colour, label=name)
    axes.axhline(50, color="#555555", linewidth=0.8)
    axes.set_xticks(range(len(styles)), styles)
    axes.set(ylabel="accuracy in %", ylim=(0, 100), title="Bag of words on the reviews: what stop words do, by style")
    figure.legend(fontsize=9, loc="outside lower center", ncols=3)
    return figure


RECORDS = (
    Record(
        "A14",
        "2, flowchart; 3.2, pre-processing",
        "the flowchart",
        "incomplete",
        "Clean, tokenise, remove stop words; initialise, forward pass, backward pass; then inference.",
        "",
        (Reading("the stages in the order of the arrows", printed),),
        (keeps_form, changes, lowers),
        r"w \leftarrow w - \eta \, \nabla_w \mathrm{Loss}, \quad \mathrm{again\ and\ again}",
        repaired,
        (
            Finding("stop words in texts where a negated word decides", effect),
            Finding("each stage on one sentence", one_sentence),
        ),
        "the flowchart with the step and the loop that training needs",
        command="tinyslm train classifier --drop-stop-words",
        note="Removing stop words costs accuracy here. But giving the negations alone back does not bring it back: in "
        "a bag of single words 'not' can't say which word it turns around. What is lost is in other small words, too.",
        picture=picture,
    ),
)
