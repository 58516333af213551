"""The affine map against torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.matmul import affine_backward, affine_forward


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
