"""Host side of `softmax.cu`."""

from __future__ import annotations

from typing import Any

from ._launch import Array, array_library, as_rows, for_rows, launch


def softmax_forward(x: Array, dim: int = -1) -> tuple[Array, None]:
    """y_i = exp(x_i) / sum_j exp(x_j) along `dim`; a row of -inf gives NaN."""
    return _map_rows("softmax_forward", dim, x), None


def softmax_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, dim: int = -1) -> tuple:
    """dx_i = y_i (g_i - sum_j g_j y_j)."""
    return (_map_rows("softmax_backward", dim, g, out) if needs[0] else None,)


def log_softmax_forward(x: Array, dim: int = -1) -> tuple[Array, None]:
    """y_i = x_i - log sum_j exp(x_j) along `dim`."""
    return _map_rows("log_softmax_forward", dim, x), None


def log_softmax_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, dim: int = -1) -> tuple:
    """dx_i = g_i - exp(y_i) sum_j g_j."""
    return (_map_rows("log_softmax_backward", dim, g, out) if needs[0] else None,)


def _map_rows(name: str, dim: int, *arrays: Array) -> Array:
    """Run kernel(*inputs, output, rows, cols) on the rows along `dim`."""
    xp = array_library()
    moved = [xp.moveaxis(a, dim, -1) for a in arrays]
    rows = [as_rows(a) for a in moved]
    out = xp.empty(rows[0].shape, rows[0].dtype)
    launch(f"softmax:{name}", *for_rows(*out.shape), [*rows, out, *out.shape])
    return xp.moveaxis(out.reshape(moved[0].shape), -1, dim)
