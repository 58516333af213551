"""How the last step of a derivation calls the code that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import engine
from ..tensor import Tensor

Array = np.ndarray


def value(function: Callable[..., Any], *arrays: Any) -> Array:
    """The value of a function of tensors at some arrays."""
    return np.asarray(function(*map(Tensor.wrap, arrays))._data)


def pulled(function: Callable[..., Any], g: Any, *arrays: Any) -> tuple[Array, ...]:
    """What the engine's backward pass makes of the cotangent g of a function of tensors: one gradient per array."""
    _, pullback = engine.vjp(function, *map(Tensor.wrap, arrays))
    return tuple(t._data for t in pullback(Tensor.wrap(np.asarray(g, np.float64))))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x) for arrays."""
    return 1 / (1 + np.exp(-x))


def softmax(x: Any) -> Any:
    """e^x over its sum along the last dimension."""
    e = np.exp(x - x.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
