"""A learner's recorded backward pass beside the right gradients, and how it runs again with some places changed."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .edits import Edit, Known, Spot, is_float
from .graph import Node, fill
from .learner import Backward, Forward, Point
from .naming import Names
from .rules import pull

MATCH = 1e-8
Key = tuple[Any, Any]  # where (a call site, or ("inner", line) of a helper) and the name of the operation
Get = Callable[[Node], Any]
Change = Callable[[Get], Any]
Mark = tuple[Any, ...]


def fingerprint(v: Any) -> Mark:
    """A value as something to look up, blind to rounding: its shape, size, and two mixtures of its elements."""
    v = np.asarray(v, float)
    flat = v.ravel()
    size = float(np.abs(flat).max(initial=0.0))
    if not 0.0 < size < np.inf:
        return v.shape, size != 0.0, 0.0, 0.0
    a, b = (_mixer(flat.size) @ flat / size).tolist()
    return v.shape, round(math.log(size), 6), round(a, 6), round(b, 6)


@lru_cache(maxsize=256)
def _mixer(n: int) -> np.ndarray:
    return np.array([np.cos(np.arange(n) * f + f) for f in (1.3, 2.7)])


class Trace:
    """A recorded backward pass beside the right gradients at the same point."""

    def __init__(self, point: Point, forward: Forward, backward: Backward):
        self.point, self.forward, self.backward = point, forward, backward
        right = {k: forward.right(k) for k in backward.ends}
        self.right = {k: v for k, v in right.items() if v is not None}
        self.floor = 1e-12 * max([1.0, *(float(np.abs(v).max(initial=0.0)) for v in self.right.values())])
        self.nodes = backward.graph.nodes
        self.groups = _all_groups(backward)
        self.fixed: dict[Node, Change] = {}
        self.wrong: list[str] = []
        self._tables: dict[Any, list[Any]] | None = None
        self._calls: dict[Any, list[list[Any]]] | None = None
        self._stacks: dict[tuple[int, int], tuple[list[Known], np.ndarray]] = {}
        self._oracles: dict[int, list[Known]] = {}
        self._pools: dict[int, list[tuple[Mark, Known, Node | None]]] = {}
        self._lines: dict[Mark, int] | None = None
        self._carried: set[Node] | None = None
        self._leaves = {n.leaf: n for n in self.nodes if n.leaf}
        self.look()

    def look(self) -> None:
        """Compare the gradients, as they are now, with the right ones."""
        ends = self.backward.ends
        self.wrong = [k for k in self.right if not self.matches(k, ends[k].value)]

    @property
    def names(self) -> Names:
        """What the learner calls things."""
        return Names.of(self.point.learner.source)

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

    def leaf(self, name: str) -> Node:
        """A leaf by its name."""
        return self._leaves[name]

    # -- running again

    def replay(self, changes: dict[Node, Change]) -> dict[Node, Any]:
        """Run the pass again with some nodes changed; gives the values that are new."""
        new: dict[Node, Any] = {}

        def get(node: Node) -> Any:
            return new.get(node, node.value)

        start = min(n.index for n in changes)
        for node in self.nodes[start:]:
            change = changes.get(node)
            moved = any(p in new for p in node.parents)
            if moved and node.fn is not None:
                value = node.fn(*fill(node.args, get), **fill(node.kwargs, get))
                new[node] = list(value) if isinstance(value, (tuple, list)) else np.asarray(value)
                if node in self.fixed:
                    new[node] = np.asarray(self.fixed[node](get))
            if change is not None:
                new[node] = np.asarray(change(get))
        return new

    def changes(self, key: Key, edit: Edit) -> dict[Node, Change]:
        """An edit as changes of the nodes of its group."""
        group = self.groups.get(key, [])
        return {n: self._change(edit, n, i, len(group)) for i, n in enumerate(group)}

    def _change(self, edit: Edit, node: Node, i: int, k: int) -> Change:
        return lambda get: edit.apply(Spot(self, node, i, k, get))

    def patch(self, key: Key, edit: Edit) -> None:
        """Take a repair over, so that the next mistake can be looked for."""
        changes = self.changes(key, edit)
        if not changes:
            return
        try:
            new = self.replay(changes)
        except (KeyError, TypeError, ValueError, IndexError):  # the right quantity that it needs is not there
            return
        for node, value in new.items():
            node.value = value
        self.fixed.update(changes)
        self._pools.clear()
        self.look()

    # -- values to try

    def known(self, group: list[Node], later: bool = False) -> Iterator[Known]:
        """Values that the learner's code has at hand at a place; `later` also those of the step before."""
        seen: set[Mark] = set()
        first, k = group[0], len(group)
        for mark, known, node in self._pool(k):
            before = node is None or node.index < first.index or not self.carries(node)
            if node is not first and before and mark not in seen:
                seen.add(mark)
                yield known
            if later and node is not None and k > 1:
                yield Known(known.name, known.shape, _group_fetch((node.site, node.role), 1), 0.2, True)

    def _pool(self, k: int) -> list[tuple[Mark, Known, Node | None]]:
        """All values that can be read at k uses of a line, with a fingerprint, and the node behind them."""
        if k not in self._pools:
            found: list[tuple[Mark, Known, Node | None]] = list(self._steps(k))
            for node in self.nodes:
                if node.leaf and is_float(node.value):
                    known = Known(self.names.of_node(node), node.shape, _leaf_fetch(node.leaf))
                    found.append((fingerprint(node.value), known, None))
            for key, others in self.groups.items():
                node = others[0]
                if key[0] != "inner" and len(others) == k and not node.leaf and is_float(node.value):
                    cost = 0.1 if node.name in ("getitem", "alias", "given") else 0.2
                    known = Known(self.names.of_node(node), node.shape, _group_fetch(key), cost)
                    found.append((fingerprint(node.value), known, node))
            self._pools[k] = found
        return self._pools[k]

    def _steps(self, k: int) -> Iterator[tuple[Mark, Known, None]]:
        """Entries of a list with one for each step, cache["hs"][t], read from the last to the first."""
        for pattern, leaves in self._lists.items():
            n = len(leaves)
            for off in (0, 1) if k <= n <= k + 1 else ():
                if n - 1 - off - (k - 1) >= 0 and is_float(leaves[0].value):
                    known = Known(self.names.of_step(pattern, n - off - k), leaves[0].shape, _step_fetch(pattern, off))
                    yield (*fingerprint(leaves[n - 1 - off].value), off), known, None

    @cached_property
    def _lists(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            pattern = re.sub(r"\[\d+\]", "[*]", node.leaf, count=1)
            if pattern != node.leaf:
                found.setdefault(pattern, []).append(node)
        return found

    def step(self, pattern: str, i: int) -> Node:
        """The i-th entry of a list from its end."""
        return self._lists[pattern][-1 - i]

    def second_step(self, k: int) -> int:
        """Where, in the order of the recording, the second step of a loop with k steps begins."""
        return min((g[1].index for g in self.groups.values() if len(g) == k and k > 1 and g[0].fn), default=0)

    def carries(self, node: Node) -> bool:
        """Whether a value depends on the cotangent."""
        if self._carried is None:
            self._carried = {self.backward.g.node}
            for n in self.nodes:
                if any(p in self._carried for p in n.parents):
                    self._carried.add(n)
        return node in self._carried

    def _oracles_for(self, k: int) -> list[Known]:
        """Right quantities that the forward pass tells: gradients of its values, and single shares of them."""
        if k not in self._oracles:
            self._oracles[k] = list(self._right_quantities(k))
        return self._oracles[k]

    def stacked(self, k: int, size: int) -> tuple[list[Known], np.ndarray]:
        """Right quantities with `size` elements at each of k uses, and their values at all uses, (M, k * size)."""
        if (k, size) not in self._stacks:
            known = [q for q in self._oracles_for(k) if math.prod(q.shape) == size]
            rows = [[np.ravel(q.fetch(Spot(self, self.nodes[0], i, k, _value))) for i in range(k)] for q in known]
            whole = [(q, v) for q, row in zip(known, rows, strict=True) if (v := np.concatenate(row)).size == k * size]
            values = np.array([v for _, v in whole]) if whole else np.zeros((0, k * size))
            self._stacks[k, size] = [q for q, _ in whole], values
        return self._stacks[k, size]

    def _right_quantities(self, k: int) -> Iterator[Known]:
        seen: set[Mark] = set()
        for key, values in self.tables().items():
            for order in ("back", "forth", "later", "short") if k > 1 else ("back", "forth"):
                value = _in_order(values, order, 0, k)
                seen_as = _in_order(values, order, 1, k) if order == "later" else value
                if value is not None and np.any(seen_as) and _fresh(seen_as, seen, order):
                    yield Known("", np.shape(value), _table_fetch(key, order), line=key[1][0][0] if key[1] else 0)
        for key, calls in self.calls().items():
            for orders in itertools.product(("back", "forth"), ("back", "forth", "later", "short")):
                value = _in_calls(calls, orders, 0, k)
                seen_as = _in_calls(calls, orders, 1, k) if orders[1] == "later" and k > len(calls) else value
                if value is not None and np.any(seen_as) and _fresh(seen_as, seen, f"{orders} of {len(calls)}"):
                    yield Known("", np.shape(value), _calls_fetch(key, orders), line=key[1][0])

    def calls(self) -> dict[Any, list[list[Any]]]:
        """Right quantities of helpers that the forward calls from several places: for each call the uses in order."""
        if self._calls is None:
            found: dict[Any, dict[Any, list[Any]]] = {}
            for (kind, site, name, slot), values in self.tables().items():
                if len(site) > 1:
                    found.setdefault((kind, site[-1], name, slot), {})[site[:-1]] = values
            self._calls = {k: list(v.values()) for k, v in found.items() if len(v) > 1 and _alike(v.values())}
        return self._calls

    def tables(self) -> dict[Any, list[Any]]:
        """Right quantities by the forward's call site: what kind, where, and the values of its uses in order."""
        if self._tables is None:
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

    def right_lines(self) -> dict[Mark, int]:
        """Fingerprints of all right quantities, and the forward line through which they come."""
        if self._lines is None:
            found: dict[Mark, int] = {}
            for key, values in sorted(self.tables().items(), key=lambda x: x[0][0] != "share"):
                line = key[1][0][0] if key[1] else 0
                for v in [*values, *_sums(values)]:
                    found.setdefault(fingerprint(v)[1:], line)
            self._lines = found
        return self._lines


def _sums(values: list[Any]) -> list[Any]:
    same = len(values) > 1 and all(np.shape(v) == np.shape(values[0]) for v in values)
    return [sum(values)] if same else []


def _value(node: Node) -> Any:
    return node.value


def _leaf_fetch(name: str) -> Callable[[Spot], Any]:
    return lambda s: s.get(s.trace.leaf(name))


def _step_fetch(pattern: str, off: int) -> Callable[[Spot], Any]:
    return lambda s: s.get(s.trace.step(pattern, s.i + off))


def _group_fetch(key: Key, back: int = 0) -> Callable[[Spot], Any]:
    def fetch(s: Spot) -> Any:
        if s.i < back:
            return None
        return s.get(s.trace.groups[key][s.i - back])

    return fetch


def _table_fetch(key: Any, order: str) -> Callable[[Spot], Any]:
    return lambda s: _in_order(s.trace.tables()[key], order, s.i, s.k)


def _in_order(values: list[Any], order: str, i: int, k: int) -> Any:
    """The value for use i of k: of the use in the other order or the same, or the sum where the numbers differ."""
    n = len(values)
    if order == "later":  # what the step before this one, in the order of the backward pass, hands on
        return None if n not in (k, k - 1) else values[n - i] if i else 0.0 * values[0]
    if order == "short":  # the first step's is missing, because it hangs on a constant
        return None if n != k - 1 else values[n - 1 - i] if i < n else 0.0 * values[0]
    if n == k:
        return values[n - 1 - i if order == "back" else i]
    if n == 1:
        return values[0]
    if k == 1 and all(np.shape(v) == np.shape(values[0]) for v in values):
        return sum(values)
    return None


def _alike(calls: Iterable[list[Any]]) -> bool:
    """Whether all values of all calls have one shape."""
    return len({np.shape(v) for values in calls for v in values}) == 1


def _in_calls(calls: list[list[Any]], order: tuple[str, str], i: int, k: int) -> Any:
    """The value for use i of k, where the uses belong to several calls of a helper, each with its own loop."""
    n = len(calls)
    if k % n:
        return None
    per = k // n
    call = calls[n - 1 - i // per if order[0] == "back" else i // per]
    return _in_order(call, order[1], i % per, per)


def _calls_fetch(key: Any, order: tuple[str, str]) -> Callable[[Spot], Any]:
    return lambda s: _in_calls(s.trace.calls()[key], order, s.i, s.k)


def _fresh(value: Any, seen: set[Mark], extra: str = "") -> bool:
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
    sites = {k: {n.site for n in v} for k, v in inner.items()}
    groups.update({k: sorted(v, key=lambda n: n.index) for k, v in inner.items() if len(sites[k]) > 1})
    return groups


def felt_by(trace: Trace, ends: list[Node]) -> set[Node]:
    """Nodes that these ends depend on in fact: what comes back to them from the ends is not zero."""
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        total = pull(trace.nodes, {e: rng.normal(size=e.shape) for e in ends})[0]
    return {n for n, u in total.items() if not isinstance(u, list) and np.abs(u).max(initial=0.0) > 1e-12}


def ancestors(ends: list[Node]) -> set[Node]:
    """Everything that went into these."""
    seen: set[Node] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += node.parents
    return seen
