"""One step of Adam or AdamW on one flat array.

Bytes for n entries: read 4 n, write 3 n. Operations: about 12 for each entry, with a root and a division. Idea: the
formula written with arrays moves each of p, g, m and v through memory several times; one loop moves them once.
"""

import functools
import math

import numpy as np

from ._arrays import ready
from ._jit import jit
from ._parallel import split
from .elementwise import GRAIN


def adam(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    decoupled: bool,
    grad_scale: float,
) -> None:
    """Step number `step` (1 is the first), in place on p and the moments m and v; g is only read.

    g = grad_scale * g, plus weight_decay * p unless decoupled; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    p = p (1 - lr weight_decay) if decoupled; p -= lr mhat / (sqrt(v) / sqrt(1 - b2^step) + eps),
    with mhat = m / (1 - b1^step).
    Kingma and Ba, "Adam", 2015; Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """
    flat = (_in_place("p", p), _in_place("m", m), _in_place("v", v), ready(g).reshape(-1))
    constants = _constants(p.dtype, lr, beta1, beta2, eps, weight_decay, step, decoupled, grad_scale)
    if p.size <= GRAIN:  # most arrays of a model are small: for them the way to the loop costs more than the loop
        _adam(*flat, constants)
        return
    split(lambda start, stop: _adam(*(a[start:stop] for a in flat), constants), p.size, 2 * p.size, GRAIN)


@functools.lru_cache(maxsize=16)  # the same for all arrays of a step
def _constants(
    dtype: np.dtype,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    decoupled: bool,
    grad_scale: float,
) -> tuple:
    coupled, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    root = 1.0 / math.sqrt(1.0 - beta2**step)
    numbers = (grad_scale, coupled, shrink, 1.0 - beta1, beta2, 1.0 - beta2, root, eps, lr / (1.0 - beta1**step))
    return tuple(dtype.type(number) for number in numbers)


def _in_place(name: str, a: np.ndarray) -> np.ndarray:
    if not a.flags.carray:
        raise ValueError(f"Expected `{name}` contiguous and writable, since Adam changes it in place. Got {a.flags}")
    return a.reshape(-1)


@jit
def _adam(p, m, v, g, constants):
    grad_scale, coupled, shrink, rate_1, keep_2, rate_2, root, eps, size = constants
    for i in range(p.size):
        d = grad_scale * g[i] + coupled * p[i]
        m[i] += rate_1 * (d - m[i])
        v[i] = keep_2 * v[i] + rate_2 * d * d
        p[i] = shrink * p[i] - size * m[i] / (np.sqrt(v[i]) * root + eps)
