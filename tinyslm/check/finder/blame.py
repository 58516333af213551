"""From the changes that repair gradients to the lines that are told, and how sure that is."""

from __future__ import annotations

import numpy as np

from .region import region
from .search import FAR, WINDOW, Fix
from .trace import Trace, fingerprint

MOST_LINES = 3
SCALED = ("factor", "size factor", "sign")
LEFT_OUT = ("activation", "factor missing")


def lines_of(fixes: list[Fix], trace: Trace) -> list[int]:
    """The lines of the most likely fixes: those that are about as simple as the simplest."""
    best = fixes[0].edit.cost
    kept = [f for f in fixes if f.edit.cost <= best + WINDOW and f.edit.cost < FAR]
    if not kept:
        return _of_right_quantities(fixes, trace)
    kept = _without_mere_names(kept)
    if kept[0].edit.kind == "normaliser":
        kept = [f for f in kept if forward_line(f, trace)][:1] or kept
    scaled = [f for f in kept if f.edit.kind in SCALED]
    if scaled and len(scaled) == len([f for f in kept if f.edit.kind != "sum"]):
        right = [f for f in kept if forward_line(f, trace)]  # a factor that belongs here gives what forward tells
        marked = list({f.line: f for f in kept if f.marked}.values())
        if right and not [f for f in marked if f not in right]:
            kept = [f for f in right if f.marked][:1] or [_first(right)]
        else:
            kept = marked[:2] + [f for f in kept if not f.marked][: 1 if marked else None]
    return _few([f.line for f in kept])


def _without_mere_names(kept: list[Fix]) -> list[Fix]:
    """Where something was left out, a plain `da = dh` is the likelier place; else it only hands a value on."""
    aliases = [f for f in kept if f.role == "alias"]
    if aliases and kept[0].edit.kind in LEFT_OUT:
        return aliases
    return [f for f in kept if f.role not in ("alias", "given")] or aliases or kept


def _of_right_quantities(fixes: list[Fix], trace: Trace) -> list[int]:
    """Of right quantities in several places the first: the later ones only pass it on."""
    fixes = _without_mere_names(fixes)
    others = [f for f in fixes if f.edit.kind == "other"]
    paths = [f for f in fixes if f.edit.kind in ("path dropped", "counted twice", "normaliser")]
    if paths and not (others and _first(others).index < _first(paths).index):
        first = _first(paths)
        unsure = len({f.line for f in paths}) > 1 and first.forward_line
        return _few([first.line, first.forward_line or 0] if unsure else [first.line])
    first = _first(others or fixes)
    return _few(region(first.index, first.line, trace))


def _first(fixes: list[Fix]) -> Fix:
    return min(fixes, key=lambda f: f.index)


def _few(lines: list[int]) -> list[int]:
    return list(dict.fromkeys(n for n in lines if n))[:MOST_LINES]


def forward_line(fix: Fix, trace: Trace) -> int | None:
    """The forward line whose derivative a repair makes right, where the repaired value tells."""
    if fix.forward_line or fix.edit.only != "every" or fix.key not in trace.groups:
        return fix.forward_line
    new = trace.replay(trace.changes(fix.key, fix.edit))
    for node in trace.groups[fix.key]:
        value = np.asarray(new[node])
        line = trace.right_lines().get(fingerprint(value)[1:]) if value.dtype.kind == "f" and value.any() else None
        if line:
            return line
    return None
