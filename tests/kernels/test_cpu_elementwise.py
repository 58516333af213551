"""GELU and dropout against NumPy and torch."""

import math

import numpy as np
import pytest
from cpu_helpers import DTYPES, awkward, check_pair, close, numbers, with_threads
from hypothesis import given
from hypothesis import strategies as st
from tinyslm.kernels.cpu import elementwise
from tinyslm.kernels.cpu._random import dropout_mask

import tinyslm as ts

SHAPES = [(1025,), (3, 5, 7), (1,), (), (0, 4)]


def gelu(x, approximate):
    x = x.astype(np.float64)
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * np.array([math.erfc(-v / math.sqrt(2)) for v in x.reshape(-1)]).reshape(x.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_forward(shape, approximate, dtype):
    x = numbers(1, *shape, dtype=dtype, scale=3) if shape else np.array(0.7, dtype)
    y, _ = elementwise.gelu_forward(x, approximate=approximate)
    assert y.dtype == x.dtype
    close(y, gelu(x, approximate))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_far_out(dtype):
    x = np.array([-1e4, -40, -12, -6, -1e-4, 0, 1e-30, 1e-4, 6, 1e4], dtype)
    y = elementwise.gelu_forward(x)[0]
    np.testing.assert_allclose(y, gelu(x, "none"), rtol=1e-5)  # the left tail keeps its digits, too
    np.testing.assert_array_equal(elementwise.gelu_forward(x, approximate="tanh")[0][[0, -1]], x[[0, -1]] * [0, 1])
    ends = elementwise.gelu_backward(np.ones_like(x), y, None, (x,), (True,))[0][[0, -1]]
    np.testing.assert_array_equal(ends, [0, 1])


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_gradients(approximate, dtype):
    F = pytest.importorskip("torch").nn.functional
    pair = (elementwise.gelu_forward, elementwise.gelu_backward)
    for shape in SHAPES:
        x = np.asarray(numbers(1, *shape, scale=3), dtype)
        check_pair(pair, lambda t: F.gelu(t, approximate=approximate), (x,), approximate=approximate)


@given(st.integers(-(2**63), 2**64 - 1), st.floats(0, 1), st.sampled_from([(2000,), (3, 700), (0,), (1,)]))
def test_dropout_uses_the_mask_of_numpy(seed, p, shape):
    x = np.ones(shape, np.float32)
    y, saved = elementwise.dropout_forward(x, p=p, seed=seed)
    kept = dropout_mask(shape, p, seed)
    np.testing.assert_array_equal(y != 0, kept)
    np.testing.assert_array_equal(y[kept], np.float32(1 / (1 - p) if p < 1 else 0))
    np.testing.assert_array_equal(elementwise.dropout_backward(x, y, saved, (x,), (True,), p=p, seed=seed)[0], y)


def test_dropout_mask_by_hand():
    def kept(i, seed, p):
        z, word = (seed + (i + 1) * 0x9E3779B97F4A7C15) % 2**64, 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % word
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % word
        return ((z ^ (z >> 31)) >> 11) / 2**53 >= p

    assert dropout_mask((9,), 0.4, 77).tolist() == [kept(i, 77, 0.4) for i in range(9)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_ends_and_share(dtype):
    x = awkward(numbers(0, 20, 50, dtype=dtype))
    np.testing.assert_array_equal(elementwise.dropout_forward(x, p=0.0, seed=3)[0], x)
    assert not elementwise.dropout_forward(x, p=1.0, seed=3)[0].any()
    assert abs(dropout_mask((100_000,), 0.3, 1).mean() - 0.7) < 0.01
    with pytest.raises(ValueError, match="between 0 and 1"):
        elementwise.dropout_forward(x, p=1.5)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("size", [1024, 1025, 2048, 5000])  # pieces begin at multiples of 1024
def test_pieces(threads, size, monkeypatch):
    with_threads(threads, monkeypatch)
    x = numbers(0, size)
    y, saved = elementwise.dropout_forward(x, p=0.3, seed=2**63)
    kept = dropout_mask((size,), 0.3, 2**63) / 0.7
    close(y, x * kept)
    close(elementwise.dropout_backward(x, y, saved, (x,), (True,), p=0.3, seed=2**63)[0], x * kept)
    close(elementwise.gelu_forward(x)[0], gelu(x, "none"))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_relu(shape, dtype):
    torch = pytest.importorskip("torch")
    x = np.asarray(numbers(1, *shape), dtype)
    check_pair((elementwise.relu_forward, elementwise.relu_backward), torch.relu, [x])


def test_relu_at_its_edges():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -1e-40, 1e-40], np.float32)
    np.testing.assert_array_equal(elementwise.relu_forward(x)[0], np.maximum(x, 0))
    dx = elementwise.relu_backward(np.ones_like(x), None, None, (x,), (True,))[0]
    np.testing.assert_array_equal(dx, [0, 1, 0, 0, 0, 1])


def test_results_lie_in_memory_as_the_input_does():
    x = numbers(1, 4, 5, 6).transpose(2, 0, 1)
    g = numbers(2, 6, 4, 5)
    y = elementwise.relu_forward(x)[0]
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    assert y.strides == x.strides
    np.testing.assert_array_equal(elementwise.relu_backward(g, y, None, (x,), (True,))[0], g * (x > 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_a_dropped_number_is_times_0_also_where_it_is_not_finite(p, dtype, backend):
    x = np.array([np.nan, np.inf, -np.inf, 1.0] * 8, dtype)
    with np.errstate(invalid="ignore"):
        want = x * np.where(dropout_mask(x.shape, p, 3), 0 if p == 1 else 1 / (1 - p), 0).astype(dtype)
        t = ts.Tensor(x, requires_grad=True)
        y = ts.dropout(t, p=p, seed=3)
        y.backward(x)
    np.testing.assert_array_equal(y.numpy(), want)
    np.testing.assert_array_equal(t.grad.numpy(), want)
