"""Softmax and its logarithm along one axis.

Bytes: read n, write n forward; read 2 n, write n backward. Operations: one exponential for each entry (about 12
multiply-adds), a maximum, a sum, a product. Idea: a row is small enough for the fast cache, so its passes (maximum,
exponentials with their sum, scaling) read main memory once; the maximum is taken away first so that nothing overflows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._arrays import as_rows
from ._jit import jit
from ._math import exp, log_probability, row_max
from ._parallel import split

EXP_WORK = 4  # one exponential counts as this many simple operations


def softmax_forward(x: np.ndarray, dim: int = -1) -> tuple[np.ndarray, None]:
    """y_i = exp(x_i) / sum_j exp(x_j) along `dim`; a row of -inf gives NaN."""
    return _map_rows(_softmax, dim, x), None


def softmax_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, dim: int = -1) -> tuple:
    """dx_i = y_i (g_i - sum_j g_j y_j)."""
    return (_map_rows(_softmax_backward, dim, g, out) if needs[0] else None,)


def log_softmax_forward(x: np.ndarray, dim: int = -1) -> tuple[np.ndarray, None]:
    """y_i = x_i - log sum_j exp(x_j) along `dim`."""
    return _map_rows(_log_softmax, dim, x), None


def log_softmax_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, dim: int = -1) -> tuple:
    """dx_i = g_i - exp(y_i) sum_j g_j."""
    return (_map_rows(_log_softmax_backward, dim, g, out) if needs[0] else None,)


def _map_rows(kernel: Callable, dim: int, *arrays: np.ndarray) -> np.ndarray:
    """Run kernel(*inputs, output, start, stop) on the rows along `dim`; a single number is a row."""
    moved = [np.moveaxis(a if a.ndim else a.reshape(1), dim, -1) for a in arrays]
    rows = [as_rows(a) for a in moved]
    out = np.empty_like(rows[0])
    split(lambda start, stop: kernel(*rows, out, start, stop), len(out), EXP_WORK * out.size)
    return np.moveaxis(out.reshape(moved[0].shape), -1, dim).reshape(arrays[0].shape)


@jit
def _softmax(x, out, start, stop):
    for r in range(start, stop):
        row, y = x[r], out[r]
        top = row_max(row)
        total = x.dtype.type(0)
        for j in range(row.size):
            e = exp(row[j] - top)
            y[j] = e
            total += e
        inverse = x.dtype.type(1) / total
        for j in range(row.size):
            y[j] *= inverse


@jit
def _softmax_backward(g, y, dx, start, stop):
    for r in range(start, stop):
        dot = y.dtype.type(0)
        for j in range(y.shape[1]):
            dot += g[r, j] * y[r, j]
        for j in range(y.shape[1]):
            dx[r, j] = y[r, j] * (g[r, j] - dot)


@jit
def _log_softmax(x, out, start, stop):
    for r in range(start, stop):
        row, y = x[r], out[r]
        top = row_max(row)
        total = x.dtype.type(0)
        for j in range(row.size):
            total += exp(row[j] - top)
        log_total = np.log(total)
        for j in range(row.size):
            y[j] = log_probability(row[j], top, log_total)


@jit
def _log_softmax_backward(g, y, dx, start, stop):
    for r in range(start, stop):
        total = y.dtype.type(0)
        for j in range(y.shape[1]):
            total += g[r, j]
        for j in range(y.shape[1]):
            dx[r, j] = g[r, j] - exp(y[r, j]) * total
