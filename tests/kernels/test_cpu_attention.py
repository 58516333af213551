"""Attention against NumPy and torch."""

import numba
import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu import _gemm, _tile, _triangle
from tinyslm.kernels.cpu._parallel import get_num_threads, set_num_threads
from tinyslm.kernels.cpu.attention import (
    attention_backward,
    attention_forward,
    self_attention_backward,
    self_attention_forward,
)

import tinyslm as ts

PAIR = (attention_forward, attention_backward)
SIZES = [
    ((2, 3), 5, 7, 4, 6),
    ((), 6, 6, 3, 3),
    ((1,), 1, 1, 1, 1),
    ((2,), 7, 4, 2, 5),
    ((0, 2), 3, 3, 2, 2),
    ((2,), 0, 3, 2, 2),
    ((2,), 3, 0, 2, 2),
]


def reference_gradients(g, q, k, v, seen, added=0.0, scale=None):
    """dq, dk and dv in float64, with all weights at once."""
    g, q, k, v = (a.astype(np.float64) for a in (g, q, k, v))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    p = reference(q, k, np.broadcast_to(np.eye(k.shape[-2]), (*k.shape[:-1], k.shape[-2])), seen, added, scale)
    dp = g @ np.swapaxes(v, -1, -2)
    ds = scale * p * (dp - (p * dp).sum(-1, keepdims=True))
    return ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(p, -1, -2) @ g


def inputs(lead, t, s, d, dv, dtype):
    shapes = ((*lead, t, d), (*lead, s, d), (*lead, s, dv))
    return tuple(numbers(i, *shape, dtype=dtype) for i, shape in enumerate(shapes))


def allowed(t, s, causal, mask=None):
    """(T, S) or wider: True where a query may look."""
    seen = np.arange(s) <= np.arange(t)[:, None] + (s - t) if causal else np.ones((t, s), bool)
    return seen if mask is None else seen & mask


def reference(q, k, v, seen, added=0.0, scale=None):
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale) + added
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True, initial=-1e300)
    e = np.exp(scores - top)
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
def test_forward(causal, dtype):
    for lead, t, s, d, dv in SIZES:
        q, k, v = inputs(lead, t, s, d, dv, dtype)
        for scale in (None, 0.3):
            out, _ = attention_forward(q, k, v, causal=causal, scale=scale)
            assert out.dtype == q.dtype
            close(out, reference(q, k, v, allowed(t, s, causal), scale=scale))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), (7,), (1, 7), (5, 1), (3, 5, 7), (2, 1, 1, 7), (2, 3, 5, 7)])
def test_masks_broadcast(shape, dtype):
    q, k, v = inputs((2, 3), 5, 7, 4, 6, dtype)
    mask = np.random.default_rng(3).random(shape) < 0.6
    for causal in (False, True):
        seen = allowed(5, 7, causal, mask)
        close(attention_forward(q, k, v, mask, causal=causal)[0], reference(q, k, v, seen))
        bias = numbers(4, *shape, dtype=dtype)
        want = reference(q, k, v, allowed(5, 7, causal), bias.astype(np.float64))
        close(attention_forward(q, k, v, bias, causal=causal)[0], want)


def test_a_query_without_keys_gives_zeros():
    q, k, v = inputs((2,), 4, 5, 3, 3, "float32")
    mask = np.ones((4, 5), bool)
    mask[1] = False
    for blocked in (mask, np.where(mask, 0, -np.inf).astype(np.float32)):
        out, saved = attention_forward(q, k, v, blocked)
        assert not out[:, 1].any() and np.isfinite(out).all()
        dq, dk, dv = attention_backward(np.ones_like(out), out, saved, (q, k, v), (True,) * 3, mask=blocked)
        assert not dq[:, 1].any()
        assert all(np.isfinite(a).all() for a in (dq, dk, dv))


def torch_attention(torch, q, k, v, mask, causal, scale):
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    seen = torch.from_numpy(allowed(q.shape[-2], k.shape[-2], causal))
    if mask is not None:
        seen, scores = (seen & mask, scores) if mask.dtype == torch.bool else (seen, scores + mask)
    p = torch.where(seen, scores, torch.tensor(-1e300, dtype=scores.dtype)).softmax(-1)
    return torch.where(seen, p, torch.zeros(())) @ v


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
def test_gradients(causal, dtype):
    torch = pytest.importorskip("torch")
    for lead, t, s, d, dv in SIZES:
        mask = np.random.default_rng(5).random((t, s)) < 0.7
        for m, scale in ((None, None), (mask, 0.3)):
            on = None if m is None else torch.from_numpy(m)

            def function(q, k, v, on=on, scale=scale):
                return torch_attention(torch, q, k, v, on, causal, scale)

            check_pair(PAIR, function, inputs(lead, t, s, d, dv, dtype), mask=m, causal=causal, scale=scale)


def test_many_heads_in_several_chunks():
    q, k, v = inputs((5, 2), 200, 200, 8, 8, "float32")
    out, saved = attention_forward(q, k, v, causal=True)
    close(out, reference(q, k, v, allowed(200, 200, True)))
    found = attention_backward(out, out, saved, (q, k, v), (True,) * 3, causal=True)
    for one in (0, 9):  # each head stands for itself
        a, b, c = (x.reshape(10, 200, 8)[one] for x in (q, k, v))
        o, s = attention_forward(a, b, c, causal=True)
        alone = attention_backward(o, o, s, (a, b, c), (True,) * 3, causal=True)
        for x, y in zip(found, alone, strict=True):
            close(x.reshape(10, 200, 8)[one], y)


@pytest.mark.torch
@pytest.mark.parametrize("sizes", [(100, 300, 5, 3), (300, 100, 3, 20), (1, 290, 2, 2), (97, 97, 300, 4)])
def test_tiles_and_chunks_of_keys_that_the_diagonal_cuts(sizes):
    torch = pytest.importorskip("torch")
    mask = np.random.default_rng(5).normal(size=(2, 1, sizes[1])).astype("float32")
    for causal, m in [(True, None), (True, mask), (False, mask)]:
        on = None if m is None else torch.from_numpy(m)

        def function(q, k, v, on=on, causal=causal):
            return torch_attention(torch, q, k, v, on, causal, 0.2)

        check_pair(PAIR, function, inputs((2,), *sizes, "float32"), mask=m, causal=causal, scale=0.2)


@numba.njit
def triangle_only(a, panels, edge, size, c):
    _triangle.below(a.shape[0], a, 0, a.shape[1], a.shape[1], panels, size, edge, c)


@numba.njit
def sums_and_turned(a, rows, edge, size, v, total, g, back):
    _triangle.sums(rows, a, size, edge, v, total, 0, True)
    _triangle.turned(rows, a, size, edge, g, 0, back)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 20), columns=st.integers(1, 40), depth=st.integers(0, 9), edge=st.integers(-5, 40))
def test_products_below_an_edge(dtype, rows, columns, depth, edge):
    width, tile = _gemm.padded(columns, dtype) + 16, np.tri(rows, columns, edge, dtype=bool)
    size = int(tile[-1].sum())  # what the last row sees
    shapes = [(rows, depth), (columns, depth), (columns, 3), (rows, 3)]
    a, b, v, g = (numbers(i, *shape, dtype=dtype) for i, shape in enumerate(shapes))
    scores, below = a.astype(np.float64) @ b.T, np.zeros((rows + 6, width), dtype)
    panels = _gemm.panels_of_columns(np.ascontiguousarray(b.T))
    total, back = (np.ones((n + 6, _gemm.padded(3, dtype)), dtype) for n in (rows, columns))
    triangle_only(a, panels, edge, size, below)
    close(below[:rows, :columns][tile], scores[tile])
    below[:rows, :columns] *= tile
    below[:rows, columns:] = 0
    sums_and_turned(below, rows, edge, size, _gemm.panels_of_columns(v), total, _gemm.panels_of_columns(g), back)
    close(total[:rows, :3], 1 + (scores * tile) @ v)
    close(back[:size, :3], 1 + ((scores * tile).T @ g)[:size])


@numba.njit
def pack_rows(a, start, step, rows, factor, panels):
    _gemm.pack_rows(a, start, step, rows, factor, panels)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 70), depth=st.integers(0, 40), apart=st.integers(0, 5), factor=st.integers(1, 3))
def test_rows_are_packed_as_columns(dtype, rows, depth, apart, factor):
    a, width = numbers(0, rows, depth + apart, dtype=dtype), _tile.panel_width(np.dtype(dtype).itemsize)
    used = -(-rows // width)
    panels = np.full((used + 1, depth, width), 7, dtype)
    memory = np.concatenate([np.full(3, 9, dtype), a.reshape(-1)])
    pack_rows(memory, 3, depth + apart, rows, np.dtype(dtype).type(factor), panels)
    flat = panels[:used].transpose(0, 2, 1).reshape(used * width, depth)
    np.testing.assert_array_equal(flat[:rows], factor * a[:, :depth])
    assert not flat[rows:].any() and (panels[used:] == 7).all()


def test_large_scores():
    q, k, v = (a * 300 for a in inputs((2,), 5, 5, 4, 4, "float32"))
    close(attention_forward(q, k, v)[0], reference(q, k, v, allowed(5, 5, False)))


@pytest.mark.torch
@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    sizes=st.tuples(st.integers(0, 2), st.integers(0, 70), st.integers(1, 3), st.integers(1, 19)),
    causal=st.booleans(),
    masked=st.booleans(),
)
def test_heads_side_by_side_on_random_shapes(dtype, sizes, causal, masked):
    torch = pytest.importorskip("torch")
    batch, time, heads, size = sizes
    mask = np.random.default_rng(7).random((batch, 1, time, time)) < 0.7 if masked else None

    def function(qkv):
        q, k, v = (a.reshape(batch, time, heads, size).transpose(1, 2) for a in qkv.split(heads * size, dim=2))
        y = torch_attention(torch, q, k, v, None if mask is None else torch.from_numpy(mask), causal, None)
        return y.transpose(1, 2).reshape(batch, time, heads * size)

    pair = (self_attention_forward, self_attention_backward)
    qkv = numbers(0, batch, time, 3 * heads * size, dtype=dtype)
    check_pair(pair, function, (qkv,), heads=heads, mask=mask, causal=causal)


@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_scores_and_subnormal_numbers(dtype):
    q, k, v = inputs((2,), 70, 70, 4, 4, dtype)
    q[:, ::2] *= 1e4
    k[:, ::3] = 1e-40
    out, saved = attention_forward(q, k, v, causal=True)
    assert np.isfinite(out).all()
    assert all(np.isfinite(d).all() for d in attention_backward(out, out, saved, (q, k, v), (True,) * 3, causal=True))


def test_the_number_of_threads_changes_nothing():
    qkv = numbers(0, 3, 200, 3 * 64, dtype="float32")
    before, found = get_num_threads(), []
    try:
        for n in (1, 2, 3):
            set_num_threads(n)
            out, saved = self_attention_forward(qkv, heads=4, causal=True)
            found.append((out, *self_attention_backward(out, out, saved, (qkv,), (True,), heads=4, causal=True)))
    finally:
        set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_memory_grows_with_the_length_only():
    q, k, v = inputs((2,), 1000, 1000, 8, 8, "float32")
    _, saved = attention_forward(q, k, v, causal=True)
    assert sum(a.size for a in saved) == 2 * 2 * 1000


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(200, 200), (300, 300), (130, 300), (300, 130)])
def test_gradients_over_several_tiles_and_chunks(sizes, causal):
    q, k, v = inputs((2,), *sizes, 8, 6, "float32")
    out, saved = attention_forward(q, k, v, causal=causal)
    g = numbers(9, *out.shape, dtype="float32")
    found = attention_backward(g, out, saved, (q, k, v), (True,) * 3, causal=causal)
    for got, want in zip(found, reference_gradients(g, q, k, v, allowed(*sizes, causal)), strict=True):
        close(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("low", [-1e4, -1e9, np.finfo("float32").min])
def test_low_numbers_in_a_mask_hide_and_a_row_of_them_alone_is_even(low, dtype):
    q, k, v = inputs((2,), 60, 60, 4, 4, dtype)
    mask = np.where(allowed(60, 60, True), 0.0, low).astype(dtype)
    mask[50:] = low
    out, saved = attention_forward(q, k, v, mask)
    # Beside so large a number a score is lost or nearly so: the same happens in the reference.
    scores = (q @ np.swapaxes(k, -1, -2) / 2 + mask).astype(dtype)
    zeros = np.zeros_like(q), np.zeros_like(k)
    close(out, reference(*zeros, v, True, scores))
    g = numbers(9, *out.shape, dtype=dtype)
    found = attention_backward(g, out, saved, (q, k, v), (True,) * 3, mask)
    p = reference(*zeros, np.broadcast_to(np.eye(60), (2, 60, 60)), True, scores)
    dp = g @ np.swapaxes(v, -1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / 2
    for got, want in zip(found, (ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(p, -1, -2) @ g), strict=True):
        close(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.0, -0.5])
def test_any_scale(scale, dtype):
    q, k, v = inputs((2,), 60, 60, 4, 4, dtype)
    out, saved = attention_forward(q, k, v, causal=True, scale=scale)
    seen = allowed(60, 60, True)
    close(out, reference(q, k, v, seen, scale=scale))
    found = attention_backward(out, out, saved, (q, k, v), (True,) * 3, causal=True, scale=scale)
    for got, want in zip(found, reference_gradients(out, q, k, v, seen, scale=scale), strict=True):
        close(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, -np.nan])
def test_nan_comes_out_where_it_went_in(bad, dtype):
    q, k, v = inputs((2,), 60, 60, 4, 4, dtype)
    q[0, 3] = bad
    k[1, 40] = bad
    out, saved = attention_forward(q, k, v, causal=True)
    wrong = np.isnan(out).all(-1)
    want = np.zeros((2, 60), bool)
    want[0, 3], want[1, 40:] = True, True
    np.testing.assert_array_equal(wrong, want)
    dq = attention_backward(np.ones_like(out), out, saved, (q, k, v), (True,) * 3, causal=True)[0]
    assert np.isnan(dq[want]).all()


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (3, 5, 5), (2, 4, 5)])
def test_a_mask_that_does_not_broadcast_is_refused(shape):
    q = np.zeros((2, 5, 4), np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        attention_forward(q, q, q, mask=np.ones(shape, bool))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("kind", [bool, float])
def test_a_hidden_score_that_is_not_finite_gives_nan_as_in_pytorch(kind, bad, backend):
    q, k, v = inputs((2,), 60, 60, 4, 4, "float32")
    k[0, 40] = [bad, 0, 0, 0]
    mask = np.ones((60, 60), bool)
    mask[:, 40] = False
    with np.errstate(all="ignore"):
        scores = q[0] @ k[0, 40]
        y = ts.attention(*map(ts.Tensor, (q, k, v)), mask=mask if kind is bool else np.where(mask, 0, -np.inf)).numpy()
    wrong = ~(scores < np.inf)  # -inf + infinity; the scores of -inf are hidden
    assert wrong.any() and (np.isnan(bad) or not wrong.all())
    np.testing.assert_array_equal(np.isnan(y[0]).all(-1), wrong)
    assert np.isfinite(y[0][~wrong]).all() and np.isfinite(y[1]).all()
