"""Convolution against torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, numbers, with_threads
from drawn import arrays, dtypes, held
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.conv import conv1d_backward, conv1d_forward

import tinyslm as ts


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


@settings(max_examples=15)
@given(st.data(), dtypes, *[st.integers(0, 2)] * 3, st.sampled_from([{}, {"stride": 2}, {"padding": 1, "dilation": 2}]))
def test_drawn_arrays_of_no_channels_too(data, dtype, batch, channels, outputs, options):
    x, w, b = (data.draw(arrays(s, dtype)) for s in ((batch, channels, 7), (outputs, channels, 3), (outputs,)))
    held(ts.conv1d, (conv1d_forward, conv1d_backward), [x, w, b], **options)


@pytest.mark.torch
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "dilation": 3}, {"stride": 3, "dilation": 2}])
@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sequences_longer_than_the_depth_of_a_panel(options, workers, dtype, monkeypatch):
    torch = pytest.importorskip("torch")
    handed = with_threads(workers, monkeypatch)
    arrays = [numbers(i, *shape, dtype=dtype) for i, shape in enumerate([(2, 5, 1300), (19, 5, 4), (19,)])]
    check_pair((conv1d_forward, conv1d_backward), lambda x, w, b: torch.conv1d(x, w, b, **options), arrays, **options)
    assert bool(handed) == (workers > 1)


@pytest.mark.torch
@pytest.mark.parametrize("stride", [11, 400, 10**9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_strides_longer_than_the_window_and_than_the_sequence(stride, dtype):
    torch = pytest.importorskip("torch")
    arrays = [numbers(i, *shape, dtype=dtype) for i, shape in enumerate([(2, 3, 500), (4, 3, 3), (4,)])]
    window = {"stride": stride, "padding": 1}
    check_pair((conv1d_forward, conv1d_backward), lambda x, w, b: torch.conv1d(x, w, b, **window), arrays, **window)


@pytest.mark.parametrize("outputs", [4, 40])  # in one panel, and in several
def test_gradients_of_weights_lie_as_the_weights_do(outputs):
    x, w, b = (np.ones(shape, np.float32) for shape in ((1, 5, 50), (outputs, 5, 3), (outputs,)))
    y, _ = conv1d_forward(x, w, b)
    _, dw, _ = conv1d_backward(y, y, None, (x, w, b), (False, True, False))
    assert dw.flags.c_contiguous
