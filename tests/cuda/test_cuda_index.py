"""Embedding on the emulator against the reference."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, check_op, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import _launch, index

pytestmark = needs_emulator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, table, width", [((4, 9), 5, 33), ((), 3, 1), ((0,), 4, 2), ((17,), 1, 70), ((3, 2, 2), 50, 4)]
)
@pytest.mark.parametrize("padding", [None, 0])
def test_embedding(shape, table, width, padding, dtype):
    ids = np.asarray(np.random.default_rng(1).integers(0, table, shape))
    check_op(index, "embedding", [ids, numbers(2, table, width)], dtype, padding_idx=padding)


def test_narrow_ids_and_ids_outside_the_table():
    weight = numbers(2, 4, 3)
    with emulated():
        found = index.embedding_forward(np.array([0, 4, -1, 3], np.int16), weight)[0]
        assert np.isnan(found[1:3]).all()
        close(found[[0, 3]], weight[[0, 3]])
        gradient = index.embedding_backward(
            np.ones((4, 3)), None, None, (np.array([0, 4, -1, 3]), weight), (False, True)
        )[1]
        close(gradient, np.array([[1.0] * 3, [0] * 3, [0] * 3, [1] * 3]))


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_version_with_atomics_agrees(setting):
    ids, g, dweight = np.array([2, 0, 2, 1, 3, 9]), numbers(1, 6, 40), np.zeros((4, 40))
    with emulated(setting):
        arguments = [ids, g, dweight, np.int64(6), 4, 40, np.int64(1)]
        _launch.launch("index:embedding_backward_atomic", (1,), (32, 8), arguments)
    close(dweight, np.stack([g[1], 0 * g[0], g[0] + g[2], g[4]]))
