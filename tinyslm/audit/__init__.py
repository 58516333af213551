"""The audit: every formula, listing and claim of the two articles, judged by questions that are executed."""

from .questions import Answer, Question
from .record import Finding, Measured, Reading, Record
from .registry import IDS, chosen, record
from .verdict import Examined, Result, audit, examine, judge

__all__ = [
    "IDS",
    "Answer",
    "Examined",
    "Finding",
    "Measured",
    "Question",
    "Reading",
    "Record",
    "Result",
    "audit",
    "chosen",
    "examine",
    "judge",
    "record",
]
