"""One matrix product four times, each rung faster than the one before: to be read and measured, not to be used.

C = A B for A (M, K) and B (K, N): 2 M K N operations; at least M K + K N + M N numbers are moved.

1. `with_numpy`: one line for each k. Every line reads and writes all of C.
2. `with_loops`: the same order of work compiled, row by row, so that a row of C stays in the cache.
3. `with_blocks`: panels of B and blocks of C, so that a panel stays in the first cache while all rows pass by.
4. `with_registers`: the same blocks, and the sums of a block stay in the registers (`_tile.py`).
"""

import numpy as np

from ._arrays import ready
from ._gemm import multiply, padded, panels_of_columns
from ._jit import jit


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
    """The loops over panels of B; the sums of one row of a block have a small array of their own."""
    panels = panels_of_columns(ready(b))
    c = np.zeros((a.shape[0], padded(b.shape[1], b.dtype)), a.dtype)
    _blocks(ready(a), panels, c)
    return c[:, : b.shape[1]]


@jit
def _blocks(a, panels, c):
    width = panels.shape[2]
    sums = np.empty(width, a.dtype)
    for p in range(panels.shape[0]):
        for i in range(a.shape[0]):
            sums[:] = 0
            for k in range(a.shape[1]):
                for j in range(width):
                    sums[j] += a[i, k] * panels[p, k, j]
            c[i, p * width : (p + 1) * width] = sums


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
