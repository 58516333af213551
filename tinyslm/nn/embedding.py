"""The table of word vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, OptionError, is_whole
from ..ops import embedding
from ..tensor import Tensor
from . import init
from .module import Module, Parameter, check_sizes


class Embedding(Module):
    """y = E[ids], the same as one-hot(ids) E: ids (...) -> (..., D).

    Args:
        num_embeddings: V, the size of the vocabulary.
        embedding_dim: D.
        padding_idx: the number of the padding token: its row starts at 0 and gets no gradient.
        scale: standard deviation of the start values N(0, scale²); PyTorch has 1.
        rng: draws them.
        dtype: "float32" or "float64".
    """

    weight: Parameter  # (V, D)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        scale: float = 1.0,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        check_sizes("Embedding", 0, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not (is_whole(padding_idx) and 0 <= padding_idx < num_embeddings):
            raise OptionError(
                f"padding_idx: expected a whole number from 0 to {num_embeddings - 1}, got {padding_idx!r}"
            )
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.weight = Parameter.zeros(num_embeddings, embedding_dim, dtype=dtype)
        init.normal_(self.weight, 0.0, scale, rng=rng)
        if padding_idx is not None:
            self.weight._data[padding_idx] = 0

    @classmethod
    def from_pretrained(cls, weight: Any, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer with a given table (V, D), for instance GloVe's; `freeze` keeps training from changing it."""
        table = Parameter(weight, requires_grad=not freeze)
        rows, features = table.shape
        layer = cls(rows, features, padding_idx, rng=np.random.default_rng(0), dtype=table.dtype)
        layer.weight = table
        return layer

    def forward(self, ids: Any) -> Tensor:
        """Integers (...), a tensor or an array -> (..., D)."""
        ids = ids if isinstance(ids, Tensor) else Tensor.wrap(np.asarray(ids))
        if ids.dtype.kind not in "iu":
            raise DTypeError(f"Embedding: expected integer ids, got {ids.dtype}")
        return embedding(ids, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        pad = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{pad}"
