"""Reading a text token by token: what a language model has computed for earlier tokens is kept, not computed again.

In a causal Transformer a token's keys and values depend on earlier tokens alone, so they stay what they are when the
text grows. Whoever keeps them computes one row per new token instead of T: T² instead of T³ operations for a text.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import device, nn, ops
from ..errors import ShapeError
from ..kernels.cpu._arrays import ready

Pair = tuple[np.ndarray, np.ndarray]  # weight and bias


class Decoder:
    """The state of a text that is being read: keys and values of all tokens so far, in arrays (B, N, max_time, D/N).

    It works on the CPU and on plain arrays, with the model's weights as they are when it is made.

    Args:
        model: a `LanguageModel`, whose file imports this one.
        batch: B, how many texts are read side by side.
    """

    def __init__(self, model: Any, batch: int):
        self.tokens, self.positions = _array(model.embedding.weight), _array(model.positions.weight)
        self.blocks = [_parts(layer) for layer in model.blocks.layers]
        norm: Any = model.blocks.norm
        self.norm, self.head, self.eps = _pair(norm), _head(model), norm.eps
        self.max_time, self.time = len(self.positions), 0
        shape = (len(self.blocks), batch, model.heads, self.max_time, self.tokens.shape[1] // model.heads)
        self.keys, self.values = np.empty(shape, self.tokens.dtype), np.empty(shape, self.tokens.dtype)
        self.block_step, self.logits_step = _steps()

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Read one token of each text (B,); the logits (B, V) of the next.

        Raises:
            ShapeError: `max_time` tokens have been read.
        """
        if self.time == self.max_time:
            raise ShapeError(f"tokens: expected at most {self.max_time} in a text, the model's max_time; got one more")
        x = self.tokens[tokens] + self.positions[self.time]
        for parts, keys, values in zip(self.blocks, self.keys, self.values, strict=True):
            self.block_step(x, *parts, keys, values, self.time, self.eps)
        self.time += 1
        logits = np.empty((len(x), len(self.head[0])), x.dtype)
        self.logits_step(x, self.norm, *self.head, self.eps, logits)
        return logits

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """Forget what was read, then read the texts (B, T); the logits (B, V) of what comes next."""
        self.time = 0
        return [self.step(column) for column in tokens.T][-1]


def _array(parameter: nn.Parameter) -> np.ndarray:
    data = parameter._data
    return ready(data.get() if hasattr(data, "get") else data)  # from a GPU, where the model is on one


def _pair(layer: Any) -> Pair:
    return _array(layer.weight), _array(layer.bias)


def _head(model: Any) -> Pair:
    weight = _array((model.embedding if model.head is None else model.head).weight)
    return weight, np.zeros(len(weight), weight.dtype)


def _parts(layer: Any) -> tuple[Pair, ...]:
    """norm1, qkv, out, norm2, up and down of a block, a weight and a bias each."""
    attention = layer.self_attn
    qkv = _array(attention.in_proj_weight), _array(attention.in_proj_bias)
    rest = (_pair(part) for part in (attention.out_proj, layer.norm2, layer.linear1, layer.linear2))
    return (_pair(layer.norm1), qkv, *rest)


def _steps() -> tuple[Callable[..., None], Callable[..., None]]:
    """The fused loops where numba is the backend and imports, else the formulas below."""
    if device.backend() == "numba":
        try:
            kernels = importlib.import_module("tinyslm.kernels.cpu.decode")
            return kernels.block_step, kernels.logits_step
        except ImportError:  # the device module reports why
            pass
    return block_step, logits_step


# -- the same as formulas on arrays; `kernels/cpu/decode.py` has the loops ---------------------------------------------


def block_step(
    x: np.ndarray, norm1: Pair, qkv: Pair, out: Pair, norm2: Pair, up: Pair, down: Pair, keys: np.ndarray,
    values: np.ndarray, time: int, eps: float,
) -> None:  # fmt: skip
    """One pre-norm block for one token: x (B, D) changes in place, keys and values get their entry `time`.

    h = norm1(x); q, k, v = qkv h; x += out softmax(q Kᵀ / sqrt(D/N)) V; x += down gelu(up norm2(x)).
    """
    batch, heads, _, size = keys.shape
    q, k, v = _affine(_norm(x, norm1, eps), qkv).reshape(batch, 3, heads, size).swapaxes(0, 1)
    keys[:, :, time], values[:, :, time] = k, v
    seen = slice(0, time + 1)
    scores = keys[:, :, seen] @ q[..., None] / np.sqrt(x.dtype.type(size))  # (B, N, T, 1)
    weights = ops.softmax.forward(np, scores, dim=2)
    x += _affine((weights * values[:, :, seen]).sum(2).reshape(x.shape), out)
    x += _affine(ops.gelu.forward(np, _affine(_norm(x, norm2, eps), up)), down)


def logits_step(x: np.ndarray, norm: Pair, weight: np.ndarray, bias: np.ndarray, eps: float, out: np.ndarray) -> None:
    """out (B, V) = weight norm(x) + bias: the closing norm and the scores of the vocabulary."""
    out[...] = _affine(_norm(x, norm, eps), (weight, bias))


def _affine(x: np.ndarray, pair: Pair) -> np.ndarray:
    return x @ pair[0].T + pair[1]


def _norm(x: np.ndarray, pair: Pair, eps: float) -> np.ndarray:
    return ops.layer_norm.forward(np, x, *pair, eps)
