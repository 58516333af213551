"""Host side of `elementwise.cu`: GELU, the error function, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cpu._random import WORD, threshold
from ._launch import Array, array_library, for_entries, launch, ready


def gelu_forward(x: Array, approximate: str = "none") -> tuple[Array, None]:
    """y = x P(Z <= x) for a standard normal Z, or its tanh formula."""
    return _map(f"gelu{_tanh(approximate)}_forward", x), None


def gelu_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, approximate: str = "none") -> tuple:
    """The derivative of the formula that was used forward, times g."""
    return (_map(f"gelu{_tanh(approximate)}_backward", arrays[0], g) if needs[0] else None,)


def erf_forward(x: Array) -> tuple[Array, None]:
    """y = erf(x) = 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return _map("erf_forward", x), None


def erf_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple) -> tuple:
    """The gradient dx = g 2 / sqrt(pi) exp(-x^2)."""
    return (_map("erf_backward", arrays[0], g) if needs[0] else None,)


def dropout_forward(x: Array, p: float = 0.5, seed: int = 0) -> tuple[Array, None]:
    """y_i = x_i / (1 - p) where u_i >= p, else 0; u_i comes from seed and flat index alone, the same as on the CPU."""
    return _dropout(x, p, seed), None


def dropout_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, p: float = 0.5, seed: int = 0) -> tuple:
    """The same mask and the same scale on g."""
    return (_dropout(g, p, seed) if needs[0] else None,)


def _tanh(approximate: str) -> str:
    return "_tanh" if approximate == "tanh" else ""


def _map(name: str, *arrays: Array) -> Array:
    inputs = [ready(a) for a in arrays]
    out = array_library().empty(inputs[0].shape, inputs[0].dtype)
    launch(f"elementwise:{name}", *for_entries(out.size), [*map(_flat, inputs), _flat(out), np.int64(out.size)])
    return out


def _flat(a: Array) -> Array:
    return a.reshape(-1)


def _dropout(x: Array, p: float, seed: int) -> Array:
    x = ready(x)
    out = array_library().empty(x.shape, x.dtype)
    least, scale = np.uint64(threshold(p)), 1.0 / (1.0 - p) if p < 1 else 0.0
    arguments = [_flat(x), _flat(out), np.uint64(int(seed) & WORD), least, scale, np.int64(out.size)]
    launch("elementwise:dropout", *for_entries(out.size), arguments)
    return out
