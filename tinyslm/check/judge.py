"""Holding a gradient against the numerical one: right, wrong, undecided, or right by convention at a kink."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .reference import COMPLEX, InputReference
from .report import Entry, Verdict

TRUST = 100.0  # how many of its own error bars a numerical derivative may be off
RIGHT = 1e-8  # errors up to this share of the gradient's scale are rounding
WRONG = 1e-5  # errors above this share are mistakes; between the two: undecided
KINKS_TRIED = 200


def judge(gradients: Sequence[np.ndarray], expected: Sequence[InputReference], order: int = 1) -> list[Entry]:
    """Hold gradients, (K, *shape) for each float input, against the numerical ones."""
    return [_judge_input(g, r, order) for g, r in zip(gradients, expected, strict=True)]


def _judge_input(gradient: np.ndarray, ref: InputReference, order: int) -> Entry:
    if not ref.values.size:
        return Entry(ref.name, Verdict.RIGHT, (), method="no elements", order=order)
    given = ref.project(gradient)
    grades = _grades(given, ref)
    for probe in _kink_suspects(grades, given, ref):
        verdict = _at_kink(ref, probe, given[:, probe], grades[probe])
        grades[probe] = verdict.severity
        if verdict is Verdict.WRONG:
            break
    return _entry(given, ref, grades, order)


def _grades(given: np.ndarray, ref: InputReference) -> np.ndarray:
    """The severity for each probe (M,): 0 right, 2 undecided, 3 wrong."""
    off, bar, scale = np.abs(given - ref.values), TRUST * ref.errors, ref.scale
    # A bar that would let a mistake through proves nothing, unless all there is to see is rounding.
    zero = (np.abs(ref.values) <= bar) & (np.abs(given) <= bar) & (ref.errors <= ref.noise)
    sharp = (bar <= WRONG * scale) | zero
    right = (off <= RIGHT * scale) | ((off <= bar) & sharp)
    wrong = (off > np.maximum(bar, WRONG * scale)) | ~np.isfinite(given)
    return np.where(wrong, 3, np.where(right, 0, 2)).max(axis=0)


def _kink_suspects(grades: np.ndarray, given: np.ndarray, ref: InputReference) -> np.ndarray:
    """Probes to look at from both sides, the worst first. The complex step is only used where there are no kinks."""
    if ref.method == COMPLEX:
        return np.zeros(0, int)
    off = np.nan_to_num(np.abs(given - ref.values), nan=np.inf).max(axis=0)
    suspects = np.flatnonzero((grades > 0) | ref.bent)
    return suspects[np.lexsort((-off[suspects], -grades[suspects]))][:KINKS_TRIED]


def _at_kink(ref: InputReference, probe: int, given: np.ndarray, grade: int) -> Verdict:
    """The verdict on one probe after a look from both sides."""
    (left, left_bar, _), (right, right_bar, _) = ref.sides(probe)
    bar, scale = TRUST * (left_bar + right_bar), ref.scale[:, 0]
    apart = np.abs(left - right) > np.maximum(bar, WRONG * scale)
    slack = np.maximum(bar, RIGHT * scale)
    between = (given >= np.minimum(left, right) - slack) & (given <= np.maximum(left, right) + slack)
    if not apart.any():
        return list(Verdict)[grade]
    return Verdict.CONVENTION if between.all() else Verdict.WRONG


def _entry(given: np.ndarray, ref: InputReference, grades: np.ndarray, order: int) -> Entry:
    error = _relative(given, ref)
    # Of the worst ones the element with the largest error; a direction only where no element shows it.
    element = np.arange(len(grades)) < len(ref.indices)
    probe = int(np.lexsort((error.max(axis=0), element, grades))[-1])
    k = int(error[:, probe].argmax())
    return Entry(
        ref.name,
        list(Verdict)[int(grades.max())],
        ref.place(probe),
        float(given[k, probe]),
        float(ref.values[k, probe]),
        float(ref.errors[k, probe]),
        float(error[k, probe]),
        ref.method,
        order,
    )


def _relative(given: np.ndarray, ref: InputReference) -> np.ndarray:
    """The errors (K, M) as shares of the gradient's scale; of the given one where the numerical one is zero."""
    off = np.nan_to_num(np.abs(given - ref.values), nan=np.inf)
    size = np.where(ref.scale > 0, ref.scale, np.abs(given).max() or 1.0)
    rounding = (ref.scale <= ref.noise) & (off <= TRUST * ref.errors)
    with np.errstate(over="ignore"):
        return np.where(rounding, 0.0, off / size)
