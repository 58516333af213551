"""Activation functions as modules, for `Sequential`. The formulas stand at the operations."""

from .. import ops
from ..tensor import Tensor
from .module import Module


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.relu(x)


class LeakyReLU(Module):
    """y = x above 0 and a x below, with a = `negative_slope`."""

    def __init__(self, negative_slope: float = 0.01):
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module):
    """y = x above 0 and alpha (e^x - 1) below (Clevert et al. 2016)."""

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.elu(x, alpha=self.alpha)


class GELU(Module):
    """y = x Phi(x), Phi Gauss's distribution function; `approximate` is "none" or "tanh" (Hendrycks & Gimpel 2016)."""

    def __init__(self, approximate: str = "none"):
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.gelu(x, approximate=self.approximate)


class SiLU(Module):
    """y = x sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.silu(x)


class Softplus(Module):
    """y = ln(1 + e^x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.softplus(x)


class Tanh(Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.tanh(x)


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.sigmoid(x)


class Softmax(Module):
    """y_i = e^x_i / sum_j e^x_j along `dim`. Losses take logits: put no softmax before `CrossEntropyLoss`."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.softmax(x, dim=self.dim)


class LogSoftmax(Module):
    """y_i = x_i - ln sum_j e^x_j along `dim`."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        return ops.log_softmax(x, dim=self.dim)
