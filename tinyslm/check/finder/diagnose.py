"""From wrong gradients to the lines that may be to blame."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .graph import CannotTrace
from .learner import Backward, Forward, Learner, Point
from .search import Fix, Search, Trace
from .source import SourceSearch

SECONDS = 3.6
TEXT_SECONDS = 1.6
DOUBTFUL = 2.25


@dataclass
class Diagnosis:
    """Sets of fixes, one per mistake that was told apart, and how many changes were tried."""

    mistakes: list[list[Fix]] = field(default_factory=list)
    tried: int = 0
    points: int = 0
    unexplained: list[str] = field(default_factory=list)


def trace_at(learner: Learner, seed: int, shift: int = 0, fixed: dict[str, int] | None = None) -> Trace:
    """Both passes recorded at a point."""
    point = Point(learner, seed, shift, fixed)
    return Trace(point, Forward(point), Backward(point))


def loop_sizes(learner: Learner, base: Trace) -> list[str]:
    """Sizes over which the learner loops: with 1 in their place fewer operations are recorded."""
    found = []
    for key in base.point.sizes:
        try:
            small = trace_at(learner, 0, 0, {key: 1})
        except Exception:  # a size of which one is too few
            continue
        if len(small.nodes) < len(base.nodes) - 2:
            found.append(key)
    return found


def diagnose(learner: Learner, base: Trace) -> Diagnosis:
    """Look for changes of single places that make the wrong gradients right."""
    end = time.process_time() + SECONDS
    fresh = [base, *_fresh(learner)]
    found = Diagnosis()
    found.points = len(fresh)
    left = list(base.wrong)
    for trace, later in _stages(learner, base):
        wrong = [k for k in trace.wrong if k in left]
        while wrong and len(found.mistakes) < 3 and time.process_time() < end:
            seconds = max(0.3, (end - time.process_time()) * 0.5)
            search = Search(trace, [t for t in fresh if t is not trace], seconds, later)
            fixes = search.run(wrong)
            found.tried += search.tried
            if not fixes or fixes[0].edit.cost >= DOUBTFUL or len(fixes[0].repaired) < len(wrong):
                fixes = _in_the_text(learner, trace, base, fresh, wrong, fixes, found)
            if not fixes:
                break
            found.mistakes.append(fixes)
            wrong = [k for k in wrong if k not in fixes[0].repaired]
            for fix in (f for f in fixes if f.edit.only != "source"):
                fix.names = frozenset(left) & _repaired_at(search, base, fix)
            left = [k for k in left if k not in fixes[0].names]
        if not left:
            break
    found.unexplained = left
    return found


def _in_the_text(
    learner: Learner,
    trace: Trace,
    base: Trace,
    fresh: list[Trace],
    wrong: list[str],
    fixes: list[Fix],
    found: Diagnosis,
) -> list[Fix]:
    """What changes of the source find, before or after what the recording found."""
    try:
        search = SourceSearch(learner, trace, [base, *(t for t in fresh if t is not base)])
    except (SyntaxError, ValueError):
        return fixes
    more = search.run(wrong, time.process_time() + TEXT_SECONDS)
    found.tried += search.tried
    both = sorted([*fixes, *more], key=lambda f: (-len(f.repaired), f.edit.cost, f.index))
    return [f for f in both if len(f.repaired) == len(both[0].repaired)]


def _repaired_at(search: Search, base: Trace, fix: Fix) -> frozenset[str]:
    if fix.edit.only == "sum":
        return fix.repaired
    return search.repaired_by(base, fix.key, fix.edit, base.wrong) or fix.repaired


def _stages(learner: Learner, base: Trace):  # type: ignore[no-untyped-def]
    """Where to look: with loops run once, where that shows the mistake; else run twice; else as they are."""
    loops = loop_sizes(learner, base)
    if loops:
        once = trace_at(learner, 0, 0, dict.fromkeys(loops, 1))
        if once.wrong:
            yield once, False
        else:
            yield trace_at(learner, 0, 0, {**dict.fromkeys(loops, 1), loops[0]: 2}), True
            yield base, True
    yield base, False


def _fresh(learner: Learner) -> list[Trace]:
    found = []
    for seed, shift in ((1, 1), (2, 0)):
        try:
            found.append(trace_at(learner, seed, shift))
        except (CannotTrace, ValueError, IndexError):
            continue
    return found
