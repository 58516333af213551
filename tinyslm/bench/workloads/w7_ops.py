"""W7, four operations of every text model, forward and backward: word vectors, cross-entropy, layer norm, GELU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import ops
from ..sessions import Operation, TorchOperation
from ..workload import Arrays, Session, Work, Workload


@dataclass(frozen=True)
class EmbeddingRows(Workload):
    """Rows of a table (V, D) for ids (B, T); backward they are added up in a gradient of the table's size."""

    vocabulary: int = 10_000
    features: int = 64
    batch: int = 32
    time: int = 100

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The table, ids, the cotangent."""
        shape = (self.batch, self.time)
        return {
            "table": rng.standard_normal((self.vocabulary, self.features), np.float32),
            "ids": rng.integers(0, self.vocabulary, shape),
            "cotangent": rng.standard_normal((*shape, self.features), np.float32),
        }

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        ids = arrays["ids"]
        return Operation({"table": arrays["table"]}, lambda e: ops.embedding(ids, e), arrays["cotangent"])

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch

        ids = torch.as_tensor(arrays["ids"])
        inputs = {"table": arrays["table"]}
        return TorchOperation(inputs, lambda e: torch.nn.functional.embedding(ids, e), arrays["cotangent"], compiled)

    def work(self) -> Work:
        """Rows read and written; backward the gradient filled with 0, the cotangent read, rows changed."""
        rows = self.batch * self.time * self.features
        return Work(0.0, 4.0 * (5 * rows + self.vocabulary * self.features))


@dataclass(frozen=True)
class CrossEntropy(Workload):
    """Softmax cross-entropy of logits (B, V), the mean of the rows."""

    batch: int = 2048
    vocabulary: int = 10_000

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Logits and class numbers."""
        logits = rng.standard_normal((self.batch, self.vocabulary), np.float32)
        return {"logits": logits, "target": rng.integers(0, self.vocabulary, self.batch)}

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        target = arrays["target"]
        return Operation({"logits": arrays["logits"]}, lambda x: ops.cross_entropy(x, target))

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch

        target, inputs = torch.as_tensor(arrays["target"]), {"logits": arrays["logits"]}
        return TorchOperation(inputs, lambda x: torch.nn.functional.cross_entropy(x, target), None, compiled)

    def work(self) -> Work:
        """The logits read once forward and once backward, the gradient written."""
        return Work(0.0, 4.0 * 3 * self.batch * self.vocabulary)


@dataclass(frozen=True)
class LayerNorm(Workload):
    """Layer norm of (B, D) with weight and bias."""

    batch: int = 4096
    features: int = 384

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """x, weight, bias, the cotangent."""
        shapes = {"x": (self.batch, self.features), "weight": (self.features,), "bias": (self.features,)}
        shapes["cotangent"] = shapes["x"]
        return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        inputs = {name: arrays[name] for name in ("x", "weight", "bias")}
        return Operation(inputs, lambda x, w, b: ops.layer_norm(x, w, b, eps=1e-5), arrays["cotangent"])

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch

        inputs = {name: arrays[name] for name in ("x", "weight", "bias")}
        return TorchOperation(
            inputs,
            lambda x, w, b: torch.nn.functional.layer_norm(x, (self.features,), w, b, 1e-5),
            arrays["cotangent"],
            compiled,
        )

    def work(self) -> Work:
        """x read and y written forward; x and the cotangent read and a gradient written backward."""
        return Work(0.0, 4.0 * 5 * self.batch * self.features)


@dataclass(frozen=True)
class Gelu(Workload):
    """The exact GELU of (B, D)."""

    batch: int = 1024
    features: int = 1536

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """x and the cotangent."""
        return {name: rng.standard_normal((self.batch, self.features), np.float32) for name in ("x", "cotangent")}

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        return Operation({"x": arrays["x"]}, ops.gelu, arrays["cotangent"])

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch

        return TorchOperation({"x": arrays["x"]}, torch.nn.functional.gelu, arrays["cotangent"], compiled)

    def work(self) -> Work:
        """x read and y written forward; x and the cotangent read and a gradient written backward."""
        return Work(0.0, 4.0 * 5 * self.batch * self.features)


ROWS = [
    EmbeddingRows("W7-embedding", "word vectors gathered, gradients scattered", 3.0, 5.0),
    CrossEntropy("W7-loss", "softmax cross-entropy 2048 x 10000, forward and backward", 4.0, 6.0),
    LayerNorm("W7-norm", "layer norm 4096 x 384, forward and backward", 1.4, 2.0),
    Gelu("W7-gelu", "GELU 1024 x 1536, forward and backward", 1.1, 2.0),
]
