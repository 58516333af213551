"""What a link of a derivation turned out to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..messages import say
from .steps import Point

SHOWN = 6  # inputs up to this size are written out in a counterexample


class LinkVerdict(str, Enum):
    """How a link of a derivation fared."""

    START = "start"
    HOLDS = "holds"
    SPECIAL = "only for special sizes"
    APPROXIMATE = "only approximately"
    UNDECIDED = "undecided"
    REFUTED = "refuted"

    def __str__(self) -> str:
        return say(f"derivation.verdict.{self.name.lower()}")

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the link."""
        return self in (LinkVerdict.START, LinkVerdict.HOLDS)


@dataclass(frozen=True)
class Comparison:
    """One link at one point.

    Attributes:
        fits: True: holds; False: does not; None: cannot be told.
        error: the difference as a share of the size of the result; infinite where shapes differ.
        text: what differs, in words.
        vacuous: both sides are 0 throughout, which proves little.
    """

    fits: bool | None
    error: float
    text: str = ""
    vacuous: bool = False


@dataclass(frozen=True)
class Outcome:
    """The verdict on a link and what it rests on.

    Attributes:
        verdict: see `LinkVerdict`.
        note: the decisive number, the special sizes, or how far an approximation is off.
        error: the largest relative difference seen.
        counterexample: sizes, inputs and differing element at the first point that contradicts the link; or "".
        settings: where the link holds only for special sizes: which, such as "T = d".
    """

    verdict: LinkVerdict
    note: str = ""
    error: float = 0.0
    counterexample: str = ""
    settings: tuple[str, ...] = ()


def describe(point: Point, names: tuple[str, ...], text: str) -> str:
    """A counterexample in words: sizes, the inputs if they are small, and what differs."""
    sizes = ", ".join(f"{k} = {v}" for k, v in point.sizes.items())
    lines = [say("derivation.at_sizes", sizes=sizes)] if sizes else []
    shown = {k: point.arrays[k] for k in names if k in point.arrays and point.arrays[k].size <= SHOWN}
    lines += [f"{k} = {np.array2string(a, precision=4, separator=', ')}".replace("\n", "") for k, a in shown.items()]
    return "\n".join([*lines, text])


def first_doubt(found: list[tuple[Point, Comparison]], fits: Callable[[Comparison], bool]) -> tuple | None:
    """The first point whose comparison answers to `fits`."""
    return next((pair for pair in found if fits(pair[1])), None)
