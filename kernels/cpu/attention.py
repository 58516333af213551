"""Scaled dot-product attention, a tile of queries times keys at a time.

For N heads in all, T queries, S keys of size D and values of size D: operations 4 N T S D forward, 10 N T S D backward
in matrix products, half of that where only the past is seen, and one exponential for each weight in each direction.
Bytes: nothing of size T S is stored. Forward works on ROWS queries at a time and keeps two numbers for each, its
largest score and one over its sum of exponentials; backward finds the weights of a tile again from them while the tile
is in the fast cache. So memory grows with T, not with T squared, and tiles above the diagonal are never computed.

A head's rows are read where they lie, whatever the distance from one to the next: a query may be a part of a row of
[Q | K | V] (`self_attention`). The products are those of `_gemm.py`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ._arrays import ready
from ._gemm import WORK, to_panels
from ._jit import inline, jit
from ._math import exp, row_max
from ._parallel import split
from ._product import product, store, strips_of
from ._tile import panel_width

ROWS = 48  # queries of a tile forward, keys of a tile backward
CHUNK = 128  # queries of a tile backward
GROUP = 32  # numbers that vector instructions work on at a time, whatever the machine: a multiple of its own number
EXP_WORK = 8  # one weight counts as this many simple operations, besides its products


class Mask(NamedTuple):
    """A mask that has not been stretched: head n and query t use `values[which[n], t * step]`."""

    values: np.ndarray  # (M, 1 or T, S), added to the scores
    which: np.ndarray  # (N,)
    step: int  # 0 when all queries share one row


class Saved(NamedTuple):
    """For each query the largest score and 1 / sum of e^(score - largest); 0 and 0 where it sees nothing."""

    tops: np.ndarray  # (N, T)
    inverses: np.ndarray


class Rows(NamedTuple):
    """Where the rows of all heads lie: row t of head n begins at `starts[n] + t * step` of `memory`."""

    memory: np.ndarray  # one long row of numbers
    starts: np.ndarray  # (N,)
    step: int


def attention_forward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[np.ndarray, Saved]:
    """softmax(scale q k^T + mask) v for q (..., T, D), k (..., S, D), v (..., S, Dv); to (..., T, Dv).

    `mask` broadcasts to (..., T, S): bool, True where a query may look, or numbers to add. With `causal`, query t sees
    the keys s <= t + S - T. A query that sees nothing gives 0. `scale` is 1 / sqrt(D) unless given.
    Vaswani and others, "Attention is all you need", 2017.
    """
    out = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    return out, _forward(q, k, v, out, mask, causal, scale)


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
    if not any(needs):
        return (None,) * len(needs)
    found = tuple(np.empty(a.shape, a.dtype) for a in arrays)
    _backward(g, out, saved, arrays, found, mask, causal, scale)
    return tuple(d if need else None for d, need in zip(found, needs, strict=True))


def self_attention_forward(
    qkv: np.ndarray, heads: int = 1, mask: Any = None, causal: bool = False
) -> tuple[np.ndarray, Saved]:
    """Attention of each head on its parts of qkv (B, T, 3 D): queries, keys and values side by side; to (B, T, D)."""
    out = np.empty((*qkv.shape[:2], qkv.shape[2] // 3), qkv.dtype)
    q, k, v = _parts(qkv, 3, heads)
    saved = _forward(q, k, v, _parts(out, 1, heads)[0], mask, causal, None)
    return out, saved


def self_attention_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, heads: int = 1, mask: Any = None, causal: bool = False
) -> tuple:
    """The gradients of queries, keys and values, side by side as they came."""
    if not needs[0]:
        return (None,)
    found, (g,), (out,) = np.empty(arrays[0].shape, g.dtype), _parts(g, 1, heads), _parts(out, 1, heads)
    _backward(g, out, saved, _parts(arrays[0], 3, heads), _parts(found, 3, heads), mask, causal, None)
    return (found,)


def _parts(a: np.ndarray, count: int, heads: int) -> tuple[np.ndarray, ...]:
    """Views (B, N, T, D / N) of the `count` parts of (B, T, count D)."""
    b, t, d = a.shape
    apart = a.reshape(b, t, count, heads, d // (count * heads)).transpose(2, 0, 3, 1, 4)
    return tuple(apart)


def _forward(q: Any, k: Any, v: Any, out: Any, mask: Any, causal: bool, scale: float | None) -> Saved:
    heads, sizes = math.prod(q.shape[:-2]), (q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1])
    saved = Saved(np.empty((heads, sizes[0]), q.dtype), np.empty((heads, sizes[0]), q.dtype))
    rows = (*_rows(q), *_rows(k), *_rows(v), *_rows(out))
    added = _mask(mask, q, (heads, *sizes[:2]))
    rest = (*saved, mask is not None, *added, causal, _scale(scale, q), *sizes, panel_width(q.itemsize))
    split(lambda start, stop: _attend(*rows, *rest, start, stop), heads, _work(heads, sizes, causal))
    return saved


def _backward(
    g: Any, out: Any, saved: Saved, inputs: tuple, found: tuple, mask: Any, causal: bool, scale: float | None
) -> None:
    q, k, v = inputs
    heads, sizes = len(saved.tops), (q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1])
    rows = [part for a in (*inputs, g, out, *found) for part in _rows(a)]
    added = _mask(mask, q, (heads, *sizes[:2]))
    rest = (*saved, mask is not None, *added, causal, _scale(scale, q), *sizes, panel_width(q.itemsize))
    split(lambda start, stop: _attend_back(*rows, *rest, start, stop), heads, 2 * _work(heads, sizes, causal))


def _work(heads: int, sizes: tuple, causal: bool) -> int:
    queries, keys, features, values = sizes
    return heads * queries * keys * (EXP_WORK + (features + values) // WORK) // (2 if causal else 1)


def _scale(scale: float | None, q: np.ndarray) -> Any:
    return q.dtype.type(1.0 / math.sqrt(max(1, q.shape[-1])) if scale is None else scale)


def _rows(a: np.ndarray) -> Rows:
    """The rows of (..., T, D), uncopied unless the numbers of a row lie apart."""
    if a.size == 0 or a.strides[-1] != a.itemsize or min(a.strides) < 0 or not a.flags.behaved:
        a = ready(a)
    steps = [s // a.itemsize for s in a.strides]
    starts = np.zeros(1, np.int64)
    for n, step in zip(a.shape[:-2], steps[:-2], strict=True):
        starts = (starts[:, None] + np.arange(n) * step).reshape(-1)
    size = 1 + sum((n - 1) * s for n, s in zip(a.shape, steps, strict=True)) if a.size else 0
    return Rows(np.lib.stride_tricks.as_strided(a, (size,), (a.itemsize,)), starts, steps[-2])


def _mask(mask: Any, q: np.ndarray, shape: tuple) -> Mask:
    heads, queries, keys = shape
    if mask is None:
        return Mask(np.zeros((1, 1, keys), q.dtype), np.zeros(heads, np.int64), 0)
    values = np.asarray(mask)
    values = values if values.dtype.kind == "f" else np.where(values, 0.0, -np.inf)
    values = values.reshape((1,) * (2 - values.ndim) + values.shape).astype(q.dtype, copy=False)
    rows = 1 if values.shape[-2] == 1 else queries  # anything else does not broadcast, and would be read past its end
    values = ready(np.broadcast_to(values, (*values.shape[:-2], rows, keys)))
    lead = values.shape[:-2]
    which = np.broadcast_to(np.arange(math.prod(lead)).reshape(lead), q.shape[:-2]).reshape(heads)
    return Mask(values.reshape(math.prod(lead), *values.shape[-2:]), ready(which), int(values.shape[-2] > 1))


# Panels of a head, and products with them. Where T is no multiple of the panels' width there are zeros at the end.


@inline
def _panels_of_rows(a, start, step, rows, panels):
    """B = A^T: panels (strips, D, PANEL) with a row of a in each column."""
    width = panels.shape[2]
    for p in range(panels.shape[0]):
        for j in range(width):
            r = p * width + j
            for d in range(panels.shape[1]):
                panels[p, d, j] = a[start + r * step + d] if r < rows else 0


@inline
def _panels_of_columns(a, start, step, columns, panels):
    """B = A: panels (strips, T, PANEL)."""
    width = panels.shape[2]
    for p in range(panels.shape[0]):
        count = min(width, columns - p * width)
        for r in range(panels.shape[1]):
            for j in range(count):
                panels[p, r, j] = a[start + r * step + p * width + j]
            panels[p, r, count:] = 0


# Forward.


@jit
def _attend(
    q, q_starts, q_row, k, k_starts, k_row, v, v_starts, v_row, out, out_starts, out_row,
    tops, inverses, masked, mask, which, mask_step, causal, scale, queries, keys, features, values, width, start, stop,
):  # fmt: skip
    keys_t = np.empty((strips_of(keys, width), features, width), q.dtype)
    value_panels = np.empty((strips_of(values, width), keys, width), q.dtype)
    # A few more columns: rows at a distance of 4096 bytes would share a place in the first cache.
    scores = np.empty((ROWS, keys_t.shape[0] * width + GROUP), q.dtype)
    row = scores.shape[1]
    sums = np.empty((ROWS, value_panels.shape[0] * width), q.dtype)
    for n in range(start, stop):
        _panels_of_rows(k, k_starts[n], k_row, keys, keys_t)
        _panels_of_columns(v, v_starts[n], v_row, values, value_panels)
        for t in range(0, queries, ROWS):
            count = min(ROWS, queries - t)
            seen = min(keys, max(0, t + count + keys - queries)) if causal else keys
            at, panels = q_starts[n] + t * q_row, strips_of(seen, width)
            product(count, q, at, q_row, features, keys_t, 0, panels, 0, scores, 0, row, False)
            for r in range(count):
                sees = min(keys, max(0, t + r + 1 + keys - queries)) if causal else keys
                added = mask[which[n], (t + r) * mask_step]
                tops[n, t + r], inverses[n, t + r] = _exponentials(scores[r], sees, seen, scale, masked, added)
            product(count, scores, 0, row, seen, value_panels, 0, len(value_panels), 0, sums, 0, sums.shape[1], False)
            for r in range(count):
                to, inverse = out_starts[n] + (t + r) * out_row, inverses[n, t + r]
                for j in range(values):
                    out[to + j] = sums[r, j] * inverse


@jit
def _exponentials(row, sees, end, scale, masked, added):
    """Scores to e^(score - largest), 0 from `sees` to `end`; returns the largest, and 1 / the sum (0, 0 for all -inf).

    Whole groups are worked on, since what is left over would not go through vector instructions.
    """
    zero, total, groups = row.dtype.type(0), row.dtype.type(0), (sees + GROUP - 1) // GROUP
    for s in range(groups * GROUP):
        row[s] *= scale
    if masked:
        for s in range(sees):
            row[s] += added[s]
    for s in range(sees, groups * GROUP):
        row[s] = -np.inf
    for s in range(groups * GROUP, end):
        row[s] = 0
    top = row_max(row[: groups * GROUP])
    if top == -np.inf:
        row[:end] = 0
        return zero, zero
    for s in range(groups * GROUP):
        e = exp(row[s] - top)
        row[s] = e
        total += e
    return top, row.dtype.type(1) / total


# Backward. The tiles lie on their side, a row for each key: then the gradients of keys and values need no turning.


@jit
def _attend_back(
    q, q_starts, q_row, k, k_starts, k_row, v, v_starts, v_row, g, g_starts, g_row, out, out_starts, out_row,
    dq, dq_starts, dq_row, dk, dk_starts, dk_row, dv, dv_starts, dv_row,
    tops, inverses, masked, mask, which, mask_step, causal, scale, queries, keys, features, values, width, start, stop,
):  # fmt: skip
    strips, wide, across = strips_of(queries, width), strips_of(features, width), strips_of(values, width)
    queries_t, g_t = np.empty((strips, features, width), q.dtype), np.empty((strips, values, width), q.dtype)
    query_panels, g_panels = np.empty((wide, queries, width), q.dtype), np.empty((across, queries, width), q.dtype)
    keys_t = np.empty((features, keys), q.dtype)
    dq_t = np.empty((features, strips * width), q.dtype)
    dots, top, inverse = np.zeros((3, strips * width + GROUP), q.dtype)
    weights, slopes = np.empty((ROWS, CHUNK + GROUP), q.dtype), np.empty((ROWS, CHUNK + GROUP), q.dtype)
    slope_panels = np.empty((strips_of(CHUNK, width), ROWS, width), q.dtype)
    row = weights.shape[1]
    dkeys, dvalues = np.empty((ROWS, wide * width), q.dtype), np.empty((ROWS, across * width), q.dtype)
    for n in range(start, stop):
        _panels_of_rows(q, q_starts[n], q_row, queries, queries_t)
        _panels_of_rows(g, g_starts[n], g_row, queries, g_t)
        _panels_of_columns(q, q_starts[n], q_row, features, query_panels)
        _panels_of_columns(g, g_starts[n], g_row, values, g_panels)
        _turn(k, k_starts[n], k_row, keys_t)
        _row_dots(g, g_starts[n], g_row, out, out_starts[n], out_row, queries, values, dots)
        top[:queries], inverse[:queries] = tops[n], inverses[n]
        dq_t[:] = 0
        for s in range(0, keys, ROWS):
            count, shift, dkeys[:], dvalues[:] = min(ROWS, keys - s), keys - queries, 0, 0
            first = max(0, s - shift) // width * width if causal else 0
            for t in range(first, queries, CHUNK):
                size, p = min(CHUNK, queries - t), t // width
                last = p + strips_of(size, width)
                at = k_starts[n] + s * k_row
                product(count, k, at, k_row, features, queries_t, p, last, 0, weights, 0, row, False)
                at = v_starts[n] + s * v_row
                product(count, v, at, v_row, values, g_t, p, last, 0, slopes, 0, row, False)
                for r in range(count):
                    hidden = min(size, max(0, s + r - shift - t)) if causal else 0  # queries that don't see this key
                    if masked:
                        _add_column(weights[r, :size], mask[which[n]], t, mask_step, s + r, scale)
                    low, high = hidden // GROUP * GROUP, strips_of(size, GROUP) * GROUP
                    weights[r, :low], slopes[r, :low] = 0, 0
                    weights[r, low:hidden] = -np.inf
                    x, d, of = weights[r, low:high], slopes[r, low:high], slice(t + low, t + high)
                    _weight_row(x, d, top[of], inverse[of], dots[of], scale)
                to_panels(slopes, count, slope_panels, 0)
                product(count, weights, 0, row, size, g_panels, 0, across, t, dvalues, 0, dvalues.shape[1], True)
                product(count, slopes, 0, row, size, query_panels, 0, wide, t, dkeys, 0, dkeys.shape[1], True)
                product(features, keys_t, s, keys, count, slope_panels, 0, last - p, 0, dq_t, t, dq_t.shape[1], True)
            store(dkeys, count, features, dk, dk_starts[n] + s * dk_row, dk_row)
            store(dvalues, count, values, dv, dv_starts[n] + s * dv_row, dv_row)
        store(dq_t.T, queries, features, dq, dq_starts[n], dq_row)


@inline
def _turn(a, start, step, turned):
    for r in range(turned.shape[1]):
        for d in range(turned.shape[0]):
            turned[d, r] = a[start + r * step + d]


@jit
def _row_dots(a, a_start, a_step, b, b_start, b_step, rows, size, dots):
    for r in range(rows):
        total = a.dtype.type(0)
        for j in range(size):
            total += a[a_start + r * a_step + j] * b[b_start + r * b_step + j]
        dots[r] = total


@jit
def _add_column(weights, mask, t, mask_step, s, scale):
    for j in range(weights.size):
        weights[j] += mask[(t + j) * mask_step, s] / scale


@jit
def _weight_row(weights, slopes, tops, inverses, dots, scale):
    """Scores of a key to weights; the weights' gradients to the scores', times scale."""
    for j in range(weights.size):
        w = exp(weights[j] * scale - tops[j]) * inverses[j]
        weights[j] = w
        slopes[j] = w * (slopes[j] - dots[j]) * scale
