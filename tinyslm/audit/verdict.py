"""From answers to a verdict, by a rule.

1. A reading that the article's text allows and for which every question holds: right.
2. Otherwise, one that the text excludes and for which every question holds: wrong: notation. The formula can be saved,
   but not as it is written.
3. Otherwise the mildest of what the allowed readings give: incomplete (only questions about completeness fail),
   wrong: fact, wrong: value, wrong: shape (a question about shapes fails).

A record without readings is a task, or it is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..kernels.cpu._blas import one_thread
from .questions import Answer, Question
from .record import Finding, Formula, Measured, Reading, Record

RIGHT = "right"
INCOMPLETE = "incomplete"
FACT = "wrong: fact"
VALUE = "wrong: value"
SHAPE = "wrong: shape"
NOTATION = "wrong: notation"
TASK = "task"
TO_MEASURE = "to measure"
SEVERITY = (RIGHT, INCOMPLETE, FACT, VALUE, SHAPE)
_MEANS = {"shapes": SHAPE, "complete": INCOMPLETE, "fact": FACT}


@dataclass(frozen=True)
class Examined:
    """One callable with its answers, in the order of the questions."""

    name: str
    excluded: str
    answers: tuple[tuple[Question, Answer], ...]

    @property
    def verdict(self) -> str:
        """What the answers alone say about this callable: the worst of them."""
        failed = [_MEANS.get(q.kind, VALUE) for q, a in self.answers if a.ok is False]
        return max(failed, key=SEVERITY.index, default=RIGHT)


@dataclass(frozen=True)
class Result:
    """Everything that `tinyslm audit` shows about a record."""

    record: Record
    verdict: str
    readings: tuple[Examined, ...]
    repair: Examined | None
    findings: tuple[tuple[Finding, Answer], ...]
    measured: Measured | None
    seconds: float

    @property
    def as_documented(self) -> bool:
        """Whether the computed verdict is the documented one (a measurement has none beforehand)."""
        return self.record.expected in (self.verdict, TO_MEASURE)

    @property
    def ok(self) -> bool:
        """As documented, the repair holds, and all findings are what we state."""
        repaired = self.repair is None or self.repair.verdict == RIGHT
        return self.as_documented and repaired and all(a.ok for _, a in self.findings)


def examine(name: str, formula: Formula, questions: Iterable[Question], excluded: str = "") -> Examined:
    """Ask one callable all questions."""
    return Examined(name, excluded, tuple((q, q.ask(formula)) for q in questions))


def judge(readings: Iterable[Examined]) -> str:
    """The verdict over all readings of a formula."""
    readings = list(readings)
    allowed = [r.verdict for r in readings if not r.excluded]
    if RIGHT not in allowed and any(r.excluded and r.verdict == RIGHT for r in readings):
        return NOTATION
    return min(allowed or [r.verdict for r in readings], key=SEVERITY.index)


@one_thread  # the matrices here are so small that splitting a product costs more than it saves
def audit(record: Record, measure: bool = True) -> Result:
    """Examine a record: all readings, the repair, the findings; run the measurement of a record that has one."""
    start = time.perf_counter()
    readings = tuple(_reading(r, record.questions) for r in record.readings)
    repair = None if record.repair is None else examine("repaired", record.repair, record.questions)
    findings = tuple((f, _measure(f)) for f in record.findings)
    measured = record.measure() if record.measure and measure else None
    verdict = judge(readings) if readings else _without_formula(record, measured)
    return Result(record, verdict, readings, repair, findings, measured, time.perf_counter() - start)


def _reading(r: Reading, questions: Iterable[Question]) -> Examined:
    return examine(r.name, r.formula, questions, r.excluded)


def _measure(finding: Finding) -> Answer:
    return Question("value", finding.text, lambda _: finding.measure()).ask(lambda: None)


def _without_formula(record: Record, measured: Measured | None) -> str:
    if measured is not None:
        return measured.verdict
    return TO_MEASURE if record.measure else TASK
