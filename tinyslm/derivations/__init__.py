"""Derivations of what this library computes, each a full chain from the definition down to the code that runs.

    from tinyslm import derivations
    print(derivations.load("softmax").check())

One file holds one derivation; `tinyslm derive` lists them. All arrays are NumPy's; the last step calls the library.
"""

from __future__ import annotations

import importlib

from ..check.derivation import Derivation
from ..errors import OptionError, did_you_mean
from ..messages import say

NAMES = (
    "logsumexp",
    "softmax",
    "softmax_cross_entropy",
    "sigmoid_bce",
    "gelu",
    "matmul",
    "layer_norm",
    "batch_norm",
    "dropout",
    "embedding",
    "conv1d",
    "rnn",
    "lstm",
    "gru",
    "attention",
    "multihead",
    "article_attention",
    "negative_sampling",
    "glove",
    "adam",
    "ctc",
)


def names() -> tuple[str, ...]:
    """The names of all derivations, in reading order."""
    return NAMES


def load(name: str) -> Derivation:
    """The derivation with this name.

    Raises:
        OptionError: there is none of this name.
    """
    if name not in NAMES:
        raise OptionError(say("derivation.unknown", name=name, known=", ".join(NAMES)) + did_you_mean(name, NAMES))
    found: Derivation = importlib.import_module(f"{__name__}.{name}").derivation
    return found


__all__ = ["NAMES", "Derivation", "load", "names"]
