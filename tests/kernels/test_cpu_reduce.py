"""The maximum along a dimension against torch and against its rule."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.reduce import max_backward, max_forward

import tinyslm as ts
from tinyslm.errors import ShapeError


@pytest.mark.torch
@settings(max_examples=25, deadline=None)
@given(dtype=st.sampled_from(DTYPES), shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), dim=st.integers(-4, 3))
def test_max_on_random_shapes(dtype, shape, dim):
    dim = dim % len(shape)
    x = numbers(0, *shape, dtype=dtype)
    for keepdim in (False, True):
        pair, options = (max_forward, max_backward), {"dim": dim, "keepdim": keepdim}
        check_pair(pair, lambda t, options=options: t.amax(**options), [x], **options)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_ties_share_the_gradient_as_in_the_rule(order):
    x = np.random.default_rng(0).integers(0, 3, (20, 30, 40)).astype("float64").transpose(order)
    for dim in (0, 1, 2):
        g = numbers(1, *np.delete(x.shape, dim), dtype="float64")
        want = []
        for backend in ("numpy", "numba"):
            with ts.use(backend):
                t = ts.Tensor(x, requires_grad=True)
                t.max(dim).backward(g)
                want.append(t.grad.numpy())
        close(want[1], want[0])
        y, saved = max_forward(x, dim=dim)
        close(max_backward(g, y, saved, (x,), (True,), dim=dim)[0], want[0])


def test_nan_and_sizes_of_zero():
    x = np.array([[1.0, np.nan], [2.0, 2.0]])
    dx = max_backward(np.ones(2), x.max(1), None, (x,), (True,), dim=1)[0]
    np.testing.assert_array_equal(dx, [[np.nan, np.nan], [0.5, 0.5]])
    empty = np.zeros((0, 3))
    assert max_backward(np.zeros(0), max_forward(empty, dim=1)[0], None, (empty,), (True,), dim=1)[0].shape == (0, 3)


def test_several_dimensions_are_left_to_the_rule():
    x = numbers(0, 3, 4)
    for dim in (None, (0, 1)):
        y, saved = max_forward(x, dim=dim)
        assert y == x.max() and max_backward(np.ones(()), y, saved, (x,), (True,), dim=dim) is None


def test_an_empty_dimension_has_no_maximum():
    with ts.use("numba", small=0), pytest.raises(ShapeError):
        ts.Tensor(np.zeros((3, 0))).max(1)
