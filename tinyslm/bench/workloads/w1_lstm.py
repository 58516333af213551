"""W1 and W2, the articles' LSTM classifiers: word vectors, one or two LSTMs, the last state, class scores, Adam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ..sessions import JaxTraining, TorchTraining, Training, torch_modules
from ..workload import Arrays, Session, Work, Workload, training_bytes, with_weights


@dataclass(frozen=True)
class LstmClassifier(Workload):
    """Embedding(V, D) -> `layers` LSTMs(H) -> the last state -> Linear(C); with C = 1 binary, else softmax."""

    batch: int = 32
    time: int = 100
    vocabulary: int = 10_000
    features: int = 64
    hidden: int = 128
    layers: int = 1
    outputs: int = 1

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Random words and labels; our layers' start values."""
        ids = rng.integers(0, self.vocabulary, (self.batch, self.time))
        labels = rng.integers(0, max(self.outputs, 2), self.batch)
        return with_weights({"ids": ids, "labels": labels}, self._ours(rng).state_dict())

    def _ours(self, rng: np.random.Generator) -> OurLstm:
        return OurLstm(self, rng)

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        ids, labels = arrays["ids"], arrays["labels"]
        target = labels if self.outputs > 1 else labels.astype("float32")
        loss = ops.cross_entropy if self.outputs > 1 else ops.binary_cross_entropy_with_logits
        model = self._ours(np.random.default_rng(0))
        return Training(arrays, model, lambda m: loss(m(ids), target), optim.Adam)

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch
        from torch.nn import functional

        ids, labels = torch.as_tensor(arrays["ids"]), torch.as_tensor(arrays["labels"])
        target = labels if self.outputs > 1 else labels.float()
        loss = functional.cross_entropy if self.outputs > 1 else functional.binary_cross_entropy_with_logits
        model = torch_modules(
            embedding=torch.nn.Embedding(self.vocabulary, self.features),
            lstm=torch.nn.LSTM(self.features, self.hidden, self.layers, batch_first=True),
            head=torch.nn.Linear(self.hidden, self.outputs),
        )

        def loss_of(m: Any) -> Any:
            _, (h, _) = m.lstm(m.embedding(ids))
            logits = m.head(h[-1])
            return loss(logits if self.outputs > 1 else logits.squeeze(-1), target)

        return TorchTraining(arrays, model, loss_of, lambda p: torch.optim.Adam(p, fused=True), compiled)

    def jax(self, arrays: Arrays) -> Session:
        """JAX's: the loop over time is `lax.scan`, the products with the inputs are done before it, all at once."""
        import jax
        from jax import numpy as jnp

        ids, labels = jnp.asarray(arrays["ids"]), jnp.asarray(arrays["labels"])

        def layer(x: Any, w: Any, k: int) -> Any:
            inputs = x @ w[f"lstm.weight_ih_l{k}"].T + w[f"lstm.bias_ih_l{k}"]

            def cell(state: Any, xt: Any) -> Any:
                h, c = state
                i, f, g, o = jnp.split(xt + h @ w[f"lstm.weight_hh_l{k}"].T, 4, axis=-1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            start = jnp.zeros((self.batch, self.hidden))
            return jax.lax.scan(cell, (start, start), inputs)[1]

        def loss_of(w: Any) -> Any:
            x = w["embedding.weight"][ids.T]
            for k in range(self.layers):
                x = layer(x, w, k)
            z = x[-1] @ w["head.weight"].T + w["head.bias"]
            if self.outputs == 1:
                return jnp.mean(jax.nn.softplus(z[:, 0]) - labels * z[:, 0])
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), labels[:, None], 1))

        return JaxTraining(arrays, loss_of, leave_out="bias_hh")

    def work(self) -> Work:
        """A product of (B, D + H) with (D + H, 4H) per step; backward twice that, for the input and the weights."""
        widths = [self.features] + [self.hidden] * (self.layers - 1)
        forward = sum(2.0 * self.batch * self.time * (d + self.hidden) * 4 * self.hidden for d in widths)
        parameters = sum((d + self.hidden + 1) * 4 * self.hidden for d in widths) + self.vocabulary * self.features
        return Work(3 * forward, training_bytes(parameters))


class OurLstm(nn.Module):
    """The model as one writes it with tinyslm."""

    def __init__(self, sizes: LstmClassifier, rng: np.random.Generator):
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.features, rng=rng)
        self.lstm = nn.LSTM(sizes.features, sizes.hidden, sizes.layers, rng=rng)
        self.head = nn.Linear(sizes.hidden, sizes.outputs, rng=rng)
        self.binary = sizes.outputs == 1

    def forward(self, ids: np.ndarray) -> Any:
        """Logits (B,) or (B, C)."""
        _, (h, _) = self.lstm(self.embedding(ids))
        logits = self.head(h[-1])
        return logits.squeeze(-1) if self.binary else logits


ROWS = [
    LstmClassifier("W1", "LSTM classifier, training step", 1.3, 2.0),
    LstmClassifier("W2", "two LSTMs, two classes, training step", 1.5, 2.5, features=50, layers=2, outputs=2),
]
