"""What a gradient check found: a verdict, and for each input the numbers that decided it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..errors import TinyslmError
from ..messages import column, one_of, say


class GradientError(TinyslmError, AssertionError):
    """A gradient check that did not end with "right"."""


class Verdict(str, Enum):
    """The outcome of a check, from best to worst."""

    RIGHT = "right"
    CONVENTION = "right by convention"
    UNDECIDED = "undecided"
    WRONG = "wrong"

    def __str__(self) -> str:
        return say(f"gradcheck.verdict.{self.name.lower()}")

    @property
    def severity(self) -> int:
        """0 for right up to 3 for wrong."""
        return list(Verdict).index(self)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of several verdicts; right if there are none."""
    return max(verdicts, key=lambda v: v.severity, default=Verdict.RIGHT)


@dataclass(frozen=True)
class Entry:
    """One input: how its gradient compares with the numerical one where they differ most.

    `error` is relative to the largest gradient of that input; `index` is None where a random direction decided.
    """

    name: str
    verdict: Verdict
    index: tuple[int, ...] | None = None
    given: float = 0.0
    expected: float = 0.0
    error_bar: float = 0.0
    error: float = 0.0
    method: str = ""
    order: int = 1

    @property
    def place(self) -> str:
        """The element or direction, in words."""
        if self.index is None:
            return say("gradcheck.along", name=self.name)
        return f"{self.name}{list(self.index)}" if self.index else self.name

    def __str__(self) -> str:
        at = say("gradcheck.direction") if self.index is None else str(list(self.index))
        name = self.name if self.order == 1 else say("gradcheck.second_order", name=self.name)
        numbers = (f"{self.given:.8g}", f"{self.expected:.8g}", f"{self.error_bar:.1e}", f"{self.error:.1e}")
        return _row(name, str(self.verdict), at, *numbers, one_of("gradcheck.method", self.method))


WIDTHS = (14, 20, 12, -15, -15, -8, -8)  # negative: flush right
HEADS = ("input", "verdict", "worst_at", "given", "numerical", "bar", "error", "by")


def _row(*cells: str) -> str:
    *most, last = cells
    return "  " + " ".join(column(c, w) for c, w in zip(most, WIDTHS, strict=True)) + f"  {last}"


@dataclass(frozen=True)
class Report:
    """The result of `gradcheck`.

    Attributes:
        verdict: the worst of all entries and findings.
        entries: one per float input (and point and order).
        findings: what is wrong before any number is compared: shapes, NaN, randomness, a cotangent that is not used.
        convention: what was declared about kinks.
    """

    verdict: Verdict
    entries: tuple[Entry, ...] = ()
    findings: tuple[str, ...] = ()
    convention: str = field(default="", compare=False)

    @property
    def ok(self) -> bool:
        """True for right and right by convention."""
        return self.verdict in (Verdict.RIGHT, Verdict.CONVENTION)

    @property
    def largest_error(self) -> float:
        """The largest error of all inputs, relative to the gradient's scale there."""
        return max((e.error for e in self.entries), default=0.0)

    def __str__(self) -> str:
        head = _row(*(say(f"gradcheck.head.{name}") for name in HEADS))
        table = [head, *map(str, self.entries)] if self.entries else []
        return "\n".join([f"{self.verdict}: {self._decisive()}", *self.findings[1:], *table])

    def _decisive(self) -> str:
        if self.findings:
            return self.findings[0]
        if not self.entries:
            return say("gradcheck.no_gradient")
        bad = max(self.entries, key=lambda e: (e.verdict.severity, e.error))
        if self.verdict is Verdict.RIGHT:
            return say("gradcheck.largest_error", error=self.largest_error)
        fields = {"place": bad.place, "given": bad.given, "expected": bad.expected, "bar": bad.error_bar}
        if self.verdict is Verdict.CONVENTION:
            return say("gradcheck.between", **fields) + self._declared()
        return say("gradcheck.off", **fields, error=bad.error)

    def _declared(self) -> str:
        return f" ({self.convention})" if self.convention else ""

    def raise_if_wrong(self) -> Report:
        """Raise GradientError unless the gradient is right (also by convention); undecided is not a pass."""
        if not self.ok:
            raise GradientError(str(self))
        return self
