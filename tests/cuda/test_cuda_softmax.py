"""Softmax and its logarithm on the emulator against the reference; the four versions of the lesson."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, check_op, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import _launch, softmax

pytestmark = needs_emulator
SHAPES = [((5, 7), -1), ((2, 3, 4), 1), ((1, 1), 0), ((33,), 0), ((3, 1100), 1), ((0, 3), 1), ((9, 64), 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_forward_and_backward(op, shape, dim, dtype):
    check_op(softmax, op, [numbers(1, *shape, scale=4.0)], dtype, dim=dim)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_infinite_entries(op):
    x = np.array([[1.0, -np.inf, 3.0], [-np.inf] * 3, [np.nan, 0.0, 1.0], [1e30, 0, -1e30], [-np.inf, -np.inf, 2]])
    with emulated(), np.errstate(all="ignore"):
        found = getattr(softmax, f"{op}_forward")(x)[0]
        z = x - x.max(axis=1, keepdims=True)
        total = np.exp(z).sum(axis=1, keepdims=True)
        close(found, np.exp(z) / total if op == "softmax" else z - np.log(total))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name, threads", [("1_naive", 32), ("2_shared", 64), ("3_shuffle", 96), ("forward", 128)])
def test_the_versions_of_the_lesson_agree(name, threads, setting):
    x = numbers(2, 6, 150).astype(np.float32)
    y = np.full_like(x, np.nan)
    with emulated(setting):
        _launch.launch(f"softmax:softmax_{name}", (6,), (threads,), [x, y, *x.shape])
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    close(y, e / e.sum(axis=1, keepdims=True))
