"""Embedding against NumPy."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, awkward, close, numbers, with_threads
from drawn import arrays, dtypes, held
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.index import embedding_backward, embedding_forward

import tinyslm as ts


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
    with pytest.raises(IndexError, match=f"^expected ids from 0 to 4, got {wrong}$"):
        embedding_forward(np.array([wrong]), numbers(0, 5, 3))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(("rows", "count"), [(2, 2), (7, 11), (10, 7), (3, 1)])
def test_pieces(threads, rows, count, monkeypatch):
    with_threads(threads, monkeypatch)
    ids, weight = np.arange(count) * 5 % rows, numbers(0, rows, 3)
    out, saved = embedding_forward(ids, weight)
    np.testing.assert_array_equal(out, weight[ids])
    g, want = numbers(1, count, 3), np.zeros((rows, 3))
    np.add.at(want, ids, g)
    close(embedding_backward(g, out, saved, (ids, weight), (False, True))[1], want)


@settings(max_examples=15)
@given(st.data(), dtypes, st.lists(st.integers(0, 5), max_size=2), st.integers(1, 9), st.integers(0, 19))
def test_drawn_ids(data, dtype, shape, words, size):
    ids = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, words, shape)
    padding = data.draw(st.none() | st.integers(0, words - 1))
    weight = data.draw(arrays((words, size), dtype, more=[np.inf, np.nan]))
    held(ts.embedding, (embedding_forward, embedding_backward), [ids, weight], padding_idx=padding)
