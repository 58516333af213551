import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.errors import DataError, OptionError
from tinyslm.text import WordList, characters, keras_words, max_match, ngrams, words

MIXED = st.text(alphabet="ab'’1.,我爱北京天 !é_e\u0301😀", max_size=40)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop, it’s 3.14 or 1,000!", ["Don't", "stop", "it's", "3.14", "or", "1,000"]),
        ("the 2nd well-known b2b", ["the", "2nd", "well", "known", "b2b"]),
        ("'quoted' dogs'", ["quoted", "dogs"]),
        ("naïve e\u0301te", ["naïve", "e\u0301te"]),
        ("我用iPhone拍照3.5元", ["我", "用", "iPhone", "拍", "照", "3.5", "元"]),
        ("snake_case 😀", ["snake", "case"]),
        ("", []),
    ],
)
def test_words(text, tokens):
    assert words(text) == tokens


def test_punctuation_is_kept_on_request():
    assert words("Hi, you_!😀", punctuation=True) == ["Hi", ",", "you", "_", "!", "😀"]


def test_english_leaves_chinese_runs_whole():
    assert words("我爱 it’s", "en") == ["我爱", "it's"]


def test_words_from_a_list():
    assert words("我爱北京天安门，OK?", word_list=["北京", "天安门"]) == ["我", "爱", "北京", "天安门", "OK"]
    assert words("我爱 it’s", "en", word_list=["我爱"]) == ["我爱", "it's"]


@given(MIXED)
def test_words_lose_nothing(text):
    everything = "".join(text.split()).replace("’", "'")
    for word_list in (None, ["北京"]):
        tokens = words(text, punctuation=True, word_list=word_list)
        assert "".join(tokens).replace("’", "'") == everything
    plain = words(text)
    assert words(" ".join(plain)) == plain


def test_max_match_takes_the_longest_and_is_greedy():
    entries = WordList(["研究", "研究生", "生命", "起源"])
    assert max_match("研究生命起源", entries) == ["研究生", "命", "起源"]
    assert len(entries) == 4 and "生命" in entries and "命" not in entries


@given(
    st.text(alphabet="天地人中", max_size=20), st.sets(st.text(alphabet="天地人", min_size=1, max_size=4), min_size=1)
)
def test_max_match_joined_is_the_text(text, entries):
    parts = max_match(text, entries)
    assert "".join(parts) == text
    assert all(part in entries or len(part) == 1 for part in parts)


@pytest.mark.parametrize("entries", [[], [""], ["a", ""], "word", None, [b"x"]])
def test_broken_word_lists(entries):
    with pytest.raises(DataError):
        max_match("text", entries)
    if entries is not None:
        with pytest.raises(DataError):
            words("text without Chinese", word_list=entries)


def test_characters():
    assert characters("我 爱\nab") == ["我", "爱", "a", "b"]


def test_ngrams():
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a", "b"], 1) == [("a",), ("b",)]
    assert ngrams(["a"], 3) == [] and ngrams([], 1) == []


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None])
def test_ngrams_of_no_length(n):
    with pytest.raises(OptionError, match="n as a whole number"):
        ngrams(["a"], n)


def test_keras_words():
    text = "Don't STOP!\tIt's \"3.14\"\n(snake_case) 我，爱\u00a0x"
    assert keras_words(text) == ["don't", "stop", "it's", "3", "14", "snake", "case", "我，爱\u00a0x"]
    assert keras_words("") == []


@pytest.mark.parametrize("value", [b"bytes", None, ["a"]])
def test_only_text(value):
    for function in (words, characters, keras_words):
        with pytest.raises(DataError):
            function(value)
    with pytest.raises(DataError):
        max_match(value, ["a"])


def test_wrong_arguments():
    with pytest.raises(DataError, match="put a single one into a list"):
        ngrams("abc", 2)
    with pytest.raises(OptionError):
        words("x", "de")
