"""Host side of `norm.cu`: layer norm and RMS norm."""

from __future__ import annotations

from typing import Any

from ._launch import Array, array_library, as_rows, for_rows, launch, ready

STRETCH = 64  # rows whose gradients of weight and bias one block adds up


def layer_norm_forward(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> tuple[Array, tuple[Array, Array]]:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axis of x (..., D)."""
    rows, out, means, scales = _start(x)
    arguments = [rows, ready(weight), ready(bias), float(eps), out, means, scales, *rows.shape]
    launch("norm:layer_norm_forward", *for_rows(*rows.shape), arguments)
    return out.reshape(x.shape), (means, scales)


def layer_norm_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, eps: float = 1e-5) -> tuple:
    """With n the normalised x and h = g * weight: dx = (h - mean(h) - n mean(h n)) / sqrt(variance + eps)."""
    return _norm_backward(g, arrays, *saved, needs, True)


def rms_norm_forward(x: Array, weight: Array, eps: float = 1e-6) -> tuple[Array, Array]:
    """y = x / sqrt(mean(x^2) + eps) * weight over the last axis of x (..., D)."""
    rows, out, _, scales = _start(x)
    arguments = [rows, ready(weight), float(eps), out, scales, *rows.shape]
    launch("norm:rms_norm_forward", *for_rows(*rows.shape), arguments)
    return out.reshape(x.shape), scales


def rms_norm_backward(g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, eps: float = 1e-6) -> tuple:
    """As for layer norm, without the mean: dx = (h - n mean(h n)) / sqrt(mean(x^2) + eps)."""
    return _norm_backward(g, arrays, array_library().zeros(saved.shape, saved.dtype), saved, needs, False)


def _start(x: Array) -> tuple[Array, Array, Array, Array]:
    """The rows of x, and room for the result and two numbers for each row."""
    rows, xp = as_rows(x), array_library()
    return rows, xp.empty(rows.shape, x.dtype), xp.empty(len(rows), x.dtype), xp.empty(len(rows), x.dtype)


def _norm_backward(g: Array, arrays: tuple, means: Array, scales: Array, needs: tuple, centred: bool) -> tuple:
    rows, gs, w, dx = as_rows(arrays[0]), as_rows(g), ready(arrays[1]), None
    if needs[0]:
        dx = array_library().empty(rows.shape, rows.dtype)
        launch("norm:norm_backward", *for_rows(*rows.shape), [rows, gs, w, means, scales, centred, dx, *rows.shape])
        dx = dx.reshape(arrays[0].shape)
    sums = _weight_sums(rows, gs, means, scales) if any(needs[1:]) else (None, None)
    return (dx, *(d if need else None for d, need in zip(sums, needs[1:], strict=False)))


def _weight_sums(rows: Array, g: Array, means: Array, scales: Array) -> Array:
    """The gradients of weight and bias, (2, D)."""
    stretches = -(-len(rows) // STRETCH)
    sums = array_library().empty((2, stretches, rows.shape[1]), rows.dtype)
    grid = (stretches, -(-rows.shape[1] // 32))  # x alone may exceed 65,535
    launch("norm:norm_backward_weights", grid, (32, 8), [rows, g, means, scales, sums, *rows.shape, STRETCH])
    return sums.sum(axis=1)
