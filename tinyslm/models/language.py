"""Language models: a Transformer that predicts the next token, and texts drawn from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from .. import nn, ops
from ..checkpoint import load_model, save_model
from ..errors import AnomalyError, CheckpointError, DataError, OptionError, TinyslmError, require_rng, require_whole
from ..nn.module import check_sizes
from ..tensor import Tensor
from .decoding import Decoder, known_tokens

KIND = "language model"


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
        sizes = {"vocabulary": vocabulary, "width": width, "layers": layers, "heads": heads, "max_time": max_time}
        check_sizes("LanguageModel", 1, **sizes, hidden=1 if hidden is None else hidden)
        sizes["hidden"] = hidden = 4 * width if hidden is None else hidden
        self.heads = heads
        self.settings = {**sizes, "dropout": dropout, "tied": tied, "dtype": str(np.dtype(dtype))}
        self.embedding = nn.Embedding(vocabulary, width, scale=0.02, rng=rng, dtype=dtype)
        self.positions = nn.LearnedPositions(max_time, width, rng=rng, dtype=dtype)
        self.blocks = nn.TransformerEncoder(
            layers, width, heads, hidden, dropout=dropout, activation="gelu", norm_first=True, norm=True, rng=rng,
            dtype=dtype,
        )  # fmt: skip
        self.head = None if tied else nn.Linear(width, vocabulary, bias=False, rng=rng, dtype=dtype)

    def forward(self, ids: Any) -> Tensor:
        """Logits (B, T, V) of the token that follows each; T is at most `max_time`."""
        x = self.blocks(self.positions(self.embedding(ids)), causal=True)
        return ops.linear(x, self.embedding.weight, None) if self.head is None else self.head(x)

    def generate(self, tokens: Any, length: int, **options: Any) -> np.ndarray:
        """`generate(self, tokens, length, **options)`."""
        return generate(self, tokens, length, **options)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write weights (safetensors) and sizes (JSON) into `folder`. What the tokens stand for is not known here."""
        save_model(folder, self.state_dict(), {"kind": KIND, "settings": self.settings})

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, rng: np.random.Generator | None = None) -> LanguageModel:
        """Read what `save` wrote.

        Args:
            folder: the model folder.
            rng: draws the masks if the model is trained on; None for a fixed one.

        Raises:
            CheckpointError: anything is missing, broken, of another kind, or does not fit the weights.
        """
        arrays, config = load_model(folder)
        if config["kind"] != KIND:
            raise CheckpointError(f"{os.fspath(folder)}: expected a {KIND}, got {config['kind']!r}")
        settings: Any = config.get("settings")
        try:
            _check_settings(settings, arrays)
            model = cls(**settings, rng=np.random.default_rng(0) if rng is None else rng)
            model.load_state_dict(arrays)
        except (TypeError, ValueError, TinyslmError) as error:
            raise CheckpointError(
                f"{os.fspath(folder)}: the weights do not fit the settings in config.json.\n  {error}"
            ) from None
        return model


def _check_settings(settings: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse sizes that are not those of the weights, before memory is taken for them."""
    if not isinstance(settings, dict):
        raise CheckpointError(f"Expected: settings by name\n  Got: {settings!r:.200}")
    shapes = {name: a.shape for name, a in arrays.items()}
    first = "blocks.layers.0.linear1.weight"
    for name in ("embedding.weight", "positions.weight", first):
        if len(shapes.get(name, ())) != 2:
            raise CheckpointError(f"Expected: {name} with two dimensions\n  Got: {shapes.get(name)}")
    sizes = {
        "vocabulary": shapes["embedding.weight"][0],
        "width": shapes["embedding.weight"][1],
        "layers": sum(name.startswith("blocks.layers.") and name.endswith(".linear1.weight") for name in shapes),
        "max_time": shapes["positions.weight"][0],
        "hidden": shapes[first][0],
    }
    wrong = [
        f"{name} {settings.get(name)!r} instead of {size}" for name, size in sizes.items() if settings.get(name) != size
    ]
    if wrong:
        raise CheckpointError(f"Expected: the sizes of the weights\n  Got: {', '.join(wrong)}")


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
        AnomalyError: the model's logits are NaN or infinite, as after training with too high a learning rate.
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
    top = logits.max(-1, keepdims=True).astype(np.float64)
    if not np.isfinite(top).all():
        raise AnomalyError(
            f"logits: expected finite numbers, the largest of a row is {top[~np.isfinite(top)][0]}; were the model's "
            "weights trained with too high a rate?"
        )
    if temperature == 0 or rng is None:
        return logits.argmax(-1)
    with np.errstate(over="ignore"):  # a temperature near 0: all but the likeliest go to -inf
        scores = (logits - top) / temperature
    if top_k is not None and top_k < scores.shape[1]:
        scores[scores < np.partition(scores, -top_k, axis=-1)[:, -top_k, None]] = -np.inf
    reached = np.exp(scores, dtype=np.float64).cumsum(-1)
    # A share in (0, 1]: neither a token of probability 0 nor one behind the last can come out.
    share = 1 - rng.random((len(scores), 1))
    return (reached < share * reached[:, -1:]).sum(-1)


def _prompt(tokens: Any, vocabulary: int) -> np.ndarray:
    """The prompt as (B, T), checked."""
    try:
        prompt = np.asarray(tokens.numpy() if isinstance(tokens, Tensor) else tokens)
    except ValueError:  # rows that NumPy can't put into one array
        raise DataError(
            f"tokens: expected texts of one length, (B, T); got {tokens!r:.100}\n"
            "  Texts of different lengths are for one call each: a prompt has no padding."
        ) from None
    if prompt.ndim not in (1, 2) or prompt.size == 0:
        raise DataError(
            f"tokens: expected a prompt of at least one token, (T,) or (B, T); got shape {prompt.shape}\n"
            "  To start from nothing, give a token that begins a text, such as a line feed."
        )
    return np.atleast_2d(known_tokens(prompt, vocabulary))


def _check(length: Any, temperature: float, top_k: Any, rng: Any) -> None:
    require_whole(length, "length", 1)
    require_whole(1 if top_k is None else top_k, "top_k", 1)
    if isinstance(temperature, bool) or not isinstance(temperature, Real) or not 0 <= temperature < np.inf:
        raise OptionError(f"temperature: expected a number of at least 0, got {temperature!r}")
    if temperature > 0:
        require_rng(rng, ", unless temperature is 0")
