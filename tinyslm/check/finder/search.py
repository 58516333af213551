"""The search: which single change at one place of the learner's backward pass makes its wrong gradients right?

The learner's backward pass was recorded, so it can run again with one place changed. A place is a call site: all uses
of one line in a loop change together. A change that repairs gradients must do so again at fresh points with other
sizes; one that changes nothing is no hypothesis. Likely changes are tried first, and the search is over when one that
explains everything has been found and all that are about as likely have been tried. What was found is consistent
with the numbers, and never proven.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from . import clock
from . import edits as catalogue
from .edits import Edit, Family, Spot, is_float
from .factors import Sized, factor_kind, factor_names
from .graph import Node
from .region import around
from .screen import Rows, Screen, hits, promising
from .trace import MATCH, Change, Key, Mark, Trace, ancestors, felt_by, fingerprint

T = TypeVar("T")
WINDOW = 0.35  # causes that differ by less than this in cost are told together
BATCH = 24
FAR = 2.2  # from here on a change puts in the right quantity, and says little about the cause
Step = Callable[[], None]


@dataclass
class Fix:
    """A change that makes wrong gradients right."""

    key: Key
    edit: Edit
    repaired: frozenset[str]
    line: int
    index: int
    forward_line: int | None = None
    marked: bool = False  # the place already holds what this would correct: a scaling for a factor, a minus for a sign
    local: bool = False  # confirmed with loops run once only
    names: frozenset[str] = frozenset()  # what it repairs at the point that is reported
    node: Node | None = None
    mark: Mark = ()
    role: str = ""  # the name of the operation there
    old: str = ""  # for a change of the text: what stands there
    patch: Any = None  # for a change of the text: the functions with it
    sample: tuple[float, str, float] = (np.nan, "", np.nan)  # what stands there, at which place, what should


class Text(Protocol):
    """The search in the text."""

    tried: int
    skipped: int

    def run(self, wrong: list[str], most: float, lines: set[int], end: float) -> list[Fix]:
        """Changes up to a cost."""


class Search:
    """Tries changes until one explains everything, or the time is over."""

    def __init__(
        self, trace: Trace, fresh: list[Trace], end: float, later: bool = False, near: list[Trace] | None = None
    ):
        self.trace, self.fresh, self.near = trace, fresh, near or []
        self.later = later  # the mistake shows only from the second step on: one use of its line is as it should be
        self.end, self.start = end, clock.now()
        self.tried = 0
        self.rest: list[Iterator[Any]] = []
        self.sure: list[Fix] = []
        self.rows: dict[Key, Rows | None] = {}
        self.screen: Screen | None = None
        self.marks: dict[Key, set[Mark]] = {}
        self.used: set[Node] = set()
        self.all: list[Key] = []  # all places that wrong gradients depend on; right ones may depend on them, too

    def run(self, wrong: list[str], text: Text | None = None) -> list[Fix]:
        """Changes that repair some of these gradients and harm none, confirmed, the best first."""
        places = self._prepare(wrong)
        self._keep(self.exchanged(wrong))
        self._keep(self.overwritten(wrong))
        if not self.later:
            self._keep(f for key in places for f in self.scaled(key, wrong))
        for cost, step in self._steps(places, wrong, text):
            if self._settled(wrong, cost):
                break
            step()
        return self.ranked()

    def _steps(self, places: list[Key], wrong: list[str], text: Text | None) -> Iterator[tuple[float, Step]]:
        """What to try one after the other, and how far-fetched that is at least."""
        yield 1.0, lambda: self._try(catalogue.simple, places, wrong, self._share(0.5))
        yield 1.3, lambda: self._try(catalogue.rearranged, places, wrong, self._share(0.5))
        if self.later:
            yield 1.5, lambda: self._try(catalogue.carried, places, wrong, self._share(0.4))
        yield 1.6, lambda: self._by_right_quantities(wrong, self._share(0.7))
        lines = self._around(wrong)
        near = [key for key in places if not lines or self._lines(key) & lines]
        if text is not None:
            yield 1.6, lambda: self._in_text(text, wrong, 1.6, lines, self._share(0.4))
        yield 1.6, lambda: self._try(catalogue.borrowed, near, wrong, self._share(0.6))
        yield 1.9, lambda: self._try(catalogue.within, near, wrong, self._share(0.4))
        yield 2.0, lambda: self._try(catalogue.projected, near, wrong, self._share(0.6))
        if text is not None:
            yield 2.2, lambda: self._in_text(text, wrong, 9.0, lines, self.end)

    def _around(self, wrong: list[str]) -> set[int]:
        """Where to go on, if the right quantity in some place explains everything: there and before. Else nothing."""
        whole = [f for f in self.sure if len(f.repaired) == len(wrong) and not f.local and f.edit.only == "every"]
        whole = [f for f in whole if f.role not in ("constant", "given")]  # what should fill zeros is elsewhere
        if not whole:
            return set()
        names = {f.line for f in whole if f.role == "alias"}  # where a factor may have been left out
        return around(min(whole, key=lambda f: f.index).index, self.trace) | names

    def _lines(self, key: Key) -> set[int]:
        return {line for line, _ in self.trace.groups[key][0].site}

    def _in_text(self, text: Text, wrong: list[str], most: float, lines: set[int], end: float) -> None:
        whole = [f for f in self.sure if len(f.repaired) == len(wrong) and not f.local]
        if not whole or min(f.edit.cost for f in whole) > 2.0:
            self.sure += text.run(wrong, most, lines, end)

    def _share(self, part: float) -> float:
        """When this part of the time that is left now will be over."""
        now = clock.now()
        return now + part * max(0.0, self.end - now)

    def _prepare(self, wrong: list[str]) -> list[Key]:
        bad = ancestors([self.trace.backward.ends[k] for k in wrong])
        self.all = [k for k, group in self.trace.groups.items() if any(n in bad for n in group) and _all_plain(group)]
        self.all.sort(key=lambda k: self.trace.groups[k][0].name != "constant")  # few, and often where a carry is lost
        places = self.places(wrong)
        self.used = ancestors([self.trace.backward.ends[k] for k in self.trace.right])
        self.screen = screen = Screen(self.trace, wrong)
        self.rows = {key: self._rows(screen, key, wrong) for key in places}
        self.marks = {key: set() for key in self.all}
        return places

    def _settled(self, wrong: list[str], cost: float) -> bool:
        """Whether what was found explains everything, and what would come next is clearly more far-fetched."""
        whole = [f for f in self.sure if len(f.repaired) == len(wrong)]
        best = min((f.edit.cost for f in whole if not f.local), default=9.0)
        near = min((f.edit.cost for f in whole), default=9.0)
        return best + WINDOW < cost or best + 0.1 < cost <= 2.0 <= best + 0.8 or near + 0.7 < cost

    def _try(self, family: Family, places: list[Key], wrong: list[str], end: float) -> None:
        """Some edits of each place in turn, so that the time is shared fairly."""
        streams = [(key, family(self.trace, self.trace.groups[key])) for key in places]
        while streams:
            going = []
            for key, stream in streams:
                if clock.now() > end:
                    self.rest += [rest for _, rest in streams]
                    return
                batch = [e for _, e in zip(range(BATCH), stream, strict=False)]
                self._keep(f for e in batch if (f := self.attempt(key, e, wrong)) is not None)
                if len(batch) == BATCH:
                    going.append((key, stream))
            streams = going

    def _keep(self, found: Iterable[Fix]) -> None:
        for fix in found:
            if self.confirmed(fix):
                self.sure.append(fix)
                if not fix.local and fix.key in self.marks and fix.edit.cost < FAR:
                    self.marks[fix.key].add(fix.mark)  # another change with the same value would say the same

    def places(self, wrong: list[str]) -> list[Key]:
        """Call sites that wrong gradients depend on and right ones don't."""
        ends = self.trace.backward.ends
        bad = ancestors([ends[k] for k in wrong])
        good = felt_by(self.trace, [ends[k] for k in self.trace.right if k not in self.trace.wrong])
        found = []
        for key, group in self.trace.groups.items():
            if not _all_plain(group):
                continue
            if any(n in bad for n in group) and not all(n in good for n in group):
                found.append(key)
        return found

    def attempt(self, key: Key, edit: Edit, wrong: list[str]) -> Fix | None:
        """Try one edit."""
        group, marks = self.trace.groups[key], self.marks[key]
        self.tried += 1
        with np.errstate(all="ignore"):
            value = _quietly(
                lambda: np.asarray(edit.apply(Spot(self.trace, group[0], 0, len(group), lambda n: n.value)))
            )
            if value is None or value.dtype.kind not in "fiub" or value.size > 1e6:
                return None
            rows = self.rows.get(key)
            if rows is not None and value.shape == group[0].shape and not promising(rows, group[0].value, value):
                return None
            mark = fingerprint(value) if len(group) == 1 else (fingerprint(value), edit.says, edit.wanted, edit.value)
            if mark in marks or (len(group) == 1 and _equal(value, group[0].value)):
                return None
            if self.later and not self._leaves_one(group, edit):
                return None
            repaired = self.repaired_by(self.trace, key, edit, wrong)
        if not repaired:
            marks.add(mark)
            return None
        fix = self._fix(key, edit, repaired)
        fix.mark = mark
        return fix

    def _fix(self, key: Key, edit: Edit, repaired: frozenset[str]) -> Fix:
        group = self.trace.groups[key]
        first = next((i for i, n in enumerate(group) if self._moves(edit, n, i, len(group))), 0)
        fix = Fix(key, edit, repaired, _line_of(self.trace, key), group[first].index, edit.line or None)
        fix.sample = self._sample(edit, group[first], first, len(group))
        fix.marked, fix.node, fix.role = is_marked(group[0], edit.kind), group[0], group[0].name
        return fix

    def _sample(self, edit: Edit, node: Node, i: int, k: int) -> tuple[float, str, float]:
        """The element that an edit changes most: given, place, expected."""
        value = _quietly(lambda: np.asarray(edit.apply(Spot(self.trace, node, i, k, lambda m: m.value)), float))
        given = np.asarray(node.value)
        if value is None or value.shape != given.shape or not value.size or given.dtype.kind != "f":
            return np.nan, "", np.nan
        at = tuple(map(int, np.unravel_index(int(np.abs(value - given).argmax()), value.shape)))
        return float(given[at]), str(list(at)) if at else "", float(value[at])

    def _moves(self, edit: Edit, node: Node, i: int, k: int) -> bool:
        """Whether an edit changes this use, and the use matters."""
        value = _quietly(lambda: edit.apply(Spot(self.trace, node, i, k, lambda m: m.value)))
        return node in self.used and value is not None and not _equal(value, node.value)

    def _leaves_one(self, group: list[Node], edit: Edit) -> bool:
        """Whether some use of the line stays as it is, and some other does not."""
        moved = [self._moves(edit, n, i, len(group)) for i, n in enumerate(group)]
        return len(group) > 1 and any(moved) and not all(moved)

    def repaired_by(self, trace: Trace, key: Key, edit: Edit, wrong: list[str]) -> frozenset[str]:
        """The gradients that an edit repairs, nothing where it harms another."""
        if key not in trace.groups:
            return frozenset()
        new = _quietly(lambda: trace.replay(trace.changes(key, edit)))
        if new is None:
            return frozenset()
        ends = trace.backward.ends
        if any(ends[n] in new and not trace.matches(n, new[ends[n]]) for n in trace.right if n not in trace.wrong):
            return frozenset()
        return frozenset(n for n in wrong if n in trace.right and trace.matches(n, new.get(ends[n], ends[n].value)))

    def _rows(self, screen: Screen, key: Key, wrong: list[str]) -> Rows | None:
        """What the quick test needs at a place; None where the pass is not linear in it."""
        group, ends = self.trace.groups[key], self.trace.backward.ends
        if len(group) > 1 or not is_float(group[0].value):
            return None
        rows = screen.rows(group[0])
        if rows is None:
            return None
        double, triple = (_quietly(partial(self._scaled_by, group[0], c)) for c in (2.0, 3.0))
        if double is None or triple is None:
            return None
        for k in wrong:
            one = np.asarray(ends[k].value)
            two, three = (np.asarray(new.get(ends[k], one)) for new in (double, triple))
            if not np.allclose(three - two, two - one, rtol=1e-6, atol=1e-9 * max(1.0, np.abs(one).max(initial=0))):
                return None
        return rows

    def _scaled_by(self, node: Node, c: float) -> dict[Node, Any]:
        return self.trace.replay({node: lambda get: c * node.value})

    # -- what is certain where it fits

    def exchanged(self, wrong: list[str]) -> Iterator[Fix]:
        """Two gradients that were given under each other's names."""
        ends = self.trace.backward.ends
        for name, other in itertools.combinations(wrong, 2):
            self.tried += 1
            if self._is_of(name, other) and self._is_of(other, name):
                edit = Edit("wrong name", 1.0, "name", "d" + name, lambda s: None, "d" + other, only="name")
                yield Fix(((), "name"), edit, frozenset((name, other)), self._named_at(name), ends[name].index)

    def _is_of(self, name: str, other: str) -> bool:
        right, given = self.trace.right, self.trace.backward.ends[name].value
        return bool(np.any(right[other])) and self.trace.matches(other, given)

    def _named_at(self, name: str) -> int:
        node = self.trace.backward.ends[name]
        return self.trace.names.stored("d" + name) or node.inner

    def overwritten(self, wrong: list[str]) -> Iterator[Fix]:
        """Gradients that hold one use's share only: the sum over the uses of that line would be right."""
        for key, group in self.trace.groups.items():
            mine = [k for k in wrong if len(group) > 1 and self.trace.backward.ends[k] in group]
            self.tried += bool(mine)
            repaired = frozenset(k for k in mine if any(sum_fits(self.trace, key, k)))
            if repaired:
                edit = Edit("overwritten", 1.0, "add", "+=", lambda s: None, only="sum")
                yield Fix(key, edit, repaired, _line_of(self.trace, key), group[0].index)

    def scaled(self, key: Key, wrong: list[str]) -> Iterator[Fix]:
        """A factor at this place, found by least squares: the pass is linear in it where it runs once."""
        found = self._factor(key, wrong)
        self.tried += 1
        if found is None or abs(found) < 1e-9 or self.trace.groups[key][0].name == "mean":
            return  # a mean that should be a sum is told as such
        for text, value_at in factor_names(self.trace, found) or [(f"{found:.6g}", lambda t: found)]:
            says = "sign" if text == "-1" else "factor"
            wanted = "-{part}" if text == "-1" else text
            edit = Edit(factor_kind(text), 1.0, says, wanted, _times_size(value_at))
            if fix := self.attempt(key, edit, wrong):
                yield fix
            self.marks[key].discard(fingerprint(found * self.trace.groups[key][0].value))

    def _factor(self, key: Key, wrong: list[str]) -> float | None:
        group, trace = self.trace.groups[key], self.trace
        new = _quietly(lambda: trace.replay({n: _twice(n) for n in group}))
        if new is None or not is_float(group[0].value):
            return None
        for name in wrong:
            end, wanted = trace.backward.ends[name], trace.right[name]
            if end.shape != wanted.shape or end not in new:
                continue
            slope = np.asarray(new[end]) - end.value
            norm = float(np.vdot(slope, slope))
            c = float(np.vdot(slope, wanted - end.value)) / norm if norm > 0 else np.nan
            if np.abs(end.value + c * slope - wanted).max() <= MATCH * np.abs(wanted).max():
                return 1 + c
        return None

    # -- the last resort

    def _by_right_quantities(self, wrong: list[str], end: float) -> None:
        """The test for a dropped path, and the last resort: the right quantity added here, or in this place."""
        for key in self.all:
            for edit in self._fitting(self.trace.groups[key]):
                if clock.now() > end:
                    self.rest.append(iter([edit]))
                    continue
                self._keep(f for f in [self.attempt(key, edit, wrong)] if f is not None)

    def _fitting(self, group: list[Node]) -> Iterator[Edit]:
        """Right quantities that could repair something at this place, by the quick test of all of them together."""
        known, values = self.trace.stacked(len(group), group[0].value.size)
        if any(n.shape != group[0].shape for n in group):
            return
        if group[0].name == "constant":  # zeros, to which something should have been added
            yield from (next(catalogue.of_right_quantity(_reshaped(q, group[0].shape))) for q in known)
            return
        free = self.screen.steps(group, False) if known and self.screen else None
        cut = self.screen.steps(group, True) if free and self.screen else None
        if free is None or cut is None:
            return
        here = np.concatenate([np.ravel(n.value) for n in group])
        size = np.abs(values)
        fits = (hits(free, values, size), hits(free, -values, size), hits(cut, values - here, size + np.abs(here)))
        for i in np.flatnonzero(fits[0] | fits[1] | fits[2]):
            edits = catalogue.of_right_quantity(_reshaped(known[i], group[0].shape))
            yield from (e for e, fit in zip(edits, fits, strict=True) if fit[i])

    def untried(self) -> int:
        """How many changes were left when the time was over, told from a sample of the places."""
        sample = self.rest[:: max(1, len(self.rest) // 20)]
        counted = sum(1 for rest in sample for _ in rest)
        return round(counted * len(self.rest) / max(1, len(sample)))

    def ranked(self) -> list[Fix]:
        """Confirmed fixes: those that repair most, then the least far-fetched."""
        found = sorted(self.sure, key=lambda f: (-len(f.repaired), f.local, f.edit.cost, f.index))
        return [f for f in found if len(f.repaired) == len(found[0].repaired) and f.local == found[0].local][:24]

    def confirmed(self, fix: Fix) -> bool:
        """Whether a fix holds at the fresh points; where loops run once, it may hold at such points only."""
        if self._holds(fix, self.fresh):
            return True
        fix.local = bool(self.near) and self._holds(fix, self.near)
        return fix.local

    def _holds(self, fix: Fix, traces: list[Trace]) -> bool:
        if fix.edit.only == "name":
            return all(_given_as(t, fix.edit.wanted[1:], fix.edit.value[1:]) for t in traces)
        if fix.edit.only == "sum":
            return all(all(any(sum_fits(t, fix.key, k)) for k in fix.repaired) for t in traces)
        with np.errstate(all="ignore"):
            return all(fix.repaired <= self.repaired_by(t, fix.key, fix.edit, list(fix.repaired)) for t in traces)


def _times_size(factor: Sized) -> catalogue.Apply:
    return lambda s: factor(s.trace) * s.get(s.node)


def _twice(node: Node) -> Change:
    return lambda get: 2 * get(node)


def _given_as(trace: Trace, name: str, other: str) -> bool:
    return (
        other in trace.right and name in trace.backward.ends and trace.matches(other, trace.backward.ends[name].value)
    )


def _reshaped(q: catalogue.Known, shape: tuple[int, ...]) -> catalogue.Known:
    """The same quantity laid out as the node is."""
    return catalogue.Known(q.name, shape, lambda s: np.reshape(q.fetch(s), s.node.shape), line=q.line)


def sum_fits(trace: Trace, key: Key, name: str) -> Iterator[bool]:
    """Whether the sum over every m-th use of a line gives the right gradient, for each m."""
    group, end = trace.groups.get(key, []), trace.backward.ends[name]
    if end not in group:
        return
    i, n = group.index(end), len(group)
    for m in (m for m in range(1, n) if n % m == 0):
        terms = [group[j].value for j in range(i % m, n, m)]
        yield all(np.shape(t) == end.shape for t in terms) and trace.matches(name, sum(terms))


def is_marked(node: Node, kind: str) -> bool:
    """Whether a node is a scaling (for a factor) or has a minus (for a sign)."""
    if kind == "sign":
        return node.name in ("negative", "subtract")
    if node.name not in ("multiply", "divide"):  # the arguments of others, an index say, may have no size
        return node.name in ("mean", "var", "std")
    return any(np.size(a.value if isinstance(a, Node) else a) == 1 for a in node.args)


def _line_of(trace: Trace, key: Key) -> int:
    """The helper's line where the change covers all its uses, else the line that calls it."""
    node = trace.groups[key][0]
    while node.name == "given" and node.parents[0].site and _only_for(node, trace):
        node = node.parents[0]  # {"dx": da} only hands on what was computed for it
    if key[0] == "inner" or len(node.site) == 1:
        return node.inner
    inner = {n.site for n in trace.nodes if n.site and n.site[-1] == node.site[-1]}
    return node.inner if len(inner) == 1 else node.line


def _only_for(node: Node, trace: Trace) -> bool:
    """Whether nothing else uses what is handed on here."""
    return sum(node.parents[0] in n.parents for n in trace.nodes) == 1


def _all_plain(group: list[Node]) -> bool:
    return all(map(_is_plain, group))


def _is_plain(node: Node) -> bool:
    """One array of floats or bools."""
    return not isinstance(node.value, list) and np.asarray(node.value).dtype.kind in "fb"


def _quietly(f: Callable[[], T]) -> T | None:
    try:
        return f()
    except Exception:  # a change that can't even be computed is no repair
        return None


def _equal(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return False
    size = np.abs(b).max(initial=0.0)
    return bool(np.abs(1.0 * a - b).max(initial=0.0) <= 1e-11 * size + 1e-14)
