"""Comparing two steps at a point, with a tolerance that follows from how well conditioned the steps are there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..messages import say
from .outcome import Comparison

RELATIVE, OF_SCALE, NOISE = 1e-12, 1e-13, 100.0
BLUNT = 1e-6  # a tolerance above this share of the result decides nothing

Arrays = Sequence[np.ndarray]


def compare(
    earlier: Arrays, later: Arrays, noise: Sequence[float], labels: Sequence[str], names: tuple[str, str]
) -> Comparison:
    """Whether two lists of arrays agree up to rounding.

    Args:
        earlier: results of the earlier step.
        later: results of the later step.
        noise: how far rounding moves each array.
        labels: one per array; "" for a single result.
        names: of the two steps.
    """
    problem = _form(earlier, later, labels, names)
    if problem:
        return Comparison(False, np.inf, problem)
    parts = [
        _one(a, b, n, label, names) for a, b, n, label in zip(earlier, later, noise, labels, strict=True) if a.size
    ]
    vacuous = not any(a.any() or b.any() for a, b in zip(earlier, later, strict=True))
    worst = max(parts, key=lambda c: (c.fits is False, c.fits is None, c.error), default=Comparison(True, 0.0))
    return Comparison(worst.fits, worst.error, worst.text, vacuous)


def _form(earlier: Arrays, later: Arrays, labels: Sequence[str], names: tuple[str, str]) -> str:
    if len(earlier) != len(later):
        return say("derivation.counts", a=names[0], na=len(earlier), b=names[1], nb=len(later))
    for a, b, label in zip(earlier, later, labels, strict=True):
        if a.shape != b.shape:
            return say("derivation.shapes", what=label, a=names[0], sa=a.shape, b=names[1], sb=b.shape).strip()
    return ""


def _one(a: np.ndarray, b: np.ndarray, noise: float, label: str, names: tuple[str, str]) -> Comparison:
    if not np.isfinite(a).all():
        return Comparison(None, np.inf, say("derivation.not_finite", step=names[0]))
    if not np.isfinite(b).all():
        return Comparison(False, np.inf, say("derivation.not_finite", step=names[1]))
    off, scale = np.abs(a - b), float(max(np.abs(a).max(), np.abs(b).max()))
    allowed = OF_SCALE * scale + RELATIVE * np.abs(b) + NOISE * (noise if np.isfinite(noise) else 0.0)
    worst = int(np.argmax(off - allowed))
    error = float(off.max()) / scale if scale else 0.0
    text = differ(a, b, worst, label, names)
    if not (off <= allowed).all():
        return Comparison(False, error, text)
    blunt = allowed.max() > BLUNT * max(scale, 1e-6)
    return Comparison(None, error, say("derivation.blunt"), False) if blunt else Comparison(True, error)


def differ(a: np.ndarray, b: np.ndarray, flat: int, label: str, names: tuple[str, str]) -> str:
    """The element at which two results differ, in words."""
    index = [int(i) for i in np.unravel_index(flat, a.shape)]
    place = f"{label or say('derivation.element')}{index if index else ''}".strip()
    return say(
        "derivation.differ", place=place, a=names[0], va=_short(a.flat[flat]), b=names[1], vb=_short(b.flat[flat])
    )


def _short(x: float) -> str:
    return f"{x:.8g}"
