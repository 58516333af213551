"""The optimizers' work on a GPU: many parameters in one launch, and nothing for which the host would wait."""

from __future__ import annotations

from typing import Any

from .. import device
from ..tensor import Array, Tensor
from .optimizer import Members, Settings, state_array, to_device


def adam_on_device(members: Members, group: Settings, grad_scale: Any, decoupled: bool) -> Members:
    """Change all parameters that are at the same step in one launch; returns those that don't lie in one piece.

    An array that is a part of another one may overlap with a third: it gets a launch of its own.
    """
    together: dict[Any, Members] = {}
    left: Members = []
    for p, state in members:
        to_device(p, state)
        alone = 0 if p._data.base is None else id(p)
        in_one_piece = all(a.flags.c_contiguous for a in (p._data, *state.values()) if hasattr(a, "flags"))
        place = together.setdefault((state["step"], p.dtype, alone), []) if in_one_piece else left
        place.append((p, state))
    for (step, _, _), some in together.items():
        settings = (group["lr"], *group["betas"], group["eps"], group["weight_decay"], step, decoupled, grad_scale)
        device.cuda_kernels("optim").adam(*_lists(some), *settings)
    return left


def _lists(members: Members) -> tuple[list[Array], ...]:
    """Parameters, gradients, and the two moments; zeros before the first step."""
    data = [p._data for p, _ in members]
    moments = [[state_array(state, name, p._data) for p, state in members] for name in ("exp_avg", "exp_avg_sq")]
    return data, _gradients([p for p, _ in members]), *moments


def _gradients(parameters: list[Tensor]) -> list[Array]:
    """In the parameters' number types, which kernels take for granted; one set by hand may have another."""
    return [device.on_device(p.grad._data).astype(p.dtype, copy=False) for p in parameters if p.grad is not None]


def clip_on_device(parameters: list[Tensor], max_norm: float) -> tuple[Any, Any]:
    """Length of the gradients, and the factor that shortens them to `max_norm`, as arrays of one number there."""
    gradients = _gradients(parameters)
    if not gradients:
        return 0.0, 1.0
    widest = max((g.dtype for g in gradients), key=lambda dtype: dtype.itemsize)
    return device.cuda_kernels("optim").clip([g.astype(widest, copy=False) for g in gradients], max_norm)


def scale_on_device(parameters: list[Tensor], factor: Any) -> None:
    """Give each parameter its gradient times `factor`, as a new array; one launch for each number type."""
    kinds: dict[Any, list[Tensor]] = {}
    for p in parameters:
        if p.grad is not None:
            kinds.setdefault(p.dtype, []).append(p)
    for some in kinds.values():
        found = device.cuda_kernels("optim").scaled(_gradients(some), factor)
        for p, g in zip(some, found, strict=True):
            p.grad = Tensor.wrap(g)
