"""Host side of `attention.cu`, and of `attention_mma.cu` where `ts.matmul_precision` allows tensor cores."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ._launch import ROWS_PER_BLOCK, THREADS, Array, array_library, device_array, gpu, launch, ready
from ._precision import product_format

TILES = ((64, 32), (32, 32), (32, 16), (16, 16))  # own and other tile, the first that fits into shared memory
WIDEST = 128  # head on tensor cores: the sums of a wider one do not fit into registers


class Saved(NamedTuple):
    """What backward needs: for each query the largest score and 1 / sum of e^(score - largest), and the format.

    Both, and not the log-sum-exp alone: beside a score of -1e9 the logarithm of the sum would be rounded away.
    """

    tops: Array
    inverses: Array
    format: int


class Problem(NamedTuple):
    """One call: sizes, mask and scale as the kernels take them."""

    heads: int
    queries: int
    keys: int
    constants: dict[str, int]  # for -D: widths, tiles, whether there is a mask; FORMAT where it is not 0
    settings: list[Any]  # mask, which, step, causal, scale
    shared: dict[str, int]  # bytes for each kernel

    def launch(self, kernel: str, rows: int, arguments: list) -> None:
        """Start `attention_forward` or another whose grid is heads by tiles of so many rows."""
        own, tensor_cores = self.constants["OWN"], "FORMAT" in self.constants
        grid, threads = (self.heads, -(-rows // own)), (2 * own if tensor_cores else THREADS,)
        every = [*arguments, self.queries, self.keys]
        launch(f"{self.family}:attention_{kernel}", grid, threads, every, self.shared[kernel], **self.constants)

    @property
    def family(self) -> str:
        """The .cu file."""
        return "attention_mma" if "FORMAT" in self.constants else "attention"


def attention_forward(
    q: Array, k: Array, v: Array, mask: Any = None, causal: bool = False, scale: float | None = None
) -> tuple[Array, Saved]:
    """softmax(scale q k^T + mask) v, as in `kernels/cpu/attention.py`."""
    chosen, xp = product_format(q.dtype) if max(q.shape[-1], v.shape[-1]) <= WIDEST else 0, array_library()
    problem = _problem(q, k, v, mask, causal, scale, chosen)
    out, saved = xp.empty((*q.shape[:-1], v.shape[-1]), q.dtype), xp.empty((2, *q.shape[:-1]), q.dtype)
    tops, inverses = saved[0], saved[1]
    problem.launch("forward", problem.queries, [ready(q), ready(k), ready(v), *problem.settings, out, tops, inverses])
    return out, Saved(tops, inverses, chosen)


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
    problem, xp = _problem(*arrays, mask, causal, scale, saved.format), array_library()
    q, k, v, g = (ready(a) for a in (*arrays, g))
    dq, dk, dv = (xp.empty(a.shape, a.dtype) for a in (q, k, v))
    delta = xp.empty(saved.tops.shape, q.dtype)
    block, grid = (32, ROWS_PER_BLOCK), (-(-delta.size // ROWS_PER_BLOCK),)
    launch(f"{problem.family}:attention_delta", grid, block, [g, ready(out), delta, delta.size], **problem.constants)
    inputs = [q, k, v, *problem.settings, g, saved.tops, saved.inverses, delta]
    if needs[0]:
        problem.launch("backward_queries", problem.queries, [*inputs, dq])
    if needs[1] or needs[2]:
        problem.launch("backward_keys", problem.keys, [*inputs, dk, dv])
    return tuple(d if need else None for d, need in zip((dq, dk, dv), needs, strict=True))


def _problem(q: Array, k: Array, v: Array, mask: Any, causal: bool, scale: float | None, chosen: int) -> Problem:
    (queries, d), (keys, e) = q.shape[-2:], v.shape[-2:]
    found = constants(d, e, q.dtype.itemsize, gpu().shared_limit, mask is not None, chosen)
    factor = 1.0 / math.sqrt(d) if scale is None else float(scale)
    settings = [*_mask(mask, q, keys), causal, factor]
    shared = shared_bytes(d, e, found["OWN"], found["OTHER"], q.dtype.itemsize, chosen)
    return Problem(math.prod(q.shape[:-2]), queries, keys, found, settings, shared)


def constants(d: int, e: int, size: int, limit: int, mask: bool, chosen: int = 0) -> dict[str, int]:
    """How the kernels are compiled for widths d and e of numbers of `size` bytes: the largest tiles that fit.

    With `chosen`, the format for tensor cores, these are the constants of `attention_mma.cu`.
    """
    needed = {t: max(shared_bytes(d, e, *t, size, chosen).values()) for t in TILES}
    own, other = next((t for t in TILES if needed[t] <= limit), (0, 0))
    if not own:
        raise ValueError(
            f"attention: heads of {d} and {e} numbers do not fit into the shared memory of this GPU.\n"
            f"  Expected: at most {limit:,} bytes\n  Got: {needed[TILES[-1]]:,} bytes, of {8 * size}-bit numbers\n"
            f"  Remedy: more, narrower heads"
        )
    found = {"D": d, "E": e, "OWN": own, "OTHER": other, "MASK": int(mask)}
    return found | {"FORMAT": chosen} if chosen else found


def shared_bytes(d: int, e: int, own: int, other: int, size: int, chosen: int = 0) -> dict[str, int]:
    """Shared memory of each kernel: own and other tiles, and the weights or the second copies of other tiles."""
    if chosen:
        return _shared_mma(d, e, own, other, chosen)
    d, e, weights = d + 1, e + 1, own * (other + 1)
    forward, backward = own * d + other * (d + e) + weights, (own + other) * (d + e) + weights
    return {"forward": size * forward, "backward_queries": size * backward, "backward_keys": size * backward}


def _shared_mma(width_d: int, width_e: int, own: int, other: int, chosen: int) -> dict[str, int]:
    """The same for tensor cores: a pair takes 8 bytes in TF32 and 4 in bfloat16."""
    (d, columns_d), (e, columns_e) = _strides(width_d, chosen), _strides(width_e, chosen)
    rows, half, size = (own + other) * (d + e), other // 2, 8 // chosen
    forward, queries = (own + other) * d + half * columns_e, rows + half * columns_d
    return {
        "forward": size * forward,
        "backward_queries": size * queries,
        "backward_keys": size * (queries + half * columns_e),
    }


def _strides(width: int, chosen: int) -> tuple[int, int]:
    """IN_ROWS and IN_COLUMNS of `attention_mma.cu`, in pairs."""
    wide = -(-width // (8 * chosen)) * 8 * chosen
    return wide // 2 + (0 if wide % 16 else 4), wide + 4 * chosen


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
