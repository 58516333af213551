"""From wrong gradients to the lines that may be to blame, one mistake after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from . import clock
from .blame import forward_line, lines_of
from .learner import Backward, Forward, Learner, Point
from .search import Fix, Search
from .source import SourceSearch
from .trace import Trace

MOST_MISTAKES = 3
Sizes = dict[str, int]


@dataclass
class Diagnosis:
    """Sets of fixes, one per mistake that was told apart, and how many of how many changes were tried."""

    mistakes: list[list[Fix]] = field(default_factory=list)
    lines: list[list[int]] = field(default_factory=list)
    tried: int = 0
    left: int = 0
    points: int = 0
    put_in: bool = False  # a right quantity stands in for one step: what is wrong in the others may follow from it
    unexplained: list[str] = field(default_factory=list)
    truncated: dict[str, tuple[int, int]] = field(default_factory=dict)  # gradient: right for k of T steps


class Traces:
    """The passes at several points, all with the repairs that were found so far."""

    def __init__(self, learner: Learner, base: Trace):
        self.learner, self.base = learner, base
        self.made: dict[tuple[int, int, tuple[tuple[str, int], ...]], Trace | None] = {}
        self.repairs: list[Fix] = []

    def at(self, seed: int, shift: int = 0, fixed: Sizes | None = None) -> Trace | None:
        """The passes at a point; None where they can't be recorded there."""
        key = (seed, shift, tuple((fixed or {}).items()))
        if key not in self.made:
            self.made[key] = self._make(seed, shift, fixed)
        return self.made[key]

    def _make(self, seed: int, shift: int, fixed: Sizes | None) -> Trace | None:
        try:
            point = Point(self.learner, seed, shift, fixed)
            trace = Trace(point, Forward(point), Backward(point))
        except Exception:  # sizes at which the learner's code does not run, or does something else
            return None
        for fix in self.repairs:
            trace.patch(fix.key, fix.edit)
        return trace

    def fresh(self, but: Trace) -> list[Trace]:
        """The base and two further points with all steps of every loop."""
        found = [self.base, self.at(1, 1), self.at(2, 2)]
        return [t for t in found if t is not None and t is not but]

    def near(self, sizes: Sizes, but: Trace) -> list[Trace]:
        """Two further points with as few steps."""
        found = [self.at(1, 1, sizes), self.at(2, 2, sizes)]
        return [t for t in found if t is not None and t is not but]

    def repair(self, fix: Fix) -> None:
        """Take a repair over at every point."""
        if fix.edit.only == "source":
            self.learner = self.learner.with_tree(fix.patch)
            self.made.clear()
            point = self.base.point
            self.base = self._make(point.seed, point.shift, None) or self.base
        elif fix.edit.only == "every":
            self.repairs.append(fix)
            for trace in {id(t): t for t in [self.base, *self.made.values()] if t is not None}.values():
                with np.errstate(all="ignore"):
                    trace.patch(fix.key, fix.edit)


def diagnose(learner: Learner, base: Trace, seconds: float = clock.BUDGET) -> Diagnosis:
    """Look for changes of single places that make the wrong gradients right, for up to `seconds`."""
    end = clock.now() + seconds
    traces, found = Traces(learner, base), Diagnosis()
    explained: set[str] = set()
    loops = loop_sizes(traces)
    found.truncated = truncated(traces, loops)
    found.points = 1 + len(traces.fresh(base))
    for sizes, later in _stages(traces, loops):
        _stage(traces, sizes, later, found, explained, end)
        if not _left(traces.base, explained) or len(found.mistakes) >= MOST_MISTAKES or found.put_in:
            break
    found.unexplained = _left(traces.base, explained)
    return found


def _left(trace: Trace, explained: set[str]) -> list[str]:
    return [k for k in trace.wrong if k not in explained]


def _stage(traces: Traces, sizes: Sizes | None, later: bool, found: Diagnosis, explained: set[str], end: float) -> None:
    """All mistakes that show with these sizes of the loops."""
    while len(found.mistakes) < MOST_MISTAKES and not found.put_in and clock.now() < end:
        trace = traces.at(0, 0, sizes) if sizes else traces.base
        if trace is None or not _left(trace, explained):
            return
        fixes = _search(traces, trace, sizes, later, found, explained, end)
        if not fixes:
            return
        fixes[0].forward_line = forward_line(fixes[0], trace)
        found.lines.append(lines_of(fixes, trace))
        before = _left(traces.base, explained)
        traces.repair(fixes[0])
        if fixes[0].edit.only in ("sum", "name"):
            explained |= fixes[0].repaired
        after = _left(traces.base, explained)
        for fix in fixes:
            fix.names = frozenset(k for k in before if k not in after) or fix.repaired
        found.mistakes.append(fixes)
        found.put_in = bool(sizes) and fixes[0].edit.kind == "other"


def _search(
    traces: Traces, trace: Trace, sizes: Sizes | None, later: bool, found: Diagnosis, explained: set[str], end: float
) -> list[Fix]:
    now = clock.now()
    near = traces.near(sizes, trace) if sizes and not later else []
    search = Search(trace, traces.fresh(trace), now + 0.6 * (end - now), later, near)
    text = SourceSearch(traces.learner, trace, traces.fresh(trace)) if traces.learner.tree.body else None
    fixes = search.run(_left(trace, explained), text)
    found.tried += search.tried + (text.tried if text else 0)
    if not fixes:
        found.left += search.untried() + (text.skipped if text else 0)
    return fixes


def loop_sizes(traces: Traces) -> list[str]:
    """Sizes over which the learner loops: with 1 in their place fewer operations are recorded."""
    found = []
    for key in traces.base.point.sizes:
        small = traces.at(0, 0, {key: 1})
        if small is not None and len(small.nodes) < len(traces.base.nodes) - 2:
            found.append(key)
    return found


def _stages(traces: Traces, loops: list[str]) -> Iterator[tuple[Sizes | None, bool]]:
    """Where to look: with loops run once; where that is right, run twice; then as they are."""
    if loops:
        once = dict.fromkeys(loops, 1)
        yield once, False
        trace = traces.at(0, 0, once)
        if trace is not None and not trace.wrong:
            yield {**once, loops[0]: 2}, True
            yield None, True
    yield None, False


def truncated(traces: Traces, loops: list[str]) -> dict[str, tuple[int, int]]:
    """Gradients that are right for the last k of T steps only, of an input with a dimension for the steps."""
    trace, found = traces.at(1, 1), {}
    for name in trace.wrong if trace else ():
        for size in loops:
            steps = trace.point.sizes[size] if trace else 0
            given, right = np.asarray(trace.backward.ends[name].value), trace.right[name]  # type: ignore[union-attr]
            if given.shape == right.shape and right.shape.count(steps) == 1 and steps > 2:
                k = _last_right(given, right, right.shape.index(steps))
                if 0 < k < steps:
                    found[name] = (k, steps)
    return found


def _last_right(given: np.ndarray, right: np.ndarray, axis: int) -> int:
    """How many of the last slices are right, where none before them is; else 0."""
    off = np.abs(np.moveaxis(given - right, axis, 0)).reshape(right.shape[axis], -1).max(axis=1)
    good = off <= 1e-8 * np.abs(right).max(initial=0.0)
    k = next((i for i, ok in enumerate(good[::-1]) if not ok), len(good))
    return 0 if good[: len(good) - k].any() else k
