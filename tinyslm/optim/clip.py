"""Limits on gradients. The arrays themselves are never written to, since other tensors may share them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import device
from ..errors import AnomalyError, OptionError
from ..tensor import Array, Tensor
from .on_device import clip_on_device, scale_on_device


def grad_norm(parameters: Iterable[Tensor]) -> float:
    """The Euclidean length of all gradients taken as one vector."""
    return math.sqrt(sum(_square_sum(p.grad._data) for p in parameters if p.grad is not None))


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float, error_if_nonfinite: bool = False) -> Any:
    """Shorten the gradients, as one vector, to length `max_norm` where they are longer: g ← g max_norm / (|g| + 1e-6).

    The direction stays. Without it one step over a cliff of the loss can undo a long training (Pascanu et al. 2013).

    Args:
        parameters: whose gradients; those without are passed over.
        max_norm: the longest length allowed.
        error_if_nonfinite: refuse NaN and Inf, which no factor repairs.

    Returns:
        the length before. On a GPU it is a number there, for which `float()` waits; the training itself never does.

    Raises:
        AnomalyError: the length is not finite, with `error_if_nonfinite`.
    """
    _check_length(max_norm)
    parameters = list(parameters)
    if device.backend() == "cuda" and not error_if_nonfinite:
        total, factor = clip_on_device(parameters, max_norm)
        scale_on_device(parameters, factor)
        return total
    total = grad_norm(parameters)
    if error_if_nonfinite and not math.isfinite(total):
        raise AnomalyError(f"clip_grad_norm_: the gradients' length is {total}. Expected: a finite one")
    factor = _factor(total, max_norm)
    if factor != 1:
        for p in parameters:
            if p.grad is not None:
                p.grad = Tensor.wrap(p.grad._data * factor)
    return total


def clip_factor(parameters: Iterable[Tensor], max_norm: float) -> Any:
    """What `clip_grad_norm_` multiplies with, for `optimizer.step(factor)`, which saves the shortened gradients.

    On a GPU it is an array of one number there, which the step reads there; nothing waits.
    """
    _check_length(max_norm)
    parameters = list(parameters)
    if device.backend() == "cuda":
        return clip_on_device(parameters, max_norm)[1]
    return _factor(grad_norm(parameters), max_norm)


def _check_length(max_norm: float) -> None:
    if not max_norm >= 0:
        raise OptionError(f"max_norm: expected a length of at least 0, got {max_norm}")


def _factor(total: float, max_norm: float) -> float:
    factor = max_norm / (total + 1e-6)
    return 1.0 if factor >= 1 else factor  # NaN stays


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Limit every number of the gradients to [-clip_value, clip_value]. The direction may change."""
    if not clip_value >= 0:
        raise OptionError(f"clip_value: expected a number of at least 0, got {clip_value}")
    for p in parameters:
        if p.grad is not None:
            p.grad = Tensor.wrap(p.grad._data.clip(-clip_value, clip_value))


def _square_sum(g: Array) -> float:
    with np.errstate(over="ignore"):
        total = float((g * g).sum())
    # A float32 square overflows from 1.8e19 on; in float64 the sum still exists.
    return total if math.isfinite(total) else float(np.square(g, dtype=np.float64).sum())
