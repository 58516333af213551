"""A quick test for a change at one place, without running the pass again.

Where a gradient depends linearly on the value at a place, a change D of that value moves the inner product of the
gradient with any fixed direction w by u . D, where u is what comes back when w is pulled through the learner's own
backward pass. One product tells most changes that can't be right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import Node
from .rules import pull
from .trace import Trace

Rows = tuple[np.ndarray, np.ndarray]


class Screen:
    """What comes back to every node from a fixed direction of each wrong gradient."""

    def __init__(self, trace: Trace, wrong: list[str]):
        rng = np.random.default_rng(7)
        self.trace = trace
        self.back: dict[str, Any] = {}
        self.seeds: dict[str, dict[Node, np.ndarray]] = {}
        self.missing: dict[str, float] = {}
        for name in wrong:
            end, right = trace.backward.ends[name], trace.right[name]
            if end.shape == right.shape:
                w = rng.normal(size=end.shape)
                self.seeds[name] = {end: w}
                self.back[name] = pull(trace.nodes, {end: w})[0]
                self.missing[name] = float(np.vdot(w, right - end.value))

    def rows(self, node: Node) -> Rows | None:
        """(K, n) and (K,): for K wrong gradients, u and how much is missing."""
        names = [k for k, total in self.back.items() if isinstance(total.get(node), np.ndarray)]
        if not names or len(self.back) == 0:
            return None
        u = np.stack([np.broadcast_to(self.back[k][node], node.shape).ravel() for k in names])
        return u, np.array([self.missing[k] for k in names])

    def steps(self, group: list[Node], instead: bool) -> list[Rows] | None:
        """The same for all uses of a line together: for what is added to them, or put in their place.

        The pass is linear in what carries the cotangent, so the changes at all uses add up. What is put in a node's
        place cuts off what came from the other uses. None where a node does not carry the cotangent.
        """
        if not all(map(self.trace.carries, group)):
            return None
        stop = frozenset(group) if instead and len(group) > 1 else frozenset()
        found = []
        for name, back in self.back.items():
            total = pull(self.trace.nodes, self.seeds[name], stop)[0] if stop else back
            rows = [np.broadcast_to(total.get(n, 0.0), n.shape).ravel() for n in group]
            found.append((np.concatenate(rows), np.array(self.missing[name])))
        return found or None


def hits(rows: list[Rows], changes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which of many changes (M, n) of all uses of a line could repair at least one gradient; `sizes` is |changes|."""
    found = np.zeros(len(changes), bool)
    for u, missing in rows:
        off = np.abs(changes @ u - missing)
        found |= off <= 1e-7 * (sizes @ np.abs(u) + np.abs(missing)) + 1e-13
    return found


def promising(rows: Rows, old: np.ndarray, new: np.ndarray) -> bool:
    """Whether a change could repair at least one gradient."""
    u, missing = rows
    change = (new - old).ravel()
    off = np.abs(u @ change - missing)
    size = np.abs(u) @ np.abs(change) + np.abs(missing)
    return bool((off <= 1e-7 * size + 1e-13).any())
