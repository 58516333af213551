"""W12: the classifier by convolutions over 3, 4 and 5 words, each reduced to its maximum over time (Kim 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ..sessions import TorchTraining, Training, torch_modules
from ..workload import Arrays, Session, Work, Workload, training_bytes, with_weights

WIDTHS = (3, 4, 5)


@dataclass(frozen=True)
class CnnClassifier(Workload):
    """Embedding(V, D) -> three Conv1d(F filters), ReLU, maximum over time -> Linear(1), Adam."""

    batch: int = 32
    time: int = 100
    vocabulary: int = 10_000
    features: int = 64
    filters: int = 128

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random words and labels; our layers' start values."""
        ids = rng.integers(0, self.vocabulary, (self.batch, self.time))
        labels = rng.integers(0, 2, self.batch).astype("float32")
        return with_weights({"ids": ids, "labels": labels}, OurCnn(self, rng).state_dict())

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        ids, labels = arrays["ids"], arrays["labels"]
        model = OurCnn(self, np.random.default_rng(0))
        return Training(arrays, model, lambda m: ops.binary_cross_entropy_with_logits(m(ids), labels), optim.Adam)

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch
        from torch.nn import functional

        ids, labels = torch.from_numpy(arrays["ids"]), torch.from_numpy(arrays["labels"])
        model = torch_modules(
            embedding=torch.nn.Embedding(self.vocabulary, self.features),
            convs=[torch.nn.Conv1d(self.features, self.filters, k, padding=k - 1) for k in WIDTHS],
            head=torch.nn.Linear(self.filters * len(WIDTHS), 1),
        )

        def loss_of(m: Any) -> Any:
            channels = m.embedding(ids).permute(0, 2, 1)
            found = torch.cat([conv(channels).relu().amax(-1) for conv in m.convs], dim=-1)
            return functional.binary_cross_entropy_with_logits(m.head(found).squeeze(-1), labels)

        return TorchTraining(arrays, model, loss_of, lambda p: torch.optim.Adam(p, fused=True), compiled)

    def work(self) -> Work:
        """A product of each window with each filter; backward twice that."""
        forward = sum(2.0 * self.batch * (self.time + k - 1) * k * self.features * self.filters for k in WIDTHS)
        parameters = self.vocabulary * self.features + sum(WIDTHS) * self.features * self.filters
        return Work(3 * forward, training_bytes(parameters))


class OurCnn(nn.Module):
    """The model as one writes it with tinyslm."""

    def __init__(self, sizes: CnnClassifier, rng: np.random.Generator):
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.features, rng=rng)
        self.convs = nn.ModuleList(
            [nn.Conv1d(sizes.features, sizes.filters, k, padding=k - 1, rng=rng) for k in WIDTHS]
        )
        self.head = nn.Linear(sizes.filters * len(WIDTHS), 1, rng=rng)

    def forward(self, ids: np.ndarray) -> Any:
        """Logits (B,)."""
        channels = self.embedding(ids).permute(0, 2, 1)
        return self.head(ops.cat([conv(channels).relu().max(-1) for conv in self.convs], -1)).squeeze(-1)


ROWS = [CnnClassifier("W12-cnn", "CNN classifier, training step", 1.3, 2.0)]
