"""Softmax kernels against NumPy and torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers
from drawn import arrays, dtypes, held
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import softmax as family

import tinyslm as ts

SOFTMAX = (family.softmax_forward, family.softmax_backward)
CASES = [((5, 37), -1), ((3, 4, 9), 1), ((6, 2), 0), ((7,), 0), ((1, 1), 1), ((0, 3), 1)]
LOG_SOFTMAX = (family.log_softmax_forward, family.log_softmax_backward)


def reference(x, dim=-1):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=dim, keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dim"), [*CASES, ((3, 0), 1)])
def test_forward(shape, dim, dtype):
    x = numbers(1, *shape, dtype=dtype, scale=4)
    y, _ = family.softmax_forward(x, dim=dim)
    assert y.dtype == x.dtype
    close(y, reference(x, dim))
    with np.errstate(divide="ignore"):
        close(family.log_softmax_forward(x, dim=dim)[0], np.log(reference(x, dim)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes(dtype):
    x = np.array([[1e4, 1e4 - 1, -1e4], [-np.inf, 0, 1], [-1e4, -1e4, -1e4], [3, -np.inf, -np.inf]], dtype)
    close(family.softmax_forward(x)[0], reference(x))
    logs = family.log_softmax_forward(x)[0]
    assert logs[1, 0] == -np.inf and logs[3, 0] == 0
    close(logs[0], np.array([0, -1, -2e4]) - np.log1p(np.exp(-1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_without_a_number_is_nan(dtype):
    for bad in (np.full((2, 9), -np.inf, dtype), np.array([[1, np.nan, 2]], dtype), np.array([[np.inf, 0, 1]], dtype)):
        assert np.isnan(family.softmax_forward(bad)[0]).any(axis=1).all()
        assert np.isnan(family.log_softmax_forward(bad)[0]).any(axis=1).all()


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_gradients(shape, dim, dtype):
    x = numbers(2, *shape, dtype=dtype, scale=3)
    check_pair(SOFTMAX, lambda t: t.softmax(dim), (x,), dim=dim)
    check_pair(LOG_SOFTMAX, lambda t: t.log_softmax(dim), (x,), dim=dim)


@settings(max_examples=15)
@given(st.data(), dtypes, st.lists(st.integers(0, 5), max_size=2), st.integers(1, 19))
def test_drawn_rows(data, dtype, shape, size):
    dim = data.draw(st.integers(0, len(shape)))
    x = data.draw(arrays((*shape[:dim], size, *shape[dim:]), dtype, more=[-np.inf]))
    held(ts.softmax, SOFTMAX, [x], dim=dim)
    held(ts.log_softmax, LOG_SOFTMAX, [x], dim=dim - x.ndim)
