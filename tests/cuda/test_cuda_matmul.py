"""The affine map and the convolution on the emulator, against the reference."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, check_op, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import conv, matmul

pytestmark = needs_emulator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "lead, features, hidden", [((), 3, 4), ((5,), 1, 1), ((2, 40), 7, 35), ((0,), 2, 3), ((3,), 2, 1030)]
)
def test_affine(lead, features, hidden, dtype):
    arrays = [numbers(1, *lead, features), numbers(2, hidden, features), numbers(3, hidden)]
    check_op(matmul, "affine", arrays, dtype)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("shape", [(1, 1), (64, 33), (65, 3), (200, 40)])
def test_sums_of_columns(shape, setting):
    x = numbers(4, *shape).astype(np.float32)
    with emulated(setting):
        close(matmul.column_sums(x), x.astype(np.float64).sum(axis=0))


CASES = [  # T, K, stride, padding, dilation
    (7, 3, 1, 0, 1), (8, 3, 2, 2, 1), (9, 3, 2, 1, 2), (4, 4, 1, 3, 1), (5, 1, 2, 0, 1), (40, 5, 1, 4, 3),
    (3, 2, 5, 4, 1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("time, size, stride, padding, dilation", CASES)
def test_convolution(time, size, stride, padding, dilation, dtype):
    arrays = [numbers(1, 3, 2, time), numbers(2, 4, 2, size), numbers(3, 4)]
    check_op(conv, "conv1d_fused", arrays, dtype, kernel="conv1d", stride=stride, padding=padding, dilation=dilation)
