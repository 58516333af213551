"""Scores of predictions, and how sure they are.

Every function takes the truth first and the prediction second. Where a ratio would be 0/0 its value is 0 here, by
convention, and reports name the classes where that happened.

Sources: Manning, Raghavan & Schütze 2008, chapters 8 and 13 (precision, recall, F); Papineni et al. 2002 (BLEU);
Lin & Och 2004 (its smoothing); Levenshtein 1966 (edit distance); Efron 1979 (bootstrap); Student 1908 (t).
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import numpy as np

from .errors import DataError, DTypeError, OptionError, ShapeError

Tokens = Sequence[Hashable]
Span = tuple[str, int, int]

# -- classes ----------------------------------------------------------------------------------------------------------


def accuracy(true: Any, predicted: Any) -> float:
    """The share of predictions that are right: (1/n) Σ [predictedᵢ = trueᵢ].

    Args:
        true: class numbers, any shape (a mask, if one is needed, is applied before).
        predicted: class numbers of the same shape.

    Raises:
        ShapeError: for different shapes. DTypeError: for scores instead of classes. DataError: for no items.
    """
    t, p = _class_pair(true, predicted)
    return float(np.mean(t == p))


def error_rate(true: Any, predicted: Any) -> float:
    """The share of predictions that are wrong, 1 - accuracy."""
    return 1.0 - accuracy(true, predicted)


def confusion_matrix(true: Any, predicted: Any, num_classes: int | None = None) -> np.ndarray:
    """Counts of items by true class (row) and predicted class (column).

    Args:
        true: class numbers 0 to num_classes - 1, any shape.
        predicted: class numbers of the same shape.
        num_classes: C; None takes the largest number that occurs, plus 1.

    Returns:
        Integers, shape (C, C).
    """
    t, p = _class_pair(true, predicted)
    largest = int(max(t.max(), p.max()))
    size = largest + 1 if num_classes is None else num_classes
    if min(t.min(), p.min()) < 0 or largest >= size:
        raise DataError(
            f"confusion_matrix: a class number is out of range.\n  Expected: 0 to {size - 1} (num_classes={size})\n"
            f"  Got: {min(t.min(), p.min())} to {largest}; mask padding out first, or raise num_classes"
        )
    return np.bincount(t * size + p, minlength=size * size).reshape(size, size)


def _class_pair(true: Any, predicted: Any) -> tuple[np.ndarray, np.ndarray]:
    t, p = np.asarray(true), np.asarray(predicted)
    if t.shape != p.shape:
        raise ShapeError(
            f"true and predicted go item by item.\n  Expected: equal shapes\n  Got: true {t.shape}, predicted {p.shape}"
        )
    if not t.size:
        raise DataError("A score needs items. Expected: at least 1. Got: 0; is the test set empty?")
    return _classes(t, "true"), _classes(p, "predicted")


def _classes(a: np.ndarray, name: str) -> np.ndarray:
    if a.dtype.kind not in "iub":
        raise DTypeError(
            f"{name} holds class numbers.\n  Expected: integers\n  Got: {a.dtype}; take .argmax(-1) of scores first, "
            "or the numbers of labels"
        )
    return a.reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1, each between 0 and 1."""

    precision: float
    recall: float
    f1: float


def scores_from_counts(correct: float, predicted: float, true: float) -> Scores:
    """Scores of `correct` hits among `predicted` items where `true` were to be found; 0/0 counts as 0.

    precision = correct/predicted, recall = correct/true, F1 = 2·correct/(predicted + true). The last is the harmonic
    mean of the first two, without its division by zero when both are 0.
    """
    return Scores(_ratio(correct, predicted), _ratio(correct, true), _ratio(2 * correct, predicted + true))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def class_scores(confusion: Any) -> list[Scores]:
    """Precision, recall and F1 of each class, from a confusion matrix (C, C) with true classes as rows."""
    c = _square(confusion)
    counts = zip(c.diagonal(), c.sum(axis=0), c.sum(axis=1), strict=True)
    return [scores_from_counts(*row) for row in counts]


def macro_average(scores: Sequence[Scores]) -> Scores:
    """The plain mean over classes: every class weighs the same, and a class that never occurs counts as 0."""
    columns = zip(*((s.precision, s.recall, s.f1) for s in scores), strict=True)
    return Scores(*(math.fsum(column) / len(scores) for column in columns))


def micro_average(confusion: Any) -> Scores:
    """Scores of the pooled counts: every item weighs the same. With one class per item all three equal accuracy."""
    c = _square(confusion)
    return scores_from_counts(np.trace(c), c.sum(), c.sum())


def _square(confusion: Any) -> np.ndarray:
    c = np.asarray(confusion)
    if c.ndim != 2 or c.shape[0] != c.shape[1] or not c.size:
        raise ShapeError(f"A confusion matrix is square.\n  Expected: confusion of shape (C, C)\n  Got: {c.shape}")
    return c


# -- the report on a classifier ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassRow:
    """The scores of one class; support is the number of items that truly have it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassReport:
    """What a classifier gets right, class by class. `print(report)` shows a table, `to_json()` saves it."""

    labels: list[str]
    rows: list[ClassRow]
    macro: Scores
    micro: Scores
    accuracy: float
    confusion: list[list[int]]
    support: int
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """The report as JSON text: numbers as they are, rows as objects."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    def __str__(self) -> str:
        head = ["class", "precision", "recall", "F1", "items"]
        rows = [[r.label, *_three(r), str(r.support)] for r in self.rows]
        rows.append(["macro average", *_three(self.macro), str(self.support)])
        table = _table([head, *rows])
        return "\n".join([*table, f"accuracy {self.accuracy:.4f}", *(f"note: {n}" for n in self.notes)])


def class_report(true: Any, predicted: Any, labels: Sequence[str]) -> ClassReport:
    """All scores of a classifier on one set of items.

    Args:
        true: class numbers, any shape.
        predicted: class numbers of the same shape.
        labels: the names of the C classes, in the order of their numbers.
    """
    names = [str(label) for label in labels]
    matrix = confusion_matrix(true, predicted, len(names))
    scores, support = class_scores(matrix), matrix.sum(axis=1).tolist()
    rows = [ClassRow(n, s.precision, s.recall, s.f1, k) for n, s, k in zip(names, scores, support, strict=True)]
    micro = micro_average(matrix)
    return ClassReport(
        names, rows, macro_average(scores), micro, micro.recall, matrix.tolist(), sum(support), _notes(matrix, names)
    )


def _notes(matrix: np.ndarray, labels: list[str]) -> list[str]:
    never = {
        "never predicted, so precision is 0 by convention": matrix.sum(axis=0) == 0,
        "no true items, so recall is 0 by convention": matrix.sum(axis=1) == 0,
    }
    named = {text: [n for n, hit in zip(labels, mask, strict=True) if hit] for text, mask in never.items()}
    return [f"{', '.join(names)}: {text}" for text, names in named.items() if names]


def _three(row: ClassRow | Scores) -> list[str]:
    return [f"{value:.4f}" for value in (row.precision, row.recall, row.f1)]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(cell, w, i) for i, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows]


def _padded(cell: str, width: int, column: int) -> str:
    blanks = " " * (width - _columns(cell))
    return blanks + cell if column else cell + blanks


def _columns(text: str) -> int:
    # Chinese characters take two columns of a terminal.
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# -- language models --------------------------------------------------------------------------------------------------


def perplexity(loss: Any, counts: Any = None) -> float:
    """The exponential of the mean negative log-likelihood: among how many equally likely tokens the model wavers.

    Args:
        loss: in nats; one mean, the values of single tokens, or the means of batches.
        counts: the number of tokens behind each value of `loss`; None weighs them alike. Means over batches of unequal
            size need it, since a mean of means (or of perplexities) is another number.
    """
    values = np.asarray(loss, dtype=np.float64)
    weights = np.ones_like(values) if counts is None else np.asarray(counts, dtype=np.float64)
    if values.shape != weights.shape or not weights.sum() > 0:
        raise ShapeError(
            f"perplexity: one count for each loss.\n  Expected: counts of shape {values.shape}, not all 0\n"
            f"  Got: {weights.shape} with sum {weights.sum():g}"
        )
    with np.errstate(over="ignore"):
        return float(np.exp((values * weights).sum() / weights.sum()))


# -- translation ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bleu:
    """A BLEU score between 0 and 1 with what it is made of; lengths in tokens. `float(bleu)` is the score."""

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    candidate_length: int
    reference_length: int

    def __float__(self) -> float:
        return self.score


def bleu(
    references: Sequence[Sequence[Tokens]], candidates: Sequence[Tokens], max_order: int = 4, smoothing: str = "none"
) -> Bleu:
    """Corpus BLEU: BP · exp((1/N) Σₙ log pₙ), n = 1..N (Papineni et al. 2002, section 2.3).

    pₙ: n-grams of all candidates found in a reference, each counted at most as often as in the best reference, over all
    n-grams of the candidates. BP = min(1, exp(1 - r/c)): c tokens in the candidates, r in the references nearest in
    length (the shorter of two equally near).

    Args:
        references: for each sentence one or several references, each a list of tokens.
        candidates: for each sentence the translation, a list of tokens.
        max_order: N, 4 in the paper.
        smoothing: "none": one order without a match makes the score 0. "add-one" adds 1 to both counts of the orders
            above 1 (Lin & Och 2004), for single sentences and small test sets; an order for which all candidates are
            too short then has pₙ = 1.

    Raises:
        DataError: for text that is not split into tokens, or unequal numbers of sentences.
        OptionError: for an unknown smoothing or max_order < 1.
    """
    _check_bleu(references, candidates, max_order, smoothing)
    c = sum(map(len, candidates))
    r = sum(_nearest_length(refs, len(cand)) for refs, cand in zip(references, candidates, strict=True))
    precisions = tuple(_ngram_precision(references, candidates, n, smoothing) for n in range(1, max_order + 1))
    penalty = 0.0 if c == 0 else min(1.0, math.exp(1 - r / c))
    return Bleu(penalty * _geometric_mean(precisions), precisions, penalty, c, r)


def _check_bleu(references: Sequence, candidates: Sequence, max_order: int, smoothing: str) -> None:
    if smoothing not in ("none", "add-one") or max_order < 1:
        raise OptionError(
            f'bleu: expected smoothing "none" or "add-one" and max_order from 1, got {smoothing!r}, {max_order}'
        )
    if len(references) != len(candidates) or not len(candidates):
        raise DataError(
            f"bleu: one list of references for each candidate.\n  Expected: {len(candidates)} of both, at least 1\n"
            f"  Got: {len(references)} lists of references"
        )
    for i, (refs, cand) in enumerate(zip(references, candidates, strict=True)):
        if isinstance(cand, str) or isinstance(refs, str) or not refs or any(isinstance(r, str) for r in refs):
            raise DataError(
                f"bleu: sentence {i} has the wrong form.\n  Expected: candidates[i] = ['a', 'cat'] and references[i] = "
                f"[['the', 'cat'], ...]\n  Got: {str(cand)[:40]!r} and {str(refs)[:40]!r}; split text into tokens first"
            )


def _nearest_length(references: Sequence[Tokens], length: int) -> int:
    return min((len(r) for r in references), key=lambda n: (abs(n - length), n))


def _ngram_precision(references: Sequence, candidates: Sequence, n: int, smoothing: str) -> float:
    matched = total = 0
    for refs, cand in zip(references, candidates, strict=True):
        found = _ngrams(cand, n)
        most = reduce(or_, (_ngrams(r, n) for r in refs))  # | of counters is the maximum, & the minimum
        matched += (found & most).total()
        total += found.total()
    extra = 1 if smoothing == "add-one" and n > 1 else 0
    return _ratio(matched + extra, total + extra)


def _ngrams(tokens: Tokens, n: int) -> Counter:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(values) else 0.0


# -- speech -----------------------------------------------------------------------------------------------------------


def edit_distance(true: Tokens, predicted: Tokens) -> int:
    """The least number of insertions, deletions and substitutions of single tokens that turns one into the other.

    D[i, j] = min(D[i-1, j] + 1, D[i, j-1] + 1, D[i-1, j-1] + [trueᵢ ≠ predictedⱼ]) (Levenshtein 1966).
    Text counts as a sequence of characters.
    """
    numbers: dict[Hashable, int] = {}
    a, b = ([numbers.setdefault(token, len(numbers)) for token in side] for side in (true, predicted))
    columns, other = np.arange(len(b) + 1), np.asarray(b, dtype=np.int64)
    row = columns.copy()
    for i, token in enumerate(a, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (other != token))
        # D[i, j] ≤ D[i, k] + (j - k) for every k < j: a running minimum of D[i, k] - k.
        row = np.minimum.accumulate(np.concatenate(([i], best)) - columns) + columns
    return int(row[-1])


def wer(true: Sequence[str], predicted: Sequence[str]) -> float:
    """Word error rate of sentences: word edits over all words of the truth. Above 1 where many words are invented.

    Args:
        true: sentences, words divided by blanks.
        predicted: as many sentences.

    Raises:
        DataError: for unequal numbers of sentences, or a truth without words.
    """
    return _edit_rate(true, predicted, str.split, "wer", "word")


def cer(true: Sequence[str], predicted: Sequence[str]) -> float:
    """Character error rate of sentences: character edits over all characters of the truth, blanks included."""
    return _edit_rate(true, predicted, list, "cer", "character")


def _edit_rate(true: Sequence[str], predicted: Sequence[str], split: Callable, name: str, unit: str) -> float:
    if isinstance(true, str) or isinstance(predicted, str) or len(true) != len(predicted):
        raise DataError(f"{name}: expected two lists of equally many sentences, got {true!r:.60} and {predicted!r:.60}")
    pairs = [(split(t), split(p)) for t, p in zip(true, predicted, strict=True)]
    length = sum(len(t) for t, _ in pairs)
    if not length:
        raise DataError(f"{name}: the truth is empty. Expected: at least 1 {unit}. Got: {len(true)} empty sentences")
    return sum(edit_distance(t, p) for t, p in pairs) / length


# -- spans ------------------------------------------------------------------------------------------------------------


def bio_spans(tags: Sequence[str]) -> set[Span]:
    """The spans (label, start, end) that BIO tags mark; end is exclusive.

    "B-PER" opens a span, "I-PER" continues it. An "I-" that continues nothing of its label opens a span, as in the
    scoring of the CoNLL tasks.
    """
    spans, opened = set(), 0
    label = ""
    for i, tag in enumerate([*tags, "O"]):
        kind, _, name = tag.partition("-")
        if kind == "I" and name == label:
            continue
        if label:
            spans.add((label, opened, i))
        label, opened = _opened(kind, name, tag), i
    return spans


def _opened(kind: str, name: str, tag: str) -> str:
    if tag == "O":
        return ""
    if kind not in ("B", "I") or not name:
        raise DataError(f"A tag has the wrong form. Expected: O, B-LABEL or I-LABEL. Got: {tag!r}")
    return name


def span_f1(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Precision, recall and F1 of whole spans: right only with the right start, end and label, over all sentences.

    Args:
        true: BIO tags of each sentence.
        predicted: BIO tags of the same sentences, equally long.
    """
    if [len(t) for t in true] != [len(p) for p in predicted]:
        raise ShapeError("span_f1: expected one predicted tag for every true tag in every sentence, got other lengths")
    pairs = [(bio_spans(t), bio_spans(p)) for t, p in zip(true, predicted, strict=True)]
    counts = ((len(t & p), len(p), len(t)) for t, p in pairs)
    return scores_from_counts(*_sums(counts))


def overlap_f1(true: Tokens, predicted: Tokens) -> Scores:
    """Precision, recall and F1 of the tokens of an answer, as bags (Rajpurkar et al. 2016).

    Two empty answers agree: all three are 1.
    """
    if not len(true) and not len(predicted):
        return Scores(1.0, 1.0, 1.0)
    common = (Counter(true) & Counter(predicted)).total()
    return scores_from_counts(common, len(predicted), len(true))


def _sums(rows: Iterable[tuple[int, int, int]]) -> tuple[int, int, int]:
    a, b, c = np.array(list(rows), dtype=np.int64).reshape(-1, 3).sum(axis=0).tolist()
    return a, b, c


# -- how sure ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """An estimate, the interval around it, the confidence (0.95) and the number of values behind it."""

    estimate: float
    low: float
    high: float
    confidence: float
    n: int

    def __str__(self) -> str:
        share = f"{100 * self.confidence:g} %"
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] ({share}, n = {self.n})"


def t_interval(values: Any, confidence: float = 0.95) -> Interval:
    """The interval for the mean of a few independent, roughly normal values, such as one score per seed.

    mean ± t · s/√n, s the standard deviation with n - 1 in the denominator, t Student's quantile for n - 1 degrees of
    freedom (Student 1908).

    Raises:
        DataError: for fewer than 2 values. OptionError: for a confidence outside (0, 1).
    """
    x = _sample(values, confidence)
    half = t_quantile(confidence, x.size - 1) * float(x.std(ddof=1)) / math.sqrt(x.size)
    mean = float(x.mean())
    return Interval(mean, mean - half, mean + half, confidence, x.size)


def paired_difference(a: Any, b: Any, confidence: float = 0.95) -> Interval:
    """The t interval for the mean of a - b, where aᵢ and bᵢ share a seed: what both have in common cancels.

    If the interval leaves 0 out, the difference is larger than the spread over seeds explains at this confidence.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise ShapeError(f"paired_difference: one b for each a (same seed).\n  Expected: b {x.shape}\n  Got: {y.shape}")
    return t_interval(x - y, confidence)


def bootstrap_interval(
    values: Any,
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], Any] = np.mean,
    confidence: float = 0.95,
    samples: int = 2000,
) -> Interval:
    """The percentile interval of a statistic over samples drawn from `values` with replacement (Efron 1979).

    For many items, such as the 0/1 hits of a test set. Of a few values it is too narrow; there `t_interval` serves.

    Args:
        values: n items along the first dimension.
        rng: the source of randomness.
        statistic: array of n items -> number.
        confidence: the share of samples inside.
        samples: how many samples are drawn.
    """
    x = _sample(values, confidence, any_shape=True)
    drawn = [float(statistic(x[rng.integers(0, len(x), len(x))])) for _ in range(samples)]
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(statistic(x)), float(low), float(high), confidence, len(x))


def _sample(values: Any, confidence: float, any_shape: bool = False) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if not 0 < confidence < 1:
        raise OptionError(f"confidence is a share, such as 0.95. Expected: between 0 and 1. Got: {confidence}")
    if x.ndim == 0 or len(x) < 2 or (x.ndim > 1 and not any_shape):
        raise DataError(f"An interval needs spread. Expected: a list of at least 2 values. Got: shape {x.shape}")
    return x


@lru_cache(maxsize=256)
def t_quantile(confidence: float, df: int) -> float:
    """The t with P(-t ≤ T ≤ t) = confidence, for Student's distribution with `df` degrees of freedom, by bisection."""
    low, high = 0.0, 1.0
    while _t_probability(high, df) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_probability(middle, df) < confidence else (low, middle)
    return (low + high) / 2


def _t_probability(t: float, df: int) -> float:
    """P(-t ≤ T ≤ t): the finite series for whole numbers of degrees (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(df))
    odd = df % 2
    k = np.arange(1, (df - odd) // 2, dtype=np.float64)
    factors = (2 * k - 1 + odd) / (2 * k + odd) * math.cos(angle) ** 2
    series = math.sin(angle) * (1 + np.cumprod(factors).sum())
    if not odd:
        return float(series)
    return 2 / math.pi * (angle + (float(series) * math.cos(angle) if df > 1 else 0.0))
