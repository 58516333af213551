"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import to_host
from ..errors import OptionError, ShapeError, require_mask, require_tensor
from ..ops import attention, attention_weights, linear, self_attention, split
from ..tensor import Tensor, raw
from . import init
from .dropout import Dropout, check_probability
from .linear import Linear
from .module import Module, Parameter, check_sizes


class MultiHeadAttention(Module):
    """head_n = softmax(Q_n K_nᵀ / sqrt(D/N)) V_n; the heads side by side, times W_O (Vaswani et al. 2017, §3.2.2).

    Q, K and V are affine maps of the inputs to N heads of D/N features each; their weights lie in one matrix,
    as in PyTorch's `nn.MultiheadAttention`, with whose state dicts this layer exchanges weights.

    Args:
        embed_dim: D.
        num_heads: N, which divides D.
        dropout: share of the attention weights that is dropped while training.
        bias: whether the affine maps have a bias.
        rng: draws the start values (Glorot's uniform, as in PyTorch) and the masks.
        dtype: "float32" or "float64".
    """

    in_proj_weight: Parameter  # (3D, D), rows of Q, K, V
    in_proj_bias: Parameter | None  # (3D,)
    out_proj: Linear  # W_O (D, D)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        check_sizes("MultiHeadAttention", 1, embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise OptionError(f"num_heads: expected a divisor of embed_dim = {embed_dim}, got {num_heads}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.in_proj_weight = init.xavier_uniform_(Parameter.zeros(3 * embed_dim, embed_dim, dtype=dtype), rng=rng)
        self.in_proj_bias = Parameter.zeros(3 * embed_dim, dtype=dtype) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)
        self.dropout = Dropout(check_probability(dropout, "dropout"), rng=rng)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        mask: Any = None,
        causal: bool = False,
        key_padding_mask: Any = None,
        need_weights: bool = False,
    ) -> Any:
        """Let every query look at the keys.

        Args:
            query: (B, T, D).
            key: (B, S, D); the query itself if None (self-attention).
            value: (B, S, D); the key if None.
            mask: bool, True where a query MAY see a key (PyTorch's says the opposite), or float, added to the scores;
                (T, S), (B, T, S) or (B, N, T, S).
            causal: query t sees keys up to t + (S - T).
            key_padding_mask: bool (B, S), True at keys that are padding, as in PyTorch.
            need_weights: return the attention weights, too.

        Returns:
            (B, T, D), or that and the weights (B, N, T, S). A query that may see nothing gets b_O.
        """
        key = query if key is None else key
        value = key if value is None else value
        self._check(query, key, value)
        mask = _joined_mask(mask, key_padding_mask, key)
        with_weights = need_weights or (self.training and self.dropout.p > 0)
        if query is key is value and not with_weights:
            qkv = linear(query, self.in_proj_weight, self.in_proj_bias)
            return self.out_proj(self_attention(qkv, heads=self.num_heads, mask=mask, causal=causal))
        q, k, v = self._project(query, key, value)
        if with_weights:
            weights = attention_weights(q, k, mask=mask, causal=causal)
            heads = self.dropout(weights) @ v
        else:
            heads = attention(q, k, v, mask=mask, causal=causal)
        y = self.out_proj(heads.permute(0, 2, 1, 3).reshape(query.shape))
        return (y, weights) if need_weights else y

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Q (B, N, T, D/N), K and V (B, N, S, D/N)."""
        weight, bias, d = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if query is key is value:
            return tuple(map(self._heads, split(linear(query, weight, bias), d, dim=-1)))
        weights = split(weight, d)
        biases = split(bias, d) if bias is not None else (None,) * 3
        inputs = (query, key, value)
        return tuple(self._heads(linear(x, w, b)) for x, w, b in zip(inputs, weights, biases, strict=True))

    def _heads(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        return x.reshape(b, t, self.num_heads, d // self.num_heads).permute(0, 2, 1, 3)

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        for name, x in {"query": query, "key": key, "value": value}.items():
            require_tensor(x, name, "(B, T, D)", of="MultiHeadAttention")
        shapes = [query.shape, key.shape, value.shape]
        d = self.embed_dim
        if any(len(s) != 3 or s[2] != d or s[0] != query.shape[0] for s in shapes) or key.shape != value.shape:
            raise ShapeError(
                f"MultiHeadAttention: expected query (B, T, D), key and value (B, S, D) with D = {d}\n  Got: {shapes}"
            )

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.embed_dim}, {self.num_heads} heads"


def _joined_mask(mask: Any, padding: Any, key: Tensor) -> np.ndarray | None:
    """One mask that broadcasts to (B, N, T, S)."""
    joined = None if mask is None else np.asarray(to_host(raw(mask)))
    if joined is not None and joined.ndim == 3:
        joined = joined[:, None]
    if padding is None:
        return joined
    padding = np.asarray(to_host(raw(padding)))
    require_mask(padding, "key_padding_mask", "(B, S)", key.shape[:2], "at padding")
    seen = ~padding[:, None, None, :]
    if joined is None:
        return seen
    return joined & seen if joined.dtype.kind != "f" else np.where(seen, joined, -np.inf).astype(joined.dtype)
