import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.errors import CheckpointError, DataError, OptionError
from tinyslm.text import BPE, CharTokenizer, WordList, WordTokenizer, tokenizer_from_json

TEXTS = ["The <b>film</b> was not good at all!", "A good film, isn't it?", "我不喜欢这个电影。"]


def saved_and_loaded(tokenizer):
    return tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))


def test_every_stage_shows_on_one_sentence():
    tokenizer = WordTokenizer(drop_stop_words=True, ngrams=2).fit(TEXTS)
    assert tokenizer.stages("The <i>film</i> was NOT good&nbsp;...") == {
        "text": "The <i>film</i> was NOT good&nbsp;...",
        "clean": "the film was not good ...",
        "words": ["the", "film", "was", "not", "good"],
        "without stop words": ["film", "good"],
        "n-grams": ["film", "good", "film good"],
        "ids": tokenizer.encode("film good"),
    }


def test_stop_words_delete_the_negation_unless_kept():
    assert WordTokenizer(drop_stop_words=True).tokens(TEXTS[0]) == ["film", "good"]
    assert WordTokenizer(drop_stop_words=True, keep=("not",)).tokens(TEXTS[0]) == ["film", "not", "good"]
    assert "ids" not in WordTokenizer().stages("a")


def test_the_article_in_keras_terms():
    tokenizer = WordTokenizer.keras(size=4).fit(["the cat the dog", "The cat, <b>sat</b>"])
    # the 3, cat 2, b 2 (the tags are words here), then dog and sat: ids 1 to 3, the rest is dropped.
    assert tokenizer.encode("the cat sat b zebra") == [1, 2, 3]
    ids, lengths = tokenizer.encode_batch(["the cat", "b the cat the"], length=3)
    assert ids.tolist() == [[0, 1, 2], [1, 2, 1]] and lengths.tolist() == [2, 3]
    assert len(tokenizer) == 4


def test_unknown_words_and_decode():
    tokenizer = WordTokenizer().fit(TEXTS)
    assert tokenizer.encode("zebra") == [1]
    assert tokenizer.decode(tokenizer.encode("Good zebra film")) == "good <unk> film"
    assert tokenizer.decode([0, *tokenizer.encode("good")], skip_specials=True) == "good"
    assert tokenizer.encode("") == []


def test_chinese_with_and_without_a_list():
    assert WordTokenizer().tokens("喜欢电影") == ["喜", "欢", "电", "影"]
    by_list = WordTokenizer(word_list=WordList(["喜欢", "电影"]), drop_stop_words=True).fit(TEXTS)
    assert by_list.tokens("我不喜欢电影") == ["喜欢", "电影"]
    assert saved_and_loaded(by_list).tokens("我不喜欢电影") == ["喜欢", "电影"]


def test_encode_batch_of_nothing():
    ids, lengths = WordTokenizer().fit(TEXTS).encode_batch([], length=5)
    assert ids.shape == (0, 5) and lengths.shape == (0,)


@given(
    st.builds(
        dict,
        lower=st.booleans(),
        urls=st.sampled_from([True, False, "<url>"]),
        punctuation=st.booleans(),
        drop_stop_words=st.booleans(),
        keep=st.sampled_from([(), ("not",)]),
        ngrams=st.integers(1, 3),
        unicode=st.sampled_from(["NFC", "NFKC", None]),
        unknown=st.sampled_from([None, "drop"]),
        word_list=st.sampled_from([None, ["电影"]]),
        size=st.sampled_from([5, np.int64(100)]),
    )
)
def test_json_keeps_every_setting(options):
    tokenizer = WordTokenizer(**options).fit(TEXTS)
    again = saved_and_loaded(tokenizer)
    assert again.to_json() == tokenizer.to_json()
    for text in (*TEXTS, "Unseen https://a.b WORDS"):
        assert again.stages(text) == tokenizer.stages(text)


@pytest.mark.parametrize(
    "options",
    [
        {"split": "spaces"},
        {"lang": "fr"},
        {"unicode": "NFD"},
        {"ngrams": 0},
        {"size": 2},
        {"min_count": 0},
        {"unknown": "guess"},
        {"specials": ("<pad>",), "unknown": "unk"},
    ],
)
def test_wrong_settings_show_at_once(options):
    with pytest.raises(OptionError):
        WordTokenizer(**options)


def test_wrong_texts():
    for wrong in ("one text", None, [None], [b"x"], [], ["", "!"]):
        with pytest.raises(DataError):
            WordTokenizer().fit(wrong)
    with pytest.raises(DataError, match=r"call fit\(texts\) first"):
        WordTokenizer().encode("a")
    with pytest.raises(DataError):
        WordTokenizer().fit(TEXTS).encode(b"a")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (None, {"type": "words"}),
        (None, {"vocabulary": None}),
        (None, {"settings": []}),
        ("settings", {"extra": 1}),
        ("settings", {"ngrams": True}),
        ("settings", {"ngrams": 0}),
        ("settings", {"size": 3}),
        ("settings", {"keep": "not"}),
        ("settings", {"keep": [1]}),
        ("settings", {"word_list": []}),
        ("settings", {"lower": "yes"}),
        ("settings", {"unicode": "NFX"}),
        ("settings", {"specials": ["<pad>"]}),
        ("vocabulary", {"counts": []}),
    ],
)
def test_broken_json_of_a_word_tokenizer(part, change):
    saved = WordTokenizer().fit(TEXTS).to_json()
    saved = saved | change if part is None else saved | {part: saved[part] | change}
    with pytest.raises(CheckpointError):
        tokenizer_from_json(saved)


def test_an_unfitted_tokenizer_is_not_saved():
    with pytest.raises(DataError):
        WordTokenizer().to_json()


@pytest.mark.parametrize("data", [None, [], "bpe", {}, {"type": "gpt"}, {"type": ["bpe"]}, {"type": "bpe"}])
def test_no_tokenizer(data):
    with pytest.raises(CheckpointError):
        tokenizer_from_json(data)


@given(st.lists(st.text(max_size=20), min_size=1).filter(any), st.none() | st.integers(3, 9))
def test_characters_come_back(texts, size):
    tokenizer = CharTokenizer.train(texts, size)
    again = saved_and_loaded(tokenizer)
    for text in texts:
        known = "".join(c for c in text if c in tokenizer.vocabulary)
        assert again.decode(tokenizer.encode(known)) == known
        assert len(tokenizer.encode(text)) == len(text)
    assert size is None or len(tokenizer) <= size


def test_char_tokenizer():
    tokenizer = CharTokenizer.train("aab你\n")
    assert tokenizer.encode("ba?") == [3, 2, 1]
    assert tokenizer.tokens("你?") == ["你", "<unk>"]
    assert tokenizer.decode([0, 2], skip_specials=True) == "a"
    strict = CharTokenizer.train("ab", specials=())
    assert len(strict) == 2
    with pytest.raises(DataError, match="'z'"):
        strict.encode("z")


def test_char_tokenizer_refuses():
    for wrong in ("", [], [""], None, b"x"):
        with pytest.raises(DataError):
            CharTokenizer.train(wrong)
    with pytest.raises(OptionError):
        CharTokenizer.train("abc", 2)
    with pytest.raises(DataError):
        CharTokenizer.train("abc").encode(None)
    saved = CharTokenizer.train("abc").to_json()
    saved["vocabulary"]["words"][0] = "long"
    with pytest.raises(CheckpointError, match="single characters"):
        CharTokenizer.from_json(saved)


def test_bpe_is_loaded_by_its_tag():
    bpe = saved_and_loaded(BPE.train("low lower lowest", 260))
    assert isinstance(bpe, BPE) and bpe.decode(bpe.encode("low")) == "low"


def test_real_spam(real_data):
    # Bare double quotes inside the messages: only without quoting does every line stay a row.
    with (real_data / "sms_spam" / "sms.tsv").open(encoding="utf-8", newline="") as file:
        messages = [row[1] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert len(messages) == 5574
    assert any(message.count('"') % 2 for message in messages)
    tokenizer = WordTokenizer(size=5000).fit(messages)
    ids, lengths = tokenizer.encode_batch(messages, length=100)
    assert ids.shape == (5574, 100) and len(tokenizer) == 5000 and ids.max() < 5000
    assert (np.count_nonzero(ids, axis=1) == lengths).all()
    assert "free" in tokenizer.vocabulary and not any("&lt;" in token for token in tokenizer.vocabulary.tokens)
