"""The pass backward through the graph.

The nodes are put in topological order by an iterative walk (a recurrent network over 10,000 steps is a chain of 10,000
nodes, deeper than Python's recursion allows). Then each node hands its cotangent g = dL/dy through the rule of its
operation to its inputs, where the shares add up. Broadcasting is undone here, once, and in no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import device
from ..errors import AnomalyError, GraphError, ShapeError
from ..tensor import METHODS, Clock, Tensor
from .modes import anomaly, enable_grad, no_grad
from .record import Node, move


def backward(output: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Add the gradient of `output` to `.grad` of every leaf; see `Tensor.backward`."""
    if not output.requires_grad:
        raise GraphError(
            "backward() needs a recorded result.\n  Expected: requires_grad=True on some input\n  Got: none"
        )
    keep = retain_graph or create_graph
    for leaf, g in walk([output], [seed_of(output, gradient)], None, keep, create_graph):
        # A tensor of its own for each leaf: a rule may have handed one cotangent to two inputs.
        leaf.grad = Tensor.wrap(g._data, g.node, g.index) if leaf.grad is None else METHODS["add"](leaf.grad, g)


METHODS["backward"] = backward


def listed(value: Any) -> list:
    """A list of one or several."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def or_zeros(g: Tensor | None, like: Tensor) -> Tensor:
    """The gradient, or zeros of the right shape where there is none."""
    return Tensor.wrap(np.zeros_like(like._data)) if g is None else g


def seed_of(output: Tensor, gradient: Any) -> Tensor:
    """The cotangent that a pass starts with: the one given, checked, or 1 for a single number."""
    if gradient is None:
        if output.size != 1:
            raise GraphError(
                f"The gradient of a whole array needs a cotangent.\n  Expected: one number, or gradient=...\n"
                f"  Got: shape {output.shape}; take .sum() or .mean() first, or pass gradient of that shape"
            )
        return Tensor.wrap(np.ones_like(output._data))
    seed = gradient if isinstance(gradient, Tensor) else Tensor.wrap(np.asarray(gradient, dtype=output.dtype))
    if device.backend() == "cuda":
        move((seed,))
    if seed.shape != output.shape or seed.dtype != output.dtype:
        raise ShapeError(
            f"A cotangent has its output's shape and number type.\n  Expected: {output.shape} {output.dtype}\n"
            f"  Got: {seed.shape} {seed.dtype}"
        )
    return seed


Place = tuple[Any, int]


def place_of(t: Tensor) -> Place:
    """Where a tensor stands: (node, which result of it), or (itself, 0) for a leaf."""
    return (t, 0) if t.node is None else (t.node, t.index)


def topological_order(outputs: Iterable[Tensor]) -> list[Node]:
    """All nodes that `outputs` depend on, each after those it depends on; iterative, every node visited once."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(t.node, False) for t in outputs if t.node is not None]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((t.node, False) for t in _inputs_of(node) if t.node is not None and t.node not in seen)
    return order


def _inputs_of(node: Node) -> tuple[Tensor, ...]:
    if node.inputs is None:
        raise GraphError(
            f"This graph was freed by an earlier backward pass ({node.op.name} at {node.line}).\n"
            "  Expected: a fresh forward pass, or retain_graph=True in the first backward()\n  Got: a second backward"
        )
    return node.inputs


def walk(
    outputs: list[Tensor], seeds: list[Tensor], targets: list[Tensor] | None, keep: bool, create_graph: bool
) -> list[tuple[Tensor, Tensor]]:
    """Walk the graph backward. Returns (tensor, gradient) for every leaf, or for the `targets`."""
    order = topological_order(outputs)
    wanted = None if targets is None else {place_of(t): t for t in targets}
    needed = _needed(order, wanted)
    shares: dict[Place, Tensor] = {}
    tensors: dict[Place, Tensor] = {}
    with enable_grad() if create_graph else no_grad():
        for out, seed in zip(outputs, seeds, strict=True):
            _add_share(shares, tensors, out, seed)
        for node in reversed(order):
            if node in needed:
                _pull_node(node, shares, tensors, needed, wanted, create_graph)
            if not keep:
                node.free()
    return _results(shares, tensors, wanted)


def _needed(order: list[Node], wanted: dict[Place, Tensor] | None) -> set[Node]:
    # Only nodes from which a wanted tensor can be reached have work to do.
    if wanted is None:
        return set(order)
    needed: set[Node] = set()
    for node in order:
        if any(place_of(t) in wanted or t.node in needed for t in _inputs_of(node)):
            needed.add(node)
    return needed


def _pull_node(
    node: Node, shares: dict, tensors: dict, needed: set[Node], wanted: dict | None, create_graph: bool
) -> None:
    count = len(node.outputs) if type(node.outputs) is tuple else 1
    gs = [_complete(node, i, shares, wanted) for i in range(count)]
    if all(g is None for g in gs):
        return
    inputs = _inputs_of(node)
    if wanted is None:
        needs = tuple([t.requires_grad for t in inputs])
    else:
        needs = tuple([t.requires_grad and (place_of(t) in wanted or t.node in needed) for t in inputs])
    _check_unchanged(node, inputs)
    for t, g, need in zip(inputs, _cotangents(node, gs, needs, create_graph), needs, strict=True):
        if need and g is not None:
            _add_share(shares, tensors, t, _unbroadcast(node, g, t))


def _complete(node: Node, index: int, shares: dict, wanted: dict | None) -> Tensor | None:
    """The finished cotangent of one result, after its hooks."""
    place = (node, index)
    g = shares.get(place)
    if g is None:
        return None
    g = run_hooks(node.hooks.get(index), g) if node.hooks else g
    if wanted is not None and place in wanted:
        shares[place] = g
    else:
        del shares[place]
    return g


def run_hooks(hooks: list | None, g: Tensor) -> Tensor:
    """Pass a gradient through hooks; what one returns takes its place."""
    for hook in list(hooks or ()):
        changed = hook(g)
        if changed is not None:
            if changed.shape != g.shape:
                raise ShapeError(f"A hook keeps the shape.\n  Expected: {g.shape}\n  Got: {changed.shape}")
            g = changed
    return g


def _cotangents(node: Node, gs: list, needs: tuple[bool, ...], create_graph: bool) -> Sequence[Tensor | None]:
    """What the rule, or the kernel that made the node, hands to each input."""
    found: Sequence[Tensor | None] | None = None if create_graph else _by_kernel(node, gs, needs)
    if found is None:
        try:
            found = _by_rule(node, gs, needs)
        except AnomalyError as error:
            raise AnomalyError(f"the gradient of {node.op.name} at {node.line} is not finite: {error}") from None
    if anomaly.get() and not all(g is None or np.isfinite(g._data).all() for g in found):
        raise AnomalyError(f"the gradient of {node.op.name} at {node.line} is not finite")
    return found


def _by_kernel(node: Node, gs: list, needs: tuple[bool, ...]) -> list[Tensor | None] | None:
    """What the kernel hands back; None where no kernel made the node, or where its backward can't be compiled."""
    if node.kernel is None:
        return None
    arrays = [t._data for t in _inputs_of(node)]
    g = tuple(None if t is None else t._data for t in gs) if isinstance(node.outputs, tuple) else gs[0]._data
    found = node.kernel.differentiate(g, node.outputs, node.saved, arrays, needs, **node.attrs)
    return None if found is None else [None if a is None else Tensor.wrap(a) for a in found]


def _by_rule(node: Node, gs: list, needs: tuple[bool, ...]) -> list[Tensor | None]:
    op = node.op
    if op.rule is None:
        raise GraphError(f"{op.name} at {node.line} has no derivative; use .detach() if that is meant")
    y = node.output_tensors()
    g = tuple(or_zeros(t, o) for t, o in zip(gs, y, strict=True)) if isinstance(y, tuple) else gs[0]
    found = op.rule(g, y, *node.inputs, **node.attrs)  # type: ignore[misc]
    found = found if isinstance(found, tuple) else (found,)
    if len(found) != len(needs):
        raise GraphError(f"The rule of {op.name} gave {len(found)} cotangents; expected {len(needs)}, one per input")
    return [f() if need and callable(f) else (f if need else None) for f, need in zip(found, needs, strict=True)]


def _unbroadcast(node: Node, g: Tensor, t: Tensor) -> Tensor:
    """Sum a cotangent over the dimensions along which its input was repeated."""
    new, old = g._data, t._data
    if new.shape != old.shape:
        g = METHODS["sum_to"](g, shape=old.shape)
    if new.dtype is not old.dtype and new.dtype != old.dtype:
        raise GraphError(
            f"The rule of {node.op.name} turned {t.dtype} into {g.dtype}; expected the input's number type"
        )
    return g


def _check_unchanged(node: Node, inputs: tuple[Tensor, ...]) -> None:
    clock = node.clock
    if clock == Clock.now:  # nothing at all has changed
        return
    for i, t in enumerate(inputs):
        if t.changed > clock:
            who = t.name or (node.op.inputs[i] if i < len(node.op.inputs) else f"input {i}")
            raise GraphError(
                f"{who} of {node.op.name} at {node.line} was changed after it was used.\n"
                "  Expected: backward() before the step or assignment that changes it\n"
                f"  Got: a tensor of shape {t.shape} with new numbers; run the forward pass again"
            )


def _add_share(shares: dict, tensors: dict, t: Tensor, g: Tensor) -> None:
    place = place_of(t)
    before = shares.get(place)
    if before is None:
        shares[place], tensors[place] = g, t
    else:
        shares[place] = METHODS["add"](before, g)


def _results(shares: dict, tensors: dict, wanted: dict | None) -> list[tuple[Tensor, Tensor]]:
    found = []
    for place, g in shares.items():
        t = tensors[place]
        if t.node is None and (wanted is None or place in wanted):
            g = run_hooks(t._hooks, g)
        if wanted is None or place in wanted:
            found.append((t, g))
    return found
