"""Dropout: a fresh mask per element, or one mask for all time steps of a sequence."""

import numpy as np

from ..errors import OptionError, is_number, require_rng
from ..ops import dropout
from ..tensor import Tensor
from .module import Module


def draw_seed(rng: np.random.Generator) -> int:
    """The seed of one dropout mask."""
    return int(rng.integers(2**63))


class Dropout(Module):
    """y = x m / (1 - p), each element of the mask m 0 with probability p and 1 otherwise; y = x when evaluating.

    Args:
        p: probability of dropping, in [0, 1].
        rng: draws the masks; nothing is drawn where p is 0.

    Hinton et al. 2012; Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator):
        self.p = check_probability(p)
        self.rng = rng if self.p == 0 else require_rng(rng)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, which stays."""
        if not self.training or self.p == 0:
            return x
        return dropout(x, p=self.p, seed=draw_seed(self.rng))

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class SequenceDropout(Dropout):
    """Dropout with one mask per sequence: x (B, T, D) times m (B, 1, D) / (1 - p), the same at every time step.

    A recurrent network that loses other features at every step forgets what it should carry; with one mask for all
    steps it works with what it has (Gal & Ghahramani 2016).

    Args:
        p: probability of dropping, in [0, 1].
        rng: draws the masks.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D), which stays."""
        if not self.training or self.p == 0:
            return x
        ones = Tensor.wrap(np.ones((x.shape[0], 1, x.shape[2]), x.dtype))
        return x * dropout(ones, p=self.p, seed=draw_seed(self.rng))


def check_probability(p: float, name: str = "p") -> float:
    """P as a float, if it is one; `name` is the argument."""
    if not (is_number(p) and 0 <= p <= 1):
        raise OptionError(f"{name}: expected a probability from 0 to 1, got {p!r}")
    return float(p)
