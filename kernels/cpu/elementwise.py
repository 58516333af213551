"""GELU, relu and dropout: each entry of the result depends on one entry of the input.

Bytes for n entries: read n, write n forward; read 2 n, write n backward. Operations: about 40 for a GELU (exponential,
division, polynomial), about 12 whole-number ones for a random number. Idea: one pass, nothing stored in between;
backward computes again what it needs, even the dropout mask, since its random numbers come from seed and position.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._arrays import in_memory, ready
from ._jit import jit
from ._math import exp, normal_tail
from ._parallel import split
from ._random import MIX_1, MIX_2, STEP, WORD, threshold

GRAIN = 1024  # pieces begin at multiples of it, so that vector instructions group the entries in one way only
GELU_WORK = 8
RELU_WORK = 1
DROPOUT_WORK = 4
DENSITY_0 = 1.0 / math.sqrt(2.0 * math.pi)  # the normal density at 0
SLOPE = math.sqrt(2.0 / math.pi)
CUBE = 0.044715


def gelu_forward(x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray, None]:
    """GELU: y = x P(Z <= x) for a standard normal Z, = x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel, 2016).

    "tanh": y = x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3).
    """
    return _map(_gelu_tanh if approximate == "tanh" else _gelu, GELU_WORK, x), None


def gelu_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, approximate: str = "none") -> tuple:
    """The gradient dx = g (P(Z <= x) + x density(x)), or the derivative of the tanh formula."""
    kernel = _gelu_tanh_backward if approximate == "tanh" else _gelu_backward
    return (_map(kernel, GELU_WORK, arrays[0], g) if needs[0] else None,)


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, None]:
    """y = max(x, 0); NaN stays NaN."""
    return _map(_relu, RELU_WORK, x), None


def relu_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple:
    """dx = g where x > 0, else 0."""
    return (_map(_relu_backward, RELU_WORK, arrays[0], g) if needs[0] else None,)


def dropout_forward(x: np.ndarray, p: float = 0.5, seed: int = 0) -> tuple[np.ndarray, None]:
    """y_i = x_i m_i / (1 - p), m_i = 1 where u_i >= p, else 0; u_i is uniform in [0, 1), from seed and index i alone.

    A dropped NaN or infinity is times 0 too, so it shows as NaN.
    """
    return _dropout_of(x, p, seed), None


def dropout_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, p: float = 0.5, seed: int = 0) -> tuple:
    """The same mask and the same scale on g."""
    return (_dropout_of(g, p, seed) if needs[0] else None,)


def _map(kernel: Callable, work: int, *arrays: np.ndarray) -> np.ndarray:
    """Run kernel(*inputs, output) on pieces of the flat arrays, in the order in which the first one lies in memory."""
    order = in_memory(arrays[0])
    turned = [ready(a.transpose(order)) for a in arrays]
    flat = [a.reshape(-1) for a in turned]
    flat.append(np.empty_like(flat[0]))
    # The pieces are cut here: inside a kernel, indices that might be negative would rule out vector instructions.
    split(lambda start, stop: kernel(*(a[start:stop] for a in flat)), flat[0].size, work * flat[0].size, GRAIN)
    return flat[-1].reshape(turned[0].shape).transpose(np.argsort(order))


def _dropout_of(x: np.ndarray, p: float, seed: int) -> np.ndarray:
    least, scale = np.uint64(threshold(p)), x.dtype.type(1.0 / (1.0 - p) if p < 1.0 else 0.0)
    flat, seed = ready(x).reshape(-1), int(seed)  # NumPy's integers would overflow in the sum below
    out = np.empty_like(flat)

    def piece(start: int, stop: int) -> None:
        _dropout(flat[start:stop], np.uint64((seed + (start + 1) * STEP) & WORD), least, scale, out[start:stop])

    split(piece, out.size, DROPOUT_WORK * out.size, GRAIN)
    return out.reshape(x.shape)


@jit
def _gelu(x, out):
    half = x.dtype.type(0.5)
    for i in range(x.size):
        v = x[i]
        tail = normal_tail(abs(v), exp(-half * v * v))
        out[i] = v * (tail if v < 0 else x.dtype.type(1) - tail)


@jit
def _gelu_backward(x, g, dx):
    half, one, density_0 = x.dtype.type(0.5), x.dtype.type(1), x.dtype.type(DENSITY_0)
    for i in range(x.size):
        v = x[i]
        e = exp(-half * v * v)
        tail = normal_tail(abs(v), e)
        dx[i] = g[i] * ((tail if v < 0 else one - tail) + v * density_0 * e)


@jit
def _gelu_tanh(x, out):
    one, slope, cube = x.dtype.type(1), x.dtype.type(-2 * SLOPE), x.dtype.type(CUBE)
    for i in range(x.size):
        v = x[i]
        e = exp(slope * abs(v) * (one + cube * v * v))  # (1 + tanh u) / 2 = 1 / (1 + e^-2u)
        s = one / (one + e)
        out[i] = v * (e * s if v < 0 else s)


@jit
def _gelu_tanh_backward(x, g, dx):
    one, three, slope, cube = x.dtype.type(1), x.dtype.type(3), x.dtype.type(2 * SLOPE), x.dtype.type(CUBE)
    for i in range(x.size):
        v = x[i]
        e = exp(-slope * abs(v) * (one + cube * v * v))
        s = one / (one + e)
        dx[i] = g[i] * ((e * s if v < 0 else s) + v * (e * s * s) * slope * (one + three * cube * v * v))


@jit
def _relu(x, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = zero if x[i] <= zero else x[i]


@jit
def _relu_backward(x, g, dx):
    zero = x.dtype.type(0)
    for i in range(x.size):
        dx[i] = g[i] if x[i] > zero else zero


@jit
def _dropout(x, seed, least, scale, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        z = seed + np.uint64(i) * np.uint64(STEP)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
        u = (z ^ (z >> np.uint64(31))) >> np.uint64(11)
        out[i] = x[i] * (scale if u >= least else zero)
