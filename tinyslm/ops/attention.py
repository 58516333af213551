"""Scaled dot-product attention, one operation with a fused kernel, and its composition as the reference."""

import math
from typing import Any

import numpy as np

from ..device import on_device
from ..engine import composition_forward, composition_rule, op
from ..errors import DTypeError, OptionError, ShapeError, is_number, require_whole
from ..tensor import Tensor, constant, raw
from .elementwise import exp, where


def attention_simple(q, k, v, mask=None, causal=False, scale=None):
    """The formula of Vaswani et al. 2017 (A6 repaired), in small operations."""
    return attention_weights(q, k, mask=mask, causal=causal, scale=scale) @ v


def attention_weights(q, k, mask=None, causal=False, scale=None):
    """softmax(Q Kᵀ / sqrt(d_k)) over the keys: (..., T, S); a query that may see nothing gets zeros."""
    scores = (q @ k.mT) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    allowed, extra = _masks(mask, causal, scores._data.real)
    if extra is not None:
        scores = scores + Tensor.wrap(extra.astype(scores.dtype))
    top = np.where(allowed, scores._data.real, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    # Subtracting any constant leaves softmax as it is, so the maximum needs no gradient.
    e = exp(where(Tensor.wrap(allowed), scores, 0.0) - Tensor.wrap(np.where(np.isfinite(top), top, 0).astype(q.dtype)))
    e = where(Tensor.wrap(allowed), e, 0.0)
    total = e.sum(-1, keepdim=True)
    return e / where(total.eq(0), 1.0, total)


def _masks(mask: Any, causal: bool, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Which keys each query may see, bool (..., T, S), and what is added to their scores where a mask was given."""
    t, s = scores.shape[-2:]
    allowed = on_device(np.tril(np.ones((t, s), bool), s - t) if causal else np.ones((t, s), bool))
    extra = None
    if mask is not None:
        mask = on_device(raw(mask))
        added = mask if mask.dtype.kind == "f" else np.where(mask, 0.0, -np.inf)
        hidden = (added == -np.inf) & (scores < np.inf)  # to infinity and NaN -inf is added, which gives NaN
        allowed, extra = allowed & ~hidden, np.where(hidden, 0, added)
    return np.broadcast_to(allowed, scores.shape), extra


@op(r"Y = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V")
def attention(xp, q, k, v, mask=None, causal=False, scale=None):
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1).

    Args:
        q: queries (..., T, D); heads (N) and batch (B) are leading dimensions.
        k: keys (..., S, D).
        v: values (..., S, E).
        mask: bool, True where a query may see a key, or float, added to the scores; broadcasts to (..., T, S). False
            adds -inf: to a finite score it hides the key; a score of infinity or NaN gives NaN, as in PyTorch.
        causal: query t sees keys up to t + (S - T); the scores of the others are not looked at.
        scale: factor of the scores, 1/sqrt(D) if None.

    Returns:
        (..., T, E); zeros for a query that may see nothing.
    """
    return composition_forward(attention)(xp, q, k, v, mask=mask, causal=causal, scale=scale)


@attention.shape
def _attention_shape(q, k, v, mask, causal, scale):
    if min(map(len, (q, k, v))) < 2 or q[-1] != k[-1] or k[-2] != v[-2] or q[:-2] != k[:-2] or k[:-2] != v[:-2]:
        raise ShapeError(
            f"attention: the shapes do not fit.\n  Expected: q (..., T, D), k (..., S, D), v (..., S, E)\n"
            f"  Got: q {q}, k {k}, v {v}"
        )
    if q[-1] == 0:
        raise ShapeError(f"attention: expected queries and keys of at least one number (D >= 1), got q {q}, k {k}")
    if scale is not None and not is_number(scale):
        raise OptionError(f"attention: expected scale as a number or None, got {scale!r}")
    _check_mask("attention", mask, (*q[:-1], k[-2]))


def _check_mask(name: str, mask: Any, scores: tuple[int, ...]) -> None:
    """A mask says True where a key may be seen, or is added to the scores; integers could mean either."""
    if mask is None:
        return
    constant(name, "mask", mask)
    dtype = getattr(mask, "dtype", None) or np.asarray(mask).dtype
    if dtype.kind not in "bf":
        raise DTypeError(
            f"{name}: the mask's number type does not say what it means.\n"
            f"  Expected: bool, True where a query may see a key (`mask != 0`), or float, added to the scores\n"
            f"  Got: {dtype}"
        )
    got = np.shape(mask)
    if len(got) > len(scores) or any(n not in (1, m) for n, m in zip(got[::-1], scores[::-1], strict=False)):
        raise ShapeError(
            f"{name}: the mask does not fit the scores.\n"
            f"  Expected: a shape that broadcasts to {scores}, queries (T) before keys (S)\n  Got: {got}"
        )


def _size(q: np.ndarray, k: np.ndarray, *values: np.ndarray) -> int:
    # NumPy would make all scores, and they may be far more than the queries.
    return max(math.prod(q.shape[:-1]) * k.shape[-2], *(a.size for a in (q, k, *values)))


attention.reference(attention_simple)
composition_rule(attention)
attention.kernel("numba", "attention:attention", size=_size, steps=16)
attention.kernel("cuda", "attention:attention")


@attention.samples
def _samples(rng):
    def draw(*lead, t=2, s=3, d=2, e=3):
        return tuple(rng.normal(size=(*lead, *n)) for n in ((t, d), (s, d), (s, e)))

    yield draw(2), {}
    yield draw(2, 1, t=3), {"causal": True}
    yield draw(2), {"mask": np.array([[True, True, False], [False, False, False]]), "scale": 0.5}
    yield draw(1), {"mask": np.array([[0.3, -np.inf, 1.0]]), "causal": False}


def self_attention_simple(qkv, heads=1, mask=None, causal=False):
    """Cut into queries, keys and values, these into heads; attention; the heads side by side again."""
    b, t, width = qkv.shape
    parts = qkv.reshape(b, t, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    y = attention(parts[0], parts[1], parts[2], mask=mask, causal=causal)
    return y.permute(0, 2, 1, 3).reshape(b, t, width // 3)


@op(r"Y_n = \operatorname{softmax}\!\left(\frac{Q_n K_n^\top}{\sqrt{d_k}}\right) V_n")
def self_attention(xp, qkv, heads=1, mask=None, causal=False):
    """Attention of several heads whose queries, keys and values lie side by side; no part of them is copied.

    Args:
        qkv: (B, T, 3 D), in each row Q, K and V, and in each of these the heads one after another.
        heads: N, which divides D.
        mask: as for `attention`; broadcasts to (B, N, T, T).
        causal: query t sees keys up to t.

    Returns:
        (B, T, D), the heads one after another.
    """
    return composition_forward(self_attention)(xp, qkv, heads=heads, mask=mask, causal=causal)


@self_attention.shape
def _self_attention_shape(qkv, heads, mask, causal):
    heads = require_whole(heads, "heads", 1, of="self_attention")
    if len(qkv) != 3 or qkv[2] % (3 * heads) or qkv[2] == 0:
        raise ShapeError(
            "self_attention: the shapes do not fit.\n"
            f"  Expected: qkv (B, T, 3 D) with D a multiple of {heads} heads\n"
            f"  Got: {qkv}" + (f", which is D = {qkv[2] / 3:g}" if len(qkv) == 3 else "")
        )
    _check_mask("self_attention", mask, (qkv[0], heads, qkv[1], qkv[1]))


def _size_of_one_head(qkv: np.ndarray) -> int:
    return _size(qkv, qkv)  # how many heads there are, the arrays don't tell


self_attention.reference(self_attention_simple)
composition_rule(self_attention)
self_attention.kernel("numba", "attention:self_attention", size=_size_of_one_head, steps=16)
self_attention.kernel("cuda", "self_attention:self_attention")


@self_attention.samples
def _self_samples(rng):
    cases: list[tuple[int, dict[str, Any]]] = [(1, {}), (2, {"causal": True}), (2, {"mask": np.tri(3, dtype=bool)})]
    for heads, options in cases:
        yield (rng.normal(size=(2, 3, 12)),), {"heads": heads, **options}
