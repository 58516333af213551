"""What a row of the benchmark is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Session(Protocol):
    """One contender, ready to work. A class in `sessions.py` serves most workloads."""

    def step(self) -> float:
        """The work that is timed; returns the loss where there is one."""

    def tensors(self) -> dict[str, np.ndarray]:
        """Outputs and gradients of the last step, by name, for the comparison."""

    def outcome(self, loss: float) -> np.ndarray:
        """What is compared after some steps: the loss, unless the workload has something else."""


@dataclass(frozen=True)
class Work:
    """How much a step must do at least: floating-point operations of the products, and bytes to and from memory."""

    flops: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True)
class Workload:
    """A row: its sizes are fields; a method named after a contender builds that contender's session from the arrays.

    name: what is typed to choose it. title: what it is. least, aim: the ratios it should reach.
    """

    name: str
    title: str
    least: float | None = None
    aim: float | None = None
    first_tolerance: ClassVar[float] = 1e-4  # of outputs and gradients, relative to the largest number of the tensor
    later_tolerance: ClassVar[float] = 1e-3  # after `steps`: Adam divides by tiny roots, which magnifies rounding
    steps: ClassVar[int] = 5

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The inputs, and the weights by their names in a state dict."""
        raise NotImplementedError

    def tinyslm(self, arrays: Arrays) -> Session:
        """Our session."""
        raise NotImplementedError

    def prepared(self, settings: Any) -> Workload:
        """The row as these settings want it, such as with the text from their folder."""
        return self

    def threads(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Of the wanted numbers of threads those at which the row is measured."""
        return wanted

    def amount(self, arrays: Arrays) -> tuple[float | None, str]:
        """How many of what a step goes through, such as words; nothing where time says it all."""
        return None, ""

    def work(self) -> Work:
        """The least that a step has to do; nothing where no ceiling fits."""
        return Work()

    def sizes(self) -> dict[str, Any]:
        """The fields that say how large it is."""
        common = {f.name for f in fields(Workload)}
        return {k: v for k, v in asdict(self).items() if k not in common}

    def contenders(self) -> list[str]:
        """Who can do this work: names of methods."""
        return [name for name in CONTENDERS if hasattr(self, name)]


CONTENDERS = ("tinyslm", "torch", "jax", "keras", "gensim")


def save_arrays(path: str | Path, arrays: Arrays) -> None:
    """Write arrays by name as .npz."""
    named: Any = dict(arrays)
    np.savez(path, **named)


def training_bytes(parameters: int) -> float:
    """What an Adam step moves for so many float32 parameters: p, g, m, v are read, p, m, v written."""
    return 7.0 * 4 * parameters


def weights_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """The state dict among a workload's arrays."""
    return {name[8:]: a for name, a in arrays.items() if name.startswith("weights/")}


def with_weights(arrays: dict[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays and, beside them, a state dict."""
    return arrays | {f"weights/{name}": np.asarray(a) for name, a in state.items()}
