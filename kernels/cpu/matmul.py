"""Matrix products, and the affine map of a layer, x W^T + b: one operation where three would be.

Operations for R rows, D inputs, H outputs: 2 R D H forward, 4 R D H backward. Bytes: x, W and y once each, y once more
for the bias. Idea: the products are NumPy's, which already run near the machine's limit on one core; `_blas.py` shares
them out among our threads, those of a backward pass all at once. What is saved is a second array of y's size forward,
and backward W's gradient comes out in the shape of W, with no copy to turn it.
"""

import math
from typing import Any

import numpy as np

from ._arrays import as_rows, ready
from ._blas import multiply, multiply_all, ones_for


def matmul_forward(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, None]:
    """Rows times one matrix: a (..., K), b (K, N), to (..., N). Vectors and batches of matrices are left to NumPy."""
    if a.ndim < 2 or b.ndim != 2:
        return np.asarray(np.matmul(a, b)), None
    c = multiply(as_rows(a), b, np.empty((math.prod(a.shape[:-1]), b.shape[1]), a.dtype))
    return c.reshape(*a.shape[:-1], b.shape[1]), None


def matmul_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple | None:
    """da = g b^T, db = a^T g; None for vectors and batches, which are left to the rule."""
    a, b = arrays
    if a.ndim < 2 or b.ndim != 2:
        return None
    gs, rows = as_rows(g), as_rows(a)
    da, db = _room(arrays, needs)
    products = []
    if da is not None:
        products.append((gs, b.T, da.reshape(rows.shape), None))
    if db is not None:
        products.append((rows.T, gs, db, None))
    multiply_all(products)
    return da, db


def affine_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, None]:
    """y = x W^T + b for x (..., D), W (H, D), b (H,): (..., H)."""
    rows, outputs = as_rows(x), len(weight)
    y = multiply(rows, weight.T, np.empty((len(rows), outputs), x.dtype), bias)
    return y.reshape(*x.shape[:-1], outputs), None


def affine_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple:
    """dx = g W, dW = g^T x, db = sum of g over the rows."""
    x, weight, _ = arrays
    gs, rows = as_rows(g), as_rows(x)
    dx, dweight, dbias = _room(arrays, needs)
    products = []
    if dx is not None:
        products.append((gs, ready(weight), dx.reshape(rows.shape), None))
    if dweight is not None:
        products.append((gs.T, rows, dweight, None))
    if dbias is not None:
        products.append((ones_for(gs), gs, dbias.reshape(1, -1), None))
    multiply_all(products)
    return dx, dweight, dbias


def _room(arrays: tuple, needs: tuple) -> tuple:
    """An array for each gradient that is needed."""
    return tuple(np.empty(a.shape, a.dtype) if need else None for a, need in zip(arrays, needs, strict=True))
