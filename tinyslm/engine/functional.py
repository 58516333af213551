"""Derivatives as functions: grad, vjp (reverse mode) and jvp (forward mode)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..tensor import Tensor
from .backward import listed, or_zeros, place_of, seed_of, walk
from .modes import enable_grad


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of `outputs` with respect to `inputs`, as a tuple, without touching `.grad`.

    Args:
        outputs: one tensor or several.
        inputs: leaves or inner results that require a gradient.
        grad_outputs: cotangents, one per output; 1 for single numbers if left out.
        retain_graph: keep the graph for another pass.
        create_graph: record the pass, so that the gradients can be differentiated again.
        allow_unused: give None for an input that the outputs don't depend on, instead of an error.
    """
    outs, ins = listed(outputs), listed(inputs)
    for i, t in enumerate(ins):
        if not t.requires_grad:
            raise GraphError(f"grad: input {i} does not require a gradient. Expected: requires_grad=True")
    seeds = listed(grad_outputs) if grad_outputs is not None else [None] * len(outs)
    if len(seeds) != len(outs):
        raise GraphError(f"grad: expected one cotangent per output ({len(outs)}), got {len(seeds)}")
    recorded = [(o, seed_of(o, s)) for o, s in zip(outs, seeds, strict=True) if o.requires_grad]
    found = walk([o for o, _ in recorded], [s for _, s in recorded], ins, retain_graph or create_graph, create_graph)
    by_place = {place_of(t): g for t, g in found}
    result = tuple(by_place.get(place_of(t)) for t in ins)
    if None in result and not allow_unused:
        raise GraphError(f"grad: the outputs don't depend on input {result.index(None)}; allow_unused=True gives None")
    return result


def vjp(function: Callable[..., Tensor], *primals: Tensor) -> tuple[Tensor, Callable[..., tuple]]:
    """The value of `function` at `primals`, and the function that pulls a cotangent of it back to the inputs."""
    leaves = [_leaf(p) for p in primals]
    with enable_grad():
        y = function(*leaves)

    def pullback(cotangent: Any, create_graph: bool = False) -> tuple[Tensor, ...]:
        found = grad(y, leaves, cotangent, retain_graph=True, create_graph=create_graph, allow_unused=True)
        return tuple(or_zeros(g, p) for g, p in zip(found, leaves, strict=True))

    return y.detach(), pullback


def jvp(function: Callable[..., Tensor], primals: Sequence[Tensor], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The value of `function` and its derivative along `tangents` (forward mode).

    The pullback v -> vᵀJ is linear in v, so pulling the tangent u back through *it* gives J u: two passes backward
    make one forward, and every rule serves both modes.
    """
    leaves = [_leaf(p) for p in primals]
    if len(tangents) != len(leaves):
        raise GraphError(f"jvp: expected one tangent per primal ({len(leaves)}), got {len(tangents)}")
    with enable_grad():
        y = function(*leaves)
        v = Tensor.wrap(np.zeros_like(y._data)).requires_grad_()
        pulled = grad(y, leaves, v, create_graph=True, allow_unused=True) if y.requires_grad else ()
        pairs = [
            (g, seed_of(g, u)) for g, u in zip(pulled, tangents, strict=False) if g is not None and g.requires_grad
        ]
        if not pairs:
            return y.detach(), Tensor.wrap(np.zeros_like(y._data))
        (forward,) = grad([g for g, _ in pairs], v, [u for _, u in pairs], allow_unused=True)
    return y.detach(), or_zeros(forward, y)


def _leaf(primal: Any) -> Tensor:
    array = primal._data if isinstance(primal, Tensor) else np.asarray(primal)
    return Tensor.wrap(array).requires_grad_()
