"""What the mistake finder reports: one line per finding, the lines to look at, a certificate for a passed check."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field
from typing import Any

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
        seconds: how long it took, without the start of a process.
        certificate: for a passed check: seed, versions, hash of the file, points, sizes, the largest error and its bar.
        notes: what else is worth knowing (what was not checked, conventions, printing).
    """

    verdict: str
    findings: list[Finding] = field(default_factory=list)
    hypotheses: int = 0
    seconds: float = 0.0
    certificate: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    path: str = ""

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
        found |= {"lines": self.lines, "hypotheses": self.hypotheses, "seconds": round(self.seconds, 3)}
        return {**found, "certificate": self.certificate, "notes": self.notes}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """The report from plain data."""
        kept = {k: data[k] for k in ("verdict", "hypotheses", "seconds", "certificate", "notes")}
        return cls(findings=[Finding(**f) for f in data["findings"]], **kept)

    def __str__(self) -> str:
        texts = [self.verdict, *(f"  {f.text}" for f in self.findings)]
        if self.certificate:
            texts.append("  " + certificate_text(self.certificate))
        return "\n".join([*texts, *(f"  note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{html.escape(f.text)}</li>" for f in self.findings)
        rows += f"<li>{html.escape(certificate_text(self.certificate))}</li>" if self.certificate else ""
        rows += "".join(f"<li><i>{html.escape(n)}</i></li>" for n in self.notes)
        return f"<div><b>{html.escape(self.verdict)}</b><ul>{rows}</ul></div>"


def certificate_text(c: dict[str, Any]) -> str:
    """A certificate on one line."""
    sizes = "; ".join(" ".join(f"{k}={v}" for k, v in s.items()) for s in c["sizes"] if s) or "as given"
    versions = ", ".join(f"{k} {v}" for k, v in c["versions"].items())
    return (
        f"largest error {c['largest_error']:.1e} (bar {c['bar']:.0e}) at {c['points']} points, sizes {sizes}; seed "
        f"{c['seed']}, {versions}, sha256 {c['sha256'][:16]}"
    )
