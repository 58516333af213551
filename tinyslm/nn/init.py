"""Initialisation: fill a parameter in place with random numbers of a chosen spread.

The numbers are drawn in float64 and then rounded, so that a float32 and a float64 model of one seed start alike.
The fan-in of a weight (O, I) or (O, I, K) is I K, its fan-out O K: how many numbers enter and leave one unit.
"""

import math
from typing import TypeVar

import numpy as np

from ..errors import OptionError, ShapeError, require_rng
from ..tensor import Tensor

T = TypeVar("T", bound=Tensor)


def constant_(tensor: T, val: float) -> T:
    """Every element `val`."""
    tensor.copy_(np.full(tensor.shape, val))
    return tensor


def zeros_(tensor: T) -> T:
    """Every element 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: T) -> T:
    """Every element 1."""
    return constant_(tensor, 1.0)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, *, rng: np.random.Generator) -> T:
    """Evenly distributed between a and b."""
    tensor.copy_(require_rng(rng).uniform(a, b, tensor.shape))
    return tensor


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator) -> T:
    """Gaussian with this mean and standard deviation."""
    tensor.copy_(require_rng(rng).normal(mean, std, tensor.shape))
    return tensor


def xavier_uniform_(tensor: T, gain: float = 1.0, *, rng: np.random.Generator) -> T:
    """U(-a, a) with a = gain sqrt(6 / (fan_in + fan_out)): keeps the variance of signal and gradient near 1.

    Glorot & Bengio 2010, eq. 16.
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor.shape)))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor: T, gain: float = 1.0, *, rng: np.random.Generator) -> T:
    """N(0, s²) with s = gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor.shape))), rng=rng)


def kaiming_uniform_(tensor: T, a: float = 0.0, mode: str = "fan_in", *, rng: np.random.Generator) -> T:
    """U(-b, b) with b = sqrt(6 / ((1 + a²) fan)): the same variance as `kaiming_normal_` (He et al. 2015)."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode)
    return uniform_(tensor, -bound, bound, rng=rng)


def kaiming_normal_(tensor: T, a: float = 0.0, mode: str = "fan_in", *, rng: np.random.Generator) -> T:
    """N(0, s²) with s = sqrt(2 / ((1 + a²) fan)), which makes up for the half that relu cuts off.

    Args:
        tensor: the weight.
        a: slope of the leaky relu that follows, 0 for relu.
        mode: "fan_in" keeps the signal's variance, "fan_out" that of the gradient.
        rng: the random generator.

    He et al. 2015, eq. 10 and 15.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode), rng=rng)


def _kaiming_std(tensor: Tensor, a: float, mode: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise OptionError(f"mode: expected 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor.shape)[mode == "fan_out"]
    return math.sqrt(2 / ((1 + a * a) * fan))


def orthogonal_(tensor: T, gain: float = 1.0, *, rng: np.random.Generator) -> T:
    """A random matrix with orthonormal rows, or columns where there are fewer (Saxe et al. 2014), times `gain`.

    It turns vectors without stretching them, so that a recurrent network neither explodes nor fades at the start.
    """
    fans(tensor.shape)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = np.linalg.qr(require_rng(rng).normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))  # without this the matrices would not be evenly distributed over all rotations
    tensor.copy_(np.ascontiguousarray(gain * (q if rows >= columns else q.T)).reshape(tensor.shape))
    return tensor


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight."""
    if len(shape) < 2:
        raise ShapeError(f"init: fan-in and fan-out need a weight (O, I) or (O, I, K). Got: shape {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window
