"""What checking a derivation found, as text, Markdown and LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TinyslmError
from ..messages import say
from ..unicode_math import to_unicode
from .outcome import LinkVerdict, Outcome
from .steps import Step


class DerivationError(TinyslmError, AssertionError):
    """A derivation with a link that does not hold."""


@dataclass(frozen=True)
class Line:
    """A step with its number, what its link turned out to be (None if it was not asked for), and what was expected."""

    number: int
    step: Step
    outcome: Outcome | None
    expected: LinkVerdict = LinkVerdict.HOLDS

    @property
    def tested(self) -> bool:
        """Whether it has a link and the link was tested."""
        return self.outcome is not None and self.outcome.verdict is not LinkVerdict.START

    @property
    def verdict(self) -> LinkVerdict:
        """The verdict on its link."""
        return self.outcome.verdict if self.outcome else LinkVerdict.UNDECIDED

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.tested or self.verdict.ok

    @property
    def ok(self) -> bool:
        """Whether it has the verdict that it should have."""
        return not self.tested or self.verdict is self.expected

    @property
    def claim(self) -> str:
        """What it claims, in words."""
        if self.step.link is None:
            return say("derivation.link.sample" if self.step.random else "derivation.link.start")
        given = getattr(self.step.link, "given", "")
        words: str = self.step.link.words()
        return f"{words}, {say('derivation.given', given=given)}" if given else words

    @property
    def mark(self) -> str:
        """One or two words: start, checked, refuted, ..."""
        if self.outcome is None or not self.tested:
            return say("derivation.mark.start")
        return say("derivation.mark.checked") if self.verdict.ok else str(self.verdict)

    @property
    def judgement(self) -> str:
        """The mark with its evidence."""
        evidence = self.evidence
        return say("derivation.judged", mark=self.mark, evidence=evidence) if evidence else self.mark + self._remark()

    @property
    def evidence(self) -> str:
        """What was noted on its link and whether that was expected, or an empty string."""
        note = self.outcome.note if self.outcome else ""
        return note + self._remark() if note else ""

    def _remark(self) -> str:
        if self.expected is LinkVerdict.HOLDS:
            return ""
        told = say("derivation.as_expected") if self.ok else say("derivation.unexpected", expected=self.expected)
        return say("derivation.aside", text=told)

    @property
    def example(self) -> list[str]:
        """The lines of the counterexample that the note does not say already."""
        found = self.outcome.counterexample.splitlines() if self.outcome and not self.holds else []
        return [x for x in found if self.outcome and x != self.outcome.note]

    def text(self) -> list[str]:
        """Its lines in the report, the formula as characters."""
        head = f"{self.number:>3}  {self.step.name:<16} {self.claim}"
        lines = [head, f"       {to_unicode(self.step.latex)}"]
        if not self.tested:
            return lines
        lines.append(f"       {self.judgement}")
        return lines + [f"         {part}" for part in self.example]


@dataclass(frozen=True)
class DerivationReport:
    """The result of `Derivation.check`.

    Attributes:
        name, title, source: of the derivation.
        lines: one per step.
    """

    name: str
    title: str
    source: str
    lines: tuple[Line, ...]

    @property
    def holds(self) -> bool:
        """Whether every tested link holds."""
        return all(x.holds for x in self.lines)

    @property
    def ok(self) -> bool:
        """Whether every tested link has the verdict that it should have.

        Differs from `holds` where a derivation shows mistakes on purpose.
        """
        return all(x.ok for x in self.lines)

    @property
    def first_failure(self) -> Line | None:
        """The first link that does not hold."""
        return next((x for x in self.lines if not x.holds), None)

    @property
    def failures(self) -> list[str]:
        """The names of all steps whose link does not hold."""
        return [x.step.name for x in self.lines if not x.holds]

    @property
    def tested(self) -> int:
        """The number of links that were tested."""
        return sum(x.tested for x in self.lines)

    def line(self, name: str) -> Line:
        """The line of a step."""
        return next(x for x in self.lines if x.step.name == name)

    @property
    def summary(self) -> str:
        """One sentence."""
        bad = self.first_failure
        if bad is None:
            return say("derivation.all_hold", n=self.tested)
        return say(
            "derivation.first_failure", number=bad.number, n=len(self.lines), name=bad.step.name, verdict=bad.verdict
        )

    def raise_if_wrong(self) -> DerivationReport:
        """Raise DerivationError unless every link has the verdict that it should have."""
        if not self.ok:
            raise DerivationError(str(self))
        return self

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.summary}", f"  {self.title}", *(t for x in self.lines for t in x.text())]
        return "\n".join([*lines, *([f"  {self.source}"] if self.source else [])])

    # -- export -------------------------------------------------------------------------------------------------------

    def markdown(self) -> str:
        """A Markdown page: each step as a display formula, marked checked or refuted."""
        parts = [f"## {self.title}", f"{self.summary[:1].upper()}{self.summary[1:]}."]
        for x in self.lines:
            lead = f"**{x.number}.** `{x.step.name}`: {x.claim}"
            example = _quoted("\n".join(x.example))
            evidence = say("derivation.aside", text=x.evidence) if x.evidence else ""
            verdict = f" — **{x.mark}**{evidence}" if x.tested else ""
            parts += [f"{lead}{verdict}", f"$${x.step.latex}$$", *([example] if example else [])]
        return "\n\n".join([*parts, *([f"Source: {self.source}"] if self.source else [])]) + "\n"

    def latex(self) -> str:
        """A LaTeX fragment (needs amsmath): one aligned line per step, its mark as text at the right."""
        rows = [rf"&{x.step.latex} && \text{{{_escaped(_row(x))}}}" for x in self.lines]
        body = " \\\\\n".join(f"  {r}" for r in rows)
        head = f"% {self.name}: {self.summary}\n\\paragraph{{{_escaped(self.title)}}}\n"
        return f"{head}\\begin{{align*}}\n{body}\n\\end{{align*}}\n"


def _row(line: Line) -> str:
    return f"({line.number}) {line.claim}: {line.mark}" if line.tested else f"({line.number}) {line.mark}"


def _quoted(text: str) -> str:
    return "```\n" + text + "\n```" if text else ""


def _escaped(text: str) -> str:
    """Plain text for LaTeX."""
    kept = text.replace("\\", r"\textbackslash ")
    for sign in "&%$#_{}":
        kept = kept.replace(sign, "\\" + sign)
    return kept
