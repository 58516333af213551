"""What is known about one formula, listing or claim of the articles: data and functions, no judgement.

The verdict is not stored here. It is computed (verdict.py) from what the questions (questions.py) get as answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .questions import Answer, Question

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Reading:
    """One way to read what is printed.

    Attributes:
        name: in a few words, such as "elementwise".
        formula: the reading as a function of tensors (float64) or whatever the questions of its record pass.
        excluded: why the article's own text near the formula rules this reading out; "" if it doesn't. An excluded
            reading is run too, but it can't make a formula right.
    """

    name: str
    formula: Formula
    excluded: str = ""


@dataclass(frozen=True)
class Finding:
    """A number that is computed and shown beside the verdict without deciding it.

    Attributes:
        text: what is measured.
        measure: () -> Answer, whose `ok` says whether the number is the one that we state.
    """

    text: str
    measure: Callable[[], Answer]


@dataclass(frozen=True)
class Measured:
    """The result of a record whose verdict is a measurement.

    Attributes:
        verdict: in words, such as "measured: holds in part".
        answers: what each part of the claim gave.
        numbers: everything that was measured, for --json and the picture.
    """

    verdict: str
    answers: tuple[tuple[str, Answer], ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One entry of the audit.

    Attributes:
        id: "A6".
        heading: where it stands, such as "4.1, Transformer model"; the article follows from the ID.
        title: what it is about, in a few words.
        printed: LaTeX as printed; "" where it is prose or code.
        said: what the article says beside it, in our words.
        readings: every sensible reading; the literal one first.
        questions: asked of each reading and of the repair, one callable at a time.
        repaired: LaTeX of the repair.
        repair: the repair, called in the same way as the readings; None for tasks and measurements.
        findings: numbers beside the verdict; the first is the one shown in the list. If there is none, the answer to
            the first question that failed (or the first of all) is shown.
        source: where the repaired form comes from.
        expected: the documented verdict.
        command: a command that runs it, "" if there is none.
        measure: for "to measure": () -> Measured.
        slow: left out of `tinyslm audit` without --all.
        picture: (numbers of `measure`, or an empty dict) -> a matplotlib Figure, or None.
        note: what else should be known, in one or two sentences.
    """

    id: str
    heading: str
    title: str
    expected: str
    said: str
    printed: str = ""
    readings: tuple[Reading, ...] = ()
    questions: tuple[Question, ...] = ()
    repaired: str = ""
    repair: Formula | None = None
    findings: tuple[Finding, ...] = ()
    source: str = ""
    command: str = ""
    measure: Callable[[], Measured] | None = None
    slow: bool = False
    picture: Callable[[Mapping[str, Any]], Any] | None = None
    note: str = ""

    @property
    def article(self) -> str:
        """The article: "A" or "B"."""
        return self.id[0]
