import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.errors import DataError, DTypeError, OptionError, ShapeError
from tinyslm.text import pad

ROWS = [[1], [2, 3], [4, 5, 6]]
SIDES = st.sampled_from(["left", "right"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # What the documentation of Keras' pad_sequences shows for this input: pads and cuts at the front by default.
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ({"value": -1}, [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]),
        ({"side": "right"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
        ({"length": 2}, [[0, 1], [2, 3], [5, 6]]),
        ({"length": 2, "cut": "right"}, [[0, 1], [2, 3], [4, 5]]),
        ({"length": 4, "side": "right"}, [[1, 0, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0]]),
    ],
)
def test_as_keras(options, expected):
    ids, lengths = pad(ROWS, **options)
    assert ids.tolist() == expected
    assert lengths.tolist() == [min(len(row), ids.shape[1]) for row in ROWS]
    assert ids.dtype == lengths.dtype == np.int64


def test_nothing_to_pad():
    for rows, length, shape in (([], None, (0, 0)), ([], 5, (0, 5)), ([[], []], None, (2, 0)), ([[]], 3, (1, 3))):
        ids, lengths = pad(rows, length)
        assert ids.shape == shape and lengths.tolist() == [0] * shape[0]


@given(st.lists(st.lists(st.integers(1, 99), max_size=6)), st.none() | st.integers(1, 8), SIDES, SIDES)
def test_lengths_find_the_sequence_again(rows, length, side, cut):
    ids, lengths = pad(rows, length, side, cut)
    for row, padded, n in zip(rows, ids, lengths, strict=True):
        kept = padded[len(padded) - n :] if side == "left" else padded[:n]
        assert kept.tolist() == (row[:n] if cut == "right" else row[len(row) - n :])
        assert np.count_nonzero(padded) == n


def test_arrays_and_generators():
    ids, _ = pad((np.array(row, dtype=np.int32) for row in ROWS), 2)
    assert ids.tolist() == [[0, 1], [2, 3], [5, 6]]


@pytest.mark.parametrize("length", [0, -3, 2.5, "4", True])
def test_wrong_length(length):
    with pytest.raises(OptionError, match="length"):
        pad(ROWS, length)


def test_wrong_sides():
    with pytest.raises(OptionError, match="side"):
        pad(ROWS, side="pre")
    with pytest.raises(OptionError, match="cut"):
        pad(ROWS, cut="post")
    with pytest.raises(OptionError, match="value"):
        pad(ROWS, value=0.5)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([[1.5]], DTypeError),
        (["text"], DTypeError),
        ([["a"]], DTypeError),
        ([[True]], DTypeError),
        ([None], ShapeError),
        ([1, 2], ShapeError),
        ([[[1], [2]]], ShapeError),
        ([[[1], [2, 3]]], ShapeError),
        (None, DataError),
        ("text", DataError),
    ],
)
def test_wrong_sequences(rows, error):
    with pytest.raises(error):
        pad(rows)
