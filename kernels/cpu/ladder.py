"""One matrix product four times, each rung faster than the one before: to be read and measured, not to be used.

C = A B for A (M, K) and B (K, N): 2 M K N operations; at least M K + K N + M N numbers are moved.

1. `with_numpy`: one line for each k. Every line reads and writes all of C.
2. `with_loops`: the same order of work compiled, row by row, so that a row of C stays in the cache.
3. `with_blocks`: a block of B stays in the cache while all rows pass by; a number of C is fetched for four products.
4. `with_registers`: B in panels a few vectors wide, and the sums of six rows stay in the registers (`_tile.py`).
"""

import numpy as np

from ._arrays import ready
from ._gemm import multiply, padded, panels_of_columns
from ._jit import inline, jit

COLUMNS, DEPTH = 512, 32  # of a block of B: 64 KB in float32


def with_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Add up the products of the columns of A with the rows of B."""
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        c += a[:, k, None] * b[k]
    return c


def with_loops(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Three loops; the innermost runs along rows of B and C, so the compiler makes vector instructions of it."""
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    _loops(ready(a), ready(b), c)
    return c


@jit
def _loops(a, b, c):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


def with_blocks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The loops over blocks of B, and four of its rows at once."""
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    _blocks(ready(a), ready(b), c)
    return c


@jit
def _blocks(a, b, c):
    for first in range(0, b.shape[1], COLUMNS):
        stop = min(first + COLUMNS, b.shape[1])
        for top in range(0, len(b), DEPTH):
            for i in range(len(a)):
                _add_rows(a[i], b, c[i, first:stop], top, min(top + DEPTH, len(b)), first, stop)


@inline
def _add_rows(a, b, c, top, bottom, first, stop):
    fours = bottom - (bottom - top) % 4
    for k in range(top, fours, 4):
        b0, b1, b2, b3 = b[k, first:stop], b[k + 1, first:stop], b[k + 2, first:stop], b[k + 3, first:stop]
        _add_four(a[k], a[k + 1], a[k + 2], a[k + 3], b0, b1, b2, b3, c)
    for k in range(fours, bottom):
        for j in range(c.size):
            c[j] += a[k] * b[k, first + j]


@inline
def _add_four(a0, a1, a2, a3, b0, b1, b2, b3, c):
    for j in range(c.size):
        c[j] += a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]


def with_registers(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The microkernel of `_tile.py`, for blocks of six rows."""
    panels = panels_of_columns(ready(b))
    c = np.empty((a.shape[0], padded(b.shape[1], b.dtype)), a.dtype)
    _registers(ready(a), panels, c)
    return c[:, : b.shape[1]]


@jit
def _registers(a, panels, c):
    multiply(a, 0, a.shape[0], 0, a.shape[1], panels, 0, panels.shape[0], 0, c, 0, 0, False)


RUNGS = (with_numpy, with_loops, with_blocks, with_registers)
