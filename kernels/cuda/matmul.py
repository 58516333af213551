"""Host side of `matmul.cu`: the affine map of a layer."""

from __future__ import annotations

from typing import Any

from ._launch import Array, array_library, as_rows, for_rows, launch, ready

STRETCH = 64  # rows at least that one block adds up
MOST_STRETCHES = 512


def affine_forward(x: Array, weight: Array, bias: Array) -> tuple[Array, None]:
    """y = x W^T + b: x (..., D), weight (H, D), bias (H,) to (..., H). One product, one pass that adds the bias."""
    rows, xp = as_rows(x), array_library()
    y = xp.empty((len(rows), len(weight)), x.dtype)
    xp.matmul(rows, weight.T, out=y)
    launch("matmul:add_bias", *for_rows(*y.shape), [y, ready(bias), *y.shape])
    return y.reshape(*x.shape[:-1], len(weight)), None


def affine_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple:
    """dx = g W, dW = g^T x, db = the sum of g's rows."""
    x, weight, _ = arrays
    rows = as_rows(g)
    dx = (rows @ weight).reshape(x.shape) if needs[0] else None
    dweight = rows.T @ as_rows(x) if needs[1] else None
    return dx, dweight, column_sums(rows) if needs[2] else None


def column_sums(rows: Array) -> Array:
    """The sum of the rows of a matrix (R, C), in an order that depends on its shape alone: (C,)."""
    count, cols = rows.shape
    stretch = max(STRETCH, -(-count // MOST_STRETCHES))
    sums = array_library().empty((-(-count // stretch), cols), rows.dtype)
    launch("matmul:column_sums", (len(sums), -(-cols // 32)), (32, 8), [rows, sums, *rows.shape, stretch])
    return sums[0] if len(sums) == 1 else sums.sum(axis=0)
