"""Where a token stands, told to a model that would otherwise see a bag of tokens."""

import math
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ops import reshape, stack
from ..tensor import Tensor
from . import init
from .module import Module, Parameter, check_sizes


def sinusoidal_positions(time: int, features: int, dtype: Any = "float32") -> Tensor:
    """A table (T, D) that is added to embeddings: P_{t,2i} = sin(t / 10000^(2i/D)), P_{t,2i+1} = cos of the same.

    The rows of t and t + k differ by a rotation that depends on k alone. Vaswani et al. 2017, §3.5.
    """
    angle = _angles(np.arange(time), features + features % 2)
    table = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(time, -1)
    return Tensor.wrap(table[:, :features].astype(dtype))


class SinusoidalPositions(Module):
    """y_t = x_t + P_{start + t} with the table of `sinusoidal_positions`; nothing is learned."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """(B, T, D), which stays; the first step is number `start`."""
        return x + sinusoidal_positions(start + x.shape[-2], x.shape[-1], x.dtype)[start:]


class LearnedPositions(Module):
    """y_t = x_t + E_{start + t}, with one learned vector per position (Gehring et al. 2017; GPT and BERT).

    Args:
        max_time: the number of positions; longer sequences are refused.
        embedding_dim: D.
        scale: standard deviation of the start values.
        rng: draws them.
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (max_time, D)

    def __init__(
        self,
        max_time: int,
        embedding_dim: int,
        scale: float = 0.02,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        check_sizes("LearnedPositions", 0, max_time=max_time, embedding_dim=embedding_dim)
        self.weight = Parameter.zeros(max_time, embedding_dim, dtype=dtype)
        init.normal_(self.weight, 0.0, scale, rng=rng)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """(B, T, D), which stays; the first step is number `start`."""
        stop = start + x.shape[-2]
        if stop > len(self.weight):
            raise ShapeError(f"positions: expected at most {len(self.weight)} steps, got {stop}; shorten the sequence")
        return x + self.weight[start:stop]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


def apply_rotary(q: Tensor, k: Tensor, start: int = 0, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Turn queries and keys by angles that grow with the position, so that q_s · k_t depends on s - t alone.

    Each pair of neighbouring features (2i, 2i+1) at position t is turned by t base^(-2i/D).

    Args:
        q: (..., T, D), D even.
        k: (..., S, D).
        start: the position of the first query and key.
        base: 10000 in the article.

    Returns:
        the turned queries and keys. Su et al. 2021, eq. 15 and 34.
    """
    return _rotate(q, start, base), _rotate(k, start, base)


def _rotate(x: Tensor, start: int, base: float) -> Tensor:
    if x.shape[-1] % 2:
        raise ShapeError(f"apply_rotary: expected an even number of features, they are turned in pairs. Got: {x.shape}")
    angle = _angles(np.arange(start, start + x.shape[-2]), x.shape[-1], base)
    cos, sin = (Tensor.wrap(f(angle).astype(x.dtype)) for f in (np.cos, np.sin))
    a, b = x[..., 0::2], x[..., 1::2]
    return reshape(stack([a * cos - b * sin, a * sin + b * cos], dim=-1), shape=x.shape)


def _angles(positions: np.ndarray, features: int, base: float = 10000.0) -> np.ndarray:
    """Angles t base^(-2i/D) as (T, D/2)."""
    return positions[:, None] * np.exp(np.arange(0, features, 2) * (-math.log(base) / features))
