"""Stochastic gradient descent, with momentum."""

from typing import Any

from ..errors import OptionError
from ..tensor import Array
from .optimizer import Optimizer, Params, Settings, scaled, state_array


class SGD(Optimizer):
    """p ← p - lr g; with momentum m: v ← m v + (1 - d) g, p ← p - lr v.

    The first step has v = g. Nesterov's form takes g + m v instead of v.

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        momentum: m, the share of the old direction that is kept.
        dampening: d.
        weight_decay: w; the gradient becomes g + w p.
        nesterov: look ahead (needs momentum, and no dampening).
        check_finite: refuse a step with NaN or Inf in a gradient.

    Robbins & Monro 1951; Polyak 1964; Nesterov's form after Sutskever et al. 2013. The formulas are PyTorch's.
    """

    not_negative = ("lr", "momentum", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        check_finite: bool = False,
    ):
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening}
        super().__init__(params, {**settings, "weight_decay": weight_decay, "nesterov": nesterov}, check_finite)

    def check_settings(self, group: Settings) -> None:
        """Refuse settings outside their range."""
        super().check_settings(group)
        if group["nesterov"] and not (group["momentum"] > 0 and group["dampening"] == 0):
            raise OptionError("SGD: nesterov needs momentum above 0 and dampening 0")

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Settings, grad_scale: Any) -> None:
        """Change one array in place."""
        g = scaled(g, p, grad_scale, group["weight_decay"])
        if group["momentum"]:
            g = self._direction(g, state, group)
        p -= group["lr"] * g

    def _direction(self, g: Array, state: dict[str, Any], group: Settings) -> Array:
        if "momentum_buffer" in state:
            v = state_array(state, "momentum_buffer", g)
            v *= group["momentum"]
            v += (1 - group["dampening"]) * g
        else:
            state["momentum_buffer"] = g.copy()
        v = state["momentum_buffer"]
        return g + group["momentum"] * v if group["nesterov"] else v
