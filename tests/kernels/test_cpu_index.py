"""Embedding against NumPy."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, awkward, close, numbers
from tinyslm.kernels.cpu.index import embedding_backward, embedding_forward


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ids", [[[0, 2, 2], [4, 0, 2]], [3], 1, []])
def test_pair(ids, dtype):
    ids = np.array(ids, np.int32)
    weight = awkward(numbers(0, 5, 3, dtype=dtype))
    out, saved = embedding_forward(ids, weight)
    np.testing.assert_array_equal(out, weight[ids])
    g = numbers(1, *ids.shape, 3, dtype=dtype)
    for padding in (None, 2):
        want = np.zeros((5, 3))
        np.add.at(want, ids, g)
        if padding is not None:
            want[padding] = 0
        nothing, found = embedding_backward(awkward(g), out, saved, (ids, weight), (False, True), padding_idx=padding)
        assert nothing is None and found.dtype == weight.dtype
        close(found, want)
    assert embedding_backward(g, out, saved, (ids, weight), (False, False)) == (None, None)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_ids_outside_are_refused(wrong):
    with pytest.raises(IndexError, match=r"ids in 0 .. 4"):
        embedding_forward(np.array([wrong]), numbers(0, 5, 3))
