"""Splits: a partition of the rows, each class in its share, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.data import check_leak, drop_duplicates, stratified_split
from tinyslm.errors import DataError, OptionError, ShapeError

labels_lists = st.lists(st.sampled_from("abc"), min_size=6, max_size=80).filter(lambda rows: len(set(rows)) > 1)
fractions_lists = st.sampled_from([(0.8, 0.2), (0.5, 0.5), (0.7, 0.2, 0.1), (0.34, 0.33, 0.33)])


def split_or_none(labels, fractions, seed=0):
    try:
        return stratified_split(labels, fractions, rng=np.random.default_rng(seed))
    except DataError:
        return None


@given(labels_lists, fractions_lists, st.integers(0, 9))
def test_every_row_is_in_exactly_one_part(labels, fractions, seed):
    parts = split_or_none(labels, fractions, seed)
    if parts is not None:
        assert len(parts) == len(fractions)
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
        assert all(part.dtype == np.int64 and np.all(np.diff(part) > 0) for part in parts)


@given(labels_lists, fractions_lists)
def test_each_class_has_its_share(labels, fractions):
    parts = split_or_none(labels, fractions) or []
    for name in set(labels):
        count = labels.count(name)
        found = [sum(labels[i] == name for i in part) for part in parts]
        if count >= len(fractions):
            assert all(found)
        if all(count * share >= 1 for share in fractions):
            assert all(abs(have - count * share) < 1 for have, share in zip(found, fractions, strict=False))


@given(labels_lists)
def test_the_seed_decides(labels):
    first, second = split_or_none(labels, (0.5, 0.5), 3), split_or_none(labels, (0.5, 0.5), 3)
    assert (first is None) == (second is None)
    if first is not None:
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_seeds_differ_and_numbers_serve_as_labels():
    labels = np.arange(100) % 2
    first, second = (stratified_split(labels, rng=np.random.default_rng(seed))[1] for seed in (0, 1))
    assert len(first) == 20
    assert not np.array_equal(first, second)


def test_a_tie_goes_to_the_earlier_part():
    first, second = stratified_split(list("aaabbb"), (0.5, 0.5), rng=np.random.default_rng(0))
    assert (len(first), len(second)) == (4, 2)


def test_a_rare_class_reaches_both_parts():
    train, test = stratified_split(["rare"] * 2 + ["often"] * 50, rng=np.random.default_rng(0))
    assert min(train) < 2
    assert min(test) < 2


@pytest.mark.parametrize(
    ("labels", "words"),
    [([], "at least 2 rows"), (["a"], "Got 1"), (["a"] * 9, "Got only 'a'"), (["a", "b"], "parts of")],
)
def test_rows_that_cannot_be_split(labels, words):
    with pytest.raises(DataError, match=words):
        stratified_split(labels, rng=np.random.default_rng(0))


@pytest.mark.parametrize("fractions", [(1.0,), (0.5, 0.6), (1.2, -0.2), (1.0, 0.0), (float("nan"), 0.5)])
def test_bad_fractions(fractions):
    with pytest.raises(OptionError, match="fractions"):
        stratified_split(list("abab"), fractions, rng=np.random.default_rng(0))


@pytest.mark.parametrize("rng", [0, None])
def test_rows_are_divided_by_a_generator(rng):
    with pytest.raises(OptionError, match=rf"Expected rng as a generator, .* Got {rng}\."):
        stratified_split(list("abab"), rng=rng)


def test_leaks_are_counted_whatever_the_case_and_spaces():
    assert check_leak(["A fine film", "b"], ["a  FINE film ", "c", "b", "b"]) == 3
    assert check_leak([], ["a"]) == 0


def test_duplicates():
    assert drop_duplicates(["a", "b", "A ", "c"]).tolist() == [0, 1, 3]
    assert drop_duplicates(["a", "b", "a"], ["p", "n", "p"]).tolist() == [0, 1]
    assert drop_duplicates(["a", "b", "a"], ["p", "n", "n"]).tolist() == [1]
    assert drop_duplicates([]).dtype == np.int64
    with pytest.raises(ShapeError, match="Got 1 labels"):
        drop_duplicates(["a", "b"], ["p"])


@given(st.lists(st.sampled_from(["a", "A", "b", "b ", "c"])))
def test_nothing_leaks_once_duplicates_are_gone(texts):
    kept = [texts[i] for i in drop_duplicates(texts)]
    assert all(check_leak(kept[:i], kept[i:]) == 0 for i in range(len(kept)))
