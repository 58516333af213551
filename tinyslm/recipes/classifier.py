"""The classifier recipe: a table of texts and labels in, a model folder with its scores out.

The article validates on the test set (A16), which flatters the result. Here the data is split in three: the model is
trained on the first part, the best epoch is chosen on the second, and the test part is opened once, at the end.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import optim
from ..data import Batches, Table, check_leak, stratified_split
from ..device import array_module, fetch, on_device, to_host
from ..engine import no_grad
from ..errors import CheckpointError, DataError, OptionError, did_you_mean
from ..files import write_text
from ..metrics import ClassReport, class_report
from ..models import Classifier, ClassifierConfig, TextClassifier
from ..text import WordTokenizer
from ..training import Progress, Result, Trainer, forget_checkpoint, write_log

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SCHEDULES = ("constant", "linear", "cosine", "step")
TOKENIZERS = ("words", "keras")
WORDS_ONLY = ("drop_stop_words", "ngrams", "min_count")  # options of the tokenizer "words"


@dataclass(frozen=True)
class Options:
    """How to train; the defaults are the articles' values (A16).

    test, valid: shares of the data, unless it has a column `split` that says train, valid or test for each row.
    lr: learning rate. patience: stop after so many epochs without a better validation accuracy; 0 never.
    clip: largest norm of the gradient; 0 does not clip. warmup: steps over which the learning rate rises.
    """

    epochs: int = 10
    batch_size: int = 32
    lr: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    clip: float = 0.0
    schedule: str = "constant"
    warmup: int = 0
    patience: int = 0
    test: float = 0.2
    valid: float = 0.1
    seed: int = 0
    tokenizer: str = "words"
    drop_stop_words: bool = False
    ngrams: int = 1
    min_count: int = 1

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("tokenizer", TOKENIZERS)):
            value = getattr(self, name)
            if value not in known:
                meant = did_you_mean(str(value), known)
                raise OptionError(f"{name}: expected one of {', '.join(known)}; got {value!r}.{meant}")
        self._at_least(1, "epochs", "batch_size", "ngrams", "min_count")
        self._at_least(0, "seed", "warmup", "patience", "weight_decay", "clip")
        if not 0 < self.lr < math.inf:
            raise OptionError(f"lr: expected a number above 0, such as 0.001; got {self.lr}")
        for name in ("test", "valid"):
            if not 0 < getattr(self, name) < 1:
                raise OptionError(f"{name}: expected a share above 0 and below 1, got {getattr(self, name)}")
        if self.test + self.valid >= 1:
            raise OptionError(f"test: with valid={self.valid}, expected less than {1 - self.valid:g}, got {self.test}")

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            if not least <= getattr(self, name) < math.inf:  # false for NaN, too
                raise OptionError(f"{name}: expected a number of at least {least}, got {getattr(self, name)}")


@dataclass
class Parts:
    """The three parts of the data, and what there is to say about them."""

    train: Table
    valid: Table
    test: Table
    notes: list[str] = field(default_factory=list)


@dataclass
class Trained:
    """What the recipe gives back."""

    classifier: Classifier
    result: Result
    parts: Parts
    report: ClassReport | None
    by_style: dict[str, tuple[float, int]]


def split_table(table: Table, options: Options) -> Parts:
    """Train, validation and test part: by the column `split`, or at random with every class in its share."""
    with_classes(table)
    rng = np.random.default_rng([options.seed, 1])
    column = table.extra.get("split")
    parts = _split_by_column(table, column, options, rng) if column else _split_at_random(table, options, rng)
    parts.notes += _missing_classes(table, parts)
    leaked = check_leak([*parts.train.texts, *parts.valid.texts], parts.test.texts)
    if leaked:
        parts.notes.append(
            f"{leaked} of {len(parts.test)} test texts also stand in the training or validation part: "
            "the scores flatter the model"
        )
    return parts


def _missing_classes(table: Table, parts: Parts) -> list[str]:
    found = {"training": parts.train, "validation": parts.valid, "test": parts.test}
    gone = {name: [c for c in table.classes() if c not in part.classes()] for name, part in found.items()}
    return [f"no row of {', '.join(map(repr, c))} is in the {name} part" for name, c in gone.items() if c]


def with_classes(table: Table) -> Table:
    """The table itself, if it has labels of at least two classes; DataError otherwise."""
    if not table.labels:
        raise DataError(f"{table.source}: expected rows with labels, got none")
    if len(table.classes()) < 2:
        raise DataError(
            f"{table.source}: expected at least two classes, got only {table.labels[0]!r}. "
            "Add rows of another class, or name the right column with --label-column."
        )
    return table


def _split_at_random(table: Table, options: Options, rng: np.random.Generator) -> Parts:
    train, valid, test = _divide(table, (1 - options.test - options.valid, options.valid, options.test), rng)
    return Parts(train, valid, test)


def _divide(table: Table, shares: tuple[float, ...], rng: np.random.Generator) -> list[Table]:
    assert table.labels is not None
    try:
        return [table.take(list(rows)) for rows in stratified_split(table.labels, shares, rng=rng)]
    except DataError as error:
        raise DataError(
            f"{table.source}: can't be divided into a training, a validation and a test part.\n  {error}"
        ) from None


def _split_by_column(table: Table, column: list[str], options: Options, rng: np.random.Generator) -> Parts:
    unknown = set(column) - {"train", "valid", "test"}
    if unknown or "train" not in column or "test" not in column:
        raise DataError(
            f"{table.source}, column split: expected train, test and perhaps valid; got {sorted(set(column))[:10]}. "
            "If it means something else, rename it, and the rows are divided at random."
        )
    train, test = table.where("split", "train"), table.where("split", "test")
    if "valid" in column:
        return Parts(train, table.where("split", "valid"), test)
    share = options.valid / (1 - options.test)
    train, valid = _divide(train, (1 - share, share), rng)
    return Parts(train, valid, test)


def make_tokenizer(options: Options, vocabulary: int) -> WordTokenizer:
    """The tokenizer that the options name, not yet fitted."""
    if options.tokenizer == "keras":
        return WordTokenizer.keras(vocabulary)
    return WordTokenizer(
        size=vocabulary,
        drop_stop_words=options.drop_stop_words,
        ngrams=options.ngrams,
        min_count=options.min_count,
        punctuation=True,
    )


def fit_tokenizer(tokenizer: WordTokenizer, texts: list[str]) -> WordTokenizer:
    """Fit on the training texts; OptionError where `min_count` leaves no word."""
    tokenizer.fit(texts)
    if len(tokenizer) <= len(tokenizer.specials):
        raise OptionError(
            f"min_count: expected a number that some words reach, got {tokenizer.min_count}; "
            f"each word of the {len(texts)} training texts is rarer"
        )
    return tokenizer


class ClassifierTraining:
    """Everything of one run, put together so that it can be resumed: data, model, optimizer, trainer.

    Args:
        table: texts, labels, perhaps a column `split`.
        config: the model's settings; its labels are taken from the table. Its length counts words; the model that is
            trained gets a length n times as long for n-grams.
        options: how to train.
        folder: where the model, checkpoints and the log go, or None.
        listener: called after each step.
        epoch_listener: called with the record of each finished epoch.
    """

    def __init__(
        self,
        table: Table,
        config: ClassifierConfig,
        options: Options,
        folder: Path | None = None,
        listener: Callable[[Progress], None] | None = None,
        epoch_listener: Callable[[dict[str, float]], None] | None = None,
    ):
        self.options, self.folder = options, folder
        self.parts = split_table(table, options)
        tokenizer = fit_tokenizer(make_tokenizer(options, config.vocabulary), self.parts.train.texts)
        config = replace(config, length=config.length * tokenizer.ngrams)  # from words to tokens
        self.rng = np.random.default_rng([options.seed, 2])  # for the weights, then for dropout
        model = TextClassifier(config, self.rng)
        self.classifier = Classifier(config, tokenizer, model)
        self.arrays = {name: self._encode(getattr(self.parts, name)) for name in ("train", "valid", "test")}
        self.parts.notes += [*_empty_texts(self.arrays), *_unused(config, options)]
        self.optimizer = make_optimizer(model, options)
        self.trainer = self._trainer(listener, epoch_listener)

    def _encode(self, part: Table) -> tuple[np.ndarray, np.ndarray]:
        return self.classifier.encode(part.texts), class_numbers(part, self.classifier.config.labels)

    def _trainer(self, listener: Any, epoch_listener: Any) -> Trainer:
        o, model = self.options, self.classifier.model
        batches = Batches(len(self.parts.train), o.batch_size, np.random.default_rng([o.seed, 3]))
        return Trainer(
            model, self.optimizer, batches, self._step, o.epochs,
            validate=lambda: self.scores("valid"),
            scheduler=make_schedule(self.optimizer, o, o.epochs * len(batches)),
            clip_norm=o.clip or None,
            patience=o.patience,
            generators={"model": self.rng},
            settings=self.settings(),
            folder=self.folder,
            # The log beside an older model stays that model's, until the new one is whole.
            log_folder=None if self.folder is None else self.folder / "checkpoint",
            listener=listener,
            epoch_listener=epoch_listener,
        )  # fmt: skip

    def _step(self, rows: np.ndarray) -> tuple[Any, Any, int]:
        ids, classes = self.arrays["train"]
        loss, found = self.classifier.model.loss(ids[rows], classes[rows])
        return loss, (found == on_device(classes[rows])).sum(), ids[rows].size

    def scores(self, part: str) -> dict[str, float]:
        """Mean loss and accuracy on "train", "valid" or "test"."""
        loss, found = self._run(part)
        return {"loss": loss, "accuracy": float((found == self.arrays[part][1]).mean())}

    def _run(self, part: str, batch_size: int = 256) -> tuple[float, np.ndarray]:
        ids, classes = self.arrays[part]
        losses: list[Any] = []
        found: list[Any] = []
        self.classifier.model.eval()
        with no_grad():
            for start in range(0, len(ids), batch_size):
                rows = slice(start, start + batch_size)
                loss, predicted = self.classifier.model.loss(ids[rows], classes[rows])
                losses.append(loss._data)
                found.append(predicted)
        # On a GPU the numbers are read here and not in the loop, which would wait for each batch.
        total = sum(loss * len(some) for loss, some in zip(fetch(losses), found, strict=True))
        xp: Any = array_module()
        return total / len(ids), to_host(xp.concatenate(found))

    def settings(self) -> dict[str, Any]:
        """Everything that decides the result, the data as a hash, in JSON's types."""
        config = asdict(self.classifier.config) | {"labels": list(self.classifier.config.labels)}
        return asdict(self.options) | config | {"data_hash": _hash(self.parts)}

    def run(self, resume: bool = False) -> Trained:
        """Train, open the test part once, and write the model folder.

        Until the new model is whole, a model that is already in the folder stays there. An interrupted run leaves its
        checkpoint; with `resume` it goes on from there, and ends as if it had never stopped.

        Raises:
            TrainingError: the loss is not finite. CheckpointError: nothing to resume, or a folder that can't be used.
        """
        self._begin(resume)
        result = self.trainer.run()
        if result.interrupted:
            return Trained(self.classifier, result, self.parts, None, {})
        _, found = self._run("test")
        report = class_report(self.arrays["test"][1], found, list(self.classifier.config.labels))
        trained = Trained(self.classifier, result, self.parts, report, style_scores(self.parts.test, report, found))
        if self.folder is not None:
            write_folder(self.folder, trained, self.settings())
            forget_checkpoint(self.folder)
        return trained

    def _begin(self, resume: bool) -> None:
        if resume and not self.trainer.resume():
            raise nothing_to_resume(self.folder)
        if self.folder is not None and not resume:
            self.folder.mkdir(parents=True, exist_ok=True)
            forget_checkpoint(self.folder)


def nothing_to_resume(folder: Path | None) -> CheckpointError:
    """The error for a folder without an interrupted run."""
    return CheckpointError(
        f"There is no interrupted run in {folder}.\n"
        "  Expected: a folder where training was stopped; start without --resume\n"
        f"  Got: {_what_is_in(folder)}"
    )


def _what_is_in(folder: Path | None) -> str:
    if folder is None or not folder.is_dir():
        return "no folder"
    return "a finished model" if (folder / "model.safetensors").is_file() else "a folder without a checkpoint"


def _hash(parts: Parts) -> str:
    content = json.dumps([[p.texts, p.labels] for p in (parts.train, parts.valid, parts.test)])
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:16]


def _empty_texts(arrays: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[str]:
    empty = np.concatenate([(ids == 0).all(1) for ids, _ in arrays.values()])
    note = f"{empty.sum()} of {empty.size} texts have no word left after cleaning; the model can only guess there"
    return [note] if empty.any() else []


def _unused(config: ClassifierConfig, options: Options) -> list[str]:
    idle = [f"--{name} does nothing for --model {config.model}" for name in config.unused()]
    if options.tokenizer == "keras":
        changed = [n for n in WORDS_ONLY if getattr(options, n) != getattr(Options, n)]
        idle += [f"--{name.replace('_', '-')} does nothing for --tokenizer keras" for name in changed]
    return idle


def class_numbers(part: Table, labels: Sequence[str]) -> np.ndarray:
    """The class number of each row; DataError for a label the model does not know."""
    numbers = {label: i for i, label in enumerate(labels)}
    unknown = sorted(set(part.labels or ()) - set(numbers))
    if unknown:
        raise DataError(
            f"{part.source}: expected the labels that the model knows, {_some(labels)}; got also {_some(unknown)}. "
            "Rename them, remove these rows, or name the right column with --label-column."
        )
    return np.array([numbers[label] for label in part.labels or ()], np.int64)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def make_optimizer(model: TextClassifier, o: Options) -> optim.Optimizer:
    """The optimizer that the options name."""
    kinds: dict[str, Any] = {
        "adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD, "rmsprop": optim.RMSprop,
    }  # fmt: skip
    return kinds[o.optimizer](model.parameters(), lr=o.lr, weight_decay=o.weight_decay)


def make_schedule(optimizer: optim.Optimizer, o: Options, steps: int) -> optim.LRScheduler:
    """The learning rate's course over all steps."""
    falling = max(steps - o.warmup, 1)
    course = {
        "constant": optim.constant(),
        "linear": optim.linear(falling),
        "cosine": optim.cosine(falling),
        "step": optim.step_decay(max(falling // 3, 1)),
    }[o.schedule]
    return optim.LRScheduler(optimizer, optim.warmup(o.warmup, course) if o.warmup else course)


def style_scores(test: Table, report: ClassReport, found: np.ndarray) -> dict[str, tuple[float, int]]:
    """Accuracy and number of rows for each value of the column `style`, where the data has one."""
    styles = test.extra.get("style", [])
    numbers = {label: i for i, label in enumerate(report.labels)}
    hits = np.array([numbers[label] for label in test.labels or ()]) == found
    chosen = {s: np.array([x == s for x in styles]) for s in dict.fromkeys(styles)}
    return {s: (float(hits[rows].mean()), int(rows.sum())) for s, rows in chosen.items()}


def write_folder(folder: Path, trained: Trained, settings: dict[str, Any]) -> None:
    """The model, its log, settings and test report, and the pictures of its curves and confusion.

    The model comes first. What an older model's evaluations left is removed: it would be taken for this one's.
    """
    from .. import plot

    trained.classifier.save(folder)
    assert trained.report is not None
    for stale in folder.glob("evaluation_*.*"):
        stale.unlink()
    styles = {k: {"accuracy": a, "rows": n} for k, (a, n) in trained.by_style.items()}
    write_log(folder, trained.result.history)
    write_json(folder / "training.json", settings)
    write_json(folder / "test_report.json", asdict(trained.report) | ({"by_style": styles} if styles else {}))
    with quiet_fonts():
        plot.save(plot.curves(trained.result.history), folder / "curves.png")
        plot.save(plot.confusion(trained.report.confusion, trained.report.labels), folder / "confusion.png")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON in UTF-8, one entry a line."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


@contextmanager
def quiet_fonts() -> Iterator[None]:
    """Without matplotlib's warnings about characters that its font lacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def config_for(table: Table, **settings: Any) -> ClassifierConfig:
    """A classifier's settings for the labels that a table has."""
    return ClassifierConfig(labels=tuple(table.classes()), **settings)
