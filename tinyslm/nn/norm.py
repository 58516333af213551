"""Normalisation layers; the derivation of their gradients stands at the operations."""

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ops import batch_norm, layer_norm, rms_norm
from ..tensor import Tensor
from .module import Module, Parameter, check_sizes


class LayerNorm(Module):
    """y = w (x - mean) / sqrt(var + eps) + b over the last dimension: (..., D), which stays (Ba et al. 2016).

    Args:
        normalized_shape: D.
        eps: added to the variance.
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (D,), starts at 1
    bias: Parameter  # (D,), starts at 0

    def __init__(self, normalized_shape: int, eps: float = 1e-5, *, dtype: Any = "float32"):
        check_sizes("LayerNorm", 1, normalized_shape=normalized_shape)
        self.eps = eps
        self.weight = Parameter(np.ones(normalized_shape, dtype))
        self.bias = Parameter.zeros(normalized_shape, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D), which stays."""
        return layer_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.weight.size}"


class RMSNorm(Module):
    """y = w x / sqrt(mean(x²) + eps) over the last dimension: (..., D), which stays (Zhang & Sennrich 2019).

    Args:
        normalized_shape: D.
        eps: added to the mean square.
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (D,), starts at 1

    def __init__(self, normalized_shape: int, eps: float = 1e-6, *, dtype: Any = "float32"):
        check_sizes("RMSNorm", 1, normalized_shape=normalized_shape)
        self.eps = eps
        self.weight = Parameter(np.ones(normalized_shape, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D), which stays."""
        return rms_norm(x, self.weight, eps=self.eps)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.weight.size}"


class BatchNorm1d(Module):
    """y = w (x - mean) / sqrt(var + eps) + b per feature, over the batch: x (B, D) or (B, D, T) (Ioffe & Szegedy 2015).

    Training uses the batch's mean and variance and moves the running ones towards them by
    running = (1 - momentum) running + momentum batch, the variance with n - 1. Evaluating uses the running ones.

    Args:
        num_features: D.
        eps: added to the variance.
        momentum: weight of the newest batch.
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (D,), starts at 1
    bias: Parameter  # (D,), starts at 0
    running_mean: Tensor  # (D,), buffer
    running_var: Tensor  # (D,), buffer
    num_batches_tracked: Tensor  # (), buffer

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, *, dtype: Any = "float32"):
        check_sizes("BatchNorm1d", 1, num_features=num_features)
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(np.ones(num_features, dtype))
        self.bias = Parameter.zeros(num_features, dtype=dtype)
        self.register_buffer("running_mean", np.zeros(num_features, dtype))
        self.register_buffer("running_var", np.ones(num_features, dtype))
        self.register_buffer("num_batches_tracked", np.array(0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) or (B, D, T), which stays."""
        if not self.training:
            return self._by_running(x)
        y = batch_norm(x, self.weight, self.bias, eps=self.eps)
        self._track(x._data)
        return y

    def _by_running(self, x: Tensor) -> Tensor:
        column = (-1,) + (1,) * (x.ndim - 2)  # one number per feature, the second dimension of x
        scale = self.weight / (self.running_var + self.eps).sqrt()
        return (x - self.running_mean.reshape(column)) * scale.reshape(column) + self.bias.reshape(column)

    def _track(self, x: Any) -> None:
        n = x.size // x.shape[1]
        if n < 2:
            raise ShapeError(
                f"BatchNorm1d: a variance needs two values per feature.\n  Expected: B T > 1\n  Got: {x.shape}"
            )
        dims = (0, *range(2, x.ndim))
        batch = {"running_mean": x.mean(axis=dims), "running_var": x.var(axis=dims, ddof=1)}
        for name, new in batch.items():
            running = getattr(self, name)
            running.copy_((1 - self.momentum) * running._data + self.momentum * new)
        self.num_batches_tracked.copy_(self.num_batches_tracked._data + 1)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.weight.size}"
