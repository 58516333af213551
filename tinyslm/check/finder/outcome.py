"""What the mistake finder reports: one line per finding, the lines to look at, a certificate for a passed check."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field
from typing import Any

from ...messages import say

CODES = {"right": 0, "wrong": 1, "cannot run": 2, "undecided": 3}
MOST_LINES = 3


@dataclass
class Finding:
    """One thing that is wrong (or could not be done): its kind, one line of text, where, and the evidence."""

    id: str
    kind: str
    text: str
    lines: list[int] = field(default_factory=list)
    forward_line: int | None = None
    backward_line: int | None = None
    gradients: list[str] = field(default_factory=list)
    evidence: str = ""


@dataclass
class Outcome:
    """The result of checking a derivation.

    Attributes:
        verdict: "right", "wrong", "undecided" or "cannot run".
        findings: what was found, the most certain first; empty where all is right.
        hypotheses: how many single changes were tried in the search for a cause.
        left: how many more there were when the time for the search was over.
        seconds: how long it took, without the start of a process.
        certificate: for a passed check: seed, versions, hash of the file, points, sizes, the largest error and its
            bar, the gradients that were checked and those of inputs that were not given.
        notes: what else is worth knowing (what was not checked, conventions, printing).
    """

    verdict: str
    findings: list[Finding] = field(default_factory=list)
    hypotheses: int = 0
    seconds: float = 0.0
    certificate: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    path: str = ""
    left: int = 0

    @property
    def code(self) -> int:
        """The exit code: 0 right, 1 wrong, 2 cannot run, 3 undecided."""
        return CODES[self.verdict]

    @property
    def ok(self) -> bool:
        """True for right."""
        return self.verdict == "right"

    @property
    def lines(self) -> list[int]:
        """The lines to look at, at most three, the most likely first."""
        turns = max((len(f.lines) for f in self.findings), default=0)
        order = [f.lines[i] for i in range(turns) for f in self.findings if i < len(f.lines)]
        return list(dict.fromkeys(order))[:MOST_LINES]

    def json(self) -> dict[str, Any]:
        """The report as plain data."""
        found = {"verdict": self.verdict, "code": self.code, "findings": [asdict(f) for f in self.findings]}
        found |= {
            "lines": self.lines,
            "hypotheses": self.hypotheses,
            "left": self.left,
            "seconds": round(self.seconds, 3),
        }
        return {**found, "certificate": self.certificate, "notes": self.notes}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """The report from plain data."""
        kept = {k: data[k] for k in ("verdict", "hypotheses", "left", "seconds", "certificate", "notes")}
        return cls(findings=[Finding(**f) for f in data["findings"]], **kept)

    def __str__(self) -> str:
        return "\n".join([self.word, *(f"  {text}" for text in self.texts())])

    @property
    def word(self) -> str:
        """The verdict in the chosen language."""
        part = self.ok and (self.certificate or {}).get("unchecked")
        return say("finder.verdict.part" if part else "finder.verdict." + self.verdict)

    def texts(self) -> list[str]:
        """Findings, certificate and notes, one line each."""
        passed = [certificate_text(self.certificate)] if self.certificate else []
        return [*(f.text for f in self.findings), *passed, *(say("finder.note", text=n) for n in self.notes)]

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{html.escape(text)}</li>" for text in self.texts())
        return f"<div><b>{html.escape(self.word)}</b><ul>{rows}</ul></div>"


def certificate_text(c: dict[str, Any]) -> str:
    """A certificate on one line."""
    sizes = "; ".join(" ".join(f"{k}={v}" for k, v in s.items()) for s in c["sizes"] if s) or say("finder.sizes")
    versions = ", ".join(f"{k} {v}" for k, v in c["versions"].items())
    numbers = {k: c[k] for k in ("largest_error", "bar", "points", "seed")}
    return say("finder.certificate", sizes=sizes, versions=versions, sha256=c["sha256"][:16], **numbers)
