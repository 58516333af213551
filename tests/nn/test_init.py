"""Initialisation: spreads, orthogonality, and the same start in both precisions."""

import math

import numpy as np
import pytest

from tinyslm import nn
from tinyslm.errors import OptionError, ShapeError
from tinyslm.nn import init

O, I, K = 200, 300, 2


def filled(function, *args, shape=(O, I), dtype="float64", **options):
    return function(nn.Parameter.zeros(*shape, dtype=dtype), *args, rng=np.random.default_rng(3), **options).numpy()


@pytest.mark.parametrize(
    ("function", "args", "std"),
    [
        (init.uniform_, (-1.0, 3.0), 4 / math.sqrt(12)),
        (init.normal_, (1.0, 0.5), 0.5),
        (init.xavier_uniform_, (), math.sqrt(2 / (O + I))),
        (init.xavier_normal_, (2.0,), 2 * math.sqrt(2 / (O + I))),
        (init.kaiming_uniform_, (), math.sqrt(2 / I)),
        (init.kaiming_normal_, (0.5,), math.sqrt(2 / (1.25 * I))),
        (init.kaiming_normal_, (0.0, "fan_out"), math.sqrt(2 / O)),
    ],
)
def test_spread(function, args, std):
    values = filled(function, *args)
    mean = {init.uniform_: 1.0, init.normal_: 1.0}.get(function, 0.0)
    assert abs(values.std() / std - 1) < 0.01
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(O * I)


def test_bounds_of_the_uniform_forms():
    assert np.abs(filled(init.xavier_uniform_)).max() <= math.sqrt(6 / (O + I))
    assert np.abs(filled(init.kaiming_uniform_)).max() <= math.sqrt(6 / I)


def test_windows_count_in_the_fans():
    assert init.fans((O, I, K)) == (I * K, O * K)
    assert abs(filled(init.xavier_normal_, shape=(O, I, K)).std() / math.sqrt(2 / (K * (O + I))) - 1) < 0.01


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 3, 2)])
def test_orthogonal(shape):
    w = filled(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    short = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(short, 4 * np.eye(len(short)), atol=1e-12)


def test_constants():
    p = nn.Parameter.zeros(2, 3)
    assert (init.ones_(p).numpy() == 1).all() and (init.constant_(p, 2.5).numpy() == 2.5).all()
    assert init.zeros_(p) is p and (p.numpy() == 0).all()


def test_both_precisions_start_alike():
    for layer in (lambda d: nn.LSTM(3, 4, rng=np.random.default_rng(1), dtype=d),):
        single, double = layer("float32").state_dict(), layer("float64").state_dict()
        for name in single:
            np.testing.assert_array_equal(single[name], double[name].astype("float32"))


def test_refusals():
    with pytest.raises(ShapeError, match="fan-in"):
        filled(init.xavier_uniform_, shape=(3,))
    with pytest.raises(OptionError, match="fan_in"):
        filled(init.kaiming_normal_, 0.0, "sideways")


def test_layers_start_as_documented():
    rng = np.random.default_rng(2)
    linear = nn.Linear(100, 400, rng=rng)
    assert (
        np.abs(linear.weight.numpy()).max() <= 0.1 and abs(linear.weight.numpy().std() * 10 * math.sqrt(3) - 1) < 0.01
    )
    assert 0.09 < np.abs(linear.bias.numpy()).max() <= 0.1
    table = nn.Embedding(2000, 50, padding_idx=7, scale=0.1, rng=rng).weight.numpy()
    assert (table[7] == 0).all() and abs(table.std() / 0.1 - 1) < 0.01
    lstm = nn.LSTM(20, 30, rng=rng, dtype="float64")
    for k in range(4):
        gate = lstm.weight_hh_l0.numpy()[30 * k : 30 * (k + 1)]
        np.testing.assert_allclose(gate @ gate.T, np.eye(30), atol=1e-12)
    assert np.abs(lstm.weight_ih_l0.numpy()).max() <= math.sqrt(6 / 50)
    np.testing.assert_array_equal(lstm.bias_l0.numpy(), np.repeat([0, 1, 0, 0], 30))
    assert (nn.LSTM(2, 3, forget_bias=0.0, rng=rng).bias_l0.numpy() == 0).all()
