# mypy: disable-error-code="misc,arg-type,var-annotated"
"""The search: which single change at one place of the learner's backward pass makes its wrong gradients right?

The learner's backward pass was recorded, so it can run again with one place changed. A place is a call site: all uses
of one line in a loop change together. A change that repairs gradients must do so again at a fresh point with other
sizes; one that changes nothing is no hypothesis. What was found is consistent with the numbers, and never proven.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .edits import Edit, Known, Spot, edits, is_float
from .graph import Node, fill
from .learner import Backward, Forward, Point
from .rules import pull
from .screen import Screen, promising

MATCH = 1e-8
Key = tuple[Any, Any]


def fingerprint(v: Any) -> tuple:
    """A value as something to look up, blind to rounding."""
    v = np.asarray(v, float)
    size = float(np.abs(v).max(initial=0.0)) or 1.0
    return v.shape, np.round(v.ravel()[:64] / size, 7).tobytes() if v.size < 2 else _digest(v, size)


def _digest(v: np.ndarray, size: float) -> bytes:
    flat = v.ravel()
    mixed = np.array([flat @ np.cos(np.arange(flat.size) * f + f) for f in (1.3, 2.7)]) / size
    return np.round(mixed, 6).tobytes() + np.round(np.log(size), 6).tobytes()


class Trace:
    """A recorded backward pass beside the right gradients at the same point."""

    def __init__(self, point: Point, forward: Forward, backward: Backward):
        self.point, self.forward, self.backward = point, forward, backward
        right = {k: forward.right(k) for k in backward.ends}
        self.right = {k: v for k, v in right.items() if v is not None}
        self.floor = 1e-12 * max([1.0, *(float(np.abs(v).max(initial=0.0)) for v in self.right.values())])
        self.wrong = [k for k in self.right if not self.matches(k, backward.ends[k].value)]
        self.nodes = backward.graph.nodes
        self.groups = _all_groups(backward)
        self._oracles: dict[tuple, list[Known]] = {}

    @property
    def wanted_shapes(self) -> dict[tuple[int, ...], str]:
        """Shapes of wrong gradients that have not the shape of their input, by that shape."""
        ends = self.backward.ends
        return {self.right[k].shape: k for k in self.wrong if ends[k].shape != self.right[k].shape}

    def matches(self, name: str, value: Any) -> bool:
        """Whether a gradient is the right one."""
        wanted, value = self.right[name], np.asarray(value)
        if value.shape != wanted.shape or value.dtype.kind not in "fiu":
            return False
        off = np.abs(value - wanted).max(initial=0.0)
        return bool(off <= MATCH * np.abs(wanted).max(initial=0.0) + self.floor)

    def known(self, group: list[Node]) -> Iterator[Known]:
        """Values that the learner's code has at hand at a place."""
        seen: set[tuple] = set()
        first, k = group[0], len(group)
        for node in self.nodes:
            if node.leaf and is_float(node.value) and _fresh(node.value, seen):
                yield Known(node.leaf, node.shape, lambda s, name=node.leaf: s.get(s.trace.leaf(name)))
        for key, others in self.groups.items():
            if key[0] == "inner" or len(others) != k or others[0].index >= first.index or not is_float(others[0].value):
                continue
            if _fresh(others[0].value, seen):
                name, cost = f"the {others[0].name} of line {others[0].inner}", 0.1
                cost += 0.0 if others[0].name == "getitem" else 0.1
                yield Known(name, others[0].shape, lambda s, key=key: s.get(s.trace.groups[key][s.i]), cost)

    def leaf(self, name: str) -> Node:
        """A leaf by its name."""
        return next(n for n in self.nodes if n.leaf == name)

    def oracles(self, group: list[Node]) -> list[Known]:
        """Right quantities that the forward pass tells: gradients of its values, and single shares of them."""
        k = len(group)
        if (k,) not in self._oracles:
            self._oracles[(k,)] = list(self._right_quantities(k))
        return self._oracles[(k,)]

    def _right_quantities(self, k: int) -> Iterator[Known]:
        seen: set[tuple] = set()
        for key, values in self.tables().items():
            table = dict(enumerate(values))
            for order in ("back", "forth", "later") if k > 1 else ("back", "forth"):
                value = _in_order(table, order, 0, k)
                seen_as = _in_order(table, order, 1, k) if order == "later" else value
                if value is not None and np.any(seen_as) and _fresh(seen_as, seen, order):
                    yield Known(
                        _site_name(key),
                        np.shape(value),
                        lambda s, key=key, order=order: _in_order(
                            dict(enumerate(s.trace.tables()[key])), order, s.i, s.k
                        ),
                    )

    def tables(self) -> dict[Any, list[Any]]:
        """Right quantities by the forward's call site: what kind, where, and the values of its uses in order."""
        if not hasattr(self, "_tables"):
            found: dict[Any, list[Any]] = {}
            for child, parent, share in reversed(self.forward.shares):
                slot = child.parents.index(parent)
                if not isinstance(share, list):
                    found.setdefault(("share", child.site, child.name, slot), []).append(share)
            for node in self.forward.graph.nodes:
                total = self.forward.total.get(node)
                if total is not None and not isinstance(total, list) and (node.site or node.leaf):
                    found.setdefault(("gradient", node.site, node.name, node.leaf), []).append(total)
            self._tables = found
        return self._tables


def _site_name(key: Any) -> str:
    line = key[1][0][0] if key[1] else 0
    return f"{key[0]}:{line}"


def _reshaped(q: Known, shape: tuple[int, ...]) -> Known:
    """The same quantity laid out as the node is."""
    return Known(q.name, shape, lambda s: np.reshape(q.fetch(s), s.node.shape))


def _in_order(values: dict[int, Any], order: str, i: int, k: int) -> Any:
    """The value for use i of k: of the use in the other order or the same, or the sum where the numbers differ."""
    n = len(values)
    if order == "later":  # what the step before this one, in the order of the backward pass, hands on
        return values[n - i] if n == k and i else 0.0 * values[0] if n == k else None
    if n == k:
        return values[n - 1 - i if order == "back" else i]
    if n == 1:
        return values[0]
    if k == 1 and all(np.shape(v) == np.shape(values[0]) for v in values.values()):
        return sum(values.values())
    return None


def _fresh(value: Any, seen: set[tuple], extra: str = "") -> bool:
    mark = (*fingerprint(value), extra)
    new = mark not in seen
    seen.add(mark)
    return new


def _all_groups(backward: Backward) -> dict[Key, list[Node]]:
    """Nodes by call site, and by the line of a helper that several sites call."""
    groups: dict[Key, list[Node]] = dict(backward.groups)
    inner: dict[Key, list[Node]] = {}
    for (site, name), nodes in backward.groups.items():
        if len(site) > 1:
            inner.setdefault(("inner", (site[-1], name)), []).extend(nodes)
    sites: dict[Key, set] = {k: {n.site for n in v} for k, v in inner.items()}
    groups.update({k: sorted(v, key=lambda n: n.index) for k, v in inner.items() if len(sites[k]) > 1})
    return groups


def replay(nodes: list[Node], changes: dict[Node, Callable[[Any], Any]]) -> Callable[[Node], Any]:
    """Run a recorded pass again with some nodes changed; gives a function that reads any node's value."""
    new: dict[Node, Any] = {}

    def get(node: Node) -> Any:
        return new.get(node, node.value) if node in new else node.value

    start = min(n.index for n in changes)
    for node in nodes[start:]:
        change = changes.get(node)
        if change is None and not any(p in new for p in node.parents):
            continue
        if node.fn is not None and any(p in new for p in node.parents):
            value = node.fn(*fill(node.args, get), **fill(node.kwargs, get))
            new[node] = list(value) if isinstance(value, (tuple, list)) else np.asarray(value)
        if change is not None:
            new[node] = np.asarray(change(get))
    return get


@dataclass
class Fix:
    """A change that makes wrong gradients right."""

    key: Key
    edit: Edit
    repaired: frozenset[str]
    line: int
    index: int
    error: float = 0.0
    forward_line: int | None = None
    marked: bool = False  # the place already holds what this would correct: a scaling for a factor, a minus for a sign
    names: frozenset[str] = frozenset()  # what it repairs at the point that is reported


class Search:
    """Tries edits until the time is over."""

    def __init__(self, trace: Trace, fresh: list[Trace], seconds: float = 2.5, later: bool = False):
        self.trace, self.fresh = trace, fresh
        self.later = later  # the mistake shows only from the second step on: one use of its line is as it should be
        self.end = time.process_time() + seconds
        self.tried = 0

    def run(self, wrong: list[str]) -> list[Fix]:
        """Changes that repair some of these gradients and harm none, confirmed, the best first."""
        places = self.places(wrong)
        self.used = _ancestors([self.trace.backward.ends[k] for k in self.trace.right])
        screen = Screen(self.trace, wrong)
        self.rows = {key: self._rows(screen, key, wrong) for key in places}
        found = [] if self.later else [f for key in places for f in self.scaled(key, wrong)]
        streams = [(key, edits(self.trace, self.trace.groups[key])) for key in places]
        marks: dict[Key, set] = {key: set() for key in places}
        found += self.overwritten(wrong)
        found += self._by_right_quantities(places, wrong)
        found += self._drain(streams, marks, wrong)
        return self.ranked(found, wrong)

    def _drain(self, streams: list, marks: dict, wrong: list[str]) -> list[Fix]:
        """Some edits of each place in turn, so that the time is shared fairly."""
        found = []
        while streams and time.process_time() < self.end:
            left = []
            for key, stream in streams:
                batch = [e for _, e in zip(range(20), stream, strict=False)]
                found += [f for e in batch if (f := self.attempt(key, e, wrong, marks[key])) is not None]
                if len(batch) == 20:
                    left.append((key, stream))
            streams = left
        return found

    def places(self, wrong: list[str]) -> list[Key]:
        """Call sites that wrong gradients depend on and right ones don't."""
        ends = self.trace.backward.ends
        bad = _ancestors([ends[k] for k in wrong])
        good = self._felt_by([ends[k] for k in self.trace.right if k not in self.trace.wrong])
        found = []
        for key, group in self.trace.groups.items():
            if group[0].name == "pick" or not all(_is_plain(n) for n in group):
                continue
            if any(n in bad for n in group) and not all(n in good for n in group):
                found.append(key)
        return found

    def _felt_by(self, ends: list[Node]) -> set[Node]:
        """Nodes that these ends depend on in fact: what comes back to them from the ends is not zero."""
        rng = np.random.default_rng(3)
        with np.errstate(all="ignore"):
            total = pull(self.trace.nodes, {e: rng.normal(size=e.shape) for e in ends})[0]
        return {n for n, u in total.items() if not isinstance(u, list) and np.abs(u).max(initial=0.0) > 1e-12}

    def attempt(self, key: Key, edit: Edit, wrong: list[str], marks: set | None = None) -> Fix | None:
        """Try one edit."""
        group = self.trace.groups[key]
        with np.errstate(all="ignore"):
            value = _quietly(
                lambda: np.asarray(edit.apply(Spot(self.trace, group[0], 0, len(group), lambda n: n.value)))
            )
            if value is None or value.dtype.kind not in "fiub" or value.size > 1e6:
                return None
            rows = self.rows.get(key)
            if rows is not None and value.shape == group[0].shape:
                self.tried += 1
                if not promising(rows, group[0].value, value):
                    return None
            mark = fingerprint(value) if len(group) == 1 else (fingerprint(value), edit.text)
            if marks is not None and (mark in marks or (len(group) == 1 and _equal(value, group[0].value))):
                return None
            if marks is not None:
                marks.add(mark)
            self.tried += 1
            if self.later and not self._leaves_one(group, edit):
                return None
            repaired = self.repaired_by(self.trace, key, edit, wrong)
        if not repaired:
            return None
        fix = Fix(key, edit, repaired, _line_of(self.trace, key), group[0].index)
        fix.marked = is_marked(group[0], edit.kind)
        return fix

    def _leaves_one(self, group: list[Node], edit: Edit) -> bool:
        k = len(group)
        for i, n in enumerate(group):
            if n not in self.used:
                return k > 1
            value = _quietly(lambda n=n, i=i: edit.apply(Spot(self.trace, n, i, k, lambda m: m.value)))
            if value is not None and _equal(value, n.value):
                return k > 1
        return False

    def repaired_by(self, trace: Trace, key: Key, edit: Edit, wrong: list[str]) -> frozenset[str]:
        """The gradients that an edit repairs, nothing where it harms another."""
        group = trace.groups.get(key)
        if not group:
            return frozenset()
        k = len(group)
        changes: Any = {n: (lambda get, n=n, i=i: edit.apply(Spot(trace, n, i, k, get))) for i, n in enumerate(group)}
        get = _quietly(lambda: replay(trace.nodes, changes))
        if get is None:
            return frozenset()
        ends = trace.backward.ends
        if any(not trace.matches(n, get(ends[n])) for n in trace.right if n not in trace.wrong):
            return frozenset()
        return frozenset(n for n in wrong if trace.matches(n, get(ends[n])))

    def _rows(self, screen: Screen, key: Key, wrong: list[str]) -> Any:
        """What the quick test needs at a place; None where the pass is not linear in it."""
        group, ends = self.trace.groups[key], self.trace.backward.ends
        if len(group) > 1 or not is_float(group[0].value):
            return None
        rows = screen.rows(group[0])
        if rows is None:
            return None
        gets = [
            _quietly(lambda c=c: replay(self.trace.nodes, {group[0]: lambda get: c * group[0].value})) for c in (2, 3)
        ]
        if None in gets:
            return None
        for k in wrong:
            one, two, three = (np.asarray(v) for v in (ends[k].value, gets[0](ends[k]), gets[1](ends[k])))
            if not np.allclose(three - two, two - one, rtol=1e-6, atol=1e-9 * max(1.0, np.abs(one).max(initial=0))):
                return None
        return rows

    def overwritten(self, wrong: list[str]) -> Iterator[Fix]:
        """Gradients that hold one use's share only: the sum over the uses of that line would be right."""
        for key, group in self.trace.groups.items():
            mine = (
                frozenset(k for k in wrong if self.trace.backward.ends[k] in group) if len(group) > 1 else frozenset()
            )
            self.tried += bool(mine)
            repaired = frozenset(k for k in mine if any(sum_fits(self.trace, key, k)))
            if repaired:
                edit = Edit("overwritten", 1.0, "+= for =", lambda s: None, "sum")
                yield Fix(key, edit, repaired, _line_of(self.trace, key), group[0].index)

    def scaled(self, key: Key, wrong: list[str]) -> Iterator[Fix]:
        """A factor at this place, found by least squares: the pass is linear in it where it runs once."""
        found = self._factor(self.trace, key, wrong)
        self.tried += 1
        if found is None:
            return
        names = factor_names(self.trace, found)
        for text, value_at in names or [(f"a factor {found:.6g}", lambda t: found)]:
            edit = Edit(factor_kind(text), 1.0, text, lambda s, v=value_at: v(s.trace) * s.get(s.node))
            fix = self.attempt(key, edit, wrong)
            if fix:
                yield fix

    def _factor(self, trace: Trace, key: Key, wrong: list[str]) -> float | None:
        group = trace.groups[key]
        changes: Any = {n: (lambda get, n=n: 2 * get(n)) for n in group}
        get = _quietly(lambda: replay(trace.nodes, changes))
        if get is None or not is_float(group[0].value):
            return None
        best = None
        for name in wrong:
            end, wanted = trace.backward.ends[name], trace.right[name]
            if end.shape != wanted.shape:
                continue
            slope = np.asarray(get(end)) - end.value
            norm = float(np.vdot(slope, slope))
            if norm > 0:
                c = float(np.vdot(slope, wanted - end.value)) / norm
                best = 1 + c if np.isfinite(c) and abs(c) < 1e6 else best
                if np.abs(end.value + c * slope - wanted).max() <= MATCH * np.abs(wanted).max():
                    return 1 + c
        return None

    def _by_right_quantities(self, places: list[Key], wrong: list[str]) -> list[Fix]:
        """The last resort, and the test for a dropped path: the right quantity in this place, or added here."""
        found = []
        for key in places:
            group = self.trace.groups[key]
            marks: set = set()
            for q in self.trace.oracles(group):
                if time.process_time() > self.end:
                    return found
                if q.shape != group[0].shape and np.prod(q.shape) == group[0].value.size:
                    q = _reshaped(q, group[0].shape)
                if q.shape == group[0].shape and not (self.later and self._changes_all(group, q)):
                    for edit in _oracle_edits(q):
                        fix = self.attempt(key, edit, wrong, marks)
                        if fix:
                            fix.forward_line = int(q.name.split(":")[1]) or None
                            found.append(fix)
        return found

    def _changes_all(self, group: list[Node], q: Known) -> bool:
        """Whether neither putting this quantity here nor adding it leaves any use of the line as it is."""
        k = len(group)
        for i, n in enumerate(group):
            value = q.fetch(Spot(self.trace, n, i, k, lambda m: m.value))
            if n not in self.used or not np.any(value) or _equal(value, n.value):
                return False
        return True

    def ranked(self, found: list[Fix], wrong: list[str]) -> list[Fix]:
        """Confirmed fixes: those that repair most, then the least far-fetched."""
        found.sort(key=lambda f: (-len(f.repaired), f.edit.cost, f.index))
        sure: list[Fix] = []
        for fix in found:
            if len(sure) >= 12 or (sure and len(fix.repaired) < len(sure[0].repaired)):
                break
            if self.confirmed(fix):
                sure.append(fix)
        return sure

    def confirmed(self, fix: Fix) -> bool:
        """Whether a fix holds at the fresh points."""
        if fix.edit.only == "sum":
            return all(all(any(sum_fits(t, fix.key, k)) for k in fix.repaired) for t in self.fresh)
        with np.errstate(all="ignore"):
            return all(fix.repaired <= self.repaired_by(t, fix.key, fix.edit, list(fix.repaired)) for t in self.fresh)


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
    sizes = [np.size(a.value if isinstance(a, Node) else a) for a in node.args]
    return node.name in ("mean", "var", "std") or (node.name in ("multiply", "divide") and 1 in sizes)


def _oracle_edits(q: Known) -> Iterator[Edit]:
    yield Edit("path dropped", 2.2, q.name, lambda s: s.get(s.node) + q.fetch(s))
    yield Edit("counted twice", 2.3, q.name, lambda s: s.get(s.node) - q.fetch(s))
    yield Edit("other", 3.0, q.name, q.fetch)


def _line_of(trace: Trace, key: Key) -> int:
    """The helper's line where the change covers all its uses, else the line that calls it."""
    node = trace.groups[key][0]
    if key[0] == "inner" or len(node.site) == 1:
        return node.inner
    inner = {n.site for n in trace.nodes if n.site and n.site[-1] == node.site[-1]}
    return node.inner if len(inner) == 1 else node.line


def _is_plain(node: Node) -> bool:
    """One array of floats or bools."""
    return not isinstance(node.value, list) and np.asarray(node.value).dtype.kind in "fb"


def _ancestors(ends: list[Node]) -> set[Node]:
    seen: set[Node] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += node.parents
    return seen


def _quietly(f: Callable[[], Any]) -> Any:
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


# -- factors by name --------------------------------------------------------------------------------------------------

CONSTANTS = {"2": 2.0, "1/2": 0.5, "-1": -1.0, "-2": -2.0, "-1/2": -0.5, "3": 3.0, "4": 4.0, "1/4": 0.25, "1/3": 1 / 3}
CONSTANTS |= {"ln 2": np.log(2), "1/ln 2": 1 / np.log(2), "ln 10": np.log(10), "1/ln 10": 1 / np.log(10)}
POWERS = {"{}": 1.0, "1/{}": -1.0, "sqrt({})": 0.5, "1/sqrt({})": -0.5, "{}^2": 2.0, "1/{}^2": -2.0}


def factor_kind(text: str) -> str:
    """The class of a factor by its name."""
    if text == "-1":
        return "sign"
    return "size factor" if "size" in text else "factor"


def sizes_of(trace: Trace) -> dict[str, float]:
    """Sizes by where they come from: a dimension of an input or of the output."""
    found: dict[str, float] = {}
    values = {**{k: trace.point.p[k] for k in trace.point.p}, "the output": trace.point.out}
    for name, v in values.items():
        for d, n in enumerate(np.shape(v)):
            if n > 1:
                found.setdefault(f"size {d} of {name}", float(n))
    for name, v in values.items():
        if np.ndim(v) > 1:
            found[f"size (all) of {name}"] = float(np.size(v))
        if np.ndim(v) > 2:
            found[f"size (all but the last) of {name}"] = float(np.size(v) // np.shape(v)[-1])
        if isinstance(v, np.ndarray) and v.dtype.kind == "b":
            found[f"size (true) of {name}"] = float(v.sum())
    return found


def factor_names(trace: Trace, c: float) -> list[tuple[str, Callable[[Trace], float]]]:
    """Names for a factor that was needed here, each a function of the sizes so that it can be tried elsewhere."""
    for text, value in CONSTANTS.items():
        if abs(c - value) <= 1e-7 * abs(value):
            return [(text, lambda t, value=value: value)]
    found: list[tuple[str, Callable[[Trace], float]]] = []
    for name, n in sizes_of(trace).items():
        for form, power in POWERS.items():
            for sign in (1, -1):
                if abs(c - sign * n**power) <= 1e-7 * abs(c):
                    found.append(
                        (
                            form.format(name),
                            lambda t, name=name, power=power, sign=sign: sign * sizes_of(t).get(name, 1.0) ** power,
                        )
                    )
        if n > 1 and abs(c - n / (n - 1)) <= 1e-7 * c:
            found.append((f"n/(n-1), n = {name}", lambda t, name=name: sizes_of(t)[name] / (sizes_of(t)[name] - 1)))
        if n > 1 and abs(c - (n - 1) / n) <= 1e-7 * c:
            found.append((f"(n-1)/n, n = {name}", lambda t, name=name: (sizes_of(t)[name] - 1) / sizes_of(t)[name]))
    return found[:6]
