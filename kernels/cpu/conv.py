"""Convolution over one dimension as matrix products on the sequence where it lies.

The window's element k at all places l is the sequence itself, moved by k d steps and read every s-th step:

    y_l = b + sum_k W_k x_(l s + k d)      dx_(l s + k d) += W_k^T g_l      dW_k = sum_l g_l x_(l s + k d)^T

so every k is a product of matrices that are there already, and no window is copied out. For dW a thread transposes 256
places of x at a time, for all k, and adds to dW once for these. Operations: 2 B L K C O forward, twice that backward.
Bytes: x, y and their gradients once, the weights once for each sequence.
"""

from typing import Any

import numpy as np

from . import _blas
from ._arrays import as_rows, ready
from ._gemm import DEPTH, WORK, multiply, pack_columns, padded, panels_of_columns, strips_of, turned_copy
from ._jit import jit
from ._parallel import split
from ._tile import panel_width


def conv1d_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[np.ndarray, None]:
    """y_(b o l) = b_o + sum_(c k) W_(o c k) x_(b, c, l s + k d) for x (B, C, T), W (O, C, K), b (O,).

    y (B, O, L) lies in memory as (B, L, O).
    """
    (outputs, channels, size), stride = weight.shape, _stride(x, stride, padding)
    rows = _padded(x.transpose(0, 2, 1), padding, stride)
    y = np.empty((len(x), _places(x, size, stride, padding, dilation), outputs), x.dtype)
    panels = panels_of_columns(ready(weight.transpose(2, 1, 0)).reshape(size * channels, outputs))
    b, work = ready(bias), y.size * size * channels // WORK
    split(lambda start, stop: _convolve(rows, panels, b, size, stride, dilation, y, start, stop), len(x), work)
    return y.transpose(0, 2, 1), None


def conv1d_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple:
    """Gradients by the formulas above; db is the sum of g over b and l."""
    x, weight, bias = arrays
    gs, stride = ready(g.transpose(0, 2, 1)), _stride(x, stride, padding)  # (B, L, O)
    dx = _dx(gs, x, weight, stride, padding, dilation) if needs[0] else None
    dweight = _dweight(gs, x, weight, stride, padding, dilation) if needs[1] else None
    return dx, dweight, _dbias(as_rows(gs), bias) if needs[2] else None


def _stride(x: np.ndarray, stride: int, padding: int) -> int:
    """Beyond the sequence's end every stride means the same; `_padded` would take it at its word."""
    return min(stride, x.shape[2] + 2 * padding)


def _places(x: np.ndarray, size: int, stride: int, padding: int, dilation: int) -> int:
    return (x.shape[2] + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def _padded(rows: np.ndarray, padding: int, stride: int = 1) -> np.ndarray:
    """(B, T, C) with zeros before and behind; behind as many more as make the length a multiple of `stride`."""
    b, t, c = rows.shape
    length = -(-(t + 2 * padding) // stride) * stride
    if length == t:
        return ready(rows)
    wide = np.empty((b, length, c), rows.dtype)
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


def _dbias(g: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return _blas.multiply(_blas.ones_for(g), g, np.empty((1, len(bias)), bias.dtype))[0]


def _dweight(g: np.ndarray, x: np.ndarray, weight: np.ndarray, stride: int, padding: int, dilation: int) -> np.ndarray:
    (outputs, channels, size), width = weight.shape, panel_width(weight.itemsize)
    rows, strips = _padded(x.transpose(0, 2, 1), padding, stride), padded(outputs, weight.dtype) // width
    sums, flat = np.zeros((strips * size, channels, width), x.dtype), g.reshape(-1)
    task, work = (rows, flat, g.shape[1], outputs, size, stride, dilation, sums), g.size * size * channels // WORK
    split(lambda start, stop: _window_sums(*task, start, stop), len(sums), work)
    found = sums.reshape(strips, size, channels, width).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(found.reshape(strips * width, channels, size)[:outputs])


# x is looked at as a matrix with `stride` steps in each row: the places that one element of the window meets then lie
# one below the other, as `multiply` wants them. An element further on begins at a column behind the row's end; memory
# goes on there with the next row, so that is the right number.


@jit
def _convolve(x, panels, bias, size, stride, dilation, y, start, stop):
    (batch, time, channels), places, strips = x.shape, y.shape[1], panels.shape[0]
    rows, sums = (
        x.reshape(batch * time // stride, stride * channels),
        np.empty((places, strips * panels.shape[2]), x.dtype),
    )
    at_once = size if dilation == 1 else 1  # a window without holes lies in one piece
    for b in range(start, stop):
        for k in range(0, size, at_once):
            for d in range(0, max(1, at_once * channels), DEPTH):
                row, column, first = b * (time // stride), k * dilation * channels + d, k * channels + d
                depth, add = min(DEPTH, at_once * channels - d), first > 0
                multiply(rows, row, places, column, depth, panels, 0, strips, first, sums, 0, 0, add)
        for i in range(places):
            for j in range(y.shape[2]):
                y[b, i, j] = sums[i, j] + bias[j]


@jit
def _spread(g, panels, size, stride, padding, dilation, dx, start, stop):
    (batch, places, outputs), time, channels = g.shape, dx.shape[1], dx.shape[2]
    strips = strips_of(channels, panels.shape[2])
    across = strips * panels.shape[2]
    sums = np.empty((-(-(time + 2 * padding) // stride), stride * across), g.dtype)
    rows, steps = g.reshape(batch * places, outputs), sums.reshape(-1, across)
    for b in range(start, stop):
        sums[:] = 0
        for k in range(size):
            column, first, last = k * dilation * across, k * strips, (k + 1) * strips
            multiply(rows, b * places, places, 0, outputs, panels, first, last, 0, sums, 0, column, True)
        for t in range(time):
            for j in range(channels):
                dx[b, t, j] = steps[padding + t, j]


@jit
def _window_sums(x, g, places, outputs, size, stride, dilation, sums, start, stop):
    """sums[p K + k] += x_k^T g of window element k and the outputs of panel p, for p K + k from start to stop."""
    (batch, time, channels), width = x.shape, sums.shape[2]
    rows, reach = x.reshape(batch * time // stride, stride * channels), dilation * (size - 1) // stride
    most, first = min(DEPTH, places), start // size
    turned = np.empty((stride * channels, most + reach), x.dtype)
    panels = np.empty(((stop - 1) // size + 1 - first, most, width), x.dtype)
    for b in range(batch):
        for at in range(0, places, DEPTH):
            depth = min(DEPTH, places - at)
            turned_copy(rows, b * (time // stride) + at, depth + reach, turned)
            g_at = (b * places + at) * outputs + first * width
            pack_columns(g, g_at, outputs, depth, outputs - first * width, panels)
            for i in range(start, stop):
                p, k = divmod(i, size)
                shift, phase = divmod(k * dilation, stride)  # element k is so many rows down, so many steps in
                row, panel = phase * channels, p - first
                multiply(turned, row, channels, shift, depth, panels, panel, panel + 1, 0, sums[i], 0, 0, True)
