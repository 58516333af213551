import pytest

from tinyslm.errors import DataError, OptionError
from tinyslm.text import remove_stop_words, stop_words, words


def test_the_lists_hold_what_they_say():
    english, chinese = stop_words("en"), stop_words("zh")
    assert {"the", "not", "no", "don't", "never"} <= english
    assert {"的", "不", "没", "没有"} <= chinese
    assert stop_words() == english | chinese and not english & chinese
    assert all(word == word.strip().lower() for word in stop_words())


def test_removal_takes_the_negation_unless_kept():
    tokens = words("The film was not good")
    assert remove_stop_words(tokens) == ["film", "good"]
    assert remove_stop_words(tokens, keep=["Not"]) == ["film", "not", "good"]


def test_chinese_and_languages():
    assert remove_stop_words(["我", "不", "喜欢", "the"], "zh") == ["喜欢", "the"]
    assert remove_stop_words(["我", "the", "cat"], "en") == ["我", "cat"]
    assert remove_stop_words(["我", "the", "cat"]) == ["cat"]
    assert remove_stop_words([]) == []


def test_wrong_input():
    with pytest.raises(DataError, match="put a single one into a list"):
        remove_stop_words("the cat")
    with pytest.raises(DataError):
        remove_stop_words(["a"], keep="not")
    with pytest.raises(DataError):
        remove_stop_words([None])
    with pytest.raises(OptionError):
        stop_words("de")
