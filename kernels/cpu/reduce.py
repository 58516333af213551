"""The largest entry along one dimension.

Bytes for n entries: read n forward; read and write n backward. Operations: one comparison for each entry, two backward.
Idea: forward is NumPy's. Backward, NumPy would make a mask, count it, divide by the counts and multiply, each through
memory; here a block of entries that share their result is counted and shared out while it is in the fast cache.
"""

import math
from typing import Any

import numpy as np

from ._arrays import in_memory, ready
from ._jit import jit
from ._parallel import split

MAX_WORK = 2


def max_forward(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> tuple[np.ndarray, None]:
    """y = max_i x_i along `dim`."""
    return np.asarray(x.max(axis=dim, keepdims=keepdim)), None


def max_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, dim: Any = None, keepdim: bool = False
) -> tuple | None:
    """dx_i = g / (number of entries that are largest) for each of them, else 0; None for several dimensions at a time
    and for a single number, which are left to the rule.
    """
    if not isinstance(dim, int) or arrays[0].ndim == 0:
        return None
    if not needs[0]:
        return (None,)
    (x,), axis = arrays, dim % arrays[0].ndim
    order = in_memory(x)
    at = order.index(axis)
    turned, (y, share) = x.transpose(order), ((a if keepdim else np.expand_dims(a, axis)) for a in (out, g))
    sizes = math.prod(turned.shape[:at]), x.shape[axis], math.prod(turned.shape[at + 1 :])
    blocks, ends = ready(turned).reshape(sizes), (sizes[0], sizes[2])
    tops, shares = (ready(a.transpose(order)).reshape(ends) for a in (y, share))
    dx = np.empty_like(blocks)
    split(lambda start, stop: _max_backward(blocks, tops, shares, dx, start, stop), sizes[0], MAX_WORK * x.size)
    return (dx.reshape(turned.shape).transpose(np.argsort(order)),)


@jit
def _max_backward(x, y, g, dx, start, stop):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    share = np.empty(x.shape[2], x.dtype)
    for b in range(start, stop):
        share[:] = 0
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                share[j] += one if x[b, i, j] == y[b, j] else zero
        for j in range(x.shape[2]):
            share[j] = g[b, j] / share[j]
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                dx[b, i, j] = share[j] * (one if x[b, i, j] == y[b, j] else zero)
