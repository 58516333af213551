"""Scores against values worked out by hand, and against a second formula for each."""

import json
import math
import statistics
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm import metrics as m
from tinyslm.errors import DataError, DTypeError, OptionError, ShapeError

classes = st.integers(2, 5).flatmap(
    lambda c: st.tuples(
        st.just(c), st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=1, max_size=40)
    )
)
words = st.lists(st.sampled_from("abc"), max_size=8)


# -- classes ----------------------------------------------------------------------------------------------------------


def test_accuracy_and_error_rate_by_hand():
    assert m.accuracy([0, 1, 2, 1], [0, 1, 1, 1]) == 0.75
    assert m.error_rate([0, 1, 2, 1], [0, 1, 1, 1]) == 0.25
    assert m.accuracy(np.array([[True, False]]), np.array([[True, True]])) == 0.5


def test_confusion_has_true_rows_and_predicted_columns():
    assert m.confusion_matrix([0, 0, 1, 2], [0, 2, 1, 2]).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert m.confusion_matrix([0], [0], 2).tolist() == [[1, 0], [0, 0]]


def test_scores_of_classes_by_hand():
    # class 0: 2 right of 3 predicted and 4 true; class 1: 1 right of 3 predicted and 2 true
    first, second = m.class_scores([[2, 2], [1, 1]])
    assert (first.precision, first.recall, first.f1) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    assert (second.precision, second.recall, second.f1) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    macro = m.macro_average([first, second])
    assert (macro.precision, macro.recall, macro.f1) == pytest.approx((1 / 2, 1 / 2, 17 / 35))


@given(classes)
def test_scores_follow_from_loops_over_the_items(case):
    count, pairs = case
    true, predicted = zip(*pairs, strict=True)
    scores = m.class_scores(m.confusion_matrix(true, predicted, count))
    for c, s in enumerate(scores):
        hit = sum(t == p == c for t, p in pairs)
        precision = hit / max(1, sum(p == c for _, p in pairs))
        recall = hit / max(1, sum(t == c for t, _ in pairs))
        f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
        assert (s.precision, s.recall, s.f1) == pytest.approx((precision, recall, f1))


@given(classes)
def test_confusion_sums_and_micro_average(case):
    count, pairs = case
    true, predicted = zip(*pairs, strict=True)
    matrix = m.confusion_matrix(true, predicted, count)
    assert matrix.sum() == len(pairs)
    assert matrix.T.tolist() == m.confusion_matrix(predicted, true, count).tolist()
    micro = m.micro_average(matrix)
    assert micro.precision == micro.recall == pytest.approx(m.accuracy(true, predicted))
    assert micro.f1 == pytest.approx(micro.recall)


def test_classes_are_refused_with_a_reason():
    with pytest.raises(ShapeError, match="equal shapes"):
        m.accuracy([0, 1], [0])
    with pytest.raises(DTypeError, match="argmax"):
        m.accuracy([0, 1], [0.2, 0.8])
    with pytest.raises(DataError, match="at least 1"):
        m.accuracy(np.zeros(0, int), np.zeros(0, int))
    for bad in ([0, 3], [0, -1]):
        with pytest.raises(DataError, match="out of range"):
            m.confusion_matrix(bad, [0, 0], 3)
    with pytest.raises(ShapeError, match="square"):
        m.class_scores([[1, 2, 3], [4, 5, 6]])


def test_report_tells_where_the_convention_was_used():
    report = m.class_report([0, 0, 1], [0, 1, 1], ["spam", "ham", "正常"])
    assert report.accuracy == pytest.approx(2 / 3)
    assert [r.support for r in report.rows] == [2, 1, 0]
    assert report.rows[2].f1 == 0
    assert report.macro.recall == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert len(report.notes) == 2
    assert all("正常" in note and "convention" in note for note in report.notes)
    assert m.class_report([0, 1], [0, 1], ["a", "b"]).notes == []
    assert m.class_report([0, 1], [0, 0], ["a", "b"]).notes == ["b: never predicted, so precision is 0 by convention"]


def test_report_as_json_and_as_a_table():
    report = m.class_report(np.array([0, 0, 1]), np.array([0, 1, 1]), ["垃圾", "ham"])
    saved = json.loads(report.to_json())
    assert saved["confusion"] == [[1, 1], [0, 1]]
    assert saved["rows"][0] == {
        "label": "垃圾",
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
    }
    assert "垃圾" in report.to_json()
    lines = str(report).splitlines()
    assert len(lines) == 5
    assert lines[1].split() == ["垃圾", "1.0000", "0.5000", "0.6667", "2"]
    assert len(lines[1]) + 2 == len(lines[2]) == len(lines[0])  # two wide characters


# -- language models --------------------------------------------------------------------------------------------------


def test_perplexity_of_a_uniform_model_is_its_vocabulary():
    assert m.perplexity(math.log(50)) == pytest.approx(50)
    assert m.perplexity([math.log(4)] * 3) == pytest.approx(4)
    assert m.perplexity(1e6) == math.inf


@given(st.lists(st.floats(0, 5), min_size=2, max_size=20), st.integers(1, 5))
def test_perplexity_does_not_depend_on_the_batches(losses, size):
    batches = [losses[i : i + size] for i in range(0, len(losses), size)]
    by_batch = m.perplexity([statistics.fmean(b) for b in batches], [len(b) for b in batches])
    assert by_batch == pytest.approx(math.prod(math.exp(x) for x in losses) ** (1 / len(losses)))


def test_perplexity_wants_matching_counts():
    with pytest.raises(ShapeError, match="one count"):
        m.perplexity([1.0, 2.0], [3])
    with pytest.raises(ShapeError, match="sum 0"):
        m.perplexity([1.0], [0])


# -- translation ------------------------------------------------------------------------------------------------------

CAT = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]


def test_bleu_clips_the_examples_of_the_paper():
    """Section 2.1: seven times "the" has precision 2/7."""
    score = m.bleu([CAT], [["the"] * 7])
    assert score.precisions == pytest.approx((2 / 7, 0, 0, 0))
    assert float(score) == 0


def test_bleu_by_hand_with_brevity_penalty():
    # 5 tokens against 6: 5/5, 4/4, 3/3, 2/2 and exp(1 - 6/5)
    score = m.bleu([[["a", "b", "c", "d", "e", "f"]]], [["a", "b", "c", "d", "e"]])
    assert score.precisions == (1, 1, 1, 1)
    assert score.score == score.brevity_penalty == pytest.approx(math.exp(-0.2))
    # "a b c x": 3/4, 2/3, 1/2, 0/1; with one added above order 1: 3/4, 3/4, 2/3, 1/2
    pair = [[["a", "b", "c", "d"]]], [["a", "b", "c", "x"]]
    assert m.bleu(*pair).score == 0
    assert m.bleu(*pair, smoothing="add-one").score == pytest.approx((3 / 4 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert m.bleu(*pair, max_order=2).score == pytest.approx(math.sqrt(3 / 4 * 2 / 3))


def test_bleu_takes_the_nearest_reference_and_the_shorter_of_two():
    score = m.bleu([[list("abcdef"), list("abcd")]], [list("abcde")])
    assert (score.reference_length, score.brevity_penalty) == (4, 1)


def test_bleu_pools_counts_over_the_corpus_instead_of_averaging():
    references, candidates = [[list("abcdefgh")], [list("wxyz")]], [list("abcdefgh"), list("wxyy")]
    matched, total = [8 + 3, 7 + 2, 6 + 1, 5 + 0], [8 + 4, 7 + 3, 6 + 2, 5 + 1]
    by_hand = math.prod(a / b for a, b in zip(matched, total, strict=True)) ** 0.25
    assert m.bleu(references, candidates).score == pytest.approx(by_hand)


def plain_bleu(references, candidates, max_order):
    """The definition with list.count, no counters."""
    product = 1.0
    for n in range(1, max_order + 1):
        hits = total = 0
        for refs, cand in zip(references, candidates, strict=True):
            grams = [[s[i : i + n] for i in range(len(s) - n + 1)] for s in [cand, *refs]]
            for gram in {tuple(g) for g in grams[0]}:
                count = grams[0].count(list(gram))
                hits += min(count, max(r.count(list(gram)) for r in grams[1:]))
                total += count
        product *= hits / total if total else 0
    c = sum(len(s) for s in candidates)
    r = sum(
        sorted((abs(len(x) - len(s)), len(x)) for x in refs)[0][1]
        for refs, s in zip(references, candidates, strict=True)
    )
    return product ** (1 / max_order) * (1 if c >= r else math.exp(1 - r / c)) if c else 0


@given(st.lists(st.tuples(st.lists(words, min_size=1, max_size=3), words), min_size=1, max_size=4))
def test_bleu_equals_the_plain_definition(corpus):
    references, candidates = zip(*corpus, strict=True)
    for max_order in (1, 2, 4):  # few of these random sentences share a sequence of 4
        score = m.bleu(references, candidates, max_order).score
        assert score == pytest.approx(plain_bleu(references, candidates, max_order))
        assert 0 <= score <= 1


def test_bleu_refuses_text_that_is_not_split():
    with pytest.raises(DataError, match="split text into tokens"):
        m.bleu([["the cat"]], [["the", "cat"]])
    with pytest.raises(DataError, match="split text into tokens"):
        m.bleu([[["the", "cat"]]], ["the cat"])
    with pytest.raises(DataError, match="one list of references"):
        m.bleu([], [["a"]])
    with pytest.raises(OptionError, match="add-one"):
        m.bleu([[["a"]]], [["a"]], smoothing="exp")


# -- speech -----------------------------------------------------------------------------------------------------------


def test_edit_distance_by_hand():
    assert m.edit_distance("kitten", "sitting") == 3
    assert m.edit_distance("", "abc") == m.edit_distance("abc", "") == 3
    assert m.edit_distance("", "") == 0
    assert m.edit_distance(["a", "b"], ["b"]) == 1


def recursive_distance(a, b):
    @cache
    def d(i, j):
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return d(len(a), len(b))


@given(words, words, words)
def test_edit_distance_is_the_recursion_and_a_metric(a, b, c):
    d = m.edit_distance
    assert d(a, b) == recursive_distance(a, b) == d(b, a)
    assert (d(a, b) == 0) == (a == b)
    assert d(a, c) <= d(a, b) + d(b, c)


def test_word_and_character_error_rates_pool_all_sentences():
    assert m.wer(["the cat sat", "no"], ["the bat sat down", "no"]) == 2 / 4
    assert m.wer(["a"], ["b c d"]) == 3
    assert m.cer(["abc", "d"], ["axc", "d"]) == 1 / 4
    assert m.cer(["今天很好"], ["今天好"]) == 1 / 4


def test_error_rates_refuse_single_strings_and_an_empty_truth():
    with pytest.raises(DataError, match="two lists"):
        m.wer("the cat", "the cat")
    with pytest.raises(DataError, match="at least 1 word"):
        m.wer([" "], ["a"])


# -- spans ------------------------------------------------------------------------------------------------------------


def test_spans_of_tags():
    tags = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-ORG", "I-ORG", "O", "I-PER"]
    assert m.bio_spans(tags) == {("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 5), ("ORG", 5, 7), ("PER", 8, 9)}
    assert m.bio_spans([]) == set()
    with pytest.raises(DataError, match="B-LABEL"):
        m.bio_spans(["PER"])


@given(st.lists(st.sampled_from(["A", "B", ""]), max_size=8))
def test_spans_written_as_tags_are_read_back(labels):
    tags, spans, at = [], set(), 0
    for i, label in enumerate(labels):
        length = i % 3 + 1
        if label:
            spans.add((label, at, at + length))
        tags += [f"B-{label}", *[f"I-{label}"] * (length - 1)] if label else ["O"] * length
        at += length
    assert m.bio_spans(tags) == spans


def test_span_scores_by_hand():
    true = [["B-PER", "I-PER", "O"], ["B-LOC", "O"]]
    predicted = [["B-PER", "O", "O"], ["B-LOC", "B-LOC"]]
    scores = m.span_f1(true, predicted)  # 1 of 3 found spans, 1 of 2 true spans
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert m.span_f1([["O"]], [["O"]]) == m.Scores(0, 0, 0)
    with pytest.raises(ShapeError, match="every sentence"):
        m.span_f1([["O"]], [["O", "O"]])


def test_overlap_of_answers_by_hand():
    scores = m.overlap_f1(["in", "the", "old", "house"], ["the", "house", "the"])
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((2 / 3, 2 / 4, 4 / 7))
    assert m.overlap_f1([], []).f1 == 1
    assert m.overlap_f1(["a"], []).f1 == 0


# -- how sure ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("df", "confidence", "printed"),
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (4, 0.95, 2.776), (9, 0.95, 2.262), (30, 0.95, 2.042), (5, 0.99, 4.032)],
)
def test_t_quantiles_are_those_of_the_printed_tables(df, confidence, printed):
    assert m.t_quantile(confidence, df) == pytest.approx(printed, abs=5e-4)


@pytest.mark.parametrize("df", [1, 2, 3, 6, 7])
def test_t_probability_is_the_integral_of_the_density(df):
    x = np.linspace(-2, 2, 20001)
    norm = math.gamma((df + 1) / 2) / math.sqrt(df * math.pi) / math.gamma(df / 2)
    density = norm * (1 + x**2 / df) ** (-(df + 1) / 2)
    area = float(((density[1:] + density[:-1]) / 2 * np.diff(x)).sum())
    assert m._t_probability(2.0, df) == pytest.approx(area, abs=1e-7)


def test_t_quantile_goes_to_the_normal_one():
    assert m.t_quantile(0.95, 100_000) == pytest.approx(statistics.NormalDist().inv_cdf(0.975), abs=1e-4)


def test_t_interval_by_hand():
    interval = m.t_interval([1.0, 2.0, 3.0])  # mean 2, s = 1, t(2) = 4.3027
    assert (interval.estimate, interval.n) == (2, 3)
    assert interval.high - 2 == 2 - interval.low == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)
    assert str(interval) == "2 [-0.4841, 4.484] (95 %, n = 3)"


def test_t_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    intervals = [m.t_interval(rng.normal(3, 2, 5)) for _ in range(2000)]
    covered = np.mean([i.low <= 3 <= i.high for i in intervals])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_paired_difference_sees_through_a_common_spread():
    seed_effect = np.array([0.0, 10, 20, 30, 40])
    interval = m.paired_difference(seed_effect + np.array([1.1, 0.9, 1, 1, 1]), seed_effect)
    assert 0 < interval.low < 1 < interval.high < 2
    with pytest.raises(ShapeError, match="same seed"):
        m.paired_difference([1, 2], [1, 2, 3])


def test_bootstrap_agrees_with_the_normal_interval_of_a_share():
    hits = np.array([1] * 800 + [0] * 200)
    interval = m.bootstrap_interval(hits, np.random.default_rng(0))
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert interval.estimate == 0.8
    assert (interval.low, interval.high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.003)
    assert interval == m.bootstrap_interval(hits, np.random.default_rng(0))
    assert m.bootstrap_interval([5.0, 5.0, 5.0], np.random.default_rng(0), np.median).low == 5


def test_intervals_refuse_too_few_values():
    with pytest.raises(DataError, match="at least 2"):
        m.t_interval([1.0])
    with pytest.raises(OptionError, match=r"0\.95"):
        m.t_interval([1.0, 2.0], 95)
