"""The corpora: the bundled ones are what their cards say, the public ones have the rows that the world counts."""

import csv
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tinyslm.data import bundled_path, load, load_table, load_text, names
from tinyslm.errors import DataError, OptionError
from tinyslm.text import words

STYLES = ("plain", "negation", "contrast", "irony")


def english_parts(text):
    return set(re.findall(r"[a-z']+", text.lower()))


def chinese_parts(text):
    characters = re.sub(r"\W", "", text)
    return set(pairwise(characters))


TABLES = {
    "reviews": (1000, {"train": 800, "test": 200}, english_parts),
    "reviews_zh": (300, {"train": 250, "test": 50}, chinese_parts),
}


@pytest.fixture(params=sorted(TABLES))
def corpus(request):
    return request.param, load_table(request.param)


def test_size_columns_and_no_faults(corpus):
    name, table = corpus
    rows, parts, _ = TABLES[name]
    assert len(table) == rows
    assert Counter(table.extra["split"]) == parts
    assert list(table.extra) == ["kind", "style", "split"]
    assert (table.warnings, table.skipped, table.duplicates) == ([], 0, 0)
    assert table.extra["split"] == sorted(table.extra["split"], reverse=True)


def test_half_positive_in_every_part_kind_and_style(corpus):
    _, table = corpus
    extra = table.extra
    for keys in (extra["kind"], list(zip(extra["split"], extra["style"], strict=True))):
        counts = Counter(zip(keys, table.labels, strict=True))
        assert all(counts[key, "positive"] == counts[key, "negative"] > 0 for key in set(keys))
    assert set(extra["style"]) == set(STYLES)


def test_no_kind_is_in_both_parts_and_the_rows_are_mixed(corpus):
    _, table = corpus
    train, test = table.where("split", "train"), table.where("split", "test")
    assert not set(train.extra["kind"]) & set(test.extra["kind"])
    for part in (train, test):
        changes = sum(a != b for a, b in pairwise(part.labels))
        assert changes > 0.35 * len(part)


def incidence(bags):
    index = {part: i for i, part in enumerate(sorted(set().union(*bags)))}
    matrix = np.zeros((len(bags), len(index)), dtype=np.float32)
    for row, bag in enumerate(bags):
        matrix[row, [index[part] for part in bag]] = 1
    return matrix


def test_no_two_reviews_are_nearly_the_same(corpus):
    name, table = corpus
    matrix = incidence([TABLES[name][2](text) for text in table.texts])
    shared = matrix @ matrix.T
    sizes = matrix.sum(axis=1)
    jaccard = shared / (sizes[:, None] + sizes[None, :] - shared)
    np.fill_diagonal(jaccard, 0)
    worst = np.unravel_index(jaccard.argmax(), jaccard.shape)
    assert jaccard.max() <= 0.4, [table.texts[i] for i in worst]


def naive_bayes_score(table, split_text):
    """The test accuracy of word counting (multinomial naive Bayes with one added count)."""
    train, test = table.where("split", "train"), table.where("split", "test")
    matrix = incidence([split_text(text) for text in train.texts + test.texts])
    truth = np.array([label == "positive" for label in train.labels + test.labels])
    seen, unseen = slice(0, len(train)), slice(len(train), None)
    counts = np.stack([matrix[seen][truth[seen] == side].sum(axis=0) + 1 for side in (False, True)])
    weights = np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(((matrix[unseen] @ (weights[1] - weights[0]) > 0) == truth[unseen]).mean())


def test_counting_words_beats_a_guess_but_does_not_solve_the_test_part():
    assert 0.6 < naive_bayes_score(load_table("reviews"), english_parts) < 0.85
    assert 0.5 < naive_bayes_score(load_table("reviews_zh"), set) < 0.85


def test_files_are_utf8_csv_with_line_feeds(corpus):
    name, table = corpus
    content = bundled_path(name).read_bytes()
    assert b"\r" not in content
    assert content.startswith(b"text,label,kind,style,split\n")
    lines = content.decode("utf-8").splitlines()
    assert len(list(csv.reader(lines))) == len(lines) == len(table) + 1
    assert name == "reviews_zh" or content.isascii()


def test_stories():
    text = load_text("stories")
    stories = text.strip().split("\n\n\n")
    assert len(text) >= 60_000
    assert len(stories) == 60
    assert len(set(stories)) == 60
    assert text.isascii()
    assert "\r" not in text


def tokens(text):
    return words(text.lower(), punctuation=True)


def test_phrases_have_every_word_of_the_test_part_in_the_training_part():
    table = load_table("phrases_en_zh")
    assert table.labels is None and (table.warnings, table.duplicates) == ([], 0)
    assert list(table.extra) == ["chinese", "kind", "split"]
    train, test = table.where("split", "train"), table.where("split", "test")
    assert (len(train), len(test), len(set(table.texts))) == (200, 45, 245)
    for seen, asked in ((train.texts, test.texts), (train.extra["chinese"], test.extra["chinese"])):
        assert {w for text in asked for w in tokens(text)} <= {w for text in seen for w in tokens(text)}
    assert set(train.extra["kind"]) >= set(test.extra["kind"])


def test_phrases_are_sentences_and_the_numbers_in_their_card_hold():
    table = load_table("phrases_en_zh")
    chinese = table.extra["chinese"]
    pairs = zip(table.texts, chinese, strict=True)
    assert all((e[-1], z[-1]) in {(".", "。"), ("?", "？")} and e[0].isupper() and e.isascii() for e, z in pairs)
    assert all("\u4e00" <= c <= "\u9fff" for z in chinese for c in z[:-1])
    english_words = [tokens(text)[:-1] for text in table.texts]
    lengths = [[len(text) for text in side] for side in (english_words, [z[:-1] for z in chinese])]
    spans = [f"{min(x)} to {max(x)}" for x in lengths]
    card = bundled_path("phrases_en_zh").with_suffix(".md").read_text(encoding="utf-8")
    assert f"{spans[0]} words" in card and f"{spans[1]} characters" in card
    counts = len({w for text in english_words for w in text}), len({c for z in chinese for c in z[:-1]})
    assert "{} English words (capitals apart) and {} Chinese characters".format(*counts) in card, counts
    assert set(re.search(r"\(kind\): (.*)\.", card)[1].split(", ")) == set(table.extra["kind"])
    assert b"\r" not in bundled_path("phrases_en_zh").read_bytes()


@pytest.mark.parametrize("name", ["reviews", "reviews_zh", "phrases_en_zh", "stories"])
def test_every_bundled_corpus_has_a_card(name):
    card = bundled_path(name).with_suffix(".md").read_text(encoding="utf-8")
    assert card.startswith(f"# {bundled_path(name).name}")
    assert "CC0" in card
    assert "our own writing" in card.lower()
    assert "Limits" in card


def test_the_numbers_in_the_story_card_hold():
    text = load_text("stories")
    card = bundled_path("stories").with_suffix(".md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z']+", text.lower()))
    numbers = (len(text), len(text.split()), text.count("\n"), len(words), len(set(text)))
    assert all(f"{number:,} " in card for number in numbers), numbers


def test_python_docs_are_prose_without_repeats():
    text = load_text("python-docs")
    paragraphs = text.splitlines()
    assert len(text) > 100_000
    assert len(paragraphs) == len(set(paragraphs))
    assert ">>>" not in text
    assert text == load_text("python-docs")


def test_python_docs_where_python_lacks_them(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="pydoc_data"):
        load("python-docs")


def test_unknown_names_and_wrong_kinds():
    assert {"stories", "python-docs", "mr_polarity"} <= set(names())
    with pytest.raises(OptionError, match="Did you mean sms_spam"):
        load("sms-spm")
    with pytest.raises(OptionError, match="reviews_zh"):
        bundled_path("review_zh")
    with pytest.raises(OptionError, match="plain text"):
        load_table("stories")
    with pytest.raises(OptionError, match="a table"):
        load_text("reviews")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "rows", "classes"),
    [
        ("mr_polarity", 10_662, {"negative": 5331, "positive": 5331}),
        ("sms_spam", 5574, {"ham": 4827, "spam": 747}),
        ("chnsenticorp_htl", 7765, {"negative": 2443, "positive": 5322}),
    ],
)
def test_public_tables(real_data, name, rows, classes):
    table = load_table(name, data_dir=real_data)
    assert (len(table), table.classes()) == (rows, classes)
    assert all(table.texts)


@pytest.mark.realdata
def test_public_texts(real_data, monkeypatch):
    monkeypatch.setenv("TINYSLM_DATA", str(real_data))
    assert len(load_text("tinyshakespeare")) == 1_115_394
    assert len(load_text("names").splitlines()) == 32_033


@pytest.mark.realdata
def test_quirks_of_the_public_tables(real_data):
    films = load_table("mr_polarity", data_dir=real_data)
    assert sum("\u2026" in text for text in films.texts) > 0  # byte 0x85, an ellipsis in cp1252
    assert any('"' in text for text in load_table("sms_spam", data_dir=real_data).texts)
    assert "1 row with an empty text skipped" in load_table("chnsenticorp_htl", data_dir=real_data).warnings[0]


def test_the_path_of_a_file_leads_to_the_function_that_reads_files():
    with pytest.raises(OptionError, match=r"Got 'nope\.csv'\. A file of your own is read by .*read_csv\('nope\.csv'\)"):
        load("nope.csv")
    with pytest.raises(OptionError) as caught:
        load("reviewz")
    assert "read_csv" not in str(caught.value)
