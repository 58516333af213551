"""RMSprop."""

from typing import Any

import numpy as np

from ..tensor import Array
from .optimizer import Optimizer, Params, Settings, scaled, state_array


class RMSprop(Optimizer):
    """v ← a v + (1 - a) g², p ← p - lr g / (sqrt(v) + eps): each number is scaled by the size of its recent gradients.

    Centred, v is replaced by v - mean(g)², an estimate of the variance. With momentum, the steps are averaged:
    b ← m b + g / (sqrt(v) + eps), p ← p - lr b.

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        alpha: a, the share of the old mean square that is kept.
        eps: added to the root.
        weight_decay: w; the gradient becomes g + w p.
        momentum: m.
        centered: divide by the deviation instead of the root mean square.
        check_finite: refuse a step with NaN or Inf in a gradient.

    Tieleman & Hinton 2012 (lecture 6.5); centred: Graves 2013. The formulas are PyTorch's.
    """

    not_negative = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        check_finite: bool = False,
    ):
        settings = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "momentum": momentum, "centered": centered}, check_finite)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Settings, grad_scale: Any) -> None:
        """Change one array in place."""
        g = scaled(g, p, grad_scale, group["weight_decay"])
        step = g / (np.sqrt(self._spread(g, state, group)) + group["eps"])
        if group["momentum"]:
            buffer = state_array(state, "momentum_buffer", p)
            buffer *= group["momentum"]
            buffer += step
            step = buffer
        p -= group["lr"] * step

    def _spread(self, g: Array, state: dict[str, Any], group: Settings) -> Array:
        a = group["alpha"]
        v = state_array(state, "square_avg", g)
        v *= a
        v += (1 - a) * g * g
        if not group["centered"]:
            return v
        mean = state_array(state, "grad_avg", g)
        mean += (1 - a) * (g - mean)
        return v - mean * mean
