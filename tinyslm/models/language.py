"""Language models: a Transformer that predicts the next token, and texts drawn from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, ops
from ..errors import AnomalyError, DataError, OptionError
from ..tensor import Tensor
from .decoding import Decoder


class LanguageModel(nn.Module):
    """Token embedding + learned positions -> causal pre-norm blocks -> closing norm -> logits: ids (B, T) -> (B, T, V).

    Args:
        vocabulary: V.
        width: D.
        layers: how many blocks.
        heads: N, which divides D.
        max_time: the most tokens that it sees at once.
        hidden: F, the width inside the feed-forward part; None for 4D.
        dropout: share that is dropped in the blocks while training.
        tied: the output's weights are those of the embedding (Press & Wolf 2017); else they are weights of their own.
        rng: draws the start values and the masks.
        dtype: "float32" or "float64".

    Vaswani et al. 2017; in this form, with norms before the parts and one after the last, Radford et al. 2019.
    """

    embedding: nn.Embedding  # (V, D)
    positions: nn.LearnedPositions  # (max_time, D)
    head: nn.Linear | None  # (V, D)

    def __init__(
        self,
        vocabulary: int,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        max_time: int = 64,
        hidden: int | None = None,
        dropout: float = 0.0,
        tied: bool = True,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        self.heads = heads
        self.embedding = nn.Embedding(vocabulary, width, scale=0.02, rng=rng, dtype=dtype)
        self.positions = nn.LearnedPositions(max_time, width, rng=rng, dtype=dtype)
        self.blocks = nn.TransformerEncoder(
            layers, width, heads, 4 * width if hidden is None else hidden, dropout=dropout, activation="gelu",
            norm_first=True, norm=True, rng=rng, dtype=dtype,
        )  # fmt: skip
        self.head = None if tied else nn.Linear(width, vocabulary, bias=False, rng=rng, dtype=dtype)

    def forward(self, ids: Any) -> Tensor:
        """Logits (B, T, V) of the token that follows each; T is at most `max_time`."""
        x = self.blocks(self.positions(self.embedding(ids)), causal=True)
        return ops.linear(x, self.embedding.weight, None) if self.head is None else self.head(x)

    def generate(self, tokens: Any, length: int, **options: Any) -> np.ndarray:
        """`generate(self, tokens, length, **options)`."""
        return generate(self, tokens, length, **options)


def generate(
    model: LanguageModel,
    tokens: Any,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Draw `length` tokens after a prompt, one at a time: P(token) = softmax(logits / temperature).

    Keys and values of earlier tokens are kept, so a token costs one row of the model. A model sees `max_time` tokens
    at once: when they are used up, it reads the last half of them anew and goes on; a longer prompt is cut at its
    front. Dropout is off.

    Args:
        model: the model.
        tokens: the prompt, whole numbers from 0 to V - 1, at least one: (T,), or (B, T) for several texts.
        length: how many are drawn.
        temperature: below 1 likely tokens become likelier; 0 always takes the likeliest.
        top_k: draw among the k likeliest (and those as likely as the last of them); None draws among all.
        rng: draws; only temperature 0 does without.

    Returns:
        The new tokens, (length,) or (B, length).

    Raises:
        DataError: the prompt is empty, no whole numbers, or has a token that the model doesn't know.
        OptionError: a setting is outside its range, or there is no rng.
        AnomalyError: the model's logits are NaN, as after training with too high a learning rate.
    """
    prompt = _prompt(tokens, len(model.embedding.weight))
    _check(length, temperature, top_k, rng)
    (batch, start), most = prompt.shape, len(model.positions.weight)
    decoder = Decoder(model, batch)
    text = np.concatenate([prompt, np.empty((batch, length), np.int64)], axis=1)
    for t in range(start, start + length):
        if t == start or decoder.time == most:
            logits = decoder.read(text[:, max(0, t - (most if t == start else max(1, most // 2))) : t])
        else:
            logits = decoder.step(text[:, t - 1])
        text[:, t] = _draw(logits, temperature, top_k, rng)
    return text[:, start:].reshape(*np.shape(tokens)[:-1], length)


def _draw(logits: np.ndarray, temperature: float, top_k: int | None, rng: np.random.Generator | None) -> np.ndarray:
    """One token (B,) for each row of logits (B, V)."""
    if np.isnan(logits).any():
        raise AnomalyError("logits: expected numbers, got NaN; were the model's weights trained with too high a rate?")
    if temperature == 0 or rng is None:
        return logits.argmax(-1)
    scores = (logits - logits.max(-1, keepdims=True)) / temperature
    if top_k is not None and top_k < scores.shape[1]:
        scores[scores < np.partition(scores, -top_k, axis=-1)[:, -top_k, None]] = -np.inf
    reached = np.exp(scores, dtype=np.float64).cumsum(-1)
    # A share in (0, 1]: neither a token of probability 0 nor one behind the last can come out.
    share = 1 - rng.random((len(scores), 1))
    return (reached < share * reached[:, -1:]).sum(-1)


def _prompt(tokens: Any, vocabulary: int) -> np.ndarray:
    """The prompt as (B, T), checked."""
    prompt = np.asarray(tokens.numpy() if isinstance(tokens, Tensor) else tokens)
    if prompt.ndim not in (1, 2) or prompt.size == 0:
        raise DataError(
            f"tokens: expected a prompt of at least one token, (T,) or (B, T); got shape {prompt.shape}\n"
            "  To start from nothing, give a token that begins a text, such as a line feed."
        )
    if prompt.dtype.kind not in "iu":
        raise DataError(f"tokens: expected whole numbers, got {prompt.dtype}; encode a text with its tokenizer first")
    if prompt.min() < 0 or prompt.max() >= vocabulary:
        raise DataError(f"tokens: expected numbers from 0 to {vocabulary - 1}, got {prompt.min()} to {prompt.max()}")
    return np.atleast_2d(prompt).astype(np.int64)


def _check(length: Any, temperature: float, top_k: Any, rng: Any) -> None:
    for name, value in (("length", length), ("top_k", 1 if top_k is None else top_k)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise OptionError(f"{name}: expected a whole number of at least 1, got {value!r}")
    if not 0 <= temperature < np.inf:
        raise OptionError(f"temperature: expected a number of at least 0, got {temperature}")
    if temperature > 0 and not isinstance(rng, np.random.Generator):
        raise OptionError(f"rng: expected numpy.random.default_rng(seed), got {rng!r}; temperature=0 needs none")
