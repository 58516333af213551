"""Between word vectors and class scores: an encoder turns (B, T, E) into (B, F).

Every encoder states `features`, its F. `mask` (B, T) is True at real tokens; without one, padding is read like a word,
as in the article's code.
"""

from __future__ import annotations

import numpy as np

from .. import nn, ops
from ..tensor import Tensor


class RecurrentEncoder(nn.Module):
    """A recurrent network over the sequence, then its states pooled over time.

    Args:
        kind: "rnn", "lstm" or "gru".
        size: E, the size of a word vector.
        hidden: H.
        layers: how many on top of each other.
        bidirectional: also from the last word to the first; F is then 2H.
        pooling: "last" (the state after the last step), "mean", "max" or "attention".
        dropout: between layers.
        rng: for the weights and the dropout.
    """

    def __init__(
        self, kind: str, size: int, hidden: int, layers: int, bidirectional: bool, pooling: str, dropout: float,
        rng: np.random.Generator,
    ):  # fmt: skip
        super().__init__()
        layer = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.layer = layer(size, hidden, layers, bidirectional=bidirectional, dropout=dropout, rng=rng)
        self.directions = 2 if bidirectional else 1
        self.features = hidden * self.directions
        self.pooling = pooling
        if pooling != "last":
            self.pool = make_pool(pooling, self.features, rng)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, E) -> (B, F)."""
        y, state = self.layer(x, mask=mask)
        if self.pooling != "last":
            return self.pool(y, mask)
        h = state[0] if isinstance(state, tuple) else state
        return ops.cat([h[i] for i in range(-self.directions, 0)], -1)


class CnnEncoder(nn.Module):
    """Filters over windows of 3, 4 and 5 words, each reduced to its maximum over time (Kim 2014). F = 3 filters."""

    WIDTHS = (3, 4, 5)

    def __init__(self, size: int, filters: int, rng: np.random.Generator):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(size, filters, k, padding=k - 1, rng=rng) for k in self.WIDTHS])
        self.features = filters * len(self.WIDTHS)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, E) -> (B, F)."""
        x = x if mask is None else ops.where(mask.unsqueeze(-1), x, 0.0)
        channels = x.permute(0, 2, 1)
        found = [conv(channels).relu() for conv in self.convs]
        if mask is not None:
            windows = [Tensor.wrap(_windows(mask._data, k)) for k in self.WIDTHS]
            found = [ops.where(w, y, 0.0) for w, y in zip(windows, found, strict=True)]  # 0 is the least relu gives
        return ops.cat([y.max(-1) for y in found], -1)


def _windows(mask: np.ndarray, width: int) -> np.ndarray:
    """(B, T) -> (B, 1, T + width - 1): which windows of a padded convolution hold at least one word."""
    padded = np.pad(mask, ((0, 0), (width - 1, width - 1)))
    return np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).any(-1, keepdims=True).swapaxes(1, 2)


class TransformerEncoder(nn.Module):
    """A Transformer encoder with learned positions; padding is masked, and the states are pooled. F = E."""

    def __init__(
        self, size: int, length: int, layers: int, heads: int, hidden: int, pooling: str, dropout: float,
        rng: np.random.Generator,
    ):  # fmt: skip
        super().__init__()
        self.positions = nn.LearnedPositions(length, size, rng=rng)
        self.layers = nn.TransformerEncoder(layers, size, heads, hidden, dropout=dropout, norm_first=True, rng=rng)
        self.pool = make_pool("mean" if pooling == "last" else pooling, size, rng)
        self.features = size

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, E) -> (B, E)."""
        padding = None if mask is None else ~mask
        return self.pool(self.layers(self.positions(x), key_padding_mask=padding), mask)


class BagEncoder(nn.Module):
    """The sum of the word vectors, whatever their order. F = E."""

    def __init__(self, size: int):
        super().__init__()
        self.features = size

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, E) -> (B, E)."""
        return x.sum(1) if mask is None else ops.where(mask.unsqueeze(-1), x, 0.0).sum(1)


def make_pool(pooling: str, features: int, rng: np.random.Generator) -> nn.Module:
    """The module that reduces (B, T, F) over time."""
    return nn.AttentionPool(features, rng=rng) if pooling == "attention" else nn.Pool(pooling)
