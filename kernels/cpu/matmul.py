"""The affine map of a layer, x W^T + b: one operation where product, transposition and sum would be three.

Operations for R rows, D inputs, H outputs: 2 R D H forward, 4 R D H backward. Bytes: x, W and y once each, y once more
for the bias. Idea: the products are NumPy's, which already run near the machine's limit; what is saved is a second
array of y's size forward, and backward W's gradient comes out in the shape of W, with no copy to turn it.
"""

import math
from typing import Any

import numpy as np

from ._arrays import as_rows, ready


def affine_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, None]:
    """y = x W^T + b for x (..., D), W (H, D), b (H,): (..., H)."""
    rows, outputs = math.prod(x.shape[:-1]), len(weight)
    y = np.empty((rows, outputs), x.dtype)
    np.matmul(as_rows(x), weight.T, out=y)
    y += bias
    return y.reshape(*x.shape[:-1], outputs), None


def affine_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple:
    """dx = g W, dW = g^T x, db = sum of g over the rows."""
    x, weight, _ = arrays
    gs, dx, dweight, dbias = as_rows(g), None, None, None
    if needs[0]:
        dx = np.empty((len(gs), x.shape[-1]), x.dtype)
        dx = np.matmul(gs, ready(weight), out=dx).reshape(x.shape)
    if needs[1]:
        dweight = np.matmul(gs.T, as_rows(x))
    if needs[2]:
        dbias = np.matmul(np.ones(len(gs), g.dtype), gs)  # a product with ones: BLAS sums columns faster than NumPy
    return dx, dweight, dbias
