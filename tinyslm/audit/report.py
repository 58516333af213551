"""Results of the audit as text for a terminal, as JSON, and as an HTML page that opens offline."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_text
from ..messages import column, one_of
from ..messages import say as message
from ..unicode_math import to_unicode
from .questions import Answer
from .record import Record
from .verdict import Examined, Result

FORMULAS = ("printed", "repaired")
MARKS = {True: "yes", False: "no", None: "none"}


def say(name: str, /, **fields: Any) -> str:
    """A message of the catalogue."""
    return message(f"audit.{name}", **fields)


def verdict_text(verdict: str) -> str:
    """A verdict in the catalogue's words."""
    return one_of("audit.verdict", verdict)


def answered(answer: Answer) -> str:
    """yes, NO, or a dash."""
    return say(f"mark.{MARKS[answer.ok]}")


# -- text -------------------------------------------------------------------------------------------------------------


def decisive(result: Result) -> str:
    """The number that decides, or shows best what is decided, in one line."""
    record = result.record
    if result.measured:
        return "; ".join(f"{text}: {a.text}" for text, a in result.measured.answers)
    if record.measure:
        return say("waits", id=record.id)
    if not result.findings and not result.readings:
        return _how_to_run(record)
    if result.findings:
        finding, answer = result.findings[0]
        return f"{finding.text}: {answer.text}"
    pairs = result.readings[0].answers
    question, answer = next(((q, a) for q, a in pairs if a.ok is False), pairs[0])
    return f"{question.text} -> {answer.text}"


def _how_to_run(record: Record) -> str:
    return say("command", command=record.command) if record.command else say("no_command")


def line(result: Result) -> str:
    """One line: ID, verdict, the decisive number."""
    flag = "" if result.ok else f"  <-- {trouble(result)}"
    verdict = column(verdict_text(result.verdict), 17)
    return f"{result.record.id:<4}{verdict}{result.record.title}: {decisive(result)}{flag}"


def trouble(result: Result) -> str:
    """Why a result is not as documented, or an empty string."""
    if not result.as_documented:
        return say("differs", expected=verdict_text(result.record.expected), got=verdict_text(result.verdict))
    if result.repair is not None and result.repair.verdict != "right":
        return say("repair_fails", got=verdict_text(result.repair.verdict))
    return "" if result.ok else say("finding_fails", text=next(f.text for f, a in result.findings if not a.ok))


def story(result: Result) -> list[str]:
    """The whole story, line by line."""
    r = result.record
    head = [f"{r.id}  {r.title}: {verdict_text(result.verdict)}"]
    head += [say("where", article=r.article, heading=r.heading), ""]
    told = [f"{say(name)}: {_in_characters(name, text)}" for name, text in _told(r) if text]
    parts = [_examined(e) for e in (*result.readings, *([result.repair] if result.repair else []))]
    numbers = [_row(a, f.text) for f, a in result.findings]
    measured = [_row(a, text) for text, a in result.measured.answers] if result.measured else []
    shown = [say("numbers"), *numbers, *measured] if numbers or measured else []
    end = [trouble(result)] if trouble(result) else []
    if not r.readings and not result.measured:
        end.append(say("waits", id=r.id) if r.measure else _how_to_run(r))
    return [*head, *told, "", *[x for part in parts for x in (*part, "")], *shown, *end]


def _told(r: Record) -> Sequence[tuple[str, str]]:
    return (
        ("printed", r.printed),
        ("said", r.said),
        ("repaired", r.repaired),
        ("source", r.source),
        ("note", r.note),
        ("run", r.command),
    )


def _in_characters(name: str, text: str) -> str:
    return to_unicode(text) if name in FORMULAS and _is_formula(text) else text


def _examined(e: Examined) -> list[str]:
    why = say("excluded", why=e.excluded) if e.excluded else ""
    return [f"{_name(e)}: {verdict_text(e.verdict)}{why}", *[_row(a, q.text, q.kind) for q, a in e.answers]]


def _name(e: Examined) -> str:
    return say("repair_name") if e.name == "repaired" else say("reading", name=e.name)


def _row(answer: Answer, text: str, kind: str = "") -> str:
    start = f"  {column(answered(answer), 4)}"
    kind = kind and column(one_of("audit.kind", kind), 13)
    return f"{start}{kind}{text} -> {answer.text}" if kind else f"{start}{text}: {answer.text}"


# -- JSON -------------------------------------------------------------------------------------------------------------


def to_json(results: Iterable[Result]) -> str:
    """A list of objects, one per record; numbers that JSON lacks (NaN, infinity) as text."""
    return json.dumps([_entry(r) for r in results], ensure_ascii=False, indent=1, allow_nan=False)


def _entry(result: Result) -> dict[str, Any]:
    r = result.record
    measured = result.measured
    return {
        **{k: getattr(r, k) for k in ("id", "article", "heading", "title", "printed", "said", "repaired", "source")},
        "note": r.note,
        "command": r.command,
        "verdict": result.verdict,
        "documented": r.expected,
        "ok": result.ok,
        "decisive": decisive(result),
        "readings": [_examined_entry(e) for e in result.readings],
        "repair": _examined_entry(result.repair) if result.repair else None,
        "findings": [{"text": f.text, **_answer_entry(a)} for f, a in result.findings],
        "measured": [{"text": t, **_answer_entry(a)} for t, a in measured.answers] if measured else [],
        "measured_numbers": plain(measured.numbers) if measured else {},
        "seconds": round(result.seconds, 3),
    }


def _examined_entry(e: Examined) -> dict[str, Any]:
    answers = [{"kind": q.kind, "question": q.text, **_answer_entry(a)} for q, a in e.answers]
    return {"name": e.name, "excluded": e.excluded, "verdict": e.verdict, "answers": answers}


def _answer_entry(a: Answer) -> dict[str, Any]:
    return {"ok": a.ok, "answer": a.text, "numbers": plain(a.numbers)}


def plain(x: Any) -> Any:
    """Numbers, texts, lists and dicts only."""
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, (np.ndarray, np.generic)):
        return plain(x.tolist())
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    return x if x is None or isinstance(x, (bool, int, float, str)) else str(x)


# -- HTML -------------------------------------------------------------------------------------------------------------


def write_html(results: Sequence[Result], path: Path) -> None:
    """Write the page: a table of verdicts, then every story with formulas and pictures."""
    from ..course.report import STYLE

    style = STYLE + " .excluded { opacity: .7; } summary { cursor: pointer; }"
    body = [_summary(results), *[_section(r) for r in results]]
    write_text(
        path,
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>tinyslm: {say('title')}</title><style>{style}</style><body>{''.join(body)}</body></html>\n",
    )


def _summary(results: Sequence[Result]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{r.record.id}">{r.record.id}</a></td><td>{_e(r.record.title)}</td>'
        f"<td>{_mark(r.verdict)}</td><td>{_e(decisive(r))}</td></tr>"
        for r in results
    )
    bad = [r.record.id for r in results if not r.ok]
    state = f'<p class="bad">{_e(say("not_all", ids=", ".join(bad)))}</p>' if bad else f"<p>{_e(say('all'))}</p>"
    return f"<h1>{_e(say('title'))}</h1>{state}<table>{rows}</table>"


def _section(result: Result) -> str:
    r = result.record
    told = "".join(_told_html(name, text) for name, text in _told(r) if text)
    parts = "".join(_examined_html(e) for e in (*result.readings, *([result.repair] if result.repair else [])))
    found = [(f.text, a) for f, a in result.findings] + list(result.measured.answers if result.measured else ())
    numbers = f"<p><b>{_e(say('numbers'))}</b></p><table>{''.join(_row_html(t, a) for t, a in found)}</table>"
    return (
        f'<section id="{r.id}"><h2>{r.id} {_e(r.title)}: {_mark(result.verdict)}</h2>'
        f"<p>{_e(say('where', article=r.article, heading=r.heading))}</p>{told}{parts}"
        f"{numbers if found else ''}{_picture(result)}</section>"
    )


def _told_html(name: str, text: str) -> str:
    from ..course.report import formula

    shown = formula(text, display=True) if name in FORMULAS and _is_formula(text) else _e(text)
    return f"<p><b>{_e(say(name))}</b>: {shown}</p>"


def _is_formula(text: str) -> bool:
    return "\\" in text or "=" in text or "^" in text


def _examined_html(e: Examined) -> str:
    why = _e(say("excluded", why=e.excluded)) if e.excluded else ""
    rows = "".join(_row_html(q.text, a, q.kind) for q, a in e.answers)
    kind = ' class="excluded"' if e.excluded else ""
    return (
        f"<details{kind} open><summary>{_e(_name(e))}: {_mark(e.verdict)}{why}</summary><table>{rows}</table></details>"
    )


def _row_html(text: str, a: Answer, kind: str = "") -> str:
    cell = f"<td>{_e(one_of('audit.kind', kind))}</td>" if kind else ""
    colour = {True: "ok", False: "bad", None: ""}[a.ok]
    return f'<tr><td class="{colour}">{_e(answered(a))}</td>{cell}<td>{_e(text)}</td><td>{_e(a.text)}</td></tr>'


def _mark(verdict: str) -> str:
    kind = "ok" if verdict == "right" else "bad" if verdict.startswith("wrong") else ""
    return f'<span class="{kind}">{_e(verdict_text(verdict))}</span>'


def _picture(result: Result) -> str:
    figure = picture(result)
    if figure is None:
        return ""
    file = io.BytesIO()
    figure.savefig(file, dpi=110, format="png")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<figure><img class="figure" alt="{_e(result.record.title)}" src="data:image/png;base64,{data}"></figure>'


def picture(result: Result) -> Any:
    """The record's figure, or None where it has none or its measurement was not run."""
    record = result.record
    if record.picture is None or (record.measure and result.measured is None):
        return None
    return record.picture(result.measured.numbers if result.measured else {})


def _e(text: str) -> str:
    return html.escape(text)
