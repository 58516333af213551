"""Cross entropy of class scores (logits), with class weights, ignored targets and label smoothing.

Bytes for n = rows * classes: read n, write n forward; none backward, unless the loss is not the end of the graph: then
read n, write n. Operations: one exponential for each entry. Idea: the gradient needs the same exponentials as the loss,
and is known but for the factor that comes from behind, which is 1 at the end of a graph. So forward makes it along with
the loss, in the one copy of its logits that a loss ever holds, until backward has taken it. Reading the next row for
its maximum in the loop that computes this row's exponentials lets memory and arithmetic work at the same time.
"""

from typing import Any

import numpy as np

from ._arrays import as_rows, check_indices, ready
from ._jit import jit
from ._math import end_max, exp, log_probability, row_max, start_max, step_max
from ._parallel import split
from .softmax import EXP_WORK


def cross_entropy_forward(
    logits: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    keep: bool = True,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The loss of logits (..., V) at target (...); with smoothing s, weights w and l = log softmax(logits):

    loss_r = -(1 - s) w_t l_t - s / V sum_c w_c l_c, and 0 where t is `ignore_index`. "mean" divides the sum of the
    losses by the sum of w_t over the targets that count. IndexError for a target outside 0 .. V - 1.
    What is saved, where `keep` asks for it, is the gradient for g = 1. The first backward pass takes it.
    """
    x, t, w = _prepare(logits, target, weight, ignore_index)
    counted = np.flatnonzero(t != ignore_index)
    denominator = float(w[t[counted]].sum(dtype=np.float64))
    divisor = denominator if reduction == "mean" and denominator else 1.0
    scale, smooth = x.dtype.type(1 / divisor), x.dtype.type(label_smoothing)
    losses, dx = np.zeros(len(x), x.dtype), np.empty_like(x if keep else x[:0])
    if keep and len(counted) < len(x):
        dx[t == ignore_index] = 0
    split(lambda a, b: _losses(x, t, counted[a:b], w, smooth, scale, losses, dx), len(counted), EXP_WORK * x.size)
    return _reduce(losses.reshape(target.shape), denominator, reduction), [dx] if keep else []


def cross_entropy_backward(
    g: np.ndarray,
    out: np.ndarray,
    saved: list[np.ndarray],
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
    if not saved:  # an earlier pass over the same graph took it
        weight = arrays[2] if len(arrays) > 2 else weight
        saved = cross_entropy_forward(arrays[0], arrays[1], weight, ignore_index, label_smoothing, reduction)[1]
    dx = saved.pop()
    if (g != 1).any():
        factors = np.broadcast_to(g, arrays[1].shape).astype(dx.dtype).reshape(-1)
        split(lambda a, b: _scale_rows(factors, dx, a, b), len(dx), dx.size)
    return (dx.reshape(arrays[0].shape), *nothing)


def _prepare(logits: Any, target: Any, weight: Any, ignore_index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of logits, flat targets, one weight for each class."""
    x, t = as_rows(logits), ready(target.astype(np.int64, copy=False)).reshape(-1)
    check_indices("classes", t[t != ignore_index], x.shape[1])
    return x, t, np.ones(x.shape[1], x.dtype) if weight is None else ready(np.asarray(weight, x.dtype))


def _reduce(losses: np.ndarray, denominator: float, reduction: str) -> np.ndarray:
    if reduction == "none":
        return losses
    total = losses.sum(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a mean over no targets is NaN
        return np.asarray(total / np.float64(denominator) if reduction == "mean" else total, losses.dtype)


@jit
def _losses(x, target, counted, weight, smooth, scale, losses, dx):
    """The losses of the rows that count; and their gradients times `scale`, if there are rows in dx for them."""
    one, all_weights, keep = x.dtype.type(1), weight.sum(), len(dx) > 0
    spare = np.empty(0 if keep else x.shape[1], x.dtype)
    top = row_max(x[counted[0]]) if len(counted) else x.dtype.type(0)
    for i in range(len(counted)):
        r, following = counted[i], counted[min(i + 1, len(counted) - 1)]
        row, t, d = x[r], target[r], dx[r] if keep else spare
        total, next_top = _exponentials(row, top, d, x[following])
        log_total, hit = np.log(total), (one - smooth) * weight[t]
        if hit != 0:  # a class of weight 0 may have probability 0
            losses[r] = -hit * log_probability(row[t], top, log_total)
        if smooth > 0:
            losses[r] -= smooth * _spread(row, top, log_total, weight)
        if keep:
            _finish(d, t, hit * scale, smooth * scale / x.dtype.type(row.size), weight, all_weights, total)
        top = next_top


@jit
def _exponentials(row, top, out, following):
    """out = e^(row - top); the sum of it, and the largest entry of the row that comes next."""
    total = row.dtype.type(0)
    most, least = start_max(following)
    for j in range(row.size):
        e = exp(row[j] - top)
        out[j] = e
        total += e
        most, least = step_max(following[j], most, least)
    return total, end_max(following, most, least)


@jit
def _spread(row, top, log_total, weight):
    """The mean over all classes of the weight times the logarithm of the probability."""
    total = row.dtype.type(0)
    for j in range(row.size):
        total += weight[j] * log_probability(row[j], top, log_total)
    return total / row.dtype.type(row.size)


@jit
def _finish(d, t, hit, share, weight, all_weights, total):
    """From exponentials, whose sum is `total`, to the gradient."""
    factor = (hit + share * all_weights) / total
    for j in range(d.size):
        d[j] *= factor
    if share > 0:
        for j in range(d.size):
            d[j] -= share * weight[j]
    d[t] -= hit


@jit
def _scale_rows(factors, dx, start, stop):
    for r in range(start, stop):
        for j in range(dx.shape[1]):
            dx[r, j] *= factors[r]
