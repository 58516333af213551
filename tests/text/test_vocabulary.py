import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyslm as ts
from tinyslm.errors import CheckpointError, DataError, OptionError
from tinyslm.text import Vocabulary

TEXTS = [["b", "a", "b"], ["c", "a", "d", "b"]]
TOKEN_LISTS = st.lists(st.lists(st.text(min_size=1, max_size=3), max_size=8), max_size=6)


def test_order_is_by_count_then_first_seen():
    vocabulary = Vocabulary.build(TEXTS)
    assert vocabulary.tokens == ("<pad>", "<unk>", "b", "a", "c", "d")
    assert vocabulary.counts == {"b": 3, "a": 2, "c": 1, "d": 1}
    assert len(vocabulary) == 6 and "a" in vocabulary and "z" not in vocabulary
    assert vocabulary.index("b") == 2


def test_ids_as_keras_gives_them():
    # Keras numbers words from 1 by count and keeps ids below num_words; unknown words are dropped.
    vocabulary = Vocabulary.build(TEXTS, size=3, specials=("<pad>",))
    assert vocabulary.unknown == "drop"
    assert vocabulary.encode(["a", "c", "b", "zebra"]) == [2, 1]
    assert max(vocabulary.encode(["a", "b", "c", "d"])) < 3


def test_unknown_words():
    assert Vocabulary.build(TEXTS).encode(["z", "b"]) == [1, 2]
    assert Vocabulary.build(TEXTS, unknown="drop").encode(["z", "b"]) == [2]
    with pytest.raises(DataError, match="'z'"):
        Vocabulary.build(TEXTS, unknown="error").encode(["z", "b"])


def test_min_count_and_size():
    assert Vocabulary.build(TEXTS, min_count=2).tokens[2:] == ("b", "a")
    assert len(Vocabulary.build(TEXTS, size=4)) == 4
    assert len(Vocabulary.build([])) == 2


def test_a_word_spelled_like_a_special_is_the_special():
    vocabulary = Vocabulary.build([["<pad>", "x", "<unk>"]])
    assert vocabulary.tokens == ("<pad>", "<unk>", "x")
    assert vocabulary.encode(["<pad>"]) == [0]


def test_decode():
    vocabulary = Vocabulary.build(TEXTS)
    for ids in (np.array([0, 2, 1]), ts.tensor([0, 2, 1]), [np.array(0), ts.tensor(2), np.uint8(1)]):
        assert vocabulary.decode(ids) == ["<pad>", "b", "<unk>"]
    assert vocabulary.decode([0, 2, 1], skip_specials=True) == ["b"]


@pytest.mark.parametrize("ids", [[6], [-1], [1.0], ["b"], [True], "b", None, 3, np.array([[1], [2]])])
def test_decode_refuses_what_is_no_id(ids):
    with pytest.raises(DataError):
        Vocabulary.build(TEXTS).decode(ids)


@given(TOKEN_LISTS, st.integers(3, 12))
def test_round_trips(token_lists, size):
    vocabulary = Vocabulary.build(token_lists, size=size)
    known = [token for tokens in token_lists for token in tokens if token in vocabulary]
    assert vocabulary.decode(vocabulary.encode(known)) == known
    assert all(i < len(vocabulary) <= size for tokens in token_lists for i in vocabulary.encode(tokens))
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert (again.tokens, again.counts, again.unknown) == (vocabulary.tokens, vocabulary.counts, vocabulary.unknown)


@pytest.mark.parametrize("token_lists", ["text", ["a text"], None, [None], [[None]], [[b"x"]], [3]])
def test_build_refuses_what_is_not_split(token_lists):
    with pytest.raises(DataError):
        Vocabulary.build(token_lists)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 2},
        {"size": 10.0},
        {"min_count": 0},
        {"specials": ("<pad>", "<pad>")},
        {"specials": ("",)},
        {"unknown": "ignore"},
        {"unknown": "unk", "specials": ("<pad>",)},
    ],
)
def test_build_refuses_wrong_options(options):
    with pytest.raises(OptionError):
        Vocabulary.build(TEXTS, **options)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "bpe"},
        {"format_version": 2},
        {"format_version": True},
        {"words": ["b", "a", "c"]},
        {"words": ["b", "b", "c", "d"]},
        {"words": ["b", "a", "c", 5]},
        {"words": ["b", "a", "c", "<pad>"]},
        {"words": None},
        {"counts": [3, 2, 1, 0]},
        {"counts": [3, 2, 1, 1.5]},
        {"counts": [3, 2, 1, True]},
        {"specials": ["<pad>"]},
        {"specials": ["<pad>", "<pad>"]},
        {"specials": "<pad>"},
        {"unknown": "guess"},
        {"unknown": None},
    ],
)
def test_broken_json(change):
    saved = Vocabulary.build(TEXTS).to_json()
    with pytest.raises(CheckpointError):
        Vocabulary.from_json(saved | change)


def test_missing_fields_and_no_dict():
    saved = Vocabulary.build(TEXTS).to_json()
    for name in saved:
        with pytest.raises(CheckpointError):
            Vocabulary.from_json({key: value for key, value in saved.items() if key != name})
    for broken in (None, [], "{}", 3):
        with pytest.raises(CheckpointError):
            Vocabulary.from_json(broken)
