"""Claims about a limit and about an expectation.

A limit is approached on a ladder of parameters; the difference has to fall all the way. An expectation is tested by
drawing: if the claim is true, the mean of n draws is off by more than z standard errors with a probability below
the stated one (by the normal approximation, shared out over the points and elements).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from ..errors import OptionError
from ..messages import say
from .outcome import LinkVerdict, Outcome, describe
from .steps import Points, Step, Undefined

RUNGS, SHRINK, REACHED, STAYS = 16, 4.0, 1e-6, 1e-4
DRAWS, ERROR_PROBABILITY, PLACES = 40_000, 1e-6, 3
BLUNT = 0.25  # a test that would not notice a difference of this share decides nothing


@dataclass(frozen=True)
class Limit:
    """The earlier step tends to this one as a parameter tends to a value (from above; to infinity from below)."""

    of: Step
    parameter: str
    to: float

    def words(self) -> str:
        """The claim in words."""
        return say("derivation.link.limit", of=self.of.name, parameter=self.parameter, to=f"{self.to:g}")

    def ladder(self) -> list[float]:
        """The values of the parameter."""
        powers = [SHRINK**k for k in range(RUNGS)]
        if math.isinf(self.to):
            return [math.copysign(p, self.to) for p in powers]
        return [self.to + 1 / p for p in powers]

    def test(self, step: Step, points: Points) -> Outcome:
        """Walk the ladder at two points; the worse one counts."""
        found = [self._at(step, points, k) for k in range(2)]
        return max(found, key=lambda o: list(LinkVerdict).index(o.verdict))

    def _at(self, step: Step, points: Points, k: int) -> Outcome:
        point = points.at(k)
        try:
            target = step.value(point)
            away = [self._distance(p, target, points, k) for p in self.ladder()]
        except Undefined as error:
            return Outcome(LinkVerdict.REFUTED, str(error), math.inf, describe(point, step.arguments, str(error)))
        return self._judged(away, describe(point, tuple(dict.fromkeys((*self.of.arguments, *step.arguments))), ""))

    def _distance(self, value: float, target: np.ndarray, points: Points, k: int) -> float:
        got = self.of.value(points.at(k).changed(**{self.parameter: np.array(value)}))
        if got.shape != target.shape:
            fields = {"a": self.of.name, "sa": got.shape, "b": self.words(), "sb": target.shape}
            raise Undefined(say("derivation.shapes", what="", **fields).strip())
        off = float(np.nan_to_num(np.abs(got - target), nan=np.inf).max(initial=0.0))
        return off / float(np.abs(target).max(initial=0.0) or 1.0)

    def _judged(self, away: Sequence[float], example: str) -> Outcome:
        best = int(np.argmin(away))
        fields = {"first": away[0], "last": away[best], "parameter": self.parameter, "at": self.ladder()[best]}
        if away[best] <= REACHED and max(away[best : best + 3]) <= STAYS:  # far out, rounding may take over again
            return Outcome(LinkVerdict.HOLDS, say("derivation.limit_reached", **fields), away[best])
        falling = best >= RUNGS - 2 and away[best] < 0.9 * away[best - 2]
        verdict, key = (LinkVerdict.UNDECIDED, "open") if falling else (LinkVerdict.REFUTED, "missed")
        note = say(f"derivation.limit_{key}", **fields)
        return Outcome(verdict, note, away[best], f"{example}{note}")


@dataclass(frozen=True)
class Expectation:
    """The mean (or variance) of an earlier, random step is this one.

    Attributes:
        of: the random step; it takes `rng` and `draws` and returns (draws, ...).
        statistic: "mean" or "variance".
        error_probability: the chance that a true claim is refuted.
        draws: how many.
    """

    of: Step
    statistic: str = "mean"
    error_probability: float = ERROR_PROBABILITY
    draws: int = DRAWS

    def __post_init__(self) -> None:
        if not self.of.random:
            raise OptionError(
                f"step {self.of.name!r}: an expectation needs a random step, one that takes rng and draws"
            )
        if not 0 < self.error_probability < 0.5 or self.draws < 100:
            raise OptionError(
                "expectation: expected an error probability from 0 to 0.5 and at least 100 draws, got "
                f"{self.error_probability} and {self.draws}"
            )

    def words(self) -> str:
        """The claim in words."""
        return say(f"derivation.link.{self.statistic}", of=self.of.name)

    def test(self, step: Step, points: Points) -> Outcome:
        """Draw at a few points; the worst counts."""
        found = [self._at(step, points, k) for k in range(PLACES)]
        return max(found, key=lambda o: (list(LinkVerdict).index(o.verdict), o.error))

    def _at(self, step: Step, points: Points, k: int) -> Outcome:
        point, rng = points.at(k), points.rng(10_000 + k)
        samples = self.of.value(point, rng=rng, draws=self.draws)
        claimed = step.value(point)
        if samples.shape != (self.draws, *claimed.shape):
            wanted = (self.draws, *claimed.shape)
            text = say("derivation.shapes", what="", a=self.of.name, sa=samples.shape, b=step.name, sb=wanted).strip()
            found = Outcome(LinkVerdict.REFUTED, text, math.inf)
        else:
            found = self._judged(self._terms(samples), np.asarray(claimed), step.name)
        if found.verdict is LinkVerdict.HOLDS:
            return found
        names = tuple(dict.fromkeys((*self.of.arguments, *step.arguments)))
        return replace(found, counterexample=describe(point, names, found.note))

    def _terms(self, samples: np.ndarray) -> np.ndarray:
        """Numbers whose mean is the statistic."""
        if self.statistic == "mean":
            return samples
        n = len(samples)
        return np.asarray((samples - samples.mean(axis=0)) ** 2 * (n / (n - 1)))

    def _judged(self, terms: np.ndarray, claimed: np.ndarray, name: str) -> Outcome:
        bound = NormalDist().inv_cdf(1 - self.error_probability / (2 * PLACES * max(1, claimed.size)))
        got, deviation = terms.mean(axis=0), terms.std(axis=0, ddof=1)
        rounding = 1e-12 * np.maximum(np.abs(got), np.abs(claimed))
        se = np.maximum(deviation / math.sqrt(self.draws), np.maximum(rounding, 1e-300))
        size = np.maximum(np.maximum(np.abs(claimed), deviation), 1e-300)
        off, resolution = np.abs(got - claimed), float((2 * bound * se / size).max())
        worst = int(np.argmax(off / se))
        fields = {"draws": self.draws, "z": (off / se).flat[worst], "bound": bound, "resolution": resolution}
        error = float(off.max() / (np.abs(claimed).max() or 1.0))
        if fields["z"] > bound:
            at = [int(i) for i in np.unravel_index(worst, off.shape)]
            fields |= {"got": got.flat[worst], "se": se.flat[worst], "claimed": claimed.flat[worst]}
            note = say("derivation.expectation_off", place=f"{name}{at or ''}", **fields)
            return Outcome(LinkVerdict.REFUTED, note, error)
        if resolution > BLUNT:
            return Outcome(LinkVerdict.UNDECIDED, say("derivation.expectation_blunt", **fields), error)
        return Outcome(LinkVerdict.HOLDS, say("derivation.expectation", p=self.error_probability, **fields), error)
