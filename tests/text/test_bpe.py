import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.errors import CheckpointError, DataError, OptionError
from tinyslm.text import BPE
from tinyslm.text.bpe import _PIECE

STORY = "low low low lower lower newest newest newest newest widest. 我爱北京，我爱你。 aaaa aaaaa 😀😀\n\n  2024 2025"
TRAINED = BPE.train(STORY, 300)
SMALL = st.text(alphabet="ab c", min_size=1, max_size=40)


def merge(ids, pair, new):
    """Byte-pair merging as the textbook has it: walk from the left."""
    out = []
    for i in ids:
        if out and (out[-1], i) == pair:
            out[-1] = new
        else:
            out.append(i)
    return out


def slow_merges(text, count):
    """Count every pair anew before every merge."""
    pieces = [list(piece.encode("utf-8")) for piece in _PIECE.findall(text)]
    merges = []
    while len(merges) < count:
        totals = Counter(pair for piece in pieces for pair in pairwise(piece))
        # Overlapping pairs (aaa) count twice here as there, because pairs are counted and not merges.
        best = max(totals, key=lambda pair: (totals[pair], -pair[0], -pair[1]), default=None)
        if best is None or totals[best] < 2:
            break
        pieces = [merge(piece, best, 256 + len(merges)) for piece in pieces]
        merges.append(best)
    return merges, [i for piece in pieces for i in piece]


@given(SMALL)
def test_training_and_encoding_equal_the_slow_way(text):
    merges, ids = slow_merges(text, 20)
    bpe = BPE.train(text, 276)
    assert bpe.merges == merges
    assert bpe.encode(text) == ids


def test_the_first_merges_can_be_checked_by_hand():
    # a+b occurs three times; after that " " + ab, twice, is the only pair left.
    assert BPE.train("ab ab ab", 258).merges == [(97, 98), (32, 256)]


@given(st.text(max_size=60))
def test_any_text_comes_back(text):
    assert TRAINED.decode(TRAINED.encode(text)) == text
    assert BPE().decode(BPE().encode(text)) == text


@given(st.text(max_size=60))
def test_pieces_joined_are_the_text(text):
    assert "".join(_PIECE.findall(text)) == text


def test_merges_stay_within_words():
    assert all(" " not in token[1:] or not token.strip() for token in TRAINED.tokens(STORY))
    assert len(TRAINED.encode(STORY)) < len(STORY.encode("utf-8"))
    # "ab" and "a b" hold the same letters, yet no merge ever joins b with the space after it.
    assert BPE.train("b b b b ", 300).merges == [(32, 98)]


def test_no_merges_means_bytes():
    assert BPE.train("a", 256).encode("aé") == [97, 195, 169]
    assert len(BPE.train("abc", 1000)) == 256


def test_same_text_same_merges():
    assert BPE.train(STORY, 300).merges == TRAINED.merges
    assert BPE.train([STORY], 300).merges == TRAINED.merges
    assert BPE.train(iter([STORY[:50], STORY[50:]]), 280).merges == BPE.train([STORY[:50], STORY[50:]], 280).merges


def test_min_count():
    assert BPE.train("ab ab cd", 400, min_count=3).merges == []
    assert BPE.train("ab ab cd", 257).merges == [(97, 98)]


def test_special_tokens():
    bpe = BPE.train(STORY, 300, specials=("<pad>", "<end>", "<end>>"))
    assert len(bpe) <= 300
    assert bpe.encode("<end>", specials=True) == [1]
    assert bpe.encode("a<end>>b", specials=True)[1] == 2
    assert 1 not in bpe.encode("<end>")
    ids = [0, *bpe.encode("low"), 1]
    assert bpe.decode(ids) == "<pad>low<end>"
    assert bpe.decode(ids, skip_specials=True) == "low"
    assert bpe.merges == [(a + 3, b + 3) for a, b in BPE.train(STORY, 297).merges]


def test_half_a_character_is_replaced():
    assert BPE().decode(list("中".encode())[:2]) == "\ufffd"
    assert BPE().tokens("中") == ["\\xe4", "\\xb8", "\\xad"]
    assert BPE().decode(np.array([104, 105])) == "hi"


def test_a_long_run_without_spaces():
    text = "a" * 20000
    bpe = BPE.train(text, 270)
    assert bpe.decode(bpe.encode(text + "b" * 5000)) == text + "b" * 5000


@pytest.mark.parametrize("value", [b"bytes", None, 3])
def test_only_text(value):
    for function in (TRAINED.encode, lambda v: BPE.train(v, 300), lambda v: BPE.train([v], 300)):
        with pytest.raises(DataError):
            function(value)


@pytest.mark.parametrize("text", ["", [], ["", ""], "\ud800"])
def test_nothing_to_learn_from(text):
    with pytest.raises(DataError):
        BPE.train(text, 300)


def test_lone_surrogates_are_named():
    with pytest.raises(DataError, match="surrogates"):
        TRAINED.encode("a\ud800")


@pytest.mark.parametrize("options", [{"vocab_size": 255}, {"vocab_size": 256, "specials": ("<a>",)}, {"min_count": 0}])
def test_wrong_options(options):
    with pytest.raises(OptionError):
        BPE.train(**({"text": "a", "vocab_size": 300} | options))


@pytest.mark.parametrize("ids", [[-1], [10**6], [1.5], ["a"], None])
def test_wrong_ids(ids):
    with pytest.raises(DataError):
        TRAINED.decode(ids)


def test_json_round_trip():
    for bpe in (TRAINED, BPE(), BPE.train(STORY, 290, specials=("<pad>",))):
        again = BPE.from_json(json.loads(json.dumps(bpe.to_json())))
        assert (again.merges, again.specials) == (bpe.merges, bpe.specials)
        assert again.encode(STORY) == bpe.encode(STORY)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "char"},
        {"format_version": None},
        {"merges": [[97]]},
        {"merges": [[97, 256]]},
        {"merges": [[97, 98], [97, 98]]},
        {"merges": [[97, "b"]]},
        {"merges": [[97, True]]},
        {"merges": [[97, -1]]},
        {"merges": ["ab"]},
        {"merges": {}},
        {"specials": ["<a>", "<a>"]},
        {"specials": [1]},
    ],
)
def test_broken_json(change):
    with pytest.raises(CheckpointError):
        BPE.from_json(TRAINED.to_json() | change)


def test_real_text(real_data):
    text = (real_data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    bpe = BPE.train(text, 1256)
    ids = bpe.encode(text)
    assert len(bpe) == 1256
    assert bpe.decode(ids) == text
    assert len(ids) < 0.5 * len(text)
    assert " the" in bpe.tokens("To the king")
