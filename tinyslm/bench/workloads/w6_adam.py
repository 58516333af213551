"""W6, one step of Adam over ten million parameters, against PyTorch's fused one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn, optim
from ...tensor import tensor
from ..workload import Arrays, Session, Work, Workload, training_bytes


@dataclass(frozen=True)
class AdamStep(Workload):
    """`matrices` parameters of (size, size) with gradients that stay; only the update is timed."""

    size: int = 1000
    matrices: int = 10

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Parameters and gradients."""
        shape = (self.matrices, self.size, self.size)
        return {name: rng.standard_normal(shape, np.float32) for name in ("p", "g")}

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        parameters = [nn.Parameter(a) for a in arrays["p"]]
        for p, g in zip(parameters, arrays["g"], strict=True):
            p.grad = tensor(g)
        return Update(parameters, optim.Adam(parameters), lambda p: p.numpy())

    def torch(self, arrays: Arrays) -> Session:
        """PyTorch's; there is nothing to compile beyond its fused loop."""
        import torch

        parameters = [torch.nn.Parameter(torch.tensor(a)) for a in arrays["p"]]
        for p, g in zip(parameters, arrays["g"], strict=True):
            p.grad = torch.tensor(g)
        return Update(parameters, torch.optim.Adam(parameters, fused=True), lambda p: p.detach().cpu().numpy())

    def work(self) -> Work:
        """Nothing but memory."""
        return Work(0.0, training_bytes(self.matrices * self.size**2))


class Update:
    """Calls an optimizer's `step`; compares the parameters."""

    def __init__(self, parameters: list, optimizer: Any, as_array: Any):
        self.parameters, self.optimizer, self.as_array = parameters, optimizer, as_array

    def step(self) -> float:
        """One update."""
        self.optimizer.step()
        return 0.0

    def tensors(self) -> dict[str, np.ndarray]:
        """The parameters."""
        return {f"parameter {i}": self.as_array(p) for i, p in enumerate(self.parameters)}

    def outcome(self, loss: float) -> np.ndarray:
        """The parameters after some steps."""
        return np.stack(list(self.tensors().values()))


ROWS = [AdamStep("W6", "Adam over 10 million parameters", 1.3, 1.5)]
