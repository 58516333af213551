"""Batches: every row once an epoch, little padding, and the same sequence after an interruption."""

import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyslm.data import Batches, batches
from tinyslm.errors import CheckpointError, DTypeError, OptionError, ShapeError

LENGTHS = np.random.default_rng(1).integers(1, 200, size=1000)


def make(rows=23, size=4, seed=0, bucket=False, drop_last=False, generator=np.random.PCG64):
    rng = None if seed is None else np.random.Generator(generator(seed))
    return Batches(rows, size, rng, LENGTHS[:rows] if bucket else None, bucket, drop_last)


def flat(lists):
    return list(chain.from_iterable(lists))


def epoch(loader):
    return [rows.tolist() for rows in loader]


@given(st.integers(1, 60), st.integers(1, 70), st.sampled_from([None, 0]), st.booleans())
def test_an_epoch_holds_every_row_once(rows, size, seed, bucket):
    loader = make(rows, size, seed, bucket)
    found = epoch(loader)
    assert sorted(flat(found)) == list(range(rows))
    assert len(found) == len(loader)
    assert sorted(map(len, found))[1:] == [size] * (len(found) - 1)


@given(st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_drop_last_leaves_whole_batches(rows, size, bucket):
    if size <= rows:
        found = epoch(make(rows, size, 0, bucket, drop_last=True))
        assert [len(rows) for rows in found] == [size] * (rows // size)


def test_order_without_and_with_a_generator():
    assert epoch(make(5, 2, None)) == [[0, 1], [2, 3], [4]]
    loader = make()
    first, second = epoch(loader), epoch(loader)
    assert first != second
    assert first == epoch(make())
    assert (loader.epoch, loader.index) == (2, 0)


def padding(found):
    return sum(LENGTHS[rows].max() * len(rows) - LENGTHS[rows].sum() for rows in found)


def test_buckets_save_padding_and_stay_shuffled():
    plain = padding(make(1000, 16).__iter__())
    loader = make(1000, 16, bucket=True)
    found = list(loader)
    assert padding(found) < 0.1 * plain
    longest = [LENGTHS[rows].max() for rows in found]
    assert longest != sorted(longest)
    assert epoch(loader) != [rows.tolist() for rows in found]


def test_drop_last_does_not_always_drop_the_longest():
    loader = make(23, 4, bucket=True, drop_last=True)
    dropped = [set(range(23)) - set(flat(epoch(loader))) for _ in range(20)]
    assert len(set.union(*dropped)) > 15


@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 5, 6, 9, 12])
def test_resuming_gives_the_same_sequence(bucket, stop):
    whole = make(bucket=bucket)
    expected = flat(epoch(whole) for _ in range(3))
    cut = make(bucket=bucket)
    found = interrupted(cut, stop)
    again = make(seed=99, bucket=bucket)
    again.load_state_dict(json.loads(json.dumps(cut.state_dict())))
    while again.epoch < 3:
        found += epoch(again)
    assert found == expected
    assert again.state_dict() == whole.state_dict()


def interrupted(loader, stop):
    found = []
    while len(found) < stop:
        for rows in loader:
            found.append(rows.tolist())
            if len(found) == stop:
                break
    return found


def test_a_loop_left_early_goes_on():
    loader = make()
    assert interrupted(loader, 2) + epoch(loader) == epoch(make())


def test_a_shared_generator_is_restored_to_the_moment_of_saving():
    loader = make()
    next(iter(loader))
    loader.rng.random(7)  # dropout, say
    state, expected = loader.state_dict(), loader.rng.random(3)
    other = make(seed=5)
    other.load_state_dict(state)
    assert np.array_equal(other.rng.random(3), expected)
    assert epoch(other) == epoch(make())[1:]


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.Philox, np.random.MT19937, np.random.SFC64])
def test_every_generator_of_numpy_survives_json(kind):
    loader = make(generator=kind)
    state = json.loads(json.dumps(loader.state_dict()))
    expected = epoch(loader)
    other = make(generator=kind, seed=3)
    other.load_state_dict(state)
    assert epoch(other) == expected


def test_a_state_of_something_else_is_refused():
    state = make().state_dict()
    for loader, word in ((make(rows=24), "rows"), (make(size=5), "batch_size"), (make(bucket=True), "bucket")):
        with pytest.raises(CheckpointError, match=word):
            loader.load_state_dict(state)
    for loader in (make(seed=None), make(generator=np.random.Philox)):
        with pytest.raises(CheckpointError, match="PCG64"):
            loader.load_state_dict(state)


def test_pairs_from_arrays_and_lists():
    ids = np.arange(12).reshape(6, 2)
    pairs = list(batches(ids, np.arange(6), 4))
    assert [pair[0].shape for pair in pairs] == [(4, 2), (2, 2)]
    assert pairs[1][1].tolist() == [4, 5]
    ragged = [[1] * n for n in (3, 1, 2, 1)]
    assert [[len(row) for row in rows] for rows, _ in batches(ragged, None, 2, bucket=True)] == [[1, 1], [2, 3]]


def test_unusable_settings():
    for rows, size, drop in ((0, 4, False), (5, 0, False), (3, 4, True)):
        with pytest.raises(OptionError, match="batch_size"):
            Batches(rows, size, drop_last=drop)
    for wrong in (2.5, 0, -1, True, "2", None):
        with pytest.raises(OptionError, match=rf"batch_size as a whole number of at least 1\. Got {wrong!r}"):
            batches([1, 2, 3], None, wrong)
    for wrong in (2.5, -1, True):
        with pytest.raises(OptionError, match=rf"rows as a whole number of at least 0\. Got {wrong}"):
            Batches(wrong, 1)
    for wrong in (0, np.random.RandomState(0)):
        with pytest.raises(OptionError, match=r"rng as a generator, numpy\.random\.default_rng\(seed\), or None\. Got"):
            batches([1, 2, 3], None, 2, wrong)
    assert len(Batches(np.int64(3), np.int32(2))) == 2
    with pytest.raises(OptionError, match="lengths"):
        Batches(3, 1, bucket=True)
    with pytest.raises(ShapeError, match="labels"):
        batches([1, 2], [1], 1)


@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize(
    ("lengths", "kind"),
    [([1, 2], ShapeError), ([1, 2, -1], ShapeError), ([1, 2, 1.5], DTypeError), ("abc", DTypeError)],
)
def test_lengths_are_checked_whether_they_are_needed_or_not(lengths, kind, bucket):
    with pytest.raises(kind, match="lengths: expected 3 whole numbers from 0, one per sequence\n  Got: "):
        batches([[1], [2], [3]], None, 2, lengths=lengths, bucket=bucket)


@pytest.mark.parametrize(("ids", "labels", "name"), [(None, None, "ids"), (5, 3, "ids"), ([1], 3, "labels")])
def test_rows_can_be_counted(ids, labels, name):
    with pytest.raises(
        DTypeError, match=rf"Expected {name} as an array \(N, \.\.\.\) or a list of N, one per row\. Got "
    ):
        batches(ids, labels, 2)
