"""Host side of `attention.cu`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ._launch import ROWS_PER_BLOCK, THREADS, Array, array_library, device_array, gpu, launch, ready

TILES = ((64, 32), (32, 32), (16, 16))  # own and other tile, the first that fits into shared memory


class Problem(NamedTuple):
    """One call: sizes, mask and scale as the kernels take them."""

    heads: int
    queries: int
    keys: int
    constants: dict[str, int]  # for -D: widths, tiles, whether there is a mask
    settings: list[Any]  # mask, which, step, causal, scale
    shared: int  # bytes

    @property
    def sizes(self) -> list[int]:
        """The last two arguments of each kernel."""
        return [self.queries, self.keys]

    def grid(self, rows: int) -> tuple[int, int]:
        """Blocks for so many rows of own tiles in each head."""
        return -(-rows // self.constants["OWN"]), self.heads


def attention_forward(
    q: Array, k: Array, v: Array, mask: Any = None, causal: bool = False, scale: float | None = None
) -> tuple[Array, Array]:
    """softmax(scale q k^T + mask) v, as in `kernels/cpu/attention.py`. Saves the log-sum-exp of each query's scores."""
    problem, xp = _problem(q, k, v, mask, causal, scale), array_library()
    out, lse = xp.empty((*q.shape[:-1], v.shape[-1]), q.dtype), xp.empty(q.shape[:-1], q.dtype)
    arguments = [ready(q), ready(k), ready(v), *problem.settings, out, lse, *problem.sizes]
    _launch("forward", problem, q.shape[-2], arguments)
    return out, lse


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
        return None, None, None
    problem, xp = _problem(*arrays, mask, causal, scale), array_library()
    q, k, v, g = (ready(a) for a in (*arrays, g))
    dq, dk, dv = (xp.empty(a.shape, a.dtype) for a in (q, k, v))
    delta = xp.empty(saved.shape, q.dtype)
    block = (32, ROWS_PER_BLOCK)
    grid = (-(-delta.size // ROWS_PER_BLOCK),)
    launch("attention:attention_delta", grid, block, [g, ready(out), delta, delta.size], **problem.constants)
    inputs = [q, k, v, g, *problem.settings, saved, delta]
    if needs[0]:
        _launch("backward_queries", problem, problem.queries, [*inputs, dq, *problem.sizes])
    if needs[1] or needs[2]:
        _launch("backward_keys", problem, problem.keys, [*inputs, dk, dv, *problem.sizes])
    return tuple(d if need else None for d, need in zip((dq, dk, dv), needs, strict=True))


def _launch(name: str, problem: Problem, rows: int, arguments: list) -> None:
    launch(
        f"attention:attention_{name}", problem.grid(rows), (THREADS,), arguments, problem.shared, **problem.constants
    )


def _problem(q: Array, k: Array, v: Array, mask: Any, causal: bool, scale: float | None) -> Problem:
    (queries, d), (keys, e) = q.shape[-2:], v.shape[-2:]
    found = constants(d, e, q.dtype.itemsize, gpu().shared_limit, mask is not None)
    factor = 1.0 / math.sqrt(d) if scale is None else float(scale)
    settings = [*_mask(mask, q, keys), causal, factor]
    shared = shared_bytes(d, e, found["OWN"], found["OTHER"], q.dtype.itemsize)
    return Problem(math.prod(q.shape[:-2]), queries, keys, found, settings, shared)


def constants(d: int, e: int, size: int, limit: int, mask: bool) -> dict[str, int]:
    """How the kernels are compiled for widths d and e of numbers of `size` bytes: the largest tiles that fit."""
    own, other = next((t for t in TILES if shared_bytes(d, e, *t, size) <= limit), TILES[-1])
    return {"D": d, "E": e, "OWN": own, "OTHER": other, "MASK": int(mask)}


def shared_bytes(d: int, e: int, own: int, other: int, size: int) -> int:
    """Shared memory of the kernel that needs most: two own tiles, two others, the weights."""
    return size * ((own + other) * (d + 1 + e + 1) + own * (other + 1))


def _mask(mask: Any, q: Array, keys: int) -> tuple[Array, Array, int]:
    """The mask as numbers to add, (M, 1 or T, S), not stretched over the heads; which of the M each head uses."""
    xp, heads = array_library(), math.prod(q.shape[:-2])
    if mask is None:
        return xp.zeros(1, q.dtype), xp.zeros(1, np.int64), 0
    values = device_array(mask)
    if values.dtype.kind != "f":
        values = xp.where(values, 0.0, -np.inf)
    values = values.reshape((1,) * (2 - values.ndim) + values.shape).astype(q.dtype, copy=False)
    if values.shape[-2] not in (1, q.shape[-2]):
        raise ValueError(f"Expected a mask that broadcasts to (..., {q.shape[-2]}, {keys}). Got {values.shape}.")
    values = ready(xp.broadcast_to(values, (*values.shape[:-1], keys)))
    lead = values.shape[:-2]
    which = xp.broadcast_to(xp.arange(math.prod(lead)).reshape(lead), q.shape[:-2]).reshape(heads).astype(np.int64)
    return values, ready(which), int(values.shape[-2] > 1)
