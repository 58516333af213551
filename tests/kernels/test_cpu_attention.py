"""Attention against NumPy and torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, check_pair, close, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu._parallel import get_num_threads, set_num_threads
from tinyslm.kernels.cpu.attention import (
    attention_backward,
    attention_forward,
    self_attention_backward,
    self_attention_forward,
)

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


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (3, 5, 5), (2, 4, 5)])
def test_a_mask_that_does_not_broadcast_is_refused(shape):
    q = np.zeros((2, 5, 4), np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        attention_forward(q, q, q, mask=np.ones(shape, bool))
