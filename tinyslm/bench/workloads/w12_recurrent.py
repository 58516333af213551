"""W12: a GRU where W1 has its LSTM, and an LSTM in both directions over texts of 5 to 100 words, the rest masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ..sessions import TorchTraining, Training, torch_modules
from ..workload import Arrays, Session, Work, Workload, training_bytes, with_weights


@dataclass(frozen=True)
class RecurrentClassifier(Workload):
    """Embedding(V, D) -> GRU or bidirectional LSTM -> the state after the last word -> Linear(1), Adam."""

    kind: str = "gru"
    batch: int = 32
    time: int = 100
    vocabulary: int = 10_000
    features: int = 64
    hidden: int = 128

    @property
    def masked(self) -> bool:
        """Whether texts have lengths, which goes with the second direction."""
        return self.kind == "lstm"

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random words and labels; lengths from 5 to 100; our layers' start values."""
        ids = rng.integers(1, self.vocabulary, (self.batch, self.time))
        labels = rng.integers(0, 2, self.batch).astype("float32")
        lengths = rng.permutation(np.linspace(5, self.time, self.batch).round().astype(np.int64))
        inputs = {"ids": ids, "labels": labels, "lengths": lengths}
        return with_weights(inputs, OurRecurrent(self, rng).state_dict())

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        ids, labels, lengths = arrays["ids"], arrays["labels"], arrays["lengths"]
        model = OurRecurrent(self, np.random.default_rng(0))

        def loss_of(m: Any) -> Any:
            return ops.binary_cross_entropy_with_logits(m(ids, lengths if self.masked else None), labels)

        return Training(arrays, model, loss_of, optim.Adam)

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's; texts of different lengths are packed, its own way of leaving padding out."""
        import torch
        from torch.nn import functional

        ids, labels, lengths = (torch.from_numpy(arrays[name]) for name in ("ids", "labels", "lengths"))
        layer = torch.nn.GRU if self.kind == "gru" else torch.nn.LSTM
        model = torch_modules(
            embedding=torch.nn.Embedding(self.vocabulary, self.features),
            layer=layer(self.features, self.hidden, batch_first=True, bidirectional=self.masked),
            head=torch.nn.Linear(self.hidden * (1 + self.masked), 1),
        )

        def loss_of(m: Any) -> Any:
            x = m.embedding(ids)
            if self.masked:
                x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                _, (h, _) = m.layer(x)
            else:
                _, h = m.layer(x)
            logits = m.head(torch.cat(tuple(h), dim=-1)).squeeze(-1)
            return functional.binary_cross_entropy_with_logits(logits, labels)

        return TorchTraining(arrays, model, loss_of, lambda p: torch.optim.Adam(p, fused=True), compiled)

    def work(self) -> Work:
        """As W1, with 3 gates for a GRU; in both directions, the words that count (half of them) are read twice."""
        steps = self.batch * (5 + self.time) if self.masked else self.batch * self.time
        gates = 4 if self.masked else 3
        weights = (self.features + self.hidden) * gates * self.hidden
        parameters = weights * (1 + self.masked) + self.vocabulary * self.features
        return Work(3 * 2.0 * steps * weights, training_bytes(parameters))


class OurRecurrent(nn.Module):
    """The model as one writes it with tinyslm."""

    def __init__(self, sizes: RecurrentClassifier, rng: np.random.Generator):
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.features, rng=rng)
        layer = nn.GRU if sizes.kind == "gru" else nn.LSTM
        self.layer = layer(sizes.features, sizes.hidden, bidirectional=sizes.masked, rng=rng)
        self.head = nn.Linear(sizes.hidden * (1 + sizes.masked), 1, rng=rng)

    def forward(self, ids: np.ndarray, lengths: np.ndarray | None) -> Any:
        """Logits (B,)."""
        _, state = self.layer(self.embedding(ids), lengths=lengths)
        h = state[0] if isinstance(state, tuple) else state
        return self.head(ops.cat(list(h), -1)).squeeze(-1)


ROWS = [
    RecurrentClassifier("W12-gru", "GRU classifier, training step", 1.3, 2.0),
    RecurrentClassifier("W12-bilstm", "LSTM in both directions, lengths 5 to 100", 1.3, 2.0, "lstm"),
]
