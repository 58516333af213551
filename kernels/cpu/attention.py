"""Scaled dot-product attention.

For N heads in all, T queries, S keys of size D and values of size D: operations 4 N T S D forward, 8 N T S D backward,
in matrix products, and one exponential for each of the N T S weights. Bytes: the weights, N T S entries, are written
forward and read backward; everything else is smaller. Idea: a few heads at a time, so that their scores are still in
the fast cache when the softmax passes over them and when the next product reads them.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._arrays import ready
from ._jit import jit
from ._math import exp, row_max
from ._parallel import split
from .softmax import EXP_WORK

CHUNK = 1 << 17  # scores that are worked on at a time


class Mask(NamedTuple):
    """A mask that has not been stretched: head n and query t use `values[which[n], t * step]`."""

    values: np.ndarray  # (M, 1 or T, S), added to the scores
    which: np.ndarray  # (N,)
    step: int  # 0 when all queries share one row


def attention_forward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """softmax(scale q k^T + mask) v for q (..., T, D), k (..., S, D), v (..., S, Dv); to (..., T, Dv).

    `mask` broadcasts to (..., T, S): bool, True where a query may look, or numbers to add. With `causal`, query t sees
    the keys s <= t + S - T. A query that sees nothing gives 0. `scale` is 1 / sqrt(D) unless given. Saves the weights.
    Vaswani and others, "Attention is all you need", 2017.
    """
    qs, ks, vs = _heads(q), _heads(k), _heads(v)
    weights = np.empty((len(qs), q.shape[-2], k.shape[-2]), q.dtype)
    out = np.empty((*weights.shape[:2], v.shape[-1]), q.dtype)
    added, factor = _mask(mask, q, weights.shape), q.dtype.type(_scale(scale, q))
    for a, b in _chunks(weights.shape):
        np.matmul(qs[a:b], ks[a:b].swapaxes(1, 2), out=weights[a:b])
        _run(_masked_softmax, weights[a:b], *added._replace(which=added.which[a:b]), causal, factor)
        np.matmul(weights[a:b], vs[a:b], out=out[a:b])
    return out.reshape(*q.shape[:-1], v.shape[-1]), weights


def attention_backward(
    g: Any,
    out: Any,
    saved: Any,
    arrays: tuple,
    needs: tuple,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple:
    """With P the weights, dP = g v^T and dA = P (dP - rowsum(P dP)): dq = scale dA k, dk = scale dA^T q, dv = P^T g."""
    q, k, v, gs = (_heads(a) for a in (*arrays[:3], g))
    dq, dk, dv = np.empty_like(q), np.empty_like(k), np.empty_like(v)
    weights, factor = saved, q.dtype.type(_scale(scale, q))
    keep_all = len(arrays) > 3 and needs[3]
    scores = np.empty(weights.shape if keep_all else weights[: _chunk_heads(weights.shape)].shape, q.dtype)
    for a, b in _chunks(weights.shape):
        da = scores[a:b] if keep_all else scores[: b - a]
        np.matmul(weights[a:b].swapaxes(1, 2), gs[a:b], out=dv[a:b])
        np.matmul(gs[a:b], v[a:b].swapaxes(1, 2), out=da)
        _run(_weights_backward, da, weights[a:b])
        np.matmul(da, k[a:b], out=dq[a:b])
        np.matmul(da.swapaxes(1, 2), q[a:b], out=dk[a:b])
    dq *= factor
    dk *= factor
    found: list[Any] = [d.reshape(a.shape) for d, a in zip((dq, dk, dv), arrays, strict=False)]
    if len(arrays) > 3:
        found.append(_unstretch(scores.reshape(*arrays[0].shape[:-1], k.shape[1]), arrays[3]) if keep_all else None)
    return tuple(d if need else None for d, need in zip(found, needs, strict=True))


def _scale(scale: float | None, q: np.ndarray) -> float:
    return 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale


def _heads(a: np.ndarray) -> np.ndarray:
    """(..., T, D) as (N, T, D)."""
    return ready(a).reshape(math.prod(a.shape[:-2]), *a.shape[-2:])


def _chunk_heads(shape: tuple) -> int:
    return max(1, CHUNK // max(1, shape[1] * shape[2]))


def _chunks(shape: tuple) -> list[tuple[int, int]]:
    heads = _chunk_heads(shape)
    return [(a, min(shape[0], a + heads)) for a in range(0, shape[0], heads)]


def _mask(mask: Any, q: np.ndarray, shape: tuple) -> Mask:
    heads, _, keys = shape
    if mask is None:
        return Mask(np.zeros((1, 1, keys), q.dtype), np.zeros(heads, np.int64), 0)
    values = np.asarray(mask)
    values = values if values.dtype.kind == "f" else np.where(values, 0.0, -np.inf)
    values = values.reshape((1,) * (2 - values.ndim) + values.shape).astype(q.dtype, copy=False)
    values = ready(np.broadcast_to(values, (*values.shape[:-1], keys)))
    lead = values.shape[:-2]
    which = np.broadcast_to(np.arange(math.prod(lead)).reshape(lead), q.shape[:-2]).reshape(heads)
    return Mask(values.reshape(math.prod(lead), *values.shape[-2:]), ready(which), int(values.shape[-2] > 1))


def _unstretch(gradient: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sum over the axes along which the mask was broadcast."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - mask.ndim)))
    stretched = [i for i, n in enumerate(mask.shape) if n == 1 and gradient.shape[i] != 1]
    return gradient.sum(axis=tuple(stretched), keepdims=True)


def _run(kernel: Callable, scores: np.ndarray, *rest: Any) -> None:
    """Run the kernel over the rows (head, query) of scores (n, T, S)."""
    rows = scores.shape[0] * scores.shape[1]
    split(lambda start, stop: kernel(scores, *rest, start, stop), rows, EXP_WORK * scores.size)


@jit
def _masked_softmax(scores, mask, which, step, causal, scale, start, stop):
    queries, keys = scores.shape[1], scores.shape[2]
    zero = scores.dtype.type(0)
    for r in range(start, stop):
        n, t = r // queries, r % queries
        seen = min(keys, max(0, t + 1 + keys - queries)) if causal else keys
        row, added = scores[n, t], mask[which[n], t * step]
        for s in range(seen):
            row[s] = row[s] * scale + added[s]
        top = row_max(row[:seen])
        if top == -np.inf:
            seen = 0  # nothing to look at: all weights are 0, and so are the gradients
        total = zero
        for s in range(seen):
            e = exp(row[s] - top)
            row[s] = e
            total += e
        inverse = scores.dtype.type(1) / total
        for s in range(seen):
            row[s] *= inverse
        row[seen:] = 0


@jit
def _weights_backward(d, weights, start, stop):
    queries = d.shape[1]
    for r in range(start, stop):
        row, p = d[r // queries, r % queries], weights[r // queries, r % queries]
        dot = d.dtype.type(0)
        for s in range(row.size):
            dot += p[s] * row[s]
        for s in range(row.size):
            row[s] = p[s] * (row[s] - dot)
