"""Host side of `loss.cu`: cross entropy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._late import place_for
from ._launch import THREADS, Array, array_library, as_rows, device_array, for_rows, launch, ready, whole_numbers


class Saved(NamedTuple):
    """What backward needs: for each row the maximum and log sum_j exp(x_j - maximum); what the mean divides by."""

    tops: Array
    log_totals: Array
    divisor: Array


def cross_entropy_forward(
    logits: Array,
    target: Array,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Array, Saved]:
    """The loss of logits (..., V) at target (...), as on the CPU; a target that is no class gives NaN and is noted."""
    x, t, w, xp = as_rows(logits), whole_numbers(target), _weights(logits, weight), array_library()
    losses, row_weights, tops, log_totals = (xp.empty(len(x), x.dtype) for _ in range(4))
    outputs = [losses, row_weights, tops, log_totals, place_for("cross_entropy: expected classes", x.shape[1])]
    arguments = [x, t, w, np.int64(ignore_index), float(label_smoothing), *outputs, *x.shape]
    launch("loss:cross_entropy_forward", *for_rows(*x.shape), arguments)
    result = xp.empty(2, x.dtype)
    reduce_arguments = [losses, row_weights, reduction == "mean", result, len(x)]
    launch("loss:cross_entropy_reduce", (1,), (THREADS,), reduce_arguments)
    out = losses.reshape(target.shape) if reduction == "none" else result[:1].reshape(())
    return out, Saved(tops, log_totals, result[1:])


def cross_entropy_backward(
    g: Array,
    out: Array,
    saved: Saved,
    arrays: tuple,
    needs: tuple,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple:
    """dlogits_c = g ((1 - s) w_t (p_c - [c = t]) + s / V (p_c sum_k w_k - w_c)); class weights are constants."""
    if not needs[0]:
        return None, None
    x, t, w = as_rows(arrays[0]), whole_numbers(arrays[1]), _weights(arrays[0], weight)
    dx = array_library().empty(x.shape, x.dtype)
    scale = [ready(g).reshape(-1), int(reduction == "none"), saved.divisor, reduction == "mean"]
    settings = [np.int64(ignore_index), float(label_smoothing)]
    arguments = [x, t, w, *settings, saved.tops, saved.log_totals, *scale, dx, *x.shape]
    launch("loss:cross_entropy_backward", *for_rows(*x.shape), arguments)
    return dx.reshape(arrays[0].shape), None


def _weights(logits: Array, weight: Any) -> Array:
    """One weight for each class, on the device."""
    if weight is None:
        return array_library().ones(logits.shape[-1], logits.dtype)
    found = ready(device_array(weight, logits.dtype))
    if found.shape != logits.shape[-1:]:
        raise ValueError(f"Expected one weight for each class, {logits.shape[-1:]}. Got {found.shape}.")
    return found
