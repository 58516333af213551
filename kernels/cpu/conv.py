"""Convolution over one dimension as matrix products on the sequence where it lies.

The window's element k at all places l is the sequence itself, moved by k d steps and read every s-th step:

    y_l = b + sum_k W_k x_(l s + k d)      dx_(l s + k d) += W_k^T g_l      dW_k = sum_l g_l x_(l s + k d)^T

so every k is a product of matrices that are there already, and no window is copied out. Operations: 2 B L K C O
forward, twice that backward. Bytes: x, y and their gradients once, the weights once for each sequence.
"""

from typing import Any

import numpy as np

from ._arrays import as_rows, ready
from ._blas import multiply_all
from ._gemm import WORK, panels_of_columns, strips_of
from ._jit import jit
from ._parallel import split
from ._product import product


def conv1d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[np.ndarray, None]:
    """y_(b o l) = b_o + sum_(c k) W_(o c k) x_(b, c, l s + k d) for x (B, C, T), W (O, C, K), b (O,).

    y (B, O, L) lies in memory as (B, L, O).
    """
    outputs, channels, size = weight.shape
    rows = _padded(x.transpose(0, 2, 1), padding)
    y = np.empty((len(x), _places(x, size, stride, padding, dilation), outputs), x.dtype)
    panels = panels_of_columns(ready(weight.transpose(2, 1, 0)).reshape(size * channels, outputs))
    b, work = ready(bias), y.size * size * channels // WORK
    split(lambda start, stop: _convolve(rows, panels, b, size, stride, dilation, y, start, stop), len(x), work)
    return y.transpose(0, 2, 1), None


def conv1d_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple:
    """Gradients by the formulas above; db is the sum of g over b and l."""
    x, weight, _ = arrays
    gs = ready(g.transpose(0, 2, 1))  # (B, L, O)
    dx = _dx(gs, x, weight, stride, padding, dilation) if needs[0] else None
    dweight = _dweight(gs, x, weight, stride, padding, dilation) if needs[1] else None
    return dx, dweight, as_rows(gs).sum(0) if needs[2] else None


def _places(x: np.ndarray, size: int, stride: int, padding: int, dilation: int) -> int:
    return (x.shape[2] + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def _padded(rows: np.ndarray, padding: int) -> np.ndarray:
    """(B, T, C) with zeros before and behind."""
    if not padding:
        return ready(rows)
    b, t, c = rows.shape
    wide = np.empty((b, t + 2 * padding, c), rows.dtype)
    wide[:, :padding], wide[:, padding : padding + t], wide[:, padding + t :] = 0, rows, 0
    return wide


def _dx(g: np.ndarray, x: np.ndarray, weight: np.ndarray, stride: int, padding: int, dilation: int) -> np.ndarray:
    outputs, channels, size = weight.shape
    around = dilation * (size - 1) - padding
    if stride == 1 and around >= 0:  # a convolution again, of the padded g with the window turned round
        zeros = np.zeros(channels, weight.dtype)
        back = weight[:, :, ::-1].transpose(1, 0, 2)
        return conv1d_forward(g.transpose(0, 2, 1), back, zeros, 1, around, dilation)[0]
    panels = [panels_of_columns(ready(weight[:, :, k])) for k in range(size)]
    joined = np.concatenate(panels) if panels else np.empty((0, outputs, 1), x.dtype)
    dx, work = np.empty((len(x), x.shape[2], channels), x.dtype), g.size * size * channels // WORK
    task = (g, joined, size, stride, padding, dilation, dx)
    split(lambda start, stop: _spread(*task, start, stop), len(x), work)
    return dx.transpose(0, 2, 1)


def _dweight(g: np.ndarray, x: np.ndarray, weight: np.ndarray, stride: int, padding: int, dilation: int) -> np.ndarray:
    """All sequences one behind the other, g with zeros up to where the next begins: then each W_k is one product."""
    (b, c, t), (outputs, _, size) = x.shape, weight.shape
    places = -(-(t + 2 * padding) // stride)
    wide, flat = np.zeros((b, places * stride, c), x.dtype), np.zeros((b, places, outputs), x.dtype)
    wide[:, padding : padding + t], flat[:, : g.shape[1]] = x.transpose(0, 2, 1), g
    steps, flat = wide.reshape(b * places, stride, c), flat.reshape(b * places, outputs)
    dweight = np.empty((size, outputs, c), x.dtype)
    products = []
    for k in range(size):
        shift, phase = divmod(k * dilation, stride)
        products.append((flat[: max(0, len(flat) - shift)].T, steps[shift:, phase], dweight[k], None))
    multiply_all(products)
    return np.ascontiguousarray(dweight.transpose(1, 2, 0))


@jit
def _convolve(x, panels, bias, size, stride, dilation, y, start, stop):
    time, channels, places, strips = x.shape[1], x.shape[2], y.shape[1], panels.shape[0]
    sums = np.empty((places, strips * panels.shape[2]), x.dtype)
    row, at_once = sums.shape[1], size if dilation == 1 else 1  # a window without holes lies in one piece
    for b in range(start, stop):
        for k in range(0, size, at_once):
            at, depth = (b * time + k * dilation) * channels, at_once * channels
            product(places, x, at, stride * channels, depth, panels, 0, strips, k * channels, sums, 0, row, k > 0)
        for i in range(places):
            for j in range(y.shape[2]):
                y[b, i, j] = sums[i, j] + bias[j]


@jit
def _spread(g, panels, size, stride, padding, dilation, dx, start, stop):
    places, outputs, time, channels = g.shape[1], g.shape[2], dx.shape[1], dx.shape[2]
    strips = strips_of(channels, panels.shape[2])
    sums = np.empty((time + 2 * padding, strips * panels.shape[2]), g.dtype)
    row = sums.shape[1]
    for b in range(start, stop):
        sums[:] = 0
        for k in range(size):
            at, to, first = b * places * outputs, k * dilation * row, k * strips
            product(places, g, at, outputs, outputs, panels, first, first + strips, 0, sums, to, stride * row, True)
        for t in range(time):
            for j in range(channels):
                dx[b, t, j] = sums[padding + t, j]
