"""The classifier recipe: a table of texts and labels in, a model folder with its scores out.

The article validates on the test set (A16), which flatters the result. Here the data is split in three: the model is
trained on the first part, the best epoch is chosen on the second, and the test part is opened once, at the end.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import optim
from ..data import Batches, Table, check_leak, stratified_split
from ..engine import no_grad
from ..errors import CheckpointError, DataError, OptionError
from ..files import write_text
from ..metrics import ClassReport, class_report
from ..models import Classifier, ClassifierConfig, TextClassifier
from ..text import WordTokenizer
from ..training import Progress, Result, Trainer

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SCHEDULES = ("constant", "linear", "cosine", "step")
TOKENIZERS = ("words", "keras")


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
            if getattr(self, name) not in known:
                raise OptionError(f"{name}: expected one of {', '.join(known)}; got {getattr(self, name)!r}")
        for name in ("epochs", "batch_size", "ngrams", "min_count"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not (0 < self.test < 1 and 0 < self.valid < 1 and self.test + self.valid < 1):
            raise OptionError(
                f"test, valid: expected shares that leave something to train, got {self.test}, {self.valid}"
            )
        if not self.lr > 0:
            raise OptionError(f"lr: expected a number above 0, got {self.lr}")
        if min(self.weight_decay, self.clip, self.warmup, self.patience) < 0:
            raise OptionError("weight_decay, clip, warmup, patience: expected numbers of at least 0")


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
    leaked = check_leak([*parts.train.texts, *parts.valid.texts], parts.test.texts)
    if leaked:
        parts.notes.append(f"{leaked} of {len(parts.test)} test texts also stand in the training part")
    return parts


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
    assert table.labels is not None
    shares = (1 - options.test - options.valid, options.valid, options.test)
    train, valid, test = (table.take(list(rows)) for rows in stratified_split(table.labels, shares, rng=rng))
    return Parts(train, valid, test)


def _split_by_column(table: Table, column: list[str], options: Options, rng: np.random.Generator) -> Parts:
    unknown = set(column) - {"train", "valid", "test"}
    if unknown or "train" not in column or "test" not in column:
        raise DataError(f"column split: expected train, test and perhaps valid; got {sorted(set(column))}")
    train, test = table.where("split", "train"), table.where("split", "test")
    if "valid" in column:
        return Parts(train, table.where("split", "valid"), test)
    assert train.labels is not None
    share = options.valid / (1 - options.test)
    keep, held = stratified_split(train.labels, (1 - share, share), rng=rng)
    return Parts(train.take(list(keep)), train.take(list(held)), test)


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


class ClassifierTraining:
    """Everything of one run, put together so that it can be resumed: data, model, optimizer, trainer.

    Args:
        table: texts, labels, perhaps a column `split`.
        config: the model's settings; its labels are taken from the table.
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
        tokenizer = make_tokenizer(options, config.vocabulary).fit(self.parts.train.texts)
        self.rng = np.random.default_rng([options.seed, 2])  # for the weights, then for dropout
        model = TextClassifier(config, self.rng)
        self.classifier = Classifier(config, tokenizer, model)
        self.arrays = {name: self._encode(getattr(self.parts, name)) for name in ("train", "valid", "test")}
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
            folder=self.folder,
            listener=listener,
            epoch_listener=epoch_listener,
        )  # fmt: skip

    def _step(self, rows: np.ndarray) -> tuple[Any, float, int]:
        ids, classes = self.arrays["train"]
        loss, found = self.classifier.model.loss(ids[rows], classes[rows])
        return loss, float((found == classes[rows]).sum()), ids[rows].size

    def scores(self, part: str) -> dict[str, float]:
        """Mean loss and accuracy on "train", "valid" or "test"."""
        loss, found = self._run(part)
        return {"loss": loss, "accuracy": float((found == self.arrays[part][1]).mean())}

    def _run(self, part: str, batch_size: int = 256) -> tuple[float, np.ndarray]:
        ids, classes = self.arrays[part]
        total, found = 0.0, []
        self.classifier.model.eval()
        with no_grad():
            for start in range(0, len(ids), batch_size):
                rows = slice(start, start + batch_size)
                loss, predicted = self.classifier.model.loss(ids[rows], classes[rows])
                total += loss.item() * len(predicted)
                found.append(predicted)
        return total / len(ids), np.concatenate(found)

    def run(self, resume: bool = False) -> Trained:
        """Train, open the test part once, and write the model folder."""
        if self.folder is not None:
            self._claim_folder(resume)
        if resume and not self.trainer.resume():
            raise CheckpointError(f"There is no checkpoint in {self.folder} to go on from; start without --resume")
        result = self.trainer.run()
        if result.interrupted:
            return Trained(self.classifier, result, self.parts, None, {})
        _, found = self._run("test")
        report = class_report(self.arrays["test"][1], found, list(self.classifier.config.labels))
        trained = Trained(self.classifier, result, self.parts, report, style_scores(self.parts.test, report, found))
        if self.folder is not None:
            write_folder(self.folder, trained)
        return trained

    def _claim_folder(self, resume: bool) -> None:
        """Write the settings, or with `resume` check that they are those of the interrupted run."""
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "training.json"
        settings = {"options": asdict(self.options), "config": _plain(self.classifier.config)}
        if resume and path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            different = [k for part in settings for k in settings[part] if before[part].get(k) != settings[part][k]]
            if different:
                raise CheckpointError(f"The interrupted run had other settings: {', '.join(different)}")
        write_text(path, json.dumps(settings, ensure_ascii=False, indent=1) + "\n")


def _plain(config: ClassifierConfig) -> dict[str, Any]:
    return asdict(config) | {"labels": list(config.labels)}


def class_numbers(part: Table, labels: Sequence[str]) -> np.ndarray:
    """The class number of each row; DataError for a label the model does not know."""
    numbers = {label: i for i, label in enumerate(labels)}
    unknown = sorted(set(part.labels or ()) - set(numbers))
    if unknown:
        raise DataError(f"{part.source}: expected the labels {list(labels)}, got also {unknown[:5]}")
    return np.array([numbers[label] for label in part.labels or ()], np.int64)


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


def write_folder(folder: Path, trained: Trained) -> None:
    """The model, its test report and the pictures of its curves and confusion."""
    from .. import plot

    trained.classifier.save(folder)
    assert trained.report is not None
    styles = {k: {"accuracy": a, "rows": n} for k, (a, n) in trained.by_style.items()}
    report = asdict(trained.report) | ({"by_style": styles} if styles else {})
    write_text(folder / "test_report.json", json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        plot.save(plot.curves(trained.result.history), folder / "curves.png")
        plot.save(plot.confusion(trained.report.confusion, trained.report.labels), folder / "confusion.png")


def config_for(table: Table, **settings: Any) -> ClassifierConfig:
    """A classifier's settings for the labels that a table has."""
    known = {f.name for f in fields(ClassifierConfig)}
    return ClassifierConfig(labels=tuple(table.classes()), **{k: v for k, v in settings.items() if k in known})
