"""What one step of a derivation can claim about an earlier one, and how each claim is tested.

`Equal`, `Gradient`, `AtMost` and `AtLeast` are tested point by point: at distinct prime sizes first, and where they
fail there, under special settings of the sizes. `Limit` and `Expectation` stand in limits.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import OptionError
from ..messages import say
from .compare import compare
from .domains import in_words, parse_setting, special_settings
from .fifty import slopes, values, with_digits
from .judge import judge
from .outcome import Comparison, LinkVerdict, Outcome, describe, first_doubt
from .reference import reference
from .report import Entry, Verdict
from .steps import Point, Points, Step, StepError, Undefined, noise_of

TRIES, GRADIENT_TRIES, BOUND_TRIES, SPECIAL_TRIES = 5, 3, 60, 3
CLOSE = 1e-2  # differences up to this share count as an approximation
LIMIT = 300  # above so many elements the numerical gradient takes samples
SMALL = 1e-3  # results below this size may be what rounding leaves of 0
SPREADS = (1.0, 1.0, 2.0, 0.3)


@dataclass(frozen=True)
class PointLink:
    """A claim that can be tested at one point.

    Attributes:
        of: the earlier step.
        given: sizes for which the claim is made, such as "T = d"; "" for all.
    """

    of: Step
    given: str = ""
    tries = TRIES
    special_tries = SPECIAL_TRIES
    settings_at_once: ClassVar[tuple[int, ...]] = (1, 2)

    def at(self, step: Step, point: Point, seed: int) -> Comparison:
        """Test the claim at one point."""
        raise NotImplementedError

    def test(self, step: Step, points: Points) -> Outcome:
        """Test the claim at generic sizes, and where it fails there, at special ones."""
        setting = parse_setting(self.given, points.letters)
        _check_repeatable(step, points)
        found = []
        for k in range(self.tries):
            point = points.at(k, setting, SPREADS[k % len(SPREADS)])
            found.append((point, self._tried(step, point, k)))
        return self._outcome(step, points, found)

    def _tried(self, step: Step, point: Point, seed: int) -> Comparison:
        try:
            return self.at(step, point, seed)
        except Undefined as error:
            return Comparison(False, np.inf, str(error))

    def _outcome(self, step: Step, points: Points, found: list[tuple[Point, Comparison]]) -> Outcome:
        error = max(c.error for _, c in found)
        wrong = first_doubt(found, lambda c: c.fits is False)
        if wrong is None:
            open_ = first_doubt(found, lambda c: c.fits is None)
            if open_ is not None:
                return Outcome(LinkVerdict.UNDECIDED, open_[1].text, error, self._example(step, open_))
            return self._held(step, points, error, found)
        settings = self._special(step, points)
        example = self._example(step, wrong)
        if error <= CLOSE:
            also = f"; {say('derivation.exact_for', settings=_joined(settings))}" if settings else ""
            return Outcome(
                LinkVerdict.APPROXIMATE, say("derivation.off_by", error=error) + also, error, example, settings
            )
        if settings:
            note = say("derivation.only_for", settings=_joined(settings))
            return Outcome(LinkVerdict.SPECIAL, note, error, example, settings)
        return Outcome(LinkVerdict.REFUTED, wrong[1].text, error, example)

    def _example(self, step: Step, pair: tuple[Point, Comparison]) -> str:
        names = tuple(dict.fromkeys((*self.of.arguments, *step.arguments)))
        return describe(pair[0], names, pair[1].text)

    def _held(self, step: Step, points: Points, error: float, found: Any) -> Outcome:
        return Outcome(LinkVerdict.HOLDS, say("derivation.agree", error=error), error)

    def _special(self, step: Step, points: Points) -> tuple[str, ...]:
        """The settings of sizes under which the claim holds, the simplest only."""
        if self.given:
            return ()
        used = points.letters_of((*self.of.arguments, *step.arguments))
        settings = special_settings(used)
        for size in self.settings_at_once:
            held = [s for s in settings if len(s) == size and self._holds_under(s, step, points)]
            if held:
                return tuple(map(in_words, held))
        return ()

    def _holds_under(self, setting: Any, step: Step, points: Points) -> bool:
        seen = []
        for k in range(1, self.special_tries + 1):
            seen.append(self._tried(step, points.at(k, setting), k))
            if not seen[-1].fits:
                return False
        return not all(c.vacuous for c in seen)


def _joined(settings: Sequence[str]) -> str:
    return " or ".join(settings)


def _check_repeatable(step: Step, points: Points) -> None:
    try:
        first, again = (step.values(points.at(0)) for _ in range(2))
    except Undefined:
        return
    if any(a.shape != b.shape or not np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)):
        raise StepError(say("derivation.not_repeatable", step=step.name))


# -- equality ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Equal(PointLink):
    """The step has the value of the earlier one; with `within`, up to that share of its size."""

    within: float = 0.0
    labels: tuple[str, ...] = ()

    def words(self) -> str:
        """The claim in words."""
        key = "derivation.link.close" if self.within else "derivation.link.equal"
        return say(key, of=self.of.name, within=self.within)

    def at(self, step: Step, point: Point, seed: int) -> Comparison:
        """Compare both values."""
        earlier, later = self.of.values(point), step.values(point)
        labels, names = self.labels or ("",) * len(earlier), (self.of.name, step.name)
        found = compare(earlier, later, [0.0] * len(earlier), labels, names)
        size = max((float(np.abs(v).max(initial=0)) for v in earlier), default=0.0)
        if found.fits is False and (found.error <= CLOSE or (found.error < np.inf and size < SMALL)):
            # Rounding may be the reason.
            found = compare(earlier, later, self._noise(step, point, seed), labels, names)
        near = self.within and found.fits is False and found.error <= self.within
        return Comparison(True, found.error) if near else found

    def _noise(self, step: Step, point: Point, seed: int) -> list[float]:
        rng = np.random.default_rng(seed)
        noises = [noise_of(s, point, rng) for s in (self.of, step)]
        return [max(pair) for pair in zip(*noises, strict=True)]

    def _held(self, step: Step, points: Points, error: float, found: Any) -> Outcome:
        if self.within:
            return Outcome(LinkVerdict.HOLDS, say("derivation.off_by", error=error), error)
        held = super()._held(step, points, error, found)
        return with_digits(held, values(self.of, step), points)


# -- gradients --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gradient(PointLink):
    """The step is the derivative of the earlier one with respect to some inputs.

    For an earlier step with one number: the gradient, of the input's shape. For one of shape S: the Jacobian, of shape
    S + the input's shape. With several inputs, a tuple.
    """

    wrt: tuple[str, ...] = ()
    tries = GRADIENT_TRIES
    settings_at_once = (1,)  # two at once would be too many numerical gradients

    def words(self) -> str:
        """The claim in words."""
        return say("derivation.link.gradient", of=self.of.name, wrt=", ".join(self.wrt))

    def at(self, step: Step, point: Point, seed: int) -> Comparison:
        """Hold the claimed gradient against the numerical one."""
        self._check_inputs(point)
        value, given = self.of.value(point), step.values(point)
        problem = self._form(step, given, value, point)
        if problem:
            return Comparison(False, np.inf, problem)
        rows = [g.reshape(value.size, *point.arrays[n].shape) for g, n in zip(given, self.wrt, strict=True)]
        if not all(np.isfinite(r).all() for r in rows):
            return Comparison(False, np.inf, say("derivation.not_finite", step=step.name))
        return _judged(judge(rows, self._numerical(point, value.size, seed)), rows)

    def _held(self, step: Step, points: Points, error: float, found: Any) -> Outcome:
        held = super()._held(step, points, error, found)
        return with_digits(held, slopes(self.of, step, self.wrt), points)

    def _numerical(self, point: Point, results: int, seed: int) -> Any:
        def function(*tensors: Any) -> Any:
            return self.of.call(point.changed(**{n: t._data for n, t in zip(self.wrt, tensors, strict=True)}))

        arrays = [point.arrays[n] for n in self.wrt]
        return reference(function, arrays, np.eye(results), np.random.default_rng(seed), self.wrt, limit=LIMIT)

    def _check_inputs(self, point: Point) -> None:
        for name in self.wrt:
            if point.arrays[name].dtype.kind != "f":
                raise OptionError(f"wrt={name!r}: expected an input with real numbers, got whole numbers or a mask")

    def _form(self, step: Step, given: list[np.ndarray], value: np.ndarray, point: Point) -> str:
        names = (self.words(), step.name)
        if len(given) != len(self.wrt):
            return say("derivation.counts", a=names[0], na=len(self.wrt), b=names[1], nb=len(given))
        for name, g in zip(self.wrt, given, strict=True):
            wanted = value.shape + point.arrays[name].shape
            if g.shape != wanted:
                return say("derivation.shapes", what=name, a=names[0], sa=wanted, b=names[1], sb=g.shape)
        return ""


def _judged(entries: list[Entry], rows: list[np.ndarray]) -> Comparison:
    worst = max(entries, key=lambda e: (e.verdict.severity, e.error))
    fits = None if worst.verdict is Verdict.UNDECIDED else worst.verdict is not Verdict.WRONG
    text = (
        ""
        if fits
        else say(
            "derivation.gradient_off",
            place=worst.place,
            given=worst.given,
            expected=worst.expected,
            bar=worst.error_bar,
        )
    )
    vacuous = not any(r.any() for r in rows) and worst.verdict is not Verdict.WRONG
    return Comparison(fits, max(e.error for e in entries), text, vacuous)


# -- inequalities -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AtMost(PointLink):
    """The earlier step is at most this one, element by element (up to rounding)."""

    sign = 1.0
    key = "derivation.link.at_most"
    tries = special_tries = BOUND_TRIES

    def words(self) -> str:
        """The claim in words."""
        return say(self.key, of=self.of.name)

    def at(self, step: Step, point: Point, seed: int) -> Comparison:
        """Look for an element that breaks the bound."""
        value, bound = self.of.value(point), step.value(point)
        value, bound = np.broadcast_arrays(value, bound)
        room = self.sign * (bound - value)
        if not np.isfinite(room).all():
            return Comparison(None, np.inf, say("derivation.not_finite", step=step.name))
        worst, size = int(np.argmin(room)), float(np.maximum(np.abs(value), np.abs(bound)).max() or 1.0)
        if room.flat[worst] >= -1e-12 * size:
            return Comparison(True, float(room.flat[worst]) / size)
        at = [int(i) for i in np.unravel_index(worst, room.shape)]
        va, vb = (f"{x.flat[worst]:.8g}" for x in (value, bound))
        text = say("derivation.bound_broken", place=at or "", a=self.of.name, va=va, b=step.name, vb=vb)
        return Comparison(False, np.inf, text.lstrip(": "))

    def _held(self, step: Step, points: Points, error: float, found: Any) -> Outcome:
        gap = max(0.0, min(c.error for _, c in found))
        return Outcome(LinkVerdict.HOLDS, say("derivation.largest_gap", gap=gap), 0.0)


@dataclass(frozen=True)
class AtLeast(AtMost):
    """The earlier step is at least this one, element by element (up to rounding)."""

    sign = -1.0
    key = "derivation.link.at_least"


def seed_of(name: str) -> int:
    """A number that belongs to a name and is the same in every run."""
    return zlib.crc32(name.encode("utf-8"))
