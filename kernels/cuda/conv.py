"""Host side of `conv.cu`: convolution over one dimension. B batch, C channels, T time, O filters, K their size."""

from __future__ import annotations

import math
from typing import Any

from ._launch import Array, array_library, for_rows, launch, ready


def conv1d_forward(
    x: Array, weight: Array, bias: Array, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[Array, Array]:
    """y_{b o l} = b_o + sum_{c k} w_{o c k} x_{b, c, l s + k d - p}: (B, C, T) to (B, O, L). Keeps the windows."""
    xp, (batch, channels, time), (filters, _, size) = array_library(), x.shape, weight.shape
    windows = (time + 2 * padding - dilation * (size - 1) - 1) // stride + 1
    columns = xp.empty((channels * size, batch * windows), x.dtype)
    arguments = [ready(x), columns, *x.shape, size, windows]
    _rows("columns_of", channels * size * batch, windows, arguments, stride, padding, dilation)
    product = ready(weight).reshape(filters, channels * size) @ columns
    y = xp.empty((batch, filters, windows), x.dtype)
    _rows("filters_inside", batch * filters, windows, [product, ready(bias), y, *y.shape])
    return y, columns


def conv1d_backward(
    g: Any,
    out: Any,
    saved: Array,
    arrays: tuple,
    needs: tuple,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> tuple:
    """With g as (O, B L): dW = g columns^T, db = the sum of g's rows, dx from the columns W^T g."""
    x, weight, _ = arrays
    xp, (filters, channels, size), windows = array_library(), weight.shape, g.shape[2]
    turned = ready(xp.moveaxis(g, 1, 0)).reshape(filters, math.prod((g.shape[0], windows)))
    dx = None
    if needs[0]:
        columns, dx = ready(weight).reshape(filters, channels * size).T @ turned, xp.empty(x.shape, x.dtype)
        arguments = [columns, dx, *x.shape, size, windows]
        _rows("columns_back", x.shape[0] * channels, x.shape[2], arguments, stride, padding, dilation)
    dweight = (turned @ saved.T).reshape(weight.shape) if needs[1] else None
    return dx, dweight, turned.sum(axis=1) if needs[2] else None


def _rows(name: str, rows: int, cols: int, arguments: list, *steps: int) -> None:
    launch(f"conv:{name}", *for_rows(rows, cols), [*arguments, *steps])
