"""Convolution and pooling over one dimension, from windows and a matrix product.

`unfold` lays the windows of a sequence side by side and `fold` adds windows back; each is the other's derivative.
"""

from typing import Any

import numpy as np

from ..engine import composed, composition_forward, composition_rule, op
from ..errors import ShapeError, require_tensor, require_whole
from ..tensor import Tensor
from .matmul import matmul
from .shape import pad


@op(r"y_{b c l k} = x_{b, c, l s + k d}")
def unfold(xp, x, size=1, stride=1, dilation=1):
    """Windows of a sequence: x (B, C, T) -> (B, C, L, K), with K = `size` and L = (T - d (K - 1) - 1) // s + 1."""
    reach = dilation * (size - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=-1)
    return windows[:, :, ::stride, ::dilation].copy()


@unfold.shape
def _unfold_shape(x, size, stride, dilation):
    _check_windows("unfold", x, size, stride, dilation)


def _check_windows(name: str, x: tuple, size: Any, stride: Any, dilation: Any) -> None:
    for key, value in {"size": size, "stride": stride, "dilation": dilation}.items():
        require_whole(value, key, 1, of=name)
    if len(x) != 3 or x[-1] < dilation * (size - 1) + 1:
        raise ShapeError(
            f"{name}: a window of {size} (dilation {dilation}) needs as many steps.\n"
            f"  Expected: x (B, C, T) with T at least {dilation * (size - 1) + 1}\n  Got: {x}"
        )


@unfold.vjp
def unfold_vjp(g, y, x, size, stride, dilation):
    return fold(g, length=x.shape[-1], stride=stride, dilation=dilation)


@op(r"y_{b c t} = \sum_{l s + k d = t} x_{b c l k}")
def fold(xp, x, length=0, stride=1, dilation=1):
    """Windows (B, C, L, K) added back into a sequence (B, C, `length`)."""
    y = xp.zeros((*x.shape[:2], length), x.dtype)
    reach = stride * (x.shape[2] - 1) + 1
    for k in range(x.shape[3]):
        y[:, :, k * dilation : k * dilation + reach : stride] += x[..., k]
    return y


@fold.vjp
def fold_vjp(g, y, x, length, stride, dilation):
    return unfold(g, size=x.shape[3], stride=stride, dilation=dilation)


@composed
def conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Tensor:
    """One-dimensional convolution (cross-correlation): y_{b o l} = b_o + sum_{c k} w_{o c k} x_{b, c, l s + k d}.

    Args:
        x: (B, C, T).
        weight: (O, C, K).
        bias: (O,) or None.
        stride: step between windows.
        padding: zeros added on both sides.
        dilation: distance between the elements of a window.

    Returns:
        (B, O, L) with L = (T + 2 padding - dilation (K - 1) - 1) // stride + 1.
    """
    require_tensor(x, "x", "(B, C, T)", of="conv1d")
    require_tensor(weight, "weight", "(O, C, K)", of="conv1d")
    three = x.ndim == weight.ndim == 3
    if not three or x.shape[1] != weight.shape[1]:
        raise ShapeError(
            f"conv1d: {'the channels differ' if three else 'x and weight need three dimensions'}.\n"
            f"  Expected: x (B, C, T) and weight (O, C, K)\n  Got: x {x.shape}, weight {weight.shape}"
        )
    bias = Tensor.wrap(np.zeros(weight.shape[0], weight.dtype)) if bias is None else bias
    return conv1d_fused(x, weight, bias, stride=stride, padding=padding, dilation=dilation)


def conv1d_simple(x, weight, bias, stride=1, padding=0, dilation=1):
    """The windows side by side, times the weights."""
    if padding:
        x = pad(x, width=((0, 0), (0, 0), (padding, padding)))
    windows = unfold(x, size=weight.shape[2], stride=stride, dilation=dilation)
    b, c, l, k = windows.shape
    y = matmul(windows.permute(0, 2, 1, 3).reshape(b, l, c * k), weight.reshape(weight.shape[0], c * k).mT)
    return (y + bias).permute(0, 2, 1)


@op(r"y_{b o l} = b_o + \sum_{c k} w_{o c k} x_{b, c, l s + k d}")
def conv1d_fused(xp, x, weight, bias, stride=1, padding=0, dilation=1):
    """What `conv1d` computes, with a bias, as one operation."""
    return composition_forward(conv1d_fused)(xp, x, weight, bias, stride=stride, padding=padding, dilation=dilation)


@conv1d_fused.shape
def _conv1d_shape(x, weight, bias, stride, padding, dilation):
    require_whole(padding, "padding", 0, of="conv1d")
    if bias != weight[:1]:
        raise ShapeError(f"conv1d: expected a bias ({weight[0]},), got {bias}")
    _check_windows("conv1d", (*x[:2], x[2] + 2 * padding), weight[2], stride, dilation)


conv1d_fused.reference(conv1d_simple)
composition_rule(conv1d_fused)
conv1d_fused.kernel("numba", "conv:conv1d", steps=16)
conv1d_fused.kernel("cuda", "conv:conv1d")


@composed
def max_pool1d(x: Tensor, kernel_size: int, stride: int | None = None) -> Tensor:
    """The maximum of each window: (B, C, T) -> (B, C, L); windows don't overlap unless `stride` says so."""
    return _windows("max_pool1d", x, kernel_size, stride).max(-1)


@composed
def avg_pool1d(x: Tensor, kernel_size: int, stride: int | None = None) -> Tensor:
    """The mean of each window: (B, C, T) -> (B, C, L); windows don't overlap unless `stride` says so."""
    return _windows("avg_pool1d", x, kernel_size, stride).mean(-1)


def _windows(name: str, x: Tensor, kernel_size: int, stride: int | None) -> Tensor:
    size = require_whole(kernel_size, "kernel_size", 1, of=name)
    return unfold(x, size=size, stride=size if stride is None else require_whole(stride, "stride", 1, of=name))


# -- test inputs ------------------------------------------------------------------------------------------------------

_CASES = [(7, 3, 1, 1), (8, 3, 2, 1), (9, 3, 2, 2), (4, 4, 1, 1), (5, 1, 2, 1)]


@unfold.samples
def _unfold_samples(rng):
    for t, k, s, d in _CASES:
        yield (rng.normal(size=(2, 2, t)),), {"size": k, "stride": s, "dilation": d}


@fold.samples
def _fold_samples(rng):
    for t, k, s, d in _CASES:
        windows = rng.normal(size=(2, 2, (t - d * (k - 1) - 1) // s + 1, k))
        yield (windows,), {"length": t, "stride": s, "dilation": d}


@conv1d_fused.samples
def _conv1d_samples(rng):
    for t, k, s, d in _CASES:
        arrays = tuple(rng.normal(size=n) for n in ((2, 2, t), (3, 2, k), (3,)))
        yield arrays, {"stride": s, "padding": k - 1, "dilation": d}
