"""Cross entropy against NumPy and torch."""

import itertools

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers
from tinyslm.kernels.cpu.loss import cross_entropy_backward, cross_entropy_forward

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


def test_what_is_saved_is_small():
    x, t, _ = example("float32", shape=(8, 2), classes=500)
    _, saved = cross_entropy_forward(x, t)
    assert sum(np.asarray(a).nbytes for a in saved) < x.nbytes / 10


@pytest.mark.parametrize("wrong", [-1, 5])
def test_targets_outside_are_refused(wrong):
    with pytest.raises(IndexError, match=r"targets in 0 .. 4"):
        cross_entropy_forward(numbers(0, 2, 5), np.array([0, wrong]))
