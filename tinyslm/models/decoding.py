"""Reading a text token by token: what a language model has computed for earlier tokens is kept, not computed again.

In a causal Transformer a token's keys and values depend on earlier tokens alone, so they stay what they are when the
text grows. Whoever keeps them computes one row per new token instead of T: T² instead of T³ operations for a text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import device, nn, ops
from ..errors import DataError, ShapeError, require_whole
from ..kernels.cpu._arrays import ready

Pair = tuple[np.ndarray, np.ndarray]  # weight and bias


class Decoder:
    """The state of a text that is being read: keys and values of all tokens so far, in arrays (B, N, max_time, D/N).

    It works on the CPU and on plain arrays. A decoder is for one text: make a new one once the weights have changed.

    Args:
        model: a `LanguageModel`, whose file imports this one.
        batch: B, how many texts are read side by side.
    """

    def __init__(self, model: Any, batch: int):
        self.batch = require_whole(batch, "batch", 1, of="Decoder")
        self.tokens, self.positions = _array(model.embedding.weight), _array(model.positions.weight)
        self.blocks = [_parts(layer) for layer in model.blocks.layers]
        norm: Any = model.blocks.norm
        self.norm, self.head, self.eps = _pair(norm), _head(model), norm.eps
        self.max_time, self.time = len(self.positions), 0
        shape = (len(self.blocks), batch, model.heads, self.max_time, self.tokens.shape[1] // model.heads)
        self.keys, self.values = np.empty(shape, self.tokens.dtype), np.empty(shape, self.tokens.dtype)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Read one token of each text (B,); the logits (B, V) of the next.

        Raises:
            ShapeError: `max_time` tokens have been read, or the tokens are not one for each text.
            DataError: the tokens are no whole numbers, or the model does not know one.
        """
        return self._step(self._checked(tokens, 1))

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """Forget what was read, then read the texts (B, T), T at least 1; the logits (B, V) of what comes next.

        Raises as `step` does.
        """
        tokens, self.time = self._checked(tokens, 2), 0
        return [self._step(column) for column in tokens.T][-1]

    def _step(self, tokens: np.ndarray) -> np.ndarray:
        if self.time == self.max_time:
            raise ShapeError(f"tokens: expected at most {self.max_time} in a text, the model's max_time; got one more")
        x = self.tokens[tokens] + self.positions[self.time]
        for parts, keys, values in zip(self.blocks, self.keys, self.values, strict=True):
            _block_step(x, *parts, keys, values, self.time, self.eps)
        self.time += 1
        logits = np.empty((len(x), len(self.head[0])), x.dtype)
        _logits_step(x, self.norm, *self.head, self.eps, logits)
        return logits

    def _checked(self, tokens: Any, ndim: int) -> np.ndarray:
        tokens = np.asarray(tokens)
        if tokens.ndim != ndim or tokens.shape[0] != self.batch or tokens.size == 0:
            wanted = (f"({self.batch},)", f"({self.batch}, T) with T at least 1")[ndim - 1]
            raise ShapeError(f"tokens: expected shape {wanted}, one row for each text; got {tokens.shape}")
        return known_tokens(tokens, len(self.tokens))


def known_tokens(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The tokens as int64; DataError if they are no whole numbers from 0 to V - 1."""
    if tokens.dtype.kind not in "iu":
        raise DataError(f"tokens: expected whole numbers, got {tokens.dtype}; encode a text with its tokenizer first")
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise DataError(f"tokens: expected numbers from 0 to {vocabulary - 1}, got {tokens.min()} to {tokens.max()}")
    return tokens.astype(np.int64)


def _array(parameter: nn.Parameter) -> np.ndarray:
    data = parameter._data
    return ready(data.get() if hasattr(data, "get") else data)  # from a GPU, where the model is on one


def _pair(layer: Any) -> Pair:
    return _array(layer.weight), _array(layer.bias)


def _head(model: Any) -> Pair:
    layer = model.embedding if model.head is None else model.head
    weight, bias = _array(layer.weight), getattr(layer, "bias", None)
    return weight, np.zeros(len(weight), weight.dtype) if bias is None else _array(bias)


def _parts(layer: Any) -> tuple[Pair, ...]:
    """norm1, qkv, out, norm2, up and down of a block, a weight and a bias each."""
    attention = layer.self_attn
    qkv = _array(attention.in_proj_weight), _array(attention.in_proj_bias)
    rest = (_pair(part) for part in (attention.out_proj, layer.norm2, layer.linear1, layer.linear2))
    return (_pair(layer.norm1), qkv, *rest)


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


_block_step, _logits_step = (
    device.Loops("decode:block_step", block_step),
    device.Loops("decode:logits_step", logits_step),
)
