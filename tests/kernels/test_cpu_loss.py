"""Cross entropy against NumPy and torch."""

import itertools

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers, with_threads
from drawn import arrays, dtypes, held
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.loss import cross_entropy_backward, cross_entropy_forward

import tinyslm as ts

CASES = list(itertools.product((0.0, 0.1), ("mean", "sum", "none")))


def reference(x, t, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    x = x.astype(np.float64).reshape(-1, x.shape[-1])
    w = np.ones(x.shape[1]) if weight is None else weight.astype(np.float64)
    top = x.max(axis=1, keepdims=True)
    logs = x - top - np.log(np.exp(x - top).sum(axis=1, keepdims=True))
    flat, losses, total = t.reshape(-1), np.zeros(t.size), 0.0
    for r, c in enumerate(flat):
        if c != ignore_index:
            losses[r] = -(1 - label_smoothing) * w[c] * logs[r, c]
            losses[r] -= label_smoothing * (w * logs[r]).mean() if label_smoothing else 0
            total += w[c]
    return losses.reshape(t.shape) if reduction == "none" else losses.sum() / (total if reduction == "mean" else 1)


def example(dtype, shape=(4, 3), classes=11):
    t = np.random.default_rng(3).integers(0, classes, shape)
    t[..., 0] = -100
    weight = np.random.default_rng(4).random(classes).astype(dtype)
    return numbers(5, *shape, classes, dtype=dtype, scale=3), t, weight


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("smoothing", "reduction"), CASES)
def test_forward(dtype, smoothing, reduction):
    x, t, weight = example(dtype)
    for w in (None, weight):
        loss, _ = cross_entropy_forward(x, t, w, label_smoothing=smoothing, reduction=reduction)
        assert loss.dtype == x.dtype
        close(loss, reference(x, t, w, label_smoothing=smoothing, reduction=reduction))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("smoothing", "reduction"), CASES)
def test_gradients(dtype, smoothing, reduction):
    torch = pytest.importorskip("torch")
    x, t, weight = example(dtype)
    for w in (None, weight):

        def loss(a, b, w=w):
            v = None if w is None else torch.from_numpy(w.astype(np.float64))
            flat = torch.nn.functional.cross_entropy(
                a.reshape(-1, a.shape[-1]), b.reshape(-1), v, label_smoothing=smoothing, reduction=reduction
            )
            return flat.reshape(b.shape) if reduction == "none" else flat

        pair = (cross_entropy_forward, cross_entropy_backward)
        check_pair(pair, loss, (x, t), weight=w, label_smoothing=smoothing, reduction=reduction)


def test_weights_as_an_input():
    x, t, weight = example("float64")
    loss, saved = cross_entropy_forward(x, t, weight)
    g = np.array(1.0)
    found = cross_entropy_backward(g, loss, saved, (x, t, weight), (True, False, False))
    again = cross_entropy_backward(g, loss, saved, (x, t), (True, False), weight=weight)
    assert len(found) == 3 and found[2] is None
    np.testing.assert_array_equal(found[0], again[0])
    with pytest.raises(NotImplementedError, match="weight"):
        cross_entropy_backward(g, loss, saved, (x, t, weight), (True, False, True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_logits(dtype):
    x = np.array([[1e4, 1e4 - 2, 0], [-1e4, 1e4, -np.inf]], dtype)
    t = np.array([1, 1])
    loss, saved = cross_entropy_forward(x, t, reduction="none")
    close(loss, reference(x, t, reduction="none"))
    dx = cross_entropy_backward(np.ones(2, dtype), loss, saved, (x, t), (True, False), reduction="none")[0]
    p = np.exp(-2) / (1 + np.exp(-2))
    close(dx, np.array([[1 - p, p - 1, 0], [0, 0, 0]]))


def test_nothing_counts():
    x, t = numbers(0, 3, 5), np.full(3, -100)
    loss, saved = cross_entropy_forward(x, t)
    assert np.isnan(loss)
    assert not cross_entropy_backward(np.array(1.0), loss, saved, (x, t), (True, False))[0].any()
    empty, _ = cross_entropy_forward(x[:0], t[:0], reduction="sum")
    assert empty == 0


def test_one_copy_of_the_logits_is_saved_and_only_where_it_is_wanted():
    x, t, _ = example("float32", shape=(8, 2), classes=500)
    _, saved = cross_entropy_forward(x, t)
    assert sum(a.nbytes for a in saved) == x.nbytes
    loss, saved = cross_entropy_forward(x, t, keep=False)
    assert saved == [] and loss == cross_entropy_forward(x, t)[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("smoothing", "reduction"), CASES)
def test_a_second_backward_finds_the_same(dtype, smoothing, reduction):
    x, t, weight = example(dtype)
    options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
    loss, saved = cross_entropy_forward(x, t, **options)
    for g in (np.ones_like(loss), np.full_like(loss, -2)):
        first, second = (cross_entropy_backward(g, loss, saved, (x, t), (True, False), **options)[0] for _ in range(2))
        assert not np.shares_memory(first, second) and first[:, 1:].any() and not first[:, 0].any()
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf])
def test_a_bad_row_spoils_itself_alone(dtype, bad):
    x, t = numbers(1, 3, 40, dtype=dtype), np.array([1, 2, 3])
    x[1, 7] = bad
    loss, saved = cross_entropy_forward(x, t, reduction="none")
    dx = cross_entropy_backward(np.ones(3, dtype), loss, saved, (x, t), (True, False), reduction="none")[0]
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False])
    assert np.isnan(dx[1]).all() and np.isfinite(dx[[0, 2]]).all()


def test_the_same_bits_for_every_number_of_threads(monkeypatch):
    x, t, weight = example("float32", shape=(9, 3), classes=501)
    found = []
    for n in (1, 2, 3):
        with_threads(n, monkeypatch)
        loss, saved = cross_entropy_forward(x, t, weight, label_smoothing=0.1)
        found.append((loss, cross_entropy_backward(np.array(3.0), loss, saved, (x, t), (True, False))[0]))
    for loss, dx in found[1:]:
        assert loss == found[0][0]
        np.testing.assert_array_equal(dx, found[0][1])


@pytest.mark.parametrize("wrong", [-1, 5])
def test_targets_outside_are_refused(wrong):
    with pytest.raises(IndexError, match=f"^expected classes from 0 to 4, got {wrong}$"):
        cross_entropy_forward(numbers(0, 2, 5), np.array([0, wrong]))


@settings(max_examples=20)
@given(
    data=st.data(),
    dtype=dtypes,
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=2),
    classes=st.integers(1, 19),
    ignored=st.integers(-1, 2),
    case=st.sampled_from(CASES),
)
def test_drawn_logits(data, dtype, shape, classes, ignored, case):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = data.draw(arrays((*shape, classes), dtype, more=[] if case[0] else [-np.inf]))
    x[..., 0] = np.where(np.isinf(x[..., 0]), 0, x[..., 0])  # no row of -inf alone
    t = rng.integers(0, classes, shape)
    weight = data.draw(st.sampled_from([None, rng.integers(0, 3, classes).astype(dtype)]))
    options = {"weight": weight, "ignore_index": ignored, "label_smoothing": case[0], "reduction": case[1]}
    held(ts.cross_entropy, (cross_entropy_forward, cross_entropy_backward), [x, t], **options)
