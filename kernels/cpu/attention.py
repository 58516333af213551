"""Scaled dot-product attention, a tile of queries times keys at a time.

For N heads in all, T queries, S keys of size D and values of size D: operations 4 N T S D forward, 10 N T S D backward
in matrix products, half of that where only the past is seen, and one exponential for each weight in each direction.
Bytes: nothing of size T S is stored. Forward works on ROWS queries at a time and keeps two numbers for each, its
largest score and one over its sum of exponentials; backward finds the weights of a tile again from them while the tile
is in the fast cache. So memory grows with T, not with T squared, and tiles above the diagonal are never computed.

A head's rows are read where they lie, whatever the distance from one to the next: a query may be a part of a row of
[Q | K | V] (`self_attention`). The products are those of `_gemm.py`.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ._arrays import ready
from ._gemm import WORK, pack_columns, pack_rows, strips_of
from ._jit import inline, jit
from ._math import dot, exp, row_max
from ._parallel import split
from ._tile import panel_width
from ._triangle import BLOCK, below, seen, sums, turned

ROWS = 48  # queries of a tile
CHUNK = 256  # keys of a tile backward
GROUP = 32  # numbers that vector instructions work on at a time, whatever the machine: a multiple of its own number
EXP_WORK = 8  # one weight counts as this many simple operations, besides its products


class Mask(NamedTuple):
    """A mask that has not been stretched: head n and query t use `values[which[n], t * step]`."""

    given: bool  # without one, `values` is not looked at
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


class Sizes(NamedTuple):
    """What one call is about: T, S, D, the size of a value, and how scores are made."""

    queries: int
    keys: int
    features: int
    values: int
    width: int  # of a panel
    scale: Any  # of the arrays' type
    causal: bool


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
    rows = tuple(map(_rows, (q, k, v, out)))
    return out, _forward(rows, q.shape[:-2], mask, _sizes_of(q, k, v, causal, scale))


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
    rows = tuple(map(_rows, (*arrays, g, out, *found)))
    _backward(rows, saved, arrays[0].shape[:-2], mask, _sizes_of(arrays[0], arrays[1], arrays[2], causal, scale))
    return tuple(d if need else None for d, need in zip(found, needs, strict=True))


def self_attention_forward(
    qkv: np.ndarray, heads: int = 1, mask: Any = None, causal: bool = False
) -> tuple[np.ndarray, Saved]:
    """Attention of each head on its parts of qkv (B, T, 3 D): queries, keys and values side by side; to (B, T, D)."""
    out = np.empty((*qkv.shape[:2], qkv.shape[2] // 3), qkv.dtype)
    rows = (*_parts(qkv, 3, heads), *_parts(out, 1, heads))
    return out, _forward(rows, (len(out), heads), mask, _sizes_of_parts(out, heads, causal))


def self_attention_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, heads: int = 1, mask: Any = None, causal: bool = False
) -> tuple:
    """The gradients of queries, keys and values, side by side as they came."""
    if not needs[0]:
        return (None,)
    found = np.empty(arrays[0].shape, g.dtype)
    rows = (*_parts(arrays[0], 3, heads), *_parts(g, 1, heads), *_parts(out, 1, heads), *_parts(found, 3, heads))
    _backward(rows, saved, (len(out), heads), mask, _sizes_of_parts(out, heads, causal))
    return (found,)


def _forward(rows: tuple, lead: tuple[int, ...], mask: Any, sizes: Sizes) -> Saved:
    """`rows`: those of q, k, v and out."""
    heads, kind = math.prod(lead), sizes.scale.dtype
    saved = Saved(np.empty((heads, sizes.queries), kind), np.empty((heads, sizes.queries), kind))
    rest = (*rows, saved, _mask(mask, lead, sizes), sizes)
    split(lambda start, stop: _attend(*rest, start, stop), heads, heads * _work(sizes))
    return saved


def _backward(rows: tuple, saved: Saved, lead: tuple[int, ...], mask: Any, sizes: Sizes) -> None:
    """`rows`: those of q, k, v, g and out, and of the gradients of q, k and v."""
    rest, heads = (*rows, saved, _mask(mask, lead, sizes), sizes), math.prod(lead)
    split(lambda start, stop: _attend_back(*rest, start, stop), heads, 2 * heads * _work(sizes))


def _sizes_of(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool, scale: float | None) -> Sizes:
    return _sizes(q.dtype, (q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1]), causal, scale)


def _sizes_of_parts(out: np.ndarray, heads: int, causal: bool) -> Sizes:
    time, size = out.shape[1], out.shape[2] // heads
    return _sizes(out.dtype, (time, time, size, size), causal, None)


def _sizes(dtype: np.dtype, shape: tuple[int, int, int, int], causal: bool, scale: float | None) -> Sizes:
    factor = 1.0 / math.sqrt(max(1, shape[2])) if scale is None else scale
    return Sizes(*shape, panel_width(dtype.itemsize), dtype.type(factor), bool(causal))


def _work(sizes: Sizes) -> int:
    weights = sizes.queries * sizes.keys // (2 if sizes.causal else 1)
    return weights * (EXP_WORK + (sizes.features + sizes.values) // WORK)


def _parts(a: np.ndarray, count: int, heads: int) -> list[Rows]:
    """The rows of each head in the `count` parts of (B, T, count D)."""
    b, t, d = a.shape
    memory, starts = ready(a).reshape(-1), _starts((b, heads), (t * d, d // (count * heads)))
    return [Rows(memory[i * d // count :], starts, d) for i in range(count)]


def _rows(a: np.ndarray) -> Rows:
    """The rows of (..., T, D), uncopied unless the numbers of a row lie apart."""
    if a.size == 0 or a.strides[-1] != a.itemsize or min(a.strides) < 0 or not a.flags.behaved:
        a = ready(a)
    steps = [s // a.itemsize for s in a.strides]
    return Rows(_memory(a, steps), _starts(a.shape[:-2], tuple(steps[:-2])), steps[-2])


def _memory(a: np.ndarray, steps: list[int]) -> np.ndarray:
    """All numbers from the first of a to its last, as one row."""
    if a.flags.c_contiguous:
        return a.reshape(-1)
    size = 1 + sum((n - 1) * s for n, s in zip(a.shape, steps, strict=True))
    return np.lib.stride_tricks.as_strided(a, (size,), (a.itemsize,))


@functools.lru_cache(maxsize=32)  # the same for the layers of a model, forward and backward
def _starts(shape: tuple[int, ...], steps: tuple[int, ...]) -> np.ndarray:
    """Where the heads begin, `steps` apart in the dimensions before the last two."""
    starts = np.zeros(1, np.int64)
    for n, step in zip(shape, steps, strict=True):
        starts = (starts[:, None] + np.arange(n) * step).reshape(-1)
    return starts


def _mask(mask: Any, lead: tuple[int, ...], sizes: Sizes) -> Mask:
    heads, kind = math.prod(lead), sizes.scale.dtype
    if mask is None:
        return _no_mask(kind)
    values: Any = np.asarray(mask)
    values = values if values.dtype.kind == "f" else np.where(values, 0.0, -np.inf)
    values = values.reshape((1,) * (2 - values.ndim) + values.shape).astype(kind, copy=False)
    # Other numbers of rows do not broadcast, and would be read past their end.
    rows = 1 if values.shape[-2] == 1 else sizes.queries
    values = ready(np.broadcast_to(values, (*values.shape[:-2], rows, sizes.keys)))
    count = math.prod(values.shape[:-2])
    which = np.broadcast_to(np.arange(count).reshape(values.shape[:-2]), lead).reshape(heads)
    return Mask(True, values.reshape(count, rows, sizes.keys), ready(which), int(rows > 1))


@functools.cache
def _no_mask(kind: np.dtype) -> Mask:
    return Mask(False, np.zeros((1, 1, 0), kind), np.zeros(0, np.int64), 0)


@inline
def _store(source, rows, factor, a, start, step, size):
    """The first rows of a matrix, times a factor, to where the rows of an array lie."""
    for r in range(rows):
        at = start + r * step
        _scaled(source[r, :size], factor, a[at : at + size])


@inline
def _scaled(source, factor, target):
    # A loop per function, on vectors that don't overlap: else the compiler finds no vector instructions.
    for j in range(target.size):
        target[j] = source[j] * factor


# Forward.


@jit
def _attend(q, k, v, out, saved, mask, sizes, start, stop):
    queries, keys, features, values, width, scale, causal = sizes
    kind = q.memory.dtype
    keys_t = np.empty((strips_of(keys, width), features, width), kind)
    value_panels = np.empty((strips_of(values, width), keys, width), kind)
    # A few more columns: rows at a distance of 4096 bytes would share a place in the first cache.
    scores = np.zeros((ROWS, len(keys_t) * width + 2 * GROUP), kind)
    totals = np.empty((ROWS, len(value_panels) * width), kind)
    for n in range(start, stop):
        pack_rows(k.memory, k.starts[n], k.step, keys, scale, keys_t)
        pack_columns(v.memory, v.starts[n], v.step, keys, values, value_panels)
        for t in range(0, queries, ROWS):
            count, edge = min(ROWS, queries - t), t + keys - queries if causal else keys
            columns = seen(count - 1, edge, keys)
            below(count, q.memory, q.starts[n] + t * q.step, q.step, features, keys_t, columns, edge, scores)
            if mask.given:
                _add_mask(scores, count, columns, mask.values[mask.which[n]], t, mask.step, 0)
            _exponentials(scores, count, columns, edge, saved.tops[n, t:], saved.inverses[n, t:])
            sums(count, scores, columns, edge, value_panels, totals, 0, False)
            _divide(totals, count, saved.inverses[n, t:], out.memory, out.starts[n] + t * out.step, out.step, values)


@inline
def _divide(totals, rows, inverses, a, start, step, size):
    """Each row of sums by the sum of its exponentials, to where the rows of an array lie."""
    for r in range(rows):
        at = start + r * step
        _scaled(totals[r, :size], inverses[r], a[at : at + size])


@jit
def _add_mask(scores, rows, columns, mask, t, step, s):
    for r in range(rows):
        for j in range(columns):
            scores[r, j] += mask[(t + r) * step, s + j]


@inline
def _groups(sees):
    """How many numbers of a row are worked on: a row's own and those that its block needs as zeros, in whole groups.

    What is left over by groups would not go through vector instructions.
    """
    return strips_of(sees + BLOCK - 1, GROUP) * GROUP


@inline
def _hidden(scores):
    """Whether every score is -inf; none of them is NaN then."""
    hidden = 0
    for j in range(scores.size):
        hidden += scores[j] == -np.inf
    return hidden == scores.size


@jit
def _exponentials(scores, rows, columns, edge, tops, inverses):
    """Scores to e^(score - largest), 0 behind those that a row sees; the largest, and 1 / the sum (0, 0 for -inf)."""
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    for r in range(rows):
        sees, total = seen(r, edge, columns), zero
        size = _groups(sees)
        for j in range(sees, size):
            scores[r, j] = -np.inf
        top = row_max(scores[r, :size])
        blind = top == -np.inf and _hidden(scores[r, :sees])  # the largest passes over NaN
        top = zero if top == -np.inf else top
        for j in range(size):
            e = exp(scores[r, j] - top)
            scores[r, j] = e
            total += e
        tops[r], inverses[r] = top, zero if blind else one / total


# Backward. For CHUNK keys at a time all tiles of queries that see any of them.


class Buffers(NamedTuple):
    """What one thread needs: panels of a head's queries and of some keys, a tile, and sums until they are stored."""

    query_panels: np.ndarray  # B = Q: (strips, T, width)
    g_panels: np.ndarray  # B = g
    key_panels: np.ndarray  # B = K, of C <= CHUNK keys
    keys_t: np.ndarray  # B = scale K^T: (strips, D, width)
    values_t: np.ndarray  # B = V^T
    weights: np.ndarray  # the tile, first as scores: (ROWS, C and a few)
    slopes: np.ndarray  # its gradient, first that of the weights
    dqueries: np.ndarray  # (T, strips width)
    dkeys: np.ndarray  # (C, strips width)
    dvalues: np.ndarray
    dots: np.ndarray  # rowsum(P dP) = g . out: (T,)


@inline
def _buffers(sizes, like):
    kind, width, queries, size = like.dtype, sizes.width, sizes.queries, min(CHUNK, sizes.keys)
    wide, across, strips = strips_of(sizes.features, width), strips_of(sizes.values, width), strips_of(size, width)
    return Buffers(
        np.empty((wide, queries, width), kind),
        np.empty((across, queries, width), kind),
        np.empty((wide, size, width), kind),
        np.empty((strips, sizes.features, width), kind),
        np.empty((strips, sizes.values, width), kind),
        np.zeros((ROWS, strips * width + 2 * GROUP), kind),
        np.zeros((ROWS, strips * width + 2 * GROUP), kind),
        np.empty((queries + BLOCK, wide * width), kind),
        np.empty((size + BLOCK, wide * width), kind),
        np.empty((size + BLOCK, across * width), kind),
        np.empty(queries, kind),
    )


@jit
def _attend_back(q, k, v, g, out, dq, dk, dv, saved, mask, sizes, start, stop):
    b, one = _buffers(sizes, q.memory), q.memory.dtype.type(1)
    for n in range(start, stop):
        pack_columns(q.memory, q.starts[n], q.step, sizes.queries, sizes.features, b.query_panels)
        pack_columns(g.memory, g.starts[n], g.step, sizes.queries, sizes.values, b.g_panels)
        _row_dots(g.memory, g.starts[n], g.step, out.memory, out.starts[n], out.step, sizes.values, b.dots)
        b.dqueries[:] = 0
        for s in range(0, sizes.keys, CHUNK):
            size = min(CHUNK, sizes.keys - s)
            _back_keys(q, k, v, g, saved, mask, sizes, b, n, s, size)
            _store(b.dkeys, size, sizes.scale, dk.memory, dk.starts[n] + s * dk.step, dk.step, sizes.features)
            _store(b.dvalues, size, one, dv.memory, dv.starts[n] + s * dv.step, dv.step, sizes.values)
        _store(b.dqueries, sizes.queries, sizes.scale, dq.memory, dq.starts[n], dq.step, sizes.features)


@inline
def _back_keys(q, k, v, g, saved, mask, sizes, b, n, s, size):
    """The gradients of `size` keys and values of head n from s on, and what they add to that of the queries."""
    k_at, v_at, shift = k.starts[n] + s * k.step, v.starts[n] + s * v.step, sizes.keys - sizes.queries - s
    pack_rows(k.memory, k_at, k.step, size, sizes.scale, b.keys_t)
    pack_rows(v.memory, v_at, v.step, size, v.memory.dtype.type(1), b.values_t)
    pack_columns(k.memory, k_at, k.step, size, sizes.features, b.key_panels)
    b.dkeys[:], b.dvalues[:] = 0, 0
    first = max(0, -shift) // ROWS * ROWS if sizes.causal else 0
    for t in range(first, sizes.queries, ROWS):
        rows, edge = min(ROWS, sizes.queries - t), t + shift if sizes.causal else size
        columns, q_at, g_at = seen(rows - 1, edge, size), q.starts[n] + t * q.step, g.starts[n] + t * g.step
        below(rows, q.memory, q_at, q.step, sizes.features, b.keys_t, columns, edge, b.weights)
        below(rows, g.memory, g_at, g.step, sizes.values, b.values_t, columns, edge, b.slopes)
        if mask.given:
            _add_mask(b.weights, rows, columns, mask.values[mask.which[n]], t, mask.step, s)
        _slopes(b.weights, b.slopes, rows, columns, edge, saved.tops[n, t:], saved.inverses[n, t:], b.dots[t:])
        turned(rows, b.weights, columns, edge, b.g_panels, t, b.dvalues)
        turned(rows, b.slopes, columns, edge, b.query_panels, t, b.dkeys)
        sums(rows, b.slopes, columns, edge, b.key_panels, b.dqueries, t, True)


@jit
def _row_dots(a, a_start, a_step, b, b_start, b_step, size, dots):
    for r in range(dots.size):
        i, j = a_start + r * a_step, b_start + r * b_step
        dots[r] = dot(a[i : i + size], b[j : j + size])


@jit
def _slopes(weights, slopes, rows, columns, edge, tops, inverses, dots):
    """Scores to weights, and the weights' gradients to the scores'; 0 behind those that a row sees."""
    for r in range(rows):
        sees = seen(r, edge, columns)
        size, top, inverse, shift = _groups(sees), tops[r], inverses[r], dots[r]
        for j in range(sees, size):
            weights[r, j] = -np.inf
            slopes[r, j] = 0
        for j in range(size):
            slope, w = slopes[r, j] - shift, exp(weights[r, j] - top) * inverse
            weights[r, j] = w
            slopes[r, j] = w * slope
