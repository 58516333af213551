"""From a sequence of states to one vector: x (B, T, D) -> (B, D).

`mask` (B, T), where given, is True at the steps that count. A sequence of which no step counts gives zeros.
"""

import math
from typing import Any

import numpy as np

from ..device import to_host
from ..errors import OptionError, require_mask
from ..ops import softmax, tanh, where
from ..tensor import Tensor, raw
from . import init
from .module import Module, Parameter, check_sizes


def last_over_time(x: Tensor, mask: Any = None) -> Tensor:
    """The last step that counts: y = x_T."""
    if mask is None:
        return x[:, -1]
    counts = steps_mask(x, mask)
    last = counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1)
    return where(counts.any(axis=1)[:, None], x[np.arange(len(last)), last], 0.0)


def mean_over_time(x: Tensor, mask: Any = None) -> Tensor:
    """The mean of the steps that count: y = sum_t m_t x_t / sum_t m_t."""
    if mask is None:
        return x.mean(1)
    counts = steps_mask(x, mask)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return (x * Tensor.wrap(share[..., None].astype(x.dtype))).sum(1)


def max_over_time(x: Tensor, mask: Any = None) -> Tensor:
    """The largest value of each feature over the steps that count (Collobert & Weston 2008)."""
    if mask is None:
        return x.max(1)
    counts = steps_mask(x, mask)
    largest = where(counts[..., None], x, float(np.finfo(x.dtype).min)).max(1)
    return where(counts.any(axis=1)[:, None], largest, 0.0)


POOLS = {"last": last_over_time, "mean": mean_over_time, "max": max_over_time}


class Pool(Module):
    """The last step, the mean or the maximum over time: (B, T, D) -> (B, D).

    Args:
        kind: "last", "mean" or "max".
    """

    def __init__(self, kind: str = "last"):
        if kind not in POOLS:
            raise OptionError(f"kind: expected one of {', '.join(POOLS)}; got {kind!r}")
        self.kind = kind

    def forward(self, x: Tensor, mask: Any = None) -> Tensor:
        """(B, T, D), mask (B, T) -> (B, D)."""
        return POOLS[self.kind](x, mask)

    def extra_repr(self) -> str:
        """Which one."""
        return repr(self.kind)


class AttentionPool(Module):
    """A weighted mean whose weights are learned: c = sum_t a_t x_t, a = softmax over time of e_1 ... e_T.

    This is B10 and B11 repaired: each step has one score, e_t = v · tanh(W x_t + b), the softmax runs over time, and
    the sum leaves one vector per sequence. With `hidden_size` None the score is e_t = v · x_t. A bias outside the tanh
    would change nothing, since a softmax does not notice a constant. Bahdanau et al. 2015, eq. 5 and 6.

    Args:
        input_size: D.
        hidden_size: H, the size inside the score, or None.
        rng: draws the start values.
        dtype: "float32" or "float64".
    """

    vector: Parameter  # v (H,), or (D,) without a hidden layer
    weight: Parameter | None  # W (H, D)
    bias: Parameter | None  # b (H,)

    def __init__(
        self, input_size: int, hidden_size: int | None = None, *, rng: np.random.Generator, dtype: Any = "float32"
    ):
        size = input_size if hidden_size is None else hidden_size
        check_sizes("AttentionPool", 1, input_size=input_size, hidden_size=size)
        self.vector = init.normal_(Parameter.zeros(size, dtype=dtype), 0.0, 1 / math.sqrt(size), rng=rng)
        self.weight = self.bias = None
        if hidden_size is not None:
            self.weight = init.xavier_uniform_(Parameter.zeros(hidden_size, input_size, dtype=dtype), rng=rng)
            self.bias = Parameter.zeros(hidden_size, dtype=dtype)

    def forward(self, x: Tensor, mask: Any = None) -> Tensor:
        """(B, T, D) -> (B, D)."""
        return (self.weights(x, mask).unsqueeze(1) @ x).squeeze(1)

    def weights(self, x: Tensor, mask: Any = None) -> Tensor:
        """The weights a (B, T): not negative, 0 at steps that do not count, and adding up to 1."""
        e = self._scores(x)
        if mask is None:
            return softmax(e, dim=1)
        counts = steps_mask(x, mask)
        a = softmax(where(counts, e, float(np.finfo(x.dtype).min)), dim=1)
        return where(counts, a, 0.0)

    def _scores(self, x: Tensor) -> Tensor:
        if self.weight is not None and self.bias is not None:
            x = tanh(x @ self.weight.mT + self.bias)
        return x @ self.vector


def steps_mask(x: Tensor, mask: Any) -> Any:
    """The mask as a bool array, checked against x (B, T, ...)."""
    counts = np.asarray(to_host(raw(mask)))
    require_mask(counts, "mask", "(B, T)", x.shape[:2], "at steps that count")
    return counts
