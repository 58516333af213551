"""Limits on gradients."""

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import nn, optim
from tinyslm.errors import AnomalyError, OptionError


def two(first=(3.0, 0.0), second=(4.0,), dtype="float64"):
    params = [nn.Parameter(np.zeros(len(g), dtype)) for g in (first, second)]
    for p, g in zip(params, (first, second), strict=True):
        p.grad = ts.tensor(np.array(g, dtype))
    return [*params, nn.Parameter(np.zeros(2, dtype))]


def test_length_and_direction():
    params = two()
    assert optim.clip_grad_norm_(params, 1.0) == 5.0
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(params[1].grad.numpy(), [0.8], rtol=1e-6)
    assert params[2].grad is None
    assert abs(optim.grad_norm(params) - 1) < 1e-6


def test_short_gradients_stay_untouched():
    params = two()
    before = params[0].grad
    assert optim.clip_grad_norm_(params, 6.0) == 5.0
    if ts.device.backend() == "cuda":  # where only the device knows the length: times 1, as a new array
        np.testing.assert_array_equal(params[0].grad.numpy(), before.numpy())
    else:
        assert params[0].grad is before


def test_other_tensors_that_share_the_array_keep_it():
    params = two()
    shared = params[0].grad
    params[1].grad = shared
    optim.clip_grad_norm_(params, 0.1)
    np.testing.assert_array_equal(shared.numpy(), [3, 0])
    params[0].grad = shared
    optim.clip_grad_value_(params, 1.0)
    np.testing.assert_array_equal(shared.numpy(), [3, 0])
    np.testing.assert_array_equal(params[0].grad.numpy(), [1, 0])


def test_number_types_and_huge_values():
    params = two((3e19, 0.0), (4e19,), "float32")
    assert abs(optim.clip_grad_norm_(params, 1.0) / 5e19 - 1) < 1e-6
    assert params[0].grad.dtype == np.float32
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0], rtol=1e-6)


def test_refusals():
    with pytest.raises(AnomalyError, match="nan"):
        optim.clip_grad_norm_(two((float("nan"), 0.0)), 1.0, error_if_nonfinite=True)
    with pytest.raises(OptionError, match="max_norm"):
        optim.clip_grad_norm_(two(), -1.0)
    with pytest.raises(OptionError, match="clip_value"):
        optim.clip_grad_value_(two(), -1.0)


def test_no_gradients_have_length_zero():
    assert optim.clip_grad_norm_([nn.Parameter(np.zeros(2))], 1.0) == 0.0


@pytest.mark.parametrize("length", [-1.0, float("nan")])
@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_factor])
def test_a_length_that_is_none_is_refused(clip, length):
    with pytest.raises(OptionError, match="max_norm: expected a length"):
        clip(two(), length)
