"""The tape of a rule: what the backward rule of an operation computes, recorded so that it can run again, changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import device
from ..engine import Node, Op, apply, enable_grad, no_grad, topological_order
from ..engine.backward import Place, place_of
from ..tensor import METHODS, Tensor
from .reference import is_float


@dataclass
class Tape:
    """What a rule computed: from its leaves (cotangents, results, inputs) through nodes to one gradient per input."""

    leaves: list[Tensor]
    nodes: list[Node]
    gradients: list[Tensor]
    fresh: list[Tape] | None = None  # the same tape at other random points

    def run(self, mutation: Any = None) -> list[np.ndarray]:
        """The gradients, computed again where the change of one node reaches; as recorded without a mutation.

        `mutation` has a `node` (its number) and a `change(tape, node, inputs)` that gives that node's other result.
        """
        if mutation is None:
            return [t._data for t in self.gradients]
        new: dict[Place, Tensor] = {}
        with no_grad(), device.use("numpy"), np.errstate(all="ignore"):
            for node in self.nodes[mutation.node :]:
                inputs = tuple(new.get(place_of(t), t) for t in node.inputs or ())
                if not new:
                    new[(node, 0)] = mutation.change(self, node, inputs)
                elif any(place_of(t) in new for t in node.inputs or ()):
                    new[(node, 0)] = apply(node.op, inputs, node.attrs)
        return [new.get(place_of(t), t)._data for t in self.gradients]

    def at(self, address: tuple[str, int]) -> Tensor:
        """A tensor of this tape by what kind it is ("leaf" or "node") and its number."""
        kind, i = address
        return self.leaves[i] if kind == "leaf" else Tensor.wrap(self.nodes[i].outputs)

    def like(self, other: Tape) -> bool:
        """True when both tapes hold the same operations in the same order."""
        return [n.op for n in self.nodes] == [n.op for n in other.nodes]


def record(op: Op, inputs: Sequence[np.ndarray], attrs: dict[str, Any], cotangents: Sequence[np.ndarray]) -> Tape:
    """Run the rule of an operation under recording."""
    attrs = {**op.defaults, **attrs}
    leaves = [Tensor.wrap(a).requires_grad_() if is_float(a) else Tensor.wrap(a) for a in inputs]
    with device.use("numpy"), enable_grad():
        found = results_of(op, inputs, attrs)
        y = [Tensor.wrap(a).requires_grad_() for a in found]
        g = [Tensor.wrap(c).requires_grad_() for c in cotangents]
        several = op.outputs > 1
        shares = op.rule(tuple(g) if several else g[0], tuple(y) if several else y[0], *leaves, **attrs)  # type: ignore
        shares = shares if isinstance(shares, tuple) else (shares,)
        gradients = _ends([(s, x) for s, x in zip(shares, leaves, strict=True) if is_float(x._data)])
    nodes = topological_order(gradients)
    return Tape([*g, *y, *leaves], nodes, gradients)


def results_of(op: Op, inputs: Sequence[np.ndarray], attrs: dict[str, Any]) -> list[np.ndarray]:
    """What the operation gives for these arrays, one array per result."""
    with no_grad():
        out = apply(op, tuple(map(Tensor.wrap, inputs)), attrs)
    return [t._data for t in out] if isinstance(out, tuple) else [out._data]


def _ends(shares: list[tuple[Any, Tensor]]) -> list[Tensor]:
    """The gradients with broadcasting undone, each as the result of a node of its own, so that each can be changed."""
    ends: list[Tensor] = []
    for share, x in shares:
        t = share() if callable(share) else share
        t = Tensor.wrap(np.zeros_like(x._data)) if t is None else t
        if t.shape != x.shape:
            t = METHODS["sum_to"](t, shape=x.shape)
        if t.node is None or any(place_of(t) == place_of(e) for e in ends):
            t = METHODS["clone"](t)
        ends.append(t)
    return ends
