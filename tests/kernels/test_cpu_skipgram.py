"""Skip-gram: one pair against the derivation, the noise against its probabilities, a part against what it may touch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, close, numbers
from drawn import arrays, dtypes
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import skipgram

from tinyslm.derivations.negative_sampling import word_by_word
from tinyslm.models import skipgram as formulas

TARGETS = [2, 0, 5, 5]  # the true word, and drawn ones, one of them twice


def kernel_pair(vector, outputs, targets, rate):
    """The step of the kernel, which wants different targets and how often each was drawn."""
    different = list(dict.fromkeys(map(int, targets)))
    times, errors = np.full((2, 8), np.nan, vector.dtype)
    times[: len(different)] = [list(targets).count(t) for t in different]
    scratch = errors, np.full_like(vector, np.nan)
    skipgram.train_pair(vector, outputs, np.array(different, np.int32), times, vector.dtype.type(rate), *scratch)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("targets", [TARGETS, [3], [1, 4]])
def test_a_pair_moves_down_the_derived_gradient(targets, size, dtype):
    v, u = numbers(0, size, dtype=dtype), numbers(1, 6, size, dtype=dtype)
    dv, du = word_by_word(v.astype(np.float64), u.astype(np.float64), targets[0], np.array(targets[1:], int))
    for step in (kernel_pair, formulas.train_pair):
        vector, outputs = v.copy(), u.copy()
        step(vector, outputs, np.array(targets), 0.3)
        close(vector, v - 0.3 * dv, "vector")
        close(outputs, u - 0.3 * du, "outputs")


def test_a_pair_lowers_the_loss_and_large_scores_stay_finite():
    v, u = numbers(0, 8, dtype="float32", scale=0.1), numbers(1, 6, 8, dtype="float32", scale=0.1)
    tables = np.stack([v, v]), u
    case = np.array([[2, 0]]), np.array([[0, 5, 5]])
    before = formulas.skipgram_loss(*tables, *case)
    kernel_pair(tables[0][0], u, TARGETS, 0.1)
    assert formulas.skipgram_loss(*tables, *case) < before
    far = np.full(8, 1e4, np.float32)
    kernel_pair(far, u, TARGETS, 0.1)
    assert np.isfinite(far).all() and np.isfinite(u).all()


def test_the_noise_is_drawn_with_its_probabilities():
    weights = np.array([50.0, 1, 30, 0, 7, 12]) ** 0.75
    limits, others = formulas.alias_table(weights)
    p = weights / weights.sum()
    np.testing.assert_allclose(formulas._probabilities(limits, others), p, atol=1e-9)
    drawn = np.empty(200_000, np.int32)
    skipgram.draws(limits, others, np.uint64(5), drawn)
    share = np.bincount(drawn, minlength=6) / drawn.size
    assert np.abs(share - p).max() < 5 * np.sqrt(0.25 / drawn.size) and share[3] == 0


def part(words, starts, window=2, keep=None, seed=1, rates=(0.1, 0.1), function=skipgram.train_part):
    """Both tables after one part, and as they were before."""
    count = 6
    vectors, outputs = numbers(0, count, 9, dtype="float32"), numbers(1, count, 9, dtype="float32")
    before = vectors.copy(), outputs.copy()
    noise = formulas.alias_table(np.array([1.0, 1, 1, 1, 0, 0]))
    kept = np.ones(count) if keep is None else np.array(keep)
    arrays = np.array(words, np.int32), np.array(starts)
    function(vectors, outputs, *arrays, kept, *noise, window, 2, rates, np.uint64(seed))
    return vectors, outputs, *before


@pytest.mark.parametrize("function", [skipgram.train_part, formulas.train_part])
def test_only_words_of_the_sentences_move(function):
    vectors, outputs, old_vectors, old_outputs = part([0, 1, 4, 5, 5], [0, 2, 3], function=function)
    moved = [(a != b).any(1) for a, b in ((vectors, old_vectors), (outputs, old_outputs))]
    # 4 stands alone in its sentence, so it has no neighbour; 5 lies behind the last sentence.
    assert moved[0].tolist() == [True, True, False, False, False, False]
    assert moved[1][:2].all() and not moved[1][4:].any()


def test_words_that_do_not_stay_leave_their_neighbours_closer():
    sentence = [0, 4, 1]
    apart = part(sentence, [0, 3], window=1)[0]
    close_by = part(sentence, [0, 3], window=1, keep=[1, 1, 1, 1, 0, 1])[0]
    np.testing.assert_array_equal(close_by[4], part([0], [0, 1])[2][4])
    assert (apart[4] != close_by[4]).any() and np.isfinite(close_by).all()


def test_one_seed_gives_the_same_bits_and_another_does_not():
    text = np.random.default_rng(0).integers(0, 6, 200)
    a, b, other = (part(text, [0, 120, 200], seed=s)[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert (a != other).any()


def test_a_learning_rate_of_0_changes_nothing():
    vectors, outputs, *before = part([0, 1, 2, 3], [0, 4], rates=(0.0, 0.0))
    np.testing.assert_array_equal(vectors, before[0])
    np.testing.assert_array_equal(outputs, before[1])


@pytest.mark.parametrize("function", [skipgram.train_part, formulas.train_part])
@pytest.mark.parametrize(("rates", "moves"), [((0.0, 0.2), [False, True]), ((0.2, -0.2), [True, False])])
def test_the_learning_rate_goes_evenly_from_one_end_to_the_other(rates, moves, function):
    vectors, _, before, _ = part([0, 1, 2, 3], [0, 2, 4], rates=rates, function=function)
    moved = (vectors != before).any(1)
    assert moved[:4].tolist() == [moves[0], moves[0], moves[1], moves[1]]


@pytest.mark.parametrize("function", [skipgram.train_part, formulas.train_part])
def test_the_width_of_a_window_is_drawn_evenly(function):
    # Each pair adds rate / 2 to the true word's output vector, as long as that is small; draws hit word 1 alone.
    words, rate = np.zeros(300, np.int32), 1e-7
    vectors, outputs = np.ones((2, 1)), np.zeros((2, 1))
    noise = formulas.alias_table(np.array([0.0, 1.0]))
    function(vectors, outputs, words, np.array([0, 300]), np.ones(2), *noise, 3, 1, (rate, rate), np.uint64(7))
    pairs = outputs[0, 0] / (rate / 2)
    assert pairs == pytest.approx(round(pairs), abs=0.1)
    assert pairs == pytest.approx(300 * 2 * (1 + 2 + 3) / 3, rel=0.06)  # 1 800 if every window were full


@pytest.mark.parametrize("function", [skipgram.train_part, formulas.train_part])
@pytest.mark.parametrize("negatives", [1, 3, 20])
def test_a_word_counts_as_often_as_it_is_drawn(negatives, function):
    vectors, outputs, rate = np.ones((2, 1)), np.zeros((2, 1)), 1e-7
    noise = formulas.alias_table(np.array([0.0, 1.0]))
    function(
        vectors, outputs, np.zeros(2, np.int32), np.array([0, 2]), np.ones(2), *noise, 1, negatives, (rate, rate),
        np.uint64(1),
    )  # fmt: skip
    np.testing.assert_allclose(outputs[:, 0] / (rate / 2), [2, -2 * negatives], rtol=1e-5)  # of two pairs


@settings(max_examples=15)
@given(st.data(), dtypes, st.integers(0, 19), st.lists(st.integers(0, 5), min_size=1, max_size=7))
def test_a_drawn_pair(data, dtype, size, targets):
    v, u = data.draw(arrays((size,), dtype)), data.draw(arrays((6, size), dtype))
    vector, outputs, want = v.copy(), u.copy(), [a.astype(np.float64) for a in (v, u)]
    kernel_pair(vector, outputs, targets, 0.3)
    with np.errstate(over="ignore"):
        formulas.train_pair(*want, np.array(targets), 0.3)
    close(vector, want[0], "vector")
    close(outputs, want[1], "outputs")
