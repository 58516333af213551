"""Word vectors from texts: corpus, subsampling, training, neighbours, files, refusals."""

import json
import threading
from itertools import pairwise

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.errors import CheckpointError, DataError, OptionError
from tinyslm.models import SkipGram, train_skipgram
from tinyslm.models import skipgram as parts

GROUPS = (("cat", "dog", "cow", "hen"), ("red", "blue", "green", "pink"))
SETTINGS = {"dim": 12, "epochs": 4, "min_count": 1, "subsample": 0, "lr": 0.1, "workers": 1}


def two_topics(count=300, seed=0):
    """Sentences of six words, each about animals or about colours."""
    rng = np.random.default_rng(seed)
    return [[GROUPS[i % 2][k] for k in rng.integers(0, 4, 6)] for i in range(count)]


def trained(sentences=None, seed=0, **options):
    source = two_topics() if sentences is None else sentences
    return train_skipgram(source, **{**SETTINGS, **options}, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("backend", "workers", "count"), [("numba", 1, 300), ("numba", 3, 600), ("numpy", 1, 30)])
def test_words_of_a_topic_become_neighbours(backend, workers, count):
    with ts.use(backend):
        model = trained(two_topics(count), workers=workers, epochs=20)
    for group in GROUPS:
        for word in group:
            assert {w for w, _ in model.most_similar(word, 3)} == set(group) - {word}
    assert model.similarity("cat", "dog") > 0.5 > model.similarity("cat", "red")


def test_without_the_compiler_the_formulas_serve_and_that_is_said(monkeypatch):
    numba = pytest.importorskip("numba")
    loops = ts.device.Loops("skipgram:train_part", parts.train_part)
    monkeypatch.setattr(loops.kernel.import_module(), "train_part", numba.njit(lambda *a: a[0].no_such_attribute))
    monkeypatch.setattr(parts, "_train_part", loops)
    monkeypatch.setattr(ts.device, "_warned", set())
    with ts.use("numba"), pytest.warns(RuntimeWarning, match="train_part does not compile here, NumPy serves"):
        got = trained(two_topics(20), workers=1)
    with ts.use("numpy"):
        np.testing.assert_array_equal(got.vectors, trained(two_topics(20), workers=1).vectors)


def test_one_worker_gives_the_same_bits_for_the_same_rng():
    a, b, other = trained(), trained(), trained(seed=1)
    np.testing.assert_array_equal(a.vectors, b.vectors)
    np.testing.assert_array_equal(a.outputs, b.outputs)
    assert (a.vectors != other.vectors).any() and a.vectors.dtype == np.float32


def test_neighbours_are_sorted_by_cosine_and_leave_the_word_out():
    model = trained()
    found = model.most_similar("cat", 99)
    assert len(found) == 7 and "cat" not in dict(found)
    assert [c for _, c in found] == sorted((c for _, c in found), reverse=True)
    for word, cosine in found:
        a, b = model["cat"], model[word]
        assert cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-5)
        assert cosine == pytest.approx(model.similarity("cat", word), rel=1e-5)
    assert len(model) == 8 and "red" in model and "gold" not in model


def test_a_file_gives_the_vectors_of_its_sentences(tmp_path):
    sentences = two_topics(40)
    path = tmp_path / "text.txt"
    path.write_text("\n".join(map(" ".join, sentences)), encoding="utf-8")
    for split in (parts.english_words, str.split):
        np.testing.assert_array_equal(trained(path, split=split).vectors, trained(sentences).vectors)
    assert parts.english_words("The Cat's, HERE!") == ["the", "cat's", "here"]


@pytest.mark.parametrize("split", [str.split, lambda line: line.split()])
def test_long_lines_are_read_in_pieces(tmp_path, monkeypatch, split):
    monkeypatch.setattr(parts, "BLOCK", 16)
    monkeypatch.setattr(parts, "PIECE", 3)
    words = [f"word{i}" for i in range(30)]
    path = tmp_path / "text.txt"
    path.write_text(f"short one\n\n{' '.join(words)}\nlast line\n", encoding="utf-8")
    corpus = parts._corpus(parts._blocks(path, split), 1)
    assert [corpus.vocabulary.tokens[i] for i in corpus.words] == ["short", "one", *words, "last", "line"]
    sizes = np.diff(corpus.starts).tolist()
    assert sizes[0] == sizes[-1] == 2 and max(sizes) == 3 and min(sizes) > 0


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array])
def test_rare_words_go_before_the_windows_are_laid(kind):
    corpus = parts.read_corpus(map(kind, [["b", "x", "a", "b"], ["y"], ["a", "b"], []]), min_count=2)
    assert corpus.vocabulary.tokens == ("b", "a") and corpus.counts().tolist() == [3, 2]
    assert corpus.words.tolist() == [0, 1, 0, 1, 0] and corpus.starts.tolist() == [0, 3, 5]


def test_a_file_is_numbered_the_same_by_blocks_and_by_lines(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    text = "\n\n a  b\u00a0c a\tb \r\nc\n\nd d a\u2028b\n   \nlast words of a b c d"
    path.write_bytes(text.encode())
    wanted = parts.read_corpus(map(str.split, text.replace("\r", "").split("\n")), 2)
    for block in (3, 1 << 20):
        monkeypatch.setattr(parts, "BLOCK", block)
        for split in (str.split, lambda line: line.split()):
            corpus = parts._corpus(parts._blocks(path, split), 2)
            assert corpus.vocabulary.counts == wanted.vocabulary.counts == {"a": 4, "b": 4, "c": 3, "d": 3}
            assert corpus.words.tolist() == wanted.words.tolist()
            if block > 3:  # smaller parts end at a space, too
                assert corpus.starts.tolist() == wanted.starts.tolist() == [0, 5, 6, 10, 14]


def test_workers_share_the_sentences():
    starts = np.array([0, 5, 6, 20, 21, 40])
    for count in (1, 2, 3, 9):
        shares = parts._shares(starts, count)
        assert len(shares) <= count and [a for s in shares for a in s[:-1]] == starts[:-1].tolist()
        assert shares[-1][-1] == 40 and all(s[-1] == t[0] for s, t in pairwise(shares))
    assert len(parts._shares(starts, 2)) == 2


def test_frequent_words_are_thinned_out_as_in_word2vec():
    kept = parts.keep_probabilities(np.array([900, 99, 1]), 0.01)
    f = np.array([0.9, 0.099])
    np.testing.assert_allclose(kept[:2], (np.sqrt(f / 0.01) + 1) * 0.01 / f)
    assert kept[2] == 1 and (parts.keep_probabilities(np.array([900, 99, 1]), 0) == 1).all()


def test_the_loss_is_that_of_the_derivation():
    from tinyslm.derivations.negative_sampling import loss

    rng = np.random.default_rng(0)
    v, u = rng.standard_normal((2, 5, 3))
    pairs, drawn = np.array([[0, 3], [4, 1]]), np.array([[1, 1, 2], [0, 3, 2]])
    want = np.mean([loss(v[near], u, word, n) for (word, near), n in zip(pairs, drawn, strict=True)])
    assert parts.skipgram_loss(v, u, pairs, drawn) == pytest.approx(want)


def test_saved_vectors_come_back(tmp_path):
    model = trained()
    model.save(tmp_path / "vectors")
    again = SkipGram.load(tmp_path / "vectors")
    np.testing.assert_array_equal(again.vectors, model.vectors)
    np.testing.assert_array_equal(again.outputs, model.outputs)
    assert again.most_similar("cow") == model.most_similar("cow")
    assert again.vocabulary.counts == model.vocabulary.counts


def test_files_that_do_not_fit_are_refused(tmp_path):
    model = trained()
    model.vectors = model.vectors[:3]
    model.save(tmp_path)
    with pytest.raises(CheckpointError, match=r"one shape \(8, D\)"):
        SkipGram.load(tmp_path)
    from tinyslm.checkpoint import save_model

    save_model(tmp_path, {}, {"kind": "text classifier"})
    with pytest.raises(CheckpointError, match="expected a skip-gram model, got 'text classifier'"):
        SkipGram.load(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["kind"] == "text classifier"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "two different words"),
        ([["a", "a"]], r"min_count = 1 times\n  Got: 2 words, 1 different"),
        ([["a", "b"], ["\0", "a"]], "got a NUL character"),
        (["cat dog"], "got a list of texts, not yet cut"),
        ("no/such/file.txt", "expected a text file in UTF-8"),
    ],
)
def test_sources_that_can_not_be_used_are_refused(source, message):
    with pytest.raises(DataError, match=message):
        trained(source)


def test_a_file_that_is_no_text_and_unknown_words_are_refused(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        trained(tmp_path / "x.txt")
    (tmp_path / "x.txt").write_bytes(b"cat dog \0 cat dog\n")
    with pytest.raises(DataError, match="NUL"):
        trained(tmp_path / "x.txt", split=str.split)
    with pytest.raises(DataError, match="'gold'"):
        trained().most_similar("gold")


@pytest.mark.parametrize("count", [0, -1, 2.5, "all"])
def test_a_number_of_neighbours_that_is_none_is_refused(count):
    with pytest.raises(OptionError, match="Expected count as a whole number of at least 1"):
        trained(two_topics(20)).most_similar("cat", count)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, np.nan], [1.0, -1.0], [np.inf, 1.0], []])
def test_a_noise_without_weights_is_refused(weights):
    with pytest.raises(OptionError, match="weights: expected finite numbers"):
        parts.alias_table(np.array(weights))


def test_an_error_of_one_worker_ends_the_others():
    stop = threading.Event()

    def work(fails):
        if fails:
            raise ValueError("planted")
        assert stop.wait(60), "the other worker was not told to stop"

    with pytest.raises(ValueError, match="planted"):
        parts._in_threads(work, [(False,), (True,)], stop)


def test_a_long_line_without_spaces_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "BLOCK", 8)
    path = tmp_path / "text.txt"
    for text in ("x" * 50, "ab cd " * 9, "x" * 30 + " y z\nend"):
        path.write_text(text, encoding="utf-8")
        found = list(parts._parts(path))
        assert "".join(found) == text
        assert max(map(len, found)) <= 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, r"dim as a whole number of at least 1\. Got 0"),
        ({"window": 1.5}, "Expected window"),
        ({"workers": True}, "Expected workers"),
        ({"subsample": -1}, "subsample: expected"),
        ({"lr": 0}, "lr: expected 0 < min_lr <= lr"),
    ],
)
def test_settings_outside_their_range_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        trained(**options)


def test_a_seed_is_no_generator():
    with pytest.raises(OptionError, match=r"Expected rng as a generator, .* Got 0\."):
        train_skipgram(two_topics(5), rng=0)
