"""A repair in words: what is wrong with which line, in the learner's own names."""

from __future__ import annotations

import re

import numpy as np

from ...messages import say
from .diagnose import Diagnosis
from .graph import Node
from .naming import Names
from .outcome import Finding
from .search import Fix
from .tidy import tidy, with_operand
from .trace import MATCH, Trace


def told(number: int, diagnosis: Diagnosis, base: Trace) -> Finding:
    """The finding for one of the mistakes that were told apart."""
    fixes, lines, names = diagnosis.mistakes[number], diagnosis.lines[number], base.names
    best = next((f for f in fixes if f.line == (lines[0] if lines else 0)), fixes[0])
    line = lines[0] if lines else best.line
    order = list(base.right)
    gradients = sorted(fixes[0].names or fixes[0].repaired, key=order.index)
    where = {"line": line, "code": names.line(line), "forward": _forward(best, fixes, names)}
    text = say(
        "finder.cause", **where, cause=cause(best, names),
        names=few(["d" + k for k in gradients]), error=MATCH, points=diagnosis.points, tried=diagnosis.tried,
        left=say("finder.left", left=diagnosis.left) if diagnosis.left else "", others=_others(lines[1:]),
    )  # fmt: skip
    found = Finding("finder.cause", best.edit.kind, text, lines, _forward_line(best, fixes), line or None, gradients)
    found.evidence = say("finder.evidence", count=len(gradients), tried=diagnosis.tried)
    return found


def few(names: list[str]) -> str:
    """At most four names, and how many more there are."""
    return ", ".join(names if len(names) <= 4 else [*names[:3], say("finder.more", count=len(names) - 3)])


def _others(lines: list[int]) -> str:
    return say("finder.others", lines=", ".join(map(str, lines))) if lines else ""


def _forward_line(best: Fix, fixes: list[Fix]) -> int | None:
    return best.forward_line or next((f.forward_line for f in fixes if f.forward_line), None)


def _forward(best: Fix, fixes: list[Fix], names: Names) -> str:
    line = _forward_line(best, fixes)
    if not line or best.edit.says in ("path", "other", "twice"):
        return ""
    return say("finder.forward", line=line, code=names.line(line))


def cause(fix: Fix, names: Names) -> str:
    """What was meant, as one clause."""
    edit, node = fix.edit, fix.node
    part = _told_apart(node, names) if node is not None else ""
    operands = [_operand(a, names) for a in node.args] if node is not None else []
    operand = operands[edit.slot] if edit.slot is not None and edit.slot < len(operands) else part
    wanted = _wanted(fix, names, operands, part)
    key = _key(fix, names, wanted, operand)
    if key == "instead" and node is not None:
        part = names.expression(node)
    if key == "operand" and node is not None and _is_number(node.args[edit.slot or 0]):
        key, part = "instead", names.expression(node)
        wanted = names.quoted(tidy(with_operand(part, edit.slot or 0, wanted)))
    given, place, expected = fix.sample
    return say(
        "finder.fix." + key, part=part, wanted=wanted, operand=operand, value=edit.value, old=fix.old,
        line=edit.line, code=names.line(edit.line), spot=_bracketed(part) + place, given=given, expected=expected,
    )  # fmt: skip


def _wanted(fix: Fix, names: Names, operands: list[str], part: str) -> str:
    edit = fix.edit
    if edit.only == "source":
        return names.quoted(tidy(edit.wanted))
    if edit.only != "every":
        return edit.wanted
    if edit.says == "index":
        return say("finder.index." + edit.wanted)
    value = _bracketed(edit.value) if "{value}" in edit.wanted and edit.wanted != "{value}" else edit.value
    operands = [_bracketed(o) for o in operands] if len(edit.wanted) > 3 else operands
    return names.quoted(tidy(_filled(edit.wanted, operands, part, value)))


def _key(fix: Fix, names: Names, wanted: str, operand: str) -> str:
    """Which message tells it: some causes are another one where the code says already what is wanted."""
    says, line = fix.edit.says, names.line(fix.line)
    if says == "add" and "+=" in line:
        return "add.again"
    if says in ("operand", "carry.instead") and wanted == operand:
        return says + ".same"
    return says if fix.edit.line or says not in ("path", "other", "twice") else says + ".input"


def _told_apart(node: Node, names: Names) -> str:
    """What the learner calls a value, with its column where the line holds the same text twice."""
    part, line = names.of_node(node), names.line(node.inner)
    column = node.site[-1][1] // 10_000 + 1 if node.site else 0
    if column < 2 or part.isidentifier() or line.count(part) < 2:
        return part
    return say("finder.at_column", part=part, column=column)


def _is_number(x: object) -> bool:
    return isinstance(x, (int, float, np.number))


def _filled(wanted: str, operands: list[str], part: str, value: str) -> str:
    for j, operand in enumerate(operands):
        wanted = wanted.replace(f"{{{j}}}", operand)
    return wanted.replace("{part}", _bracketed(part)).replace("{value}", value)


def _bracketed(text: str) -> str:
    """In brackets where it is a sum or product."""
    bare = re.sub(r"\[[^\]]*\]|\([^()]*\)", "", text)
    return f"({text})" if " " in bare else text


def _operand(x: object, names: Names) -> str:
    if isinstance(x, Node):
        return names.of_node(x)
    return f"{x:g}" if isinstance(x, (int, float, np.number)) else str(x)
