"""Cross entropy of class scores (logits), with class weights, ignored targets and label smoothing.

Bytes for n = rows * classes: read n forward; read n, write n backward. Operations: one exponential for each entry in
each direction. Idea: probabilities are never stored. Forward keeps two numbers a row, its maximum and the logarithm
of its sum of exponentials; from them backward finds the probabilities again, which is cheaper than moving them.
"""

from typing import Any, NamedTuple

import numpy as np

from ._arrays import as_rows, check_indices, ready
from ._jit import jit
from ._math import exp, log_probability, row_max
from ._parallel import split
from .softmax import EXP_WORK


class Saved(NamedTuple):
    """What backward needs: for each row the maximum and log sum_j exp(x_j - maximum); what the mean divides by."""

    tops: np.ndarray
    log_totals: np.ndarray
    denominator: float


def cross_entropy_forward(
    logits: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[np.ndarray, Saved]:
    """The loss of logits (..., V) at target (...); with smoothing s, weights w and l = log softmax(logits):

    loss_r = -(1 - s) w_t l_t - s / V sum_c w_c l_c, and 0 where t is `ignore_index`. "mean" divides the sum of the
    losses by the sum of w_t over the targets that count. IndexError for a target outside 0 .. V - 1.
    """
    x, t, w = _prepare(logits, target, weight, ignore_index)
    losses, tops, log_totals = (np.empty(len(x), x.dtype) for _ in range(3))
    smooth = x.dtype.type(label_smoothing)
    split(
        lambda a, b: _losses(x, t, w, ignore_index, smooth, losses, tops, log_totals, a, b), len(x), EXP_WORK * x.size
    )
    saved = Saved(tops, log_totals, float(w[t[t != ignore_index]].sum(dtype=np.float64)))
    return _reduce(losses.reshape(target.shape), saved.denominator, reduction), saved


def cross_entropy_backward(
    g: np.ndarray,
    out: np.ndarray,
    saved: Saved,
    arrays: tuple,
    needs: tuple,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple:
    """dlogits_c = g ((1 - s) w_t (p_c - [c = t]) + s / V (p_c sum_k w_k - w_c)); class weights are constants."""
    if len(arrays) > 2 and arrays[2] is not None and needs[2]:
        raise NotImplementedError("Expected constant class weights: cross_entropy has no gradient for `weight`.")
    nothing = (None,) * (len(arrays) - 1)
    if not needs[0]:
        return (None, *nothing)
    x, t, w = _prepare(arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else weight, ignore_index)
    scale = _row_scale(g, saved.denominator, reduction, t.shape, x.dtype)
    smooth, dx = x.dtype.type(label_smoothing), np.empty_like(x)
    split(
        lambda a, b: _losses_backward(x, t, w, ignore_index, smooth, saved.tops, saved.log_totals, scale, dx, a, b),
        len(x),
        EXP_WORK * x.size,
    )
    return (dx.reshape(arrays[0].shape), *nothing)


def _prepare(logits: Any, target: Any, weight: Any, ignore_index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of logits, flat targets, one weight for each class."""
    x, t = as_rows(logits), ready(target.astype(np.int64, copy=False)).reshape(-1)
    check_indices("targets", t[t != ignore_index], x.shape[1])
    return x, t, np.ones(x.shape[1], x.dtype) if weight is None else ready(np.asarray(weight, x.dtype))


def _reduce(losses: np.ndarray, denominator: float, reduction: str) -> np.ndarray:
    if reduction == "none":
        return losses
    total = losses.sum(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a mean over no targets is NaN
        return np.asarray(total / np.float64(denominator) if reduction == "mean" else total, losses.dtype)


def _row_scale(g: np.ndarray, denominator: float, reduction: str, shape: tuple, dtype: np.dtype) -> np.ndarray:
    """The gradient of the result with respect to each row's loss, times g."""
    if reduction == "none":
        return ready(g).reshape(shape)
    return np.full(shape, g / denominator if reduction == "mean" and denominator else g, dtype)


@jit
def _losses(x, target, weight, ignore, smooth, losses, tops, log_totals, start, stop):
    one, classes = x.dtype.type(1), x.shape[1]
    for r in range(start, stop):
        row, t = x[r], target[r]
        top = row_max(row)
        total = x.dtype.type(0)
        for j in range(classes):
            total += exp(row[j] - top)
        tops[r], log_totals[r] = top, np.log(total)
        losses[r] = 0
        if t != ignore:
            losses[r] = (smooth - one) * weight[t] * log_probability(row[t], top, log_totals[r])
        if t != ignore and smooth > 0:
            spread = x.dtype.type(0)
            for j in range(classes):
                spread += weight[j] * log_probability(row[j], top, log_totals[r])
            losses[r] -= smooth * spread / x.dtype.type(classes)


@jit
def _losses_backward(x, target, weight, ignore, smooth, tops, log_totals, scale, dx, start, stop):
    one = x.dtype.type(1)
    share = smooth / x.dtype.type(x.shape[1])
    all_weights = weight.sum()
    for r in range(start, stop):
        row, d, t, top, log_total = x[r], dx[r], target[r], tops[r], log_totals[r]
        if t == ignore:
            d[:] = 0
            continue
        hit = scale[r] * (one - smooth) * weight[t]
        factor = hit + scale[r] * share * all_weights
        for j in range(row.size):
            d[j] = factor * exp(log_probability(row[j], top, log_total))
        if smooth > 0:
            for j in range(row.size):
                d[j] -= scale[r] * share * weight[j]
        d[t] -= hit
