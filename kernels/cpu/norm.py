"""Layer norm and RMS norm over the last axis.

Bytes for n entries: read n, write n forward; read 2 n, write n backward. Operations: about 10 for each entry. Idea:
the passes over a row (mean, variance, result) find it in the fast cache. The gradients of weight and bias are sums
across rows: fixed blocks of rows have a partial sum each, so threads never wait for one another or change the result.
"""

from typing import Any

import numpy as np

from ._arrays import as_rows, ready
from ._jit import jit
from ._parallel import blocks, split


def layer_norm_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Layer norm: y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axis of x (..., D)."""
    rows, w, b = as_rows(x), ready(weight), ready(bias)
    out, means, scales = np.empty_like(rows), np.empty(len(rows), x.dtype), np.empty(len(rows), x.dtype)
    e = x.dtype.type(eps)
    split(lambda start, stop: _layer_norm(rows, w, b, e, out, means, scales, start, stop), len(rows), 2 * rows.size)
    return out.reshape(x.shape), (means, scales)


def layer_norm_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, eps: float = 1e-5) -> tuple:
    """With n the normalised x and h = g * weight: dx = (h - mean(h) - n mean(h n)) / sqrt(variance + eps)."""
    means, scales = saved
    dx, dweight, dbias = _norm_backward(g, arrays[0], arrays[1], means, scales, True)
    return tuple(d if need else None for d, need in zip((dx, dweight, dbias), needs, strict=True))


def rms_norm_forward(x: np.ndarray, weight: np.ndarray, eps: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    """RMS norm: y = x / sqrt(mean(x^2) + eps) * weight over the last axis of x (..., D)."""
    rows, w = as_rows(x), ready(weight)
    out, scales, e = np.empty_like(rows), np.empty(len(rows), x.dtype), x.dtype.type(eps)
    split(lambda start, stop: _rms_norm(rows, w, e, out, scales, start, stop), len(rows), 2 * rows.size)
    return out.reshape(x.shape), scales


def rms_norm_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, eps: float = 1e-6) -> tuple:
    """As for layer norm, without the mean: dx = (h - n mean(h n)) / sqrt(mean(x^2) + eps)."""
    dx, dweight, _ = _norm_backward(g, arrays[0], arrays[1], np.zeros_like(saved), saved, False)
    return tuple(d if need else None for d, need in zip((dx, dweight), needs, strict=True))


def _norm_backward(
    g: np.ndarray, x: np.ndarray, weight: np.ndarray, means: np.ndarray, scales: np.ndarray, centred: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One kernel serves both norms: RMS norm is layer norm with both means left out."""
    rows, gs, w = as_rows(x), as_rows(g), ready(weight)
    size, count = blocks(len(rows))
    sums, dx = np.zeros((2, count, w.size), x.dtype), np.empty_like(rows)
    split(
        lambda start, stop: _backward_blocks(rows, gs, w, means, scales, centred, size, dx, sums, start, stop),
        count,
        4 * rows.size,
    )
    dweight, dbias = sums.sum(axis=1)
    return dx.reshape(x.shape), dweight, dbias


@jit
def _layer_norm(x, weight, bias, eps, out, means, scales, start, stop):
    size = x.dtype.type(x.shape[1])
    one = x.dtype.type(1)
    for r in range(start, stop):
        row, y = x[r], out[r]
        mean = row.sum() / size
        square = x.dtype.type(0)
        for j in range(row.size):
            square += (row[j] - mean) * (row[j] - mean)
        scale = one / np.sqrt(square / size + eps)
        for j in range(row.size):
            y[j] = (row[j] - mean) * scale * weight[j] + bias[j]
        means[r], scales[r] = mean, scale


@jit
def _rms_norm(x, weight, eps, out, scales, start, stop):
    size = x.dtype.type(x.shape[1])
    one = x.dtype.type(1)
    for r in range(start, stop):
        row, y = x[r], out[r]
        square = x.dtype.type(0)
        for j in range(row.size):
            square += row[j] * row[j]
        scale = one / np.sqrt(square / size + eps)
        for j in range(row.size):
            y[j] = row[j] * scale * weight[j]
        scales[r] = scale


@jit
def _backward_blocks(x, g, weight, means, scales, centred, block, dx, sums, start, stop):
    for k in range(start, stop):
        dweight, dbias = sums[0, k], sums[1, k]
        for r in range(k * block, min(x.shape[0], (k + 1) * block)):
            _backward_row(x[r], g[r], weight, means[r], scales[r], centred, dx[r], dweight, dbias)


@jit
def _backward_row(x, g, weight, mean, scale, centred, dx, dweight, dbias):
    size = x.dtype.type(x.size)
    sum_h, sum_hn = x.dtype.type(0), x.dtype.type(0)
    for j in range(x.size):
        h, n = g[j] * weight[j], (x[j] - mean) * scale
        sum_h += h
        sum_hn += h * n
    mean_h = sum_h / size if centred else x.dtype.type(0)
    mean_hn = sum_hn / size
    for j in range(x.size):
        n = (x[j] - mean) * scale
        dx[j] = (g[j] * weight[j] - mean_h - n * mean_hn) * scale
        dweight[j] += g[j] * n
        dbias[j] += g[j]
