"""The affine layer."""

import math
from typing import Any

import numpy as np

from ..ops import linear
from ..tensor import Tensor
from . import init
from .module import Module, Parameter, check_sizes


class Linear(Module):
    """y = x Wᵀ + b: x (..., D) -> (..., H).

    Args:
        in_features: D.
        out_features: H.
        bias: whether b is there.
        rng: draws the start values, W and b from U(-1/sqrt(D), 1/sqrt(D)) as in PyTorch (LeCun et al. 1998).
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (H, D)
    bias: Parameter | None  # (H,)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        check_sizes("Linear", 0, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter.zeros(out_features, in_features, dtype=dtype)
        self.bias = Parameter.zeros(out_features, dtype=dtype) if bias else None
        bound = 1 / math.sqrt(max(in_features, 1))
        for parameter in self.own_parameters().values():
            init.uniform_(parameter, -bound, bound, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., H)."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")
