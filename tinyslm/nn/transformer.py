"""The Transformer's blocks: attention and a feed-forward network, each with a residual path and a layer norm.

Post-norm, as printed by Vaswani et al. 2017: x = norm(x + part(x)). Pre-norm (Xiong et al. 2020), `norm_first=True`:
x = x + part(norm(x)), which trains without a warm-up, since the residual path reaches the output untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import OptionError
from ..ops import gelu, relu
from ..tensor import Tensor
from .attention import MultiHeadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module, check_sizes
from .norm import LayerNorm

ACTIVATIONS = {"relu": relu, "gelu": gelu}


class _Block(Module):
    """What both layers share: the feed-forward part W_2 act(W_1 x + b_1) + b_2, and the residual path."""

    self_attn: MultiHeadAttention
    linear1: Linear  # (F, D)
    linear2: Linear  # (D, F)
    norm1: LayerNorm
    norm2: LayerNorm

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        if activation not in ACTIVATIONS:
            raise OptionError(f"activation: expected one of {', '.join(ACTIVATIONS)}; got {activation!r}")
        sizes = {"d_model": d_model, "nhead": nhead, "dim_feedforward": dim_feedforward}
        check_sizes(type(self).__name__, 1, **sizes)
        self.activation, self.norm_first = activation, norm_first
        self.self_attn = MultiHeadAttention(d_model, nhead, dropout, rng=rng, dtype=dtype)
        self.linear1 = Linear(d_model, dim_feedforward, rng=rng, dtype=dtype)
        self.linear2 = Linear(dim_feedforward, d_model, rng=rng, dtype=dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(ACTIVATIONS[self.activation](self.linear1(x))))

    def _residual(self, x: Tensor, part: Callable[[Tensor], Tensor], norm: LayerNorm) -> Tensor:
        if self.norm_first:
            return x + self.dropout(part(norm(x)))
        return norm(x + self.dropout(part(x)))

    def extra_repr(self) -> str:
        """The order of norm and part, and the activation."""
        return f"{'pre' if self.norm_first else 'post'}-norm, {self.activation}"


class TransformerEncoderLayer(_Block):
    """Self-attention, then feed-forward: x (B, T, D), which stays.

    Args:
        d_model: D.
        nhead: N, which divides D.
        dim_feedforward: F, the width inside the feed-forward part.
        dropout: share that is dropped of the attention weights, inside the feed-forward part and before each sum.
        activation: "relu" or "gelu".
        layer_norm_eps: added to the variance in the norms.
        norm_first: pre-norm instead of post-norm.
        rng: draws the start values and the masks.
        dtype: "float32" or "float64".

    Vaswani et al. 2017, §3.1. The state dict has the names of PyTorch's layer.
    """

    def forward(self, x: Tensor, mask: Any = None, causal: bool = False, key_padding_mask: Any = None) -> Tensor:
        """(B, T, D), which stays; masks as for `MultiHeadAttention`."""

        def attend(h: Tensor) -> Tensor:
            return self.self_attn(h, mask=mask, causal=causal, key_padding_mask=key_padding_mask)

        return self._residual(self._residual(x, attend, self.norm1), self._feed_forward, self.norm2)


class TransformerDecoderLayer(_Block):
    """Causal self-attention, attention to the encoder's output, then feed-forward: x (B, T, D), memory (B, S, D).

    Args:
        d_model: D; this and the others are those of `TransformerEncoderLayer`.
    """

    multihead_attn: MultiHeadAttention
    norm3: LayerNorm

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, norm_first, rng=rng, dtype=dtype
        )
        self.multihead_attn = MultiHeadAttention(d_model, nhead, dropout, rng=rng, dtype=dtype)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, dtype=dtype)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Any = None,
        causal: bool = True,
        key_padding_mask: Any = None,
        memory_mask: Any = None,
        memory_key_padding_mask: Any = None,
    ) -> Tensor:
        """(B, T, D), which stays; masks as for `MultiHeadAttention`. Causal unless told otherwise."""

        def attend(h: Tensor) -> Tensor:
            return self.self_attn(h, mask=mask, causal=causal, key_padding_mask=key_padding_mask)

        def look_at_memory(h: Tensor) -> Tensor:
            return self.multihead_attn(h, memory, mask=memory_mask, key_padding_mask=memory_key_padding_mask)

        x = self._residual(x, attend, self.norm1)
        x = self._residual(x, look_at_memory, self.norm2)
        return self._residual(x, self._feed_forward, self.norm3)


class _Stack(Module):
    """Layers on top of each other, and a norm at the end where they are pre-norm (or where `norm` says so)."""

    layers: ModuleList
    norm: LayerNorm | None
    layer: type[_Block]

    def __init__(self, num_layers: int, d_model: int, nhead: int, *args: Any, norm: bool | None = None, **options: Any):
        check_sizes(type(self).__name__, 0, num_layers=num_layers)
        self.layers = ModuleList(self.layer(d_model, nhead, *args, **options) for _ in range(num_layers))
        closing = norm if norm is not None else any(layer.norm_first for layer in self.layers)  # type: ignore[attr-defined]
        self.norm = LayerNorm(d_model, dtype=options.get("dtype", "float32")) if closing else None

    def forward(self, x: Tensor, *args: Any, **masks: Any) -> Tensor:
        """(B, T, D), which stays; everything else goes to each layer."""
        for layer in self.layers:
            x = layer(x, *args, **masks)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """`num_layers` times `TransformerEncoderLayer`: x (B, T, D), which stays.

    Args:
        num_layers: how many.
        d_model: D; this and all further arguments are those of the layer.
        nhead: N.
        norm: whether a layer norm closes the stack; None: where the layers are pre-norm.
    """

    layer = TransformerEncoderLayer


class TransformerDecoder(_Stack):
    """`num_layers` times `TransformerDecoderLayer`: x (B, T, D) and memory (B, S, D) -> (B, T, D).

    Args:
        num_layers: how many.
        d_model: D; this and all further arguments are those of the layer.
        nhead: N.
        norm: whether a layer norm closes the stack; None: where the layers are pre-norm.
    """

    layer = TransformerDecoderLayer
