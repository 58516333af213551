"""W5, causal attention forward and backward, against PyTorch's fused `scaled_dot_product_attention`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ..sessions import Operation, TorchOperation
from ..workload import Arrays, Session, Work, Workload

INPUTS = ("q", "k", "v")


@dataclass(frozen=True)
class CausalAttention(Workload):
    """softmax(Q Kᵀ / sqrt(D)) V over the past: Q, K, V (B, N, T, D). `torch_type`: what PyTorch computes in."""

    time: int = 256
    batch: int = 4
    heads: int = 6
    features: int = 64
    torch_type: str = "float32"

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Q, K, V and the cotangent."""
        shape = (self.batch, self.heads, self.time, self.features)
        return {name: rng.standard_normal(shape, np.float32) for name in (*INPUTS, "cotangent")}

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""

        def attend(q: Any, k: Any, v: Any) -> Any:
            return ops.attention(q, k, v, causal=True)

        return Operation({n: arrays[n] for n in INPUTS}, attend, arrays["cotangent"])

    def torch(self, arrays: Arrays, compiled: bool = False) -> Session:
        """PyTorch's."""
        import torch

        kind = getattr(torch, self.torch_type)

        def attend(q: Any, k: Any, v: Any) -> Any:
            found = torch.nn.functional.scaled_dot_product_attention(q.to(kind), k.to(kind), v.to(kind), is_causal=True)
            return found.float()

        return TorchOperation({n: arrays[n] for n in INPUTS}, attend, arrays["cotangent"], compiled)

    def work(self) -> Work:
        """Seven products of half a (T, T) with D: two forward; backward the scores again and four more."""
        heads = self.batch * self.heads
        return Work(7 * 2.0 * heads * self.time**2 * self.features / 2, 0.0)


ROWS = [
    CausalAttention("W5-256", "causal attention forward and backward, T 256", 1.8, 2.5, 256),
    CausalAttention("W5-1024", "causal attention forward and backward, T 1024", 1.5, 2.5, 1024),
]
