"""Adam and AdamW, as formulas on arrays and as one fused loop."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import device
from ..errors import OptionError
from ..tensor import Array
from .joined import LARGEST, Joined
from .on_device import adam_on_device
from .optimizer import Members, Optimizer, Params, Settings, scaled, state_array

MOMENTS = ("exp_avg", "exp_avg_sq")


class Adam(Optimizer):
    """Steps along the mean of recent gradients, divided by the root of the mean of their squares.

        m ← b1 m + (1 - b1) g          (A2 repaired: the article has no old m, and b1 on the new gradient)
        v ← b2 v + (1 - b2) g²         (A3 repaired in the same way)
        p ← p - lr m̂ / (sqrt(v̂) + eps), m̂ = m / (1 - b1^t), v̂ = v / (1 - b2^t)     (A4 completed)

    m and v start at 0 and are therefore too small at first; dividing by 1 - b^t makes up for it. Without it the first
    step would be about 3.16 lr long instead of lr. The (1 - t/T) that the article adds to m and v is a decay of the
    learning rate and belongs there: `tinyslm.optim.linear`.

    Args:
        params: the parameters, or groups of them.
        lr: learning rate, about the length of one step in each number.
        betas: b1 and b2, in [0, 1).
        eps: added to the root.
        weight_decay: w; the gradient becomes g + w p.
        check_finite: refuse a step with NaN or Inf in a gradient.

    Kingma & Ba 2015, Alg. 1. The formulas are PyTorch's.
    """

    not_negative = ("lr", "eps", "weight_decay")
    decoupled = False
    default_decay = 0.0

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | None = None,
        check_finite: bool = False,
    ):
        decay = self.default_decay if weight_decay is None else weight_decay
        betas = (betas[0], betas[1]) if np.shape(betas) == (2,) else betas
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": decay}, check_finite)
        self._joined: dict[int, Joined] = {}  # by the id of the first parameter
        self.size = sum(p.size for p in self.parameters())

    def check_settings(self, group: Settings) -> None:
        """Refuse settings outside their range."""
        super().check_settings(group)
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2 or not all(0 <= b < 1 for b in betas):
            raise OptionError(f"betas: expected two numbers from 0 to below 1, as (0.9, 0.999), got {betas!r}")

    def update_all(self, members: Members, group: Settings, grad_scale: Any) -> None:
        """Change the large arrays one by one, and the small ones of one type that are at the same step together."""
        if device.backend() == "cuda":
            members = adam_on_device(members, group, grad_scale, self.decoupled)
        small: dict[Any, Members] = {}
        for p, state in members:
            if p.size <= LARGEST and isinstance(p._data, np.ndarray):
                small.setdefault((state["step"], p.dtype), []).append((p, state))
            elif p.grad is not None:
                self.update(p._data, p.grad._data, state, group, grad_scale)
        for together in small.values():
            rest = together[0][1]["step"], group, grad_scale
            self._join(together).change(together, self._change, rest)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Settings, grad_scale: Any) -> None:
        """Change one array in place."""
        m, v = (state_array(state, name, p) for name in MOMENTS)
        self._change(p, g, m, v, state["step"], group, grad_scale)

    def _change(self, p: Array, g: Array, m: Array, v: Array, step: int, group: Settings, grad_scale: Any) -> None:
        """One step of the fused loop where it can serve, else of the formulas."""
        code = _fused(self.size, p, m, v) or adam_step
        beta1, beta2 = group["betas"]
        decay = group["weight_decay"]
        code(p, g, m, v, group["lr"], beta1, beta2, group["eps"], decay, step, self.decoupled, grad_scale)

    def _join(self, members: Members) -> Joined:
        """The flat arrays for these parameters: those of the step before if they still fit."""
        key = id(members[0][0])
        if key not in self._joined or not self._joined[key].fits(members):
            self._joined[key] = Joined(members, MOMENTS)
        return self._joined[key]


class AdamW(Adam):
    """Adam with the weight decay beside the gradient instead of in it: p ← p (1 - lr w) before each step.

    In Adam the decay is divided by the root of v like the rest of the gradient, so that numbers with large gradients
    hardly decay; here all decay at one rate.

    Args:
        params: the parameters, or groups of them.
        lr, betas, eps, check_finite: as for `Adam`.
        weight_decay: w, 0.01 unless given.

    Loshchilov & Hutter 2019.
    """

    decoupled = True
    default_decay = 0.01


def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    decoupled: bool = False,
    grad_scale: Any = 1.0,
) -> None:
    """One step of Adam, or AdamW if `decoupled`, in place on p, m and v (arrays of one shape); t = `step` from 1 on."""
    g = scaled(g, p, grad_scale, 0.0 if decoupled else weight_decay)
    if decoupled:
        p *= 1 - lr * weight_decay
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * g * g
    root = np.sqrt(v) / math.sqrt(1 - beta2**step) + eps
    p -= lr / (1 - beta1**step) * m / root


def _fused(total: int, *arrays: Array) -> Callable[..., None] | None:
    """The numba loop, where that is the backend, the model is large enough, and the arrays lie in one piece."""
    if device.backend() != "numba" or total < device.State.small:
        return None
    return _load() if all(a.flags.carray for a in arrays) else None


_loaded: list[Callable[..., None] | None] = []


def _load() -> Callable[..., None] | None:
    if not _loaded:
        try:
            _loaded.append(importlib.import_module("tinyslm.kernels.cpu.optim").adam)
        except Exception:  # a numba that does not import: the formulas serve, and the device module reports why
            _loaded.append(None)
    return _loaded[0]
