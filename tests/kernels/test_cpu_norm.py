"""Layer norm and RMS norm against NumPy and torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers, with_threads
from drawn import arrays, dtypes, held
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import norm

import tinyslm as ts

SHAPES = [(40, 33), (2, 3, 8), (5,), (4, 1), (1, 1), (0, 4)]


def layer_norm(x, w, b, eps):
    x = x.astype(np.float64)
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps) * w + b


def rms_norm(x, w, eps):
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * w


def example(shape, dtype):
    return (numbers(1, *shape, dtype=dtype) + 3, numbers(2, shape[-1], dtype=dtype), numbers(3, shape[-1], dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(shape, dtype):
    x, w, b = example(shape, dtype)
    close(norm.layer_norm_forward(x, w, b, eps=1e-3)[0], layer_norm(x, w, b, 1e-3))
    close(norm.rms_norm_forward(x, w, eps=1e-3)[0], rms_norm(x, w, 1e-3))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, dtype):
    F = pytest.importorskip("torch").nn.functional
    x, w, b = example(shape, dtype)
    pair = (norm.layer_norm_forward, norm.layer_norm_backward)
    check_pair(pair, lambda *a: F.layer_norm(a[0], shape[-1:], a[1], a[2], 1e-3), (x, w, b), eps=1e-3)
    pair = (norm.rms_norm_forward, norm.rms_norm_backward)
    check_pair(pair, lambda *a: F.rms_norm(a[0], shape[-1:], a[1], 1e-3), (x, w), eps=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_rows(dtype):
    x, w, b = np.full((3, 7), 1e3, dtype), np.ones(7, dtype), np.zeros(7, dtype)
    close(norm.layer_norm_forward(x, w, b)[0], np.zeros((3, 7)))
    assert not norm.rms_norm_forward(np.zeros((2, 7), dtype), w)[0].any()


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("rows", [2, 7, 16, 35, 50])  # backward adds in up to 16 blocks of rows
def test_pieces(threads, rows, monkeypatch):
    with_threads(threads, monkeypatch)
    x, w, b = example((rows, 5), "float64")
    g = numbers(4, rows, 5)
    out, saved = norm.layer_norm_forward(x, w, b)
    close(out, layer_norm(x, w, b, 1e-5))
    dx, dw, db = norm.layer_norm_backward(g, out, saved, (x, w, b), (True, True, True))
    s = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    n, h = (x - x.mean(axis=1, keepdims=True)) / s, g * w
    close(dx, (h - h.mean(axis=1, keepdims=True) - n * (h * n).mean(axis=1, keepdims=True)) / s)
    close(dw, (g * n).sum(axis=0))
    close(db, g.sum(axis=0))
    close(norm.rms_norm_forward(x, w)[0], rms_norm(x, w, 1e-6))


@settings(max_examples=15)
@given(st.data(), dtypes, st.lists(st.integers(0, 5), max_size=2), st.integers(1, 19), st.sampled_from([1e-5, 1e-2]))
def test_drawn_rows(data, dtype, shape, size, eps):
    x, w, b = (data.draw(arrays(s, dtype)) for s in ((*shape, size), (size,), (size,)))
    held(ts.layer_norm, (norm.layer_norm_forward, norm.layer_norm_backward), [x, w, b], slack=30, eps=eps)
    held(ts.rms_norm, (norm.rms_norm_forward, norm.rms_norm_backward), [x, w], slack=30, eps=eps)
