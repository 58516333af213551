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

Trace = Any  # search.Trace; not imported, because imports run one way


class Screen:
    """What comes back to every node from a fixed direction of each wrong gradient."""

    def __init__(self, trace: Trace, wrong: list[str]):
        rng = np.random.default_rng(7)
        self.back: dict[str, Any] = {}
        self.missing: dict[str, float] = {}
        for name in wrong:
            end, right = trace.backward.ends[name], trace.right[name]
            if end.shape == right.shape:
                w = rng.normal(size=end.shape)
                self.back[name] = pull(trace.nodes, {end: w})[0]
                self.missing[name] = float(np.vdot(w, right - end.value))

    def rows(self, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
        """(K, n) and (K,): for K wrong gradients, u and how much is missing."""
        names = [k for k, total in self.back.items() if isinstance(total.get(node), np.ndarray)]
        if not names or len(self.back) == 0:
            return None
        u = np.stack([np.broadcast_to(self.back[k][node], node.shape).ravel() for k in names])
        return u, np.array([self.missing[k] for k in names])


def promising(rows: tuple[np.ndarray, np.ndarray], old: np.ndarray, new: np.ndarray) -> bool:
    """Whether a change could repair at least one gradient."""
    u, missing = rows
    change = (new - old).ravel()
    off = np.abs(u @ change - missing)
    size = np.abs(u) @ np.abs(change) + np.abs(missing)
    return bool((off <= 1e-7 * size + 1e-13).any())
