"""Matrix products, and the affine map of a layer, x W^T + b: one operation where three would be.

Operations for R rows, D inputs, H outputs: 2 R D H forward, 4 R D H backward. Bytes: x, W and y once each, y once more
for the bias. Idea: the products are NumPy's, which already run near the machine's limit on one core; `_blas.multiply`
shares them out among our threads. What is saved is a second array of y's size forward, and backward W's gradient comes
out in the shape of W, with no copy to turn it.
"""

import math
from typing import Any

import numpy as np

from ._arrays import as_rows, ready
from ._blas import multiply


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
    gs, rows, da, db = as_rows(g), as_rows(a), None, None
    if needs[0]:
        da = multiply(gs, b.T, np.empty(rows.shape, a.dtype)).reshape(a.shape)
    if needs[1]:
        db = multiply(rows.T, gs, np.empty(b.shape, a.dtype))
    return da, db


def affine_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, None]:
    """y = x W^T + b for x (..., D), W (H, D), b (H,): (..., H)."""
    rows, outputs = as_rows(x), len(weight)
    y = multiply(rows, weight.T, np.empty((len(rows), outputs), x.dtype), bias)
    return y.reshape(*x.shape[:-1], outputs), None


def affine_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple:
    """dx = g W, dW = g^T x, db = sum of g over the rows."""
    x, weight, _ = arrays
    gs, dx, dweight, dbias = as_rows(g), None, None, None
    if needs[0]:
        dx = multiply(gs, ready(weight), np.empty((len(gs), x.shape[-1]), x.dtype)).reshape(x.shape)
    if needs[1]:
        dweight = multiply(gs.T, as_rows(x), np.empty(weight.shape, x.dtype))
    if needs[2]:
        ones = np.ones((1, len(gs)), g.dtype)  # a product with ones: the library sums columns faster than NumPy
        dbias = multiply(ones, gs, np.empty((1, gs.shape[1]), g.dtype))[0]
    return dx, dweight, dbias
