"""Text classifiers: word vectors, an encoder, class scores; and the whole way from a text to a label.

With the default settings this is the articles' system (A16): Embedding(10000, 64) -> LSTM(128) -> Dense(1), 738,945
parameters, on sequences of 100 tokens that are padded and cut at the front and not masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from .. import nn, ops
from ..checkpoint import WEIGHTS, load_model, save_model
from ..engine import no_grad
from ..errors import AnomalyError, CheckpointError, OptionError, did_you_mean, is_number, is_whole
from ..tensor import Tensor
from ..text import pad, tokenizer_from_json
from .encoders import BagEncoder, CnnEncoder, RecurrentEncoder, TransformerEncoder

MODELS = ("lstm", "gru", "rnn", "cnn", "transformer", "bow")
POOLINGS = ("last", "mean", "max", "attention")
SIZES = ("embedding", "hidden", "length", "layers", "heads")
RECURRENT = ("lstm", "gru", "rnn")
MOST = 1_000_000  # a typing error should not fill the memory
# Which models an option concerns; the other options concern all.
USED_BY = {
    "embedding": (*RECURRENT, "cnn", "transformer"),
    "hidden": (*RECURRENT, "cnn", "transformer"),
    "layers": (*RECURRENT, "transformer"),
    "pooling": (*RECURRENT, "transformer"),
    "bidirectional": RECURRENT,
    "heads": ("transformer",),
}
KIND = "text classifier"
# Word vectors start uniform in ±0.05, as Keras' do; a CNN's in ±0.25 (Kim 2014, §3.1), the weights of a bag at 0.
START = {"cnn": 0.25, "bow": 0.0}


@dataclass(frozen=True)
class ClassifierConfig:
    """The settings of a classifier; the defaults are the articles' values.

    labels: the class names; two of them share one output, p(second class); more have one output each.
    outputs: "auto", or "softmax" for one output per class with two classes too (B13, B14).
    length: tokens per text, its n-grams among them.
    pooling: how the states become one vector; the Transformer, which has no last state, takes the mean for "last".
    dropout: between layers and before the class scores.
    masked: padding is not seen by the encoder (and stands on the right); the Transformer and the bag always mask.
    """

    labels: tuple[str, ...]
    model: str = "lstm"
    vocabulary: int = 10_000
    embedding: int = 64
    hidden: int = 128
    length: int = 100
    layers: int = 1
    heads: int = 4
    bidirectional: bool = False
    pooling: str = "last"
    dropout: float = 0.0
    masked: bool = False
    outputs: str = "auto"

    def __post_init__(self) -> None:
        _one_of("model", self.model, MODELS)
        _one_of("pooling", self.pooling, POOLINGS)
        _one_of("outputs", self.outputs, ("auto", "softmax"))
        # A vocabulary holds padding, the unknown word, and at least one word.
        for name, least in {"vocabulary": 3, **dict.fromkeys(SIZES, 1)}.items():
            value = getattr(self, name)
            if not is_whole(value) or not least <= value <= MOST:
                raise OptionError(
                    f"{name}: expected a whole number of at least {least} and at most {MOST}, got {value!r}"
                )
            object.__setattr__(self, name, int(value))
        if not (is_number(self.dropout) and 0 <= self.dropout < 1):
            raise OptionError(f"dropout: expected a share from 0 up to (not including) 1, got {self.dropout!r}")
        object.__setattr__(self, "dropout", float(self.dropout))
        if len(self.labels) < 2:
            raise OptionError(f"labels: expected at least two classes, got {list(self.labels)}")
        if self.model == "transformer" and self.embedding % self.heads:
            raise OptionError(f"heads: expected a divisor of the embedding size {self.embedding}, got {self.heads}")

    @property
    def binary(self) -> bool:
        """True where two classes share one output."""
        return len(self.labels) == 2 and self.outputs == "auto"

    @property
    def uses_mask(self) -> bool:
        """True where padding is told from words."""
        return self.masked or self.model in ("transformer", "bow")

    def unused(self) -> list[str]:
        """The options that were changed but do nothing for this model."""
        default = {f.name: f.default for f in fields(self)}
        return [n for n, models in USED_BY.items() if self.model not in models and getattr(self, n) != default[n]]


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(
            f"{name}: expected one of {', '.join(known)}; got {value!r}.{did_you_mean(str(value), known)}"
        )


class TextClassifier(nn.Module):
    """Embedding, encoder, dropout and a linear layer: ids (B, T) -> logits (B,) for two classes, (B, C) for more."""

    def __init__(self, config: ClassifierConfig, rng: np.random.Generator):
        super().__init__()
        self.config = config
        size = _outputs(config) if config.model == "bow" else config.embedding
        self.embedding = nn.Embedding(config.vocabulary, size, rng=rng)
        spread = START.get(config.model, 0.05)
        nn.init.uniform_(self.embedding.weight, -spread, spread, rng=rng)
        self.encoder = make_encoder(config, rng)
        self.dropout = nn.Dropout(config.dropout, rng=rng)
        self.head = Bias(size) if config.model == "bow" else dense(self.encoder.features, _outputs(config), rng)

    def forward(self, ids: np.ndarray) -> Tensor:
        """Scores before the sigmoid or softmax."""
        mask = Tensor.wrap(ids != 0) if self.config.uses_mask else None
        logits = self.head(self.dropout(self.encoder(self.embedding(ids), mask)))
        return logits.squeeze(-1) if self.config.binary else logits

    def loss(self, ids: np.ndarray, classes: np.ndarray) -> tuple[Tensor, Any]:
        """The mean loss of a batch, and the predicted class numbers, left where they are: ids (B, T), classes (B,)."""
        logits = self.forward(ids)
        if self.config.binary:
            target = Tensor.wrap(classes.astype(logits.dtype))
            return ops.binary_cross_entropy_with_logits(logits, target), (logits._data > 0).astype(np.int64)
        return ops.cross_entropy(logits, classes), logits._data.argmax(-1)


class Bias(nn.Module):
    """Adds one number per output; with summed word weights below it, that is logistic regression on word counts."""

    bias: nn.Parameter  # (C,)

    def __init__(self, size: int):
        super().__init__()
        self.bias = nn.Parameter.zeros(size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return x + self.bias


def dense(features: int, outputs: int, rng: np.random.Generator) -> nn.Linear:
    """A linear layer that starts as Keras' Dense does: Glorot uniform weights, bias 0."""
    layer = nn.Linear(features, outputs, rng=rng)
    nn.init.xavier_uniform_(layer.weight, rng=rng)
    layer.bias = nn.Parameter.zeros(outputs)
    return layer


def _outputs(config: ClassifierConfig) -> int:
    return 1 if config.binary else len(config.labels)


def make_encoder(c: ClassifierConfig, rng: np.random.Generator) -> Any:
    """The encoder that `c.model` names."""
    if c.model == "bow":
        return BagEncoder(_outputs(c))
    if c.model == "cnn":
        return CnnEncoder(c.embedding, c.hidden, rng)
    if c.model == "transformer":
        return TransformerEncoder(c.embedding, c.length, c.layers, c.heads, c.hidden, c.pooling, c.dropout, rng)
    return RecurrentEncoder(c.model, c.embedding, c.hidden, c.layers, c.bidirectional, c.pooling, c.dropout, rng)


@dataclass(frozen=True)
class Prediction:
    """One text's outcome: the likeliest label, its probability, all probabilities, and how many words were known."""

    label: str
    probability: float
    probabilities: dict[str, float]
    known: int
    words: int


class Classifier:
    """A tokenizer, a model and label names: texts in, labels out; saved as a folder of safetensors and JSON."""

    def __init__(self, config: ClassifierConfig, tokenizer: Any, model: TextClassifier):
        self.config, self.tokenizer, self.model = config, tokenizer, model

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> ids (B, T): cut at the front; padded at the front, or behind where the model masks.

        With n-grams, which stand behind the words, the words are cut, to T/n, and joined within what is left.
        """
        side: Literal["left", "right"] = "right" if self.config.uses_mask else "left"
        n = getattr(self.tokenizer, "ngrams", 1)
        cut = {"most_words": self.config.length // n} if n > 1 else {}
        return pad([self.tokenizer.encode(t, **cut) for t in texts], self.config.length, side, "left")[0]

    def probabilities(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """(N, C) probabilities of the classes, in the order of `config.labels`.

        Raises:
            AnomalyError: the model gives a probability that is not finite; its numbers are too large.
        """
        self.model.eval()
        parts = []
        with no_grad():
            for start in range(0, len(texts), batch_size):
                logits = self.model(self.encode(texts[start : start + batch_size]))
                parts.append(_probabilities(logits, self.config.binary))
        found = np.concatenate(parts) if parts else np.zeros((0, len(self.config.labels)), np.float32)
        return _finite(found, texts)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction per text."""
        if isinstance(texts, str):
            raise OptionError("predict: expected a list of texts, got one string; pass [text]")
        return [self._prediction(t, p) for t, p in zip(texts, self.probabilities(texts), strict=True)]

    def _prediction(self, text: str, p: np.ndarray) -> Prediction:
        tokens = self.tokenizer.tokens(text)
        known = sum(token in self.tokenizer.vocabulary for token in tokens)
        best = int(p.argmax())
        named = {label: float(x) for label, x in zip(self.config.labels, p, strict=True)}
        return Prediction(self.config.labels[best], float(p[best]), named, known, len(tokens))

    def save(self, folder: str | Path) -> None:
        """Write weights (safetensors), settings, vocabulary and labels (JSON) into `folder`."""
        settings = asdict(self.config) | {"labels": list(self.config.labels)}
        config = {"kind": KIND, "settings": settings, "tokenizer": self.tokenizer.to_json()}
        save_model(folder, self.model.state_dict(), config)

    @classmethod
    def load(cls, folder: str | Path) -> Classifier:
        """Read what `save` wrote. CheckpointError for anything missing, broken or of another version."""
        path = Path(folder)
        if (path / "checkpoint").is_dir() and not (path / WEIGHTS).is_file():
            raise CheckpointError(
                f"{folder} holds an interrupted training run.\n  Expected: a finished model\n"
                "  Got: a checkpoint; repeat the command that began the run, with --resume"
            )
        arrays, config = load_model(folder)
        if config["kind"] != KIND:
            raise CheckpointError(f"{folder}: expected a {KIND}, got {config['kind']!r}")
        settings = _settings(config.get("settings"), folder)
        tokenizer = tokenizer_from_json(config.get("tokenizer"))
        return cls(settings, tokenizer, _rebuilt(settings, arrays, folder))


def _rebuilt(settings: ClassifierConfig, arrays: dict[str, np.ndarray], folder: str | Path) -> TextClassifier:
    try:
        model = TextClassifier(settings, np.random.default_rng(0))
        model.load_state_dict(arrays)
    except (MemoryError, OverflowError, ValueError, CheckpointError) as error:
        raise CheckpointError(f"{folder}: the weights do not fit the settings in config.json.\n  {error}") from None
    return model


def _settings(saved: Any, folder: str | Path) -> ClassifierConfig:
    names = {f.name for f in fields(ClassifierConfig)}
    if not isinstance(saved, dict) or not set(saved) <= names or not isinstance(saved.get("labels"), list):
        raise CheckpointError(f"{folder}/config.json: expected the settings {sorted(names)}, got {saved!r:.200}")
    try:
        return ClassifierConfig(**cast(Any, saved | {"labels": tuple(map(str, saved["labels"]))}))
    except (OptionError, TypeError) as error:
        raise CheckpointError(f"{folder}/config.json: the settings do not fit: {error}") from None


def _finite(p: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(p).all(-1))
    if bad.size:
        raise AnomalyError(
            f"The model gives no probabilities for {bad.size} of {len(p)} texts, the first is {texts[bad[0]][:60]!r}.\n"
            f"  Expected: finite numbers\n  Got: {p[bad[0]].tolist()}; its weights are too large or NaN: train it"
            " again, with a smaller learning rate or clipped gradients"
        )
    return p


def _probabilities(logits: Tensor, binary: bool) -> np.ndarray:
    if binary:
        p = logits.sigmoid().numpy()
        return np.stack([1 - p, p], axis=-1)
    return logits.softmax(-1).numpy()
