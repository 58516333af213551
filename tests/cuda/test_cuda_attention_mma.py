"""Attention on tensor cores, on the emulator, within bounds that follow from the formats' rounding."""

import re

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, SHARED_LIMIT, awkward, emulated, needs_emulator, numbers, reference
from emulator import Setting
from test_cuda_attention import arrays, mask_of
from test_cuda_strict import LAYERS, strict_device, train
from tinyslm.kernels.cuda import _launch, _precision, attention

import tinyslm as ts

pytestmark = needs_emulator
UNIT = {"high": 2.0**-11, "medium": 2.0**-8}  # the largest relative error of rounding to TF32, to bfloat16
FAST = [Setting("fast", 0), Setting("fast", 1), Setting("fast", 7)]
# lead, T, S, D, E
SIZES = [((2,), 5, 7, 3, 4), ((1, 2), 70, 40, 17, 16), ((2,), 33, 70, 32, 32), ((1,), 70, 70, 64, 64)]
WIDE = ((1,), 20, 17, 128, 128)


def run(setting, name, given, g, **attributes):
    """Output and gradients."""
    with emulated(setting), ts.matmul_precision(name):
        out, saved = attention.attention_forward(*given, **attributes)
    with emulated(setting):  # backward keeps to what forward took
        return [out, *attention.attention_backward(g, out, saved, given, (True,) * 3, **attributes)]


def scores(q, k, mask, causal):
    """In float64, and which of them a query may see."""
    x = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        x = x + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask)
    t, s = x.shape[-2:]
    return np.where(np.arange(s) > np.arange(t)[:, None] + s - t, -np.inf, x) if causal else x


def softmax(x):
    top = x.max(-1, keepdims=True)
    e = np.exp(x - np.where(np.isfinite(top), top, 0.0))
    return e / np.maximum(e.sum(-1, keepdims=True), 1e-300)


def turned(a):
    return np.swapaxes(a, -1, -2)


def bounds(given, g, u, mask=None, causal=False):
    """The largest errors of output and gradients where the factors of each product have relative errors of u.

    With d x for the error of x, to first order: d score <= 2 u |q| |k| / sqrt(D); a softmax whose scores are off by at
    most r is off by 2 r p; a product of factors that are off themselves by the sum over both.
    """
    (q, k, v), g = (a.astype(np.float64) for a in given), g.astype(np.float64)
    p, scale = softmax(scores(q, k, mask, causal)), 1 / np.sqrt(q.shape[-1])
    d_score = 2 * u * np.where(p > 0, abs(q) @ turned(abs(k)) * scale, 0.0).max(-1, keepdims=True)
    d_p, out, dp = 2 * d_score * p, p @ v, g @ turned(v)
    d_out = (d_p + 2 * u * p) @ abs(v)
    rest, d_rest = dp - (g * out).sum(-1, keepdims=True), (abs(g) * d_out).sum(-1, keepdims=True)
    ds, d_ds = p * rest, d_p * abs(rest) + p * (2 * u * abs(g) @ turned(abs(v)) + d_rest)
    d_ds = d_ds + 2 * u * abs(ds)
    return d_out, scale * d_ds @ abs(k), scale * turned(d_ds) @ abs(q), turned(d_p + 2 * u * p) @ abs(g)


def outside(found, wanted, limits):
    """How far each result lies beyond its bound, as a part of it; a fifth is granted for what is of second order."""
    for got, want, limit in zip(found, wanted, limits, strict=True):
        error = abs(np.asarray(got, np.float64) - want)
        yield (error - 1.2 * limit - 2e-5 * max(1.0, abs(want).max())).max()


def case(size):
    given = [a.astype(np.float32) for a in arrays(*size)]
    return given, numbers(9, *size[0], size[1], size[4]).astype(np.float32)


def far(got, want):
    """The root of the mean squared error, as a part of that of the right numbers."""
    return np.sqrt(((got - want) ** 2).mean() / (want**2).mean())


def check(size, name, settings, **attributes):
    given, g = case(size)
    (out,), gradients = reference("attention", given, [g], attributes)
    wanted, limits = [out, *gradients], bounds(given, g, UNIT[name], **attributes)
    plain = run(FAST[0], "highest", given, g, **attributes)
    first = None
    for setting in settings:
        found = run(setting, name, given, g, **attributes)
        assert max(outside(found, wanted, limits)) <= 0
        # The bounds add up the worst of all; errors of both signs mostly cancel.
        assert size[1] < 30 or max(map(far, found, wanted)) < 2 * UNIT[name]
        for one, other, exact in zip(found, first or found, plain, strict=True):
            np.testing.assert_array_equal(one, other)  # the same bits on every schedule
            assert abs(one - exact).max() > UNIT[name] / 100 * abs(exact).max()  # it has been rounded
        first = found


@pytest.mark.parametrize("name", UNIT)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_plain_and_causal(size, causal, name):
    check(size, name, FAST, causal=causal)


@pytest.mark.parametrize("name", UNIT)
@pytest.mark.parametrize("size", [SIZES[1], WIDE])
def test_no_race_and_nothing_out_of_bounds(size, name):
    check(size, name, [SETTINGS[0]], causal=True)


@pytest.mark.parametrize("name", UNIT)
@pytest.mark.parametrize("kind", ["keys", "heads", "queries", "numbers"])
def test_masks(kind, name):
    for causal in (False, True):
        check(((2,), 33, 40, 16, 16), name, FAST[:1], mask=mask_of(kind, 33, 40), causal=causal)


def test_arrays_that_are_not_contiguous_and_queries_that_see_nothing():
    given, g = case(((2,), 20, 5, 8, 8))
    whole = run(FAST[0], "high", given, g, causal=True)
    assert not whole[0][:, :15].any() and not whole[1][:, :15].any()
    for a, b in zip(whole, run(FAST[0], "high", [awkward(a) for a in given], awkward(g), causal=True), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("limit, tiles", [(SHARED_LIMIT, (64, 32)), (30_000, (32, 32)), (16_000, (16, 16))])
@pytest.mark.parametrize("name", UNIT)
def test_smaller_tiles_where_shared_memory_is_short(limit, tiles, name):
    given, g = case(((1,), 40, 40, 32, 32))
    form = _precision.FORMATS[name]
    problem = None
    with emulated(shared_limit=limit), ts.matmul_precision(name):
        problem = attention._problem(*given, None, False, None, form)
        out, saved = attention.attention_forward(*given)
        found = [out, *attention.attention_backward(g, out, saved, given, (True,) * 3)]
    assert max(problem.shared.values()) <= limit and (name == "medium" or problem.constants["OWN"] == tiles[0])
    (want,), gradients = reference("attention", given, [g], {})
    assert max(outside(found, [want, *gradients], bounds(given, g, UNIT[name]))) <= 0


def test_what_has_no_tensor_cores_stays_exact():
    given, g = case(SIZES[0])
    exact = run(FAST[0], "highest", given, g)
    with emulated():
        _launch.choose_gpu(_launch.gpu()._replace(architecture=75))
        _precision._say.cache_clear()
        with ts.matmul_precision("high"), pytest.warns(RuntimeWarning, match="sm_75.*float32"):
            out, saved = attention.attention_forward(*given)
    assert saved.format == 0
    np.testing.assert_array_equal(out, exact[0])
    with emulated(), ts.matmul_precision("medium"):
        wide = [numbers(i, 1, 2, 136).astype(np.float32) for i in range(3)]
        assert attention.attention_forward(*wide)[1].format == 0
        assert attention.attention_forward(*(a.astype(DTYPES[1]) for a in given))[1].format == 0


@pytest.mark.parametrize("name", UNIT)
def test_training_on_tensor_cores_never_waits(monkeypatch, name):
    with strict_device(monkeypatch):
        exact, _ = train(*LAYERS["attention"])
        with ts.matmul_precision(name):
            rounded, waits = train(*LAYERS["attention"])
    assert waits == 0 and any((a != b).any() for a, b in zip(exact, rounded, strict=True))
    for a, b in zip(rounded, exact, strict=True):
        np.testing.assert_allclose(a, b, atol=0.01)


MISTAKES = {
    "the sum is not scaled down": ("sum[i] = sum[i] * shrink + row_sum(more)", "sum[i] += row_sum(more)"),
    "the output is not scaled down": (r"total[j].c[2 * i + 1] *= shrink;", ""),
    "half of a row's maximum": ("return larger(v, __shfl_xor_sync(ALL_LANES, v, 2));", "return v;"),
    "rows 8 apart have one sum": ("inverse[c / 2]", "inverse[0]"),
    "no delta": (" - of_query(delta, column_of(n, j, c), queries))", ")"),
    "the mask sees other columns": ("first + 8 * j + 2 * lane_t() + c % 2", "first + 8 * j + lane_t() + c % 2"),
    "the other rows of the own tile": ("own += threadIdx.x / 32 * 16", "own += threadIdx.x / 32 * 8"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(monkeypatch, name):
    old, new = MISTAKES[name]
    mutant, count = re.subn(re.escape(old), new, _launch.source("attention_mma"))
    assert count == 1
    given, g = case(((1,), 70, 70, 16, 16))
    (out,), gradients = reference("attention", given, [g], {"causal": True})
    monkeypatch.setattr(_launch, "source", lambda family: mutant)
    found = run(FAST[0], "high", given, g, causal=True)
    limits = bounds(given, g, UNIT["high"], causal=True)
    assert not max(outside(found, [out, *gradients], limits)) <= 0  # NaN counts as found
