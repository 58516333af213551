"""Host side of `optim.cu`: Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._launch import Array, array_library, for_entries, launch, ready


def adam(
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
    decoupled: bool,
    grad_scale: Any,
) -> None:
    """Step number `step` (1 is the first), in place on p, m and v, as in `kernels/cpu/optim.py`.

    `grad_scale` is a number, or an array of one number on the device, which is read there.
    """
    xp = array_library()
    scale = grad_scale if hasattr(grad_scale, "dtype") and grad_scale.shape else xp.full(1, grad_scale, p.dtype)
    coupled, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled else (float(weight_decay), 1.0)
    root = 1.0 / math.sqrt(1.0 - beta2**step)
    numbers = [coupled, shrink, 1.0 - beta1, beta2, 1.0 - beta2, root, eps, lr / (1.0 - beta1**step)]
    arrays = [_in_place("p", p), _in_place("m", m), _in_place("v", v), ready(g).reshape(-1)]
    launch("optim:adam", *for_entries(p.size), [*arrays, scale, *map(float, numbers), np.int64(p.size)])


def _in_place(name: str, a: Array) -> Array:
    if not a.flags.c_contiguous:
        raise ValueError(f"Expected `{name}` contiguous, since Adam changes it in place. Got strides {a.strides}.")
    return a.reshape(-1)
