"""The functions of `_math` over the ranges they promise, against NumPy in float64."""

import math

import numba
import numpy as np
import pytest
from tinyslm.kernels.cpu import _math

NAMES = ("exp", "tanh", "sigmoid", "normal_tail")


@numba.njit(error_model="numpy")
def apply(which, x, out):
    for i in range(x.size):
        v = x[i]
        if which == 0:
            out[i] = _math.exp(v)
        elif which == 1:
            out[i] = _math.tanh(v)
        elif which == 2:
            out[i] = _math.sigmoid(v)
        else:
            out[i] = _math.normal_tail(v, _math.exp(x.dtype.type(-0.5) * v * v))


def values(name, x, dtype="float32"):
    x = np.asarray(x, dtype)
    out = np.empty_like(x)
    apply(NAMES.index(name), x, out)
    return out


def true_values(name, x):
    x = np.asarray(x, np.float32).astype(np.float64)
    if name == "sigmoid":
        return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))
    if name == "normal_tail":
        return np.array([0.5 * math.erfc(v / math.sqrt(2)) for v in x])
    return getattr(np, name)(x)


RANGES = [
    ("exp", -87.3, 88.0, 1e-6),
    ("tanh", -100.0, 100.0, 1e-6),
    ("sigmoid", -87.3, 200.0, 1e-6),
    ("normal_tail", 0.0, 13.2, 5e-6),
]


@pytest.mark.parametrize(("name", "low", "high", "error"), RANGES)
def test_relative_errors(name, low, high, error):
    near_zero = np.geomspace(1e-30, 1, 500)
    x = np.concatenate([np.linspace(low, high, 20_001), near_zero, -near_zero if low < 0 else []])
    np.testing.assert_allclose(values(name, x), true_values(name, x), rtol=error, atol=0)


def test_where_the_ranges_end():
    far = [-87.4, -88, -1e4, -3e38, -np.inf]
    assert not values("exp", far).any() and not values("sigmoid", far).any()
    np.testing.assert_array_equal(values("sigmoid", [100, np.inf]), [1, 1])
    np.testing.assert_array_equal(values("tanh", [-np.inf, -1e4, 1e4, np.inf, 0]), [-1, -1, 1, 1, 0])
    assert not values("normal_tail", [14, 1e4, 1e19, np.inf]).any()


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name):
    assert np.isnan(values(name, [np.nan, -np.nan])).all()


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_the_c_library(name):
    x = np.float32([0, 0.3, 1, 2, 7.5]).astype(np.float64)
    np.testing.assert_allclose(values(name, x, "float64"), true_values(name, x), rtol=1e-13)


@pytest.mark.parametrize("row", [[1, 3, 2], [-4, -1, -9], [-np.inf, -np.inf], [np.inf, 0], []])
def test_row_max(row):
    @numba.njit
    def largest(x):
        return _math.row_max(x)

    for dtype in ("float32", "float64"):
        assert largest(np.array(row, dtype)) == max(row, default=-np.inf)
