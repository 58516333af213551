"""GELU and dropout on the emulator against the reference."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, check_op, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import _launch, elementwise

pytestmark = needs_emulator
SHAPES = [(5, 7), (), (1,), (0, 3), (600,)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(shape, dtype, approximate):
    check_op(elementwise, "gelu", [np.asarray(numbers(1, *shape, scale=3.0))], dtype, approximate=approximate)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p, seed", [(0.0, 0), (0.3, 12345), (0.9, -1), (1.0, 2**63 + 5)])
def test_dropout_draws_the_mask_of_the_cpu(shape, dtype, p, seed):
    check_op(elementwise, "dropout", [np.asarray(numbers(1, *shape))], dtype, p=p, seed=seed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_erf(dtype):
    check_op(elementwise, "erf", [numbers(1, 5, 7, scale=2.0)], dtype)


def test_probabilities_outside_0_to_1_are_refused():
    with emulated(), pytest.raises(ValueError, match="probability"):
        elementwise.dropout_forward(np.ones(3), p=1.5)


def test_gelu_far_out():
    x = np.array([-40.0, -14.0, -1e-30, 1e-30, 14.0, 40.0, np.nan])
    with emulated():
        close(elementwise.gelu_forward(x)[0][1:-1], [-14 * 7.7935368191928e-45, -5e-31, 5e-31, 14, 40])
        assert np.isnan(elementwise.gelu_forward(x)[0][-1])


def test_threads_take_several_entries(monkeypatch):
    monkeypatch.setattr(_launch, "MOST_BLOCKS", 2)
    check_op(elementwise, "dropout", [numbers(1, 1500)], "float32", p=0.5, seed=3)


def test_other_floats_are_refused_and_seeds_of_numpy_are_taken():
    with emulated():
        with pytest.raises(
            TypeError, match="Expected float32 or float64 arrays for elementwise:gelu_forward. Got float16"
        ):
            elementwise.gelu_forward(np.ones(8, np.float16))
        x = np.ones(30)
        np.testing.assert_array_equal(
            elementwise.dropout_forward(x, seed=np.int64(-5))[0], elementwise.dropout_forward(x, seed=-5)[0]
        )
