"""Convolution against torch."""

import pytest
from cpu_helpers import DTYPES, check_pair, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.conv import conv1d_backward, conv1d_forward


@pytest.mark.torch
@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    batch=st.integers(0, 3),
    channels=st.integers(1, 19),
    outputs=st.integers(1, 19),
    window=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3)),
    more=st.integers(0, 20),
)
def test_random_shapes(dtype, batch, channels, outputs, window, more):
    torch = pytest.importorskip("torch")
    size, stride, padding, dilation = window
    time = max(1, dilation * (size - 1) + 1 - 2 * padding) + more
    shapes = (batch, channels, time), (outputs, channels, size), (outputs,)
    arrays = [numbers(i, *s, dtype=dtype) for i, s in enumerate(shapes)]
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    check_pair((conv1d_forward, conv1d_backward), lambda x, w, b: torch.conv1d(x, w, b, **options), arrays, **options)
