"""One matrix product four times, each rung faster than the one before: to be read and measured, not to be used.

C = A B for A (M, K) and B (K, N): 2 M K N operations; at least M K + K N + M N numbers are moved.

1. `with_numpy`: one line for each k. Every line reads and writes all of C.
2. `with_loops`: the same order of work compiled, row by row, so that a row of C stays in the cache.
3. `with_blocks`: A in blocks of two rows and four columns; a number of B is fetched for two products, of C for four.
4. `with_registers`: B in panels a few vectors wide, and the sums of six rows stay in the registers (`_tile.py`).
"""

import numpy as np

from ._arrays import ready
from ._gemm import multiply, padded, panels_of_columns
from ._jit import inline, jit


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
    _add(a, b, c, 0, a.shape[0], 0, a.shape[1])


@inline
def _add(a, b, c, top, bottom, first, stop):
    for i in range(top, bottom):
        for k in range(first, stop):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


def with_blocks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The loops, two rows and four columns of A at once; what is left over at the edges goes one by one."""
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    _blocks(ready(a), ready(b), c)
    return c


@jit
def _blocks(a, b, c):
    rows, columns = a.shape[0] - a.shape[0] % 2, a.shape[1] - a.shape[1] % 4
    for i in range(0, rows, 2):
        for k in range(0, columns, 4):
            _add_block(a, b, c, i, k)
    _add(a, b, c, 0, rows, columns, a.shape[1])
    _add(a, b, c, rows, a.shape[0], 0, a.shape[1])


@inline
def _add_block(a, b, c, i, k):
    upper0, upper1, upper2, upper3 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
    lower0, lower1, lower2, lower3 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
    b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
    upper, lower = c[i], c[i + 1]
    for j in range(b.shape[1]):
        x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
        upper[j] += upper0 * x0 + upper1 * x1 + upper2 * x2 + upper3 * x3
        lower[j] += lower0 * x0 + lower1 * x1 + lower2 * x2 + lower3 * x3


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
