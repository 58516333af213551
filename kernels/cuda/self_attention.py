"""Attention of several heads whose queries, keys and values lie side by side, by the kernels of `attention.cu`.

Letters: B batch, T time, N heads, D features of all heads. The kernels want each head's rows in one piece: one copy of
(B, T, 3 D) forward, and one of the result; the same on the way back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ._launch import Array, array_library, ready
from .attention import attention_backward, attention_forward


class Saved(NamedTuple):
    """What backward needs: queries, keys and values (3, B, N, T, D/N), the heads' results, and what attention keeps."""

    parts: Array
    heads: Array
    inner: Any


def self_attention_forward(qkv: Array, heads: int = 1, mask: Any = None, causal: bool = False) -> tuple[Array, Saved]:
    """softmax(q k^T / sqrt(D/N)) v for each head: qkv (B, T, 3 D) to (B, T, D)."""
    b, t, width = qkv.shape
    parts = ready(_cut(qkv, heads).transpose(2, 0, 3, 1, 4))
    found, inner = attention_forward(parts[0], parts[1], parts[2], mask=mask, causal=causal)
    return found.transpose(0, 2, 1, 3).reshape(b, t, width // 3), Saved(parts, found, inner)


def self_attention_backward(
    g: Array,
    out: Any,
    saved: Saved,
    arrays: tuple,
    needs: tuple,
    heads: int = 1,
    mask: Any = None,
    causal: bool = False,
) -> tuple:
    """The gradients of queries, keys and values side by side, (B, T, 3 D)."""
    if not needs[0]:
        return (None,)
    b, t, width = arrays[0].shape
    inside = g.reshape(b, t, heads, width // (3 * heads)).transpose(0, 2, 1, 3)
    q, k, v = saved.parts[0], saved.parts[1], saved.parts[2]
    found = attention_backward(inside, saved.heads, saved.inner, (q, k, v), (True,) * 3, mask=mask, causal=causal)
    dqkv = array_library().empty((b, t, width), g.dtype)
    for i, d in enumerate(found):
        _cut(dqkv, heads)[:, :, i] = d.transpose(0, 2, 1, 3)
    return (dqkv,)


def _cut(qkv: Array, heads: int) -> Array:
    """(B, T, 3 D) as (B, T, 3, N, D/N)."""
    b, t, width = qkv.shape
    return qkv.reshape(b, t, 3, heads, width // (3 * heads))
