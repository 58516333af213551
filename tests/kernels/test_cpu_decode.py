"""One token through a block: the fused loops against the formulas on arrays."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, close, numbers
from drawn import arrays, dtypes
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import decode

from tinyslm.models import decoding


def block(dtype, width, hidden):
    """norm1, qkv, out, norm2, up, down, a weight and a bias each."""
    shapes = [(width,), (3 * width, width), (width, width), (width,), (hidden, width), (width, hidden)]
    return [(numbers(i, *s, dtype=dtype), numbers(9 + i, s[0], dtype=dtype)) for i, s in enumerate(shapes)]


# 13 and 7 features: no multiple of four rows, nor of a vector.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "heads", "size", "hidden"), [(1, 1, 1, 1), (2, 1, 13, 7), (3, 4, 2, 33), (0, 2, 4, 5)]
)
def test_the_loops_compute_the_formulas(batch, heads, size, hidden, dtype):
    parts = block(dtype, heads * size, hidden)
    caches = [np.full((2, batch, heads, 6, size), np.nan, dtype) for _ in range(2)]
    for time in range(6):
        x = numbers(time, batch, heads * size, dtype=dtype, scale=3.0)
        want = x.copy()
        decode.block_step(x, *parts, *caches[0], time, 1e-5)
        decoding.block_step(want, *parts, *caches[1], time, 1e-5)
        close(x, want)
        close(caches[0], caches[1])  # and nothing is written beyond entry `time`


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_of_the_vocabulary(dtype):
    x, norm = numbers(0, 2, 5, dtype=dtype), (numbers(1, 5, dtype=dtype), numbers(2, 5, dtype=dtype))
    weight, bias, got, want = numbers(3, 7, 5, dtype=dtype), numbers(4, 7, dtype=dtype), *np.zeros((2, 2, 7), dtype)
    for step, out in ((decode.logits_step, got), (decoding.logits_step, want)):
        step(x, norm, weight, bias, 1e-5, out)
    close(got, want)
    assert got.any()


def test_large_scores_do_not_overflow():
    parts = block("float32", 8, 4)
    x = numbers(0, 1, 8, dtype="float32")
    caches = np.zeros((2, 1, 2, 3, 4), "float32")
    parts[1] = (parts[1][0] * np.float32(1e3), parts[1][1])
    for time in range(3):
        decode.block_step(x, *parts, *caches, time, 1e-5)
        assert np.isfinite(x).all()


@settings(max_examples=15)
@given(
    data=st.data(),
    dtype=dtypes,
    sizes=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(0, 19)),
    time=st.integers(0, 5),
)
def test_drawn_tokens(data, dtype, sizes, time):
    batch, heads, size, hidden = sizes
    parts = block(dtype, heads * size, hidden)
    x, caches = data.draw(arrays((batch, heads * size), dtype)), data.draw(arrays((2, batch, heads, 6, size), dtype))
    want = [a.astype(np.float64) for a in (x, caches)]
    decode.block_step(x, *parts, *caches, time, 1e-5)
    decoding.block_step(want[0], *[(w.astype(float), b.astype(float)) for w, b in parts], *want[1], time, 1e-5)
    close(x, want[0], slack=10)
    close(caches, want[1])
