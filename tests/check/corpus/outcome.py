"""What the finder said about one file, judged against what is due."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .planting import Double, Mistake

MOST_LINES = 3


@dataclass(frozen=True)
class Outcome:
    """One file's answer; `accepted` holds one set of lines for each mistake in the file, none for a right file."""

    name: str
    klass: int
    expect: str
    accepted: tuple[frozenset[int], ...]
    verdict: str
    lines: tuple[int, ...]
    told: str
    seconds: float

    @property
    def undecided(self) -> bool:
        """Whether the finder left it open."""
        return self.verdict == "undecided"

    @property
    def detected(self) -> bool:
        """Whether the verdict is the one that is due; undecided counts as missed, except for numerics."""
        if self.expect == "layout":
            return "layout" in self.told
        due = {
            "right": ("right",),
            "wrong": ("wrong",),
            "numerics": ("wrong", "undecided", "cannot run"),
            "random": ("wrong", "cannot run"),
        }
        return self.verdict in due[self.expect]

    @property
    def named(self) -> bool:
        """Whether at most three lines are reported and one of them is right (both mistakes, where there are two)."""
        told = self.detected and 0 < len(self.lines) <= MOST_LINES
        return told and all(set(self.lines) & spot for spot in self.accepted)

    @property
    def only(self) -> bool:
        """Whether nothing but right lines is reported: the forward line, the backward line, or both."""
        return self.named and set(self.lines) <= frozenset().union(*self.accepted)

    @property
    def alone(self) -> bool:
        """Whether exactly one line is reported, and it is right; with two mistakes in the file never."""
        return self.named and len(self.lines) == 1


def judged(item: Mistake | Double | None, name: str, report: dict[str, Any], seconds: float) -> Outcome:
    """The outcome of one report (the dictionary of `--json`); `item` is None for a right file."""
    lines = tuple(report.get("lines") or ())
    told = " ".join([*(str(f) for f in report.get("findings") or ()), *(str(n) for n in report.get("notes") or ())])
    if item is None:
        return Outcome(name, 0, "right", (), report["verdict"], lines, told.lower(), seconds)
    spots = item.spots() if isinstance(item, Double) else (item.lines(),)
    accepted = tuple(frozenset(spot) for spot in spots)
    return Outcome(name, item.klass, item.expect, accepted, report["verdict"], lines, told.lower(), seconds)


@dataclass(frozen=True)
class Totals:
    """The numbers the targets are about."""

    right: int
    accused: int
    unsure_right: int
    wrong: int
    detected: int
    undecided: int
    located: int
    named: int
    only: int
    alone: int
    median: float
    slowest: float


def totals(outcomes: Iterable[Outcome]) -> Totals:
    """Add up. Lines are asked for where a wrong gradient is expected: not for conventions, layouts and randomness."""
    every = list(outcomes)
    right = [o for o in every if o.expect == "right"]
    wrong = [o for o in every if o.expect != "right"]
    located = [o for o in wrong if o.expect == "wrong"]
    seconds = [o.seconds for o in every] or [0.0]
    return Totals(
        right=len(right),
        accused=sum(o.verdict in ("wrong", "cannot run") for o in right),
        unsure_right=sum(o.undecided for o in right),
        wrong=len(wrong),
        detected=sum(o.detected for o in wrong),
        undecided=sum(o.undecided for o in every),
        located=len(located),
        named=sum(o.named for o in located),
        only=sum(o.only for o in located),
        alone=sum(o.alone for o in located),
        median=statistics.median(seconds),
        slowest=max(seconds),
    )
