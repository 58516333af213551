"""Attention on the emulator against the reference."""

import numpy as np
import pytest
from cuda_helpers import SETTINGS, check_op, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import _launch, attention

pytestmark = needs_emulator
# lead, T, S, D, E
SIZES = [((2,), 5, 7, 3, 4), ((1, 2), 33, 33, 8, 8), ((), 1, 1, 1, 1), ((2,), 70, 40, 17, 16), ((3,), 4, 70, 16, 1)]


def arrays(lead, t, s, d, e):
    return [numbers(1, *lead, t, d), numbers(2, *lead, s, d), numbers(3, *lead, s, e)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_plain_and_causal(size, causal):
    check_op(attention, "attention", arrays(*size), "float32", causal=causal)


@pytest.mark.parametrize("causal", [False, True])
def test_double(causal):
    check_op(attention, "attention", arrays((2,), 33, 33, 8, 8), "float64", SETTINGS[:2], causal=causal, scale=0.3)


def mask_of(kind, t, s):
    rng = np.random.default_rng(4)
    if kind == "keys":
        return np.arange(s) < s - 2
    if kind == "heads":
        return rng.random((2, 1, s)) < 0.6
    if kind == "queries":
        return rng.random((t, s)) < 0.5
    return np.where(rng.random((2, t, s)) < 0.3, -np.inf, rng.standard_normal((2, t, s)))


@pytest.mark.parametrize("kind", ["keys", "heads", "queries", "numbers"])
@pytest.mark.parametrize("causal", [False, True])
def test_masks(kind, causal):
    mask = mask_of(kind, 35, 37)
    check_op(attention, "attention", arrays((2,), 35, 37, 4, 5), "float32", SETTINGS[::3], mask=mask, causal=causal)


def test_queries_that_see_nothing():
    mask = np.ones((5, 6), bool)
    mask[2] = False
    check_op(attention, "attention", arrays((2,), 5, 6, 3, 3), "float32", mask=mask)
    check_op(attention, "attention", arrays((1,), 40, 3, 3, 3), "float32", causal=True)


@pytest.mark.parametrize("low", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_a_row_of_low_numbers_alone_is_even(low):
    given = arrays((2,), 35, 37, 4, 5)
    given[0][:, 3] = 0  # where all scores are equal, their loss beside the low number changes nothing
    mask = np.zeros((35, 37))
    mask[3] = low
    check_op(attention, "attention", given, "float32", SETTINGS[:2], mask=mask)


def test_many_heads_lie_along_the_axis_of_the_grid_that_is_long_enough(monkeypatch):
    grids = []
    monkeypatch.setattr(attention, "launch", lambda name, grid, *rest, **constants: grids.append(grid))
    q = np.zeros((70_000, 1, 1), np.float32)
    with emulated():
        out, saved = attention.attention_forward(q, q, q)
        attention.attention_backward(out, out, saved, (q, q, q), (True, True, True))
    assert len(grids) == 4 and all(max(grid[1:], default=0) < 65_536 for grid in grids)


@pytest.mark.parametrize("limit, tiles", [(232_448, (64, 32)), (20_000, (32, 32)), (8_000, (16, 16))])
def test_smaller_tiles_where_shared_memory_is_short(limit, tiles):
    q, k, v = (a.astype(np.float32) for a in arrays((1,), 40, 40, 16, 16))
    with emulated(shared_limit=limit):
        problem = attention._problem(q, k, v, None, False, None, 0)
        assert (problem.constants["OWN"], problem.constants["OTHER"]) == tiles and max(problem.shared.values()) <= limit
        small = attention.attention_forward(q, k, v)[0]
    with emulated():
        np.testing.assert_allclose(small, attention.attention_forward(q, k, v)[0], atol=1e-6)


def test_heads_too_wide_for_the_gpu_are_refused_before_anything_is_computed():
    q = np.zeros((1, 4, 512))  # backward needs 264,832 bytes, forward less than there is
    with emulated(), pytest.raises(ValueError, match=r"(?s)512.*at most 232,448.*264,832 bytes.*narrower"):
        attention.attention_forward(q, q, q)
    with emulated(shared_limit=65_536), pytest.raises(RuntimeError, match=r"70,000.*65,536"):
        _launch.launch("attention:attention_delta", (1,), (32, 8), [q, q, q, 4], 70_000)


@pytest.mark.parametrize("shape", [(3, 6), (5, 4), (3, 1, 6)])
def test_masks_that_do_not_fit_are_refused(shape):
    with emulated(), pytest.raises(ValueError, match=r"broadcast"):
        attention.attention_forward(*arrays((2,), 5, 6, 3, 3), mask=np.ones(shape, bool))


def test_no_queries():
    with emulated():
        q, k, v = arrays((2,), 0, 3, 2, 2)
        out, saved = attention.attention_forward(q, k, v)
        assert out.shape == (2, 0, 2)
        _, dk, dv = attention.attention_backward(out, out, saved, (q, k, v), (True, True, True))
        assert not dk.any() and not dv.any()
