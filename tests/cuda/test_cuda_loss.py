"""Cross entropy on the emulator against the reference."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, check_op, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import loss

pytestmark = needs_emulator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4), (1, 1), (2, 1100), (300, 3)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(shape, dtype, reduction):
    target = np.random.default_rng(2).integers(0, shape[-1], shape[:-1])
    check_op(loss, "cross_entropy", [numbers(1, *shape, scale=3.0), target], dtype, reduction=reduction)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_weights_smoothing_and_ignored_targets(dtype, smoothing, weighted, reduction):
    target = np.array([3, -100, 0, 5, 3])
    weight = np.abs(numbers(3, 6)) + 0.1 if weighted else None
    settings = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
    check_op(loss, "cross_entropy", [numbers(1, 5, 6), target], dtype, **settings)


def test_no_rows_and_all_ignored():
    with emulated():
        for rows, target in [(0, []), (2, [-100, -100])]:
            x, t = numbers(1, rows, 3), np.array(target, np.int64)
            assert np.isnan(loss.cross_entropy_forward(x, t)[0])
            out, saved = loss.cross_entropy_forward(x, t, reduction="sum")
            assert out == 0
            gradient = loss.cross_entropy_backward(np.ones(()), out, saved, (x, t), (True, False), reduction="sum")[0]
            np.testing.assert_array_equal(gradient, np.zeros_like(x))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_targets_without_weight_teach_nothing(smoothing):
    with emulated():
        x, t, w = numbers(1, 3, 4), np.array([0, 0, 2]), np.array([0.0, 1.0, 0.0, 1.0])
        out, saved = loss.cross_entropy_forward(x, t, weight=w, label_smoothing=smoothing)
        gradient = loss.cross_entropy_backward(
            np.ones(()), out, saved, (x, t), (True, False), weight=w, label_smoothing=smoothing
        )[0]
        assert np.isfinite(gradient).all()
        if smoothing == 0:
            np.testing.assert_array_equal(gradient, np.zeros_like(x))


def test_weights_that_do_not_fit_are_refused():
    with emulated(), pytest.raises(ValueError, match="one weight for each class"):
        loss.cross_entropy_forward(numbers(1, 3, 4), np.array([0, 1, 2]), weight=np.ones(3))


def test_targets_outside_the_classes_give_nan():
    with emulated():
        x, t = numbers(1, 3, 4), np.array([0, 4, -1])
        out, saved = loss.cross_entropy_forward(x, t, reduction="none")
        np.testing.assert_array_equal(np.isnan(out), [False, True, True])
        gradient = loss.cross_entropy_backward(np.ones(3), out, saved, (x, t), (True, False), reduction="none")[0]
        np.testing.assert_array_equal(np.isnan(gradient).any(axis=1), [False, True, True])
