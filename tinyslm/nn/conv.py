"""Convolution and pooling over one dimension, for text as a sequence of D channels: x (B, C, T)."""

import math
from typing import Any

import numpy as np

from ..ops import avg_pool1d, conv1d, max_pool1d
from ..tensor import Tensor
from . import init
from .module import Module, Parameter, check_sizes


class Conv1d(Module):
    """y_{b o l} = b_o + sum_{c k} w_{o c k} x_{b, c, l s + k d}: x (B, C, T) -> (B, O, L).

    L = (T + 2 padding - dilation (K - 1) - 1) // stride + 1. For text (B, T, D) swap the last two dimensions: x.mT.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K.
        stride: s, the step between windows.
        padding: zeros added on both sides.
        dilation: d, the distance between the elements of a window.
        bias: whether b is there.
        rng: draws the start values from U(-1/sqrt(C K), 1/sqrt(C K)), as in PyTorch.
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (O, C, K)
    bias: Parameter | None  # (O,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        sizes = {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size}
        check_sizes("Conv1d", 1, **sizes, stride=stride, dilation=dilation)
        check_sizes("Conv1d", 0, padding=padding)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.weight = Parameter.zeros(out_channels, in_channels, kernel_size, dtype=dtype)
        self.bias = Parameter.zeros(out_channels, dtype=dtype) if bias else None
        bound = 1 / math.sqrt(in_channels * kernel_size)
        for parameter in self.own_parameters().values():
            init.uniform_(parameter, -bound, bound, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, O, L)."""
        return conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """The sizes."""
        o, c, k = self.weight.shape
        return f"{c}, {o}, {k}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}"


class MaxPool1d(Module):
    """The maximum of each window: (B, C, T) -> (B, C, L).

    Args:
        kernel_size: K.
        stride: the step between windows; K where it is None.
    """

    def __init__(self, kernel_size: int, stride: int | None = None):
        stride = kernel_size if stride is None else stride
        check_sizes(type(self).__name__, 1, kernel_size=kernel_size, stride=stride)
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, L)."""
        return max_pool1d(x, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        """The window."""
        return f"{self.kernel_size}, stride={self.stride}"


class AvgPool1d(MaxPool1d):
    """The mean of each window: (B, C, T) -> (B, C, L); arguments as for `MaxPool1d`."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, L)."""
        return avg_pool1d(x, self.kernel_size, self.stride)
