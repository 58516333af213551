"""Matrix products and the affine map against torch and NumPy."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, numbers, with_threads
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import _blas
from tinyslm.kernels.cpu.matmul import affine_backward, affine_forward, matmul_backward, matmul_forward


@pytest.mark.torch
@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    lead=st.lists(st.integers(0, 4), max_size=3),
    features=st.integers(0, 9),
    outputs=st.integers(0, 9),
)
def test_affine_on_random_shapes(dtype, lead, features, outputs):
    torch = pytest.importorskip("torch")
    arrays = [numbers(i, *s, dtype=dtype) for i, s in enumerate([(*lead, features), (outputs, features), (outputs,)])]
    check_pair((affine_forward, affine_backward), torch.nn.functional.linear, arrays)


def test_affine_gives_only_what_is_needed():
    x, w, b = numbers(0, 5, 3), numbers(1, 4, 3), numbers(2, 4)
    y, saved = affine_forward(x, w, b)
    assert [a is None for a in affine_backward(y, y, saved, (x, w, b), (False, True, False))] == [True, False, True]
    np.testing.assert_allclose(affine_backward(y, y, saved, (x, w, b), (False, False, True))[2], y.sum(0))


@pytest.mark.torch
@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    lead=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    depth=st.integers(0, 9),
    columns=st.integers(0, 9),
)
def test_matmul_on_random_shapes(dtype, lead, depth, columns):
    torch = pytest.importorskip("torch")
    arrays = [numbers(0, *lead, depth, dtype=dtype), numbers(1, depth, columns, dtype=dtype)]
    check_pair((matmul_forward, matmul_backward), torch.matmul, arrays)


def test_matmul_leaves_batches_and_vectors_to_numpy_and_the_rule():
    for shapes in [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 4, 3), (2, 3, 5))]:
        a, b = (numbers(i, *s) for i, s in enumerate(shapes))
        y, saved = matmul_forward(a, b)
        np.testing.assert_array_equal(y, a @ b)
        assert isinstance(y, np.ndarray) and matmul_backward(y, y, saved, (a, b), (True, True)) is None


@pytest.mark.parametrize("shape", [(500, 70, 90), (90, 500, 300), (100, 2000, 1)])
def test_a_large_product_is_shared_out_and_the_same(shape, monkeypatch):
    rows, depth, columns = shape
    a, b, bias = (numbers(i, *s, dtype="float64") for i, s in enumerate([(rows, depth), (depth, columns), (columns,)]))
    found = []
    for threads in (1, 3, 3):
        handed = with_threads(threads, monkeypatch)
        found.append(_blas.multiply(a, b.T.copy().T, np.full((rows, columns), np.nan), bias))
        assert bool(handed) == (threads > 1 and rows * columns > 100)
    for one in found:
        np.testing.assert_allclose(one, a @ b + bias, rtol=1e-12, atol=1e-10)
    np.testing.assert_array_equal(found[1], found[2])  # the same bits for the same number of threads
