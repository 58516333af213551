"""Normalisation: layer, root-mean-square and batch norm. One derivation serves all three.

With x_hat = (x - mean) / s and s = sqrt(var + eps), both statistics depend on every x of the group, so that
dL/dx = (h - mean(h) - x_hat mean(h x_hat)) / s, where h = g w is the cotangent of x_hat. RMS norm takes no mean out and
lacks the middle term.
"""

from typing import Any

import numpy as np

from ..engine import op
from ..errors import OptionError, ShapeError, is_number
from ..tensor import Tensor
from .elementwise import sqrt


def _standardise(x: Any, dims: tuple[int, ...], eps: float, sqrt: Any = np.sqrt) -> tuple[Any, Any]:
    """x minus its mean, divided by sqrt(variance + eps), and that divisor; for arrays and tensors alike."""
    n = np.prod([x.shape[d] for d in dims])
    centred: Any = x - x.sum(dims, keepdims=True) / n if not isinstance(x, Tensor) else x - x.mean(dims, True)
    squares = centred * centred
    variance = squares.sum(dims, keepdims=True) / n if not isinstance(x, Tensor) else squares.mean(dims, True)
    s = sqrt(variance + eps)
    return (centred / s).astype(x.dtype) if not isinstance(x, Tensor) else centred / s, s


def _check(name: str, x: tuple, weight: tuple, bias: tuple, dim: int, eps: Any) -> None:
    if not (is_number(eps) and eps >= 0):
        raise OptionError(f"{name}: expected an eps of at least 0, got {eps!r}")
    if not 0 <= dim < len(x) or weight != (x[dim],) or bias != weight:
        raise ShapeError(
            f"{name}: weight and bias have one number per feature.\n"
            f"  Expected: weight and bias ({x[dim] if 0 <= dim < len(x) else 'D'},) for x {x}\n"
            f"  Got: weight {weight}, bias {bias}"
        )


def _grads(h: Tensor, x_hat: Tensor, s: Tensor, dims: tuple[int, ...]) -> Tensor:
    return (h - h.mean(dims, True) - x_hat * (h * x_hat).mean(dims, True)) / s


@op(r"y = w \frac{x - \bar x}{\sqrt{\operatorname{var} x + \epsilon}} + b \text{ over the last dimension}", floats=True)
def layer_norm(xp, x, weight, bias, eps=1e-5):
    """Layer norm (Ba et al. 2016): x (..., D), weight (D,), bias (D,); each row gets mean 0 and variance 1, then w, b.

    The variance is the mean square deviation (no correction).
    """
    return _standardise(x, (-1,), eps)[0] * weight + bias


@layer_norm.shape
def _layer_norm_shape(x, weight, bias, eps):
    _check("layer_norm", x, weight, bias, len(x) - 1, eps)


@layer_norm.vjp
def layer_norm_vjp(g, y, x, weight, bias, eps):
    x_hat, s = _standardise(x, (-1,), eps, sqrt)
    return lambda: _grads(g * weight, x_hat, s, (-1,)), lambda: g * x_hat, g


layer_norm.kernel("numba", "norm:layer_norm", steps=16)


layer_norm.kernel("cuda", "norm:layer_norm")


@op(r"y = w \frac{x}{\sqrt{\overline{x^2} + \epsilon}} \text{ over the last dimension}", floats=True)
def rms_norm(xp, x, weight, eps=1e-6):
    """Root-mean-square norm (Zhang & Sennrich 2019): x (..., D), weight (D,)."""
    return (x / xp.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)).astype(x.dtype) * weight


@rms_norm.shape
def _rms_norm_shape(x, weight, eps):
    _check("rms_norm", x, weight, weight, len(x) - 1, eps)


@rms_norm.vjp
def rms_norm_vjp(g, y, x, weight, eps):
    s = sqrt((x * x).mean(-1, True) + eps)
    x_hat, h = x / s, g * weight
    return lambda: (h - x_hat * (h * x_hat).mean(-1, True)) / s, lambda: g * x_hat


rms_norm.kernel("numba", "norm:rms_norm", steps=16)


rms_norm.kernel("cuda", "norm:rms_norm")


def _batch_dims(ndim: int) -> tuple[int, ...]:
    return tuple(d for d in range(ndim) if d != 1)


def _per_feature(t: Any, ndim: int) -> Any:
    return t.reshape((1, -1) + (1,) * (ndim - 2))


@op(r"y = w \frac{x - \bar x}{\sqrt{\operatorname{var} x + \epsilon}} + b \text{ over the batch}", floats=True)
def batch_norm(xp, x, weight, bias, eps=1e-5):
    """Batch norm by this batch's statistics (Ioffe & Szegedy 2015): x (B, D) or (B, D, T), weight (D,), bias (D,)."""
    x_hat = _standardise(x, _batch_dims(x.ndim), eps)[0]
    return x_hat * _per_feature(weight, x.ndim) + _per_feature(bias, x.ndim)


@batch_norm.shape
def _batch_norm_shape(x, weight, bias, eps):
    _check("batch_norm", x, weight, bias, 1, eps)


@batch_norm.vjp
def batch_norm_vjp(g, y, x, weight, bias, eps):
    dims = _batch_dims(x.ndim)
    x_hat, s = _standardise(x, dims, eps, sqrt)
    h = g * _per_feature(weight, x.ndim)
    return lambda: _grads(h, x_hat, s, dims), lambda: (g * x_hat).sum(dims), lambda: g.sum(dims)


# -- test inputs ------------------------------------------------------------------------------------------------------


@layer_norm.samples
def _layer_norm_samples(rng):
    for shape in [(3, 4), (2, 2, 5), (6,)]:
        yield (rng.normal(size=shape), rng.normal(size=shape[-1:]), rng.normal(size=shape[-1:])), {"eps": 1e-5}


@rms_norm.samples
def _rms_norm_samples(rng):
    for shape in [(3, 4), (2, 2, 5)]:
        yield (rng.normal(size=shape), rng.normal(size=shape[-1:])), {"eps": 1e-6}


@batch_norm.samples
def _batch_norm_samples(rng):
    for shape in [(5, 3), (2, 3, 4)]:
        yield (rng.normal(size=shape), rng.normal(size=3), rng.normal(size=3)), {"eps": 1e-5}
