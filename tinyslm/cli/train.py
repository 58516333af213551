"""`tinyslm train`: from a CSV file to a model folder."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from .. import device, training
from ..data import Table
from ..errors import OptionError
from ..models import ClassifierConfig
from ..precision import NAMES, matmul_precision
from ..recipes import classifier as recipe
from .console import (
    INTERRUPTED,
    PATH,
    choose_backend,
    fail,
    named_as_options,
    open_console,
    open_table,
    out_folder,
    quoted,
    this_command,
)
from .scores import show_scores

train_app = typer.Typer(help="Train a model.", no_args_is_help=True)

MODEL, TRAINING, FILES = "The model", "The training", "The data"
READING = ("text_column", "label_column", "encoding", "delimiter", "data_dir", "quoting")
CHECKPOINT = "checkpoint/latest.json"
HOLDS = {"model.safetensors": "a model", CHECKPOINT: "an interrupted run"}


def _in(panel: str, text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, **more)


@train_app.callback()
def root() -> None:
    """Train a model."""


@train_app.command()
def classifier(
    data: Annotated[str, typer.Argument(help="A CSV file, - for stdin, or a name (`tinyslm data list`).")] = "reviews",
    out: Annotated[Path, _in(FILES, "Where the model folder goes.", **PATH)] = Path("model"),
    text_column: Annotated[str, _in(FILES, "Name of the column with the texts.")] = "text",
    label_column: Annotated[str, _in(FILES, "Name of the column with the labels.")] = "label",
    encoding: Annotated[str, _in(FILES, "Encoding of the file, such as utf-8 or gb18030.")] = "utf-8",
    delimiter: Annotated[str | None, _in(FILES, "Character between columns; a comma unless the file is .tsv.")] = None,
    quoting: Annotated[str, _in(FILES, "minimal, or none where quotes are ordinary characters.")] = "minimal",
    data_dir: Annotated[Path | None, _in(FILES, "Folder with local copies of the public data sets.")] = None,
    test: Annotated[float, _in(FILES, "Share of the test part.")] = 0.2,
    valid: Annotated[float, _in(FILES, "Share of the validation part, on which the epoch is chosen.")] = 0.1,
    model: Annotated[str, _in(MODEL, "lstm, gru, rnn, cnn, transformer or bow (bag of words).")] = "lstm",
    vocabulary: Annotated[int, _in(MODEL, "Size of the vocabulary.")] = 10_000,
    embedding: Annotated[int, _in(MODEL, "Size of a word vector.")] = 64,
    hidden: Annotated[int, _in(MODEL, "Hidden size; number of filters for cnn.")] = 128,
    length: Annotated[int, _in(MODEL, "Words per text; longer ones are cut, others padded, at the front.")] = 100,
    layers: Annotated[int, _in(MODEL, "Layers on top of each other (recurrent models and the transformer).")] = 1,
    heads: Annotated[int, _in(MODEL, "Attention heads of the transformer.")] = 4,
    bidirectional: Annotated[bool, _in(MODEL, "Also read from the last word to the first.")] = False,
    pooling: Annotated[str, _in(MODEL, "last, mean, max or attention (transformer: last is mean).")] = "last",
    dropout: Annotated[float, _in(MODEL, "Share of the features that dropout zeroes.")] = 0.0,
    masked: Annotated[bool, _in(MODEL, "Hide the padding from the encoder.")] = False,
    outputs: Annotated[str, _in(MODEL, "auto: one output for two classes; softmax: one per class.")] = "auto",
    epochs: Annotated[int, _in(TRAINING, "Passes over the training data.")] = 10,
    batch_size: Annotated[int, _in(TRAINING, "Texts per step.")] = 32,
    optimizer: Annotated[str, _in(TRAINING, "adam, adamw, sgd or rmsprop.")] = "adam",
    lr: Annotated[float, _in(TRAINING, "Learning rate.")] = 1e-3,
    weight_decay: Annotated[float, _in(TRAINING, "Weight decay.")] = 0.0,
    clip: Annotated[float, _in(TRAINING, "Largest norm of the gradient; 0 does not clip.")] = 0.0,
    schedule: Annotated[str, _in(TRAINING, "constant, linear, cosine or step.")] = "constant",
    warmup: Annotated[int, _in(TRAINING, "Steps over which the learning rate rises.")] = 0,
    patience: Annotated[int, _in(TRAINING, "Stop after so many epochs without improvement; 0 never.")] = 0,
    tokenizer: Annotated[str, _in(TRAINING, "words, or keras for exactly what the article's code does.")] = "words",
    drop_stop_words: Annotated[bool, _in(TRAINING, "Remove stop words (this also removes 'not').")] = False,
    ngrams: Annotated[int, _in(TRAINING, "1: words; 2: pairs of words too; and so on.")] = 1,
    min_count: Annotated[int, _in(TRAINING, "Words rarer than this are unknown.")] = 1,
    seed: Annotated[int, _in(TRAINING, "Of weights, order and split; the same seed gives the same model.")] = 0,
    resume: Annotated[bool, _in(TRAINING, "Go on with an interrupted run in the folder --out.")] = False,
    force: Annotated[bool, _in(FILES, "Replace the model in the folder --out, once the new one is whole.")] = False,
    backend: Annotated[str | None, _in(TRAINING, "numpy, numba or cuda.")] = None,
    threads: Annotated[int | None, _in(TRAINING, "Threads of the kernels.")] = None,
    precision: Annotated[str, _in(TRAINING, "Of attention's products on a GPU: highest, high or medium.")] = "highest",
) -> None:  # fmt: skip
    """Train a text classifier; without arguments, the articles' LSTM on the bundled reviews."""
    given = dict(locals())
    if precision not in NAMES:
        raise OptionError(f"--precision: expected one of {', '.join(NAMES)}; got {precision!r}")
    with matmul_precision(precision):
        _train(given)


def _train(given: dict[str, Any]) -> None:
    data, out = given["data"], given["out"]
    choose_backend(given["backend"], given["threads"])
    _check_folder(out, given["resume"], given["force"])
    console = open_console()
    table = open_table(data, **{name: given[name] for name in READING})
    if not given["resume"] and not given["force"]:
        _check_nothing_is_lost(out)
    with named_as_options(list(given)):
        run = _prepare(recipe.with_classes(table), out, given)
    if given["precision"] != "highest" and (device.backend(), given["model"]) != ("cuda", "transformer"):
        run.parts.notes.append("--precision does nothing but for --model transformer on a GPU")
    _introduce(console, data, table, run)
    with Display(console, _advice(given["model"], given["clip"])) as display, _goes_on(out):
        run.trainer.listener, run.trainer.epoch_listener = display.step, display.epoch
        trained = run.run(given["resume"])
    _conclude(console, out, trained)


def _prepare(table: Table, out: Path, given: dict[str, Any]) -> recipe.ClassifierTraining:
    options = recipe.Options(**_for(recipe.Options, given))
    config = recipe.config_for(table, **_for(ClassifierConfig, given))
    return recipe.ClassifierTraining(table, config, options, out)


def _for(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    return {f.name: given[f.name] for f in fields(kind) if f.name in given}


def _check_folder(out: Path, resume: bool, force: bool) -> None:
    out_folder(out)
    if resume and force:
        raise OptionError("--resume goes on with a run, --force starts a new one; expected only one of them")
    if resume and not (out / CHECKPOINT).is_file():
        raise recipe.nothing_to_resume(out)


def _check_nothing_is_lost(out: Path) -> None:
    # A folder without either holds nothing that could be lost.
    holds = [what for name, what in HOLDS.items() if (out / name).exists()]
    if holds:
        raise OptionError(
            f"--out: {out} already holds {' and '.join(holds)}.\n"
            "  Expected: another folder, --resume to go on with an interrupted run, or --force to replace it"
        )


def _introduce(console: Console, name: str, table: Table, run: recipe.ClassifierTraining) -> None:
    parts, classifier = run.parts, run.classifier
    for note in [*table.warnings, *parts.notes]:
        console.print("[yellow]note:[/]", end=" ")
        console.print(note, markup=False)
    sizes = (
        f"{len(parts.train):,} texts to train, {len(parts.valid):,} to choose the epoch, {len(parts.test):,} to test"
    )
    console.print(f"data    {name}: {sizes}", markup=False)
    console.print(f"classes {'; '.join(f'{k} ({n:,})' for k, n in table.classes().items())}", markup=False)
    size = f"{classifier.model.num_parameters():,} parameters, {len(classifier.tokenizer):,} known words"
    console.print(f"model   {classifier.config.model}, {size}", markup=False)


JUMP, LEAST_JUMP = 1.5, 0.1  # a training loss this many times the one before, and so much above it, is worth a word
JUMPED = "           The loss jumped up: usually a few steps with very long gradients. --clip 1 shortens them."
RECURRENT = ("lstm", "gru", "rnn")
WHY = "\n           The lesson memory_vanishing shows where they come from."


def _advice(model: str, clip: float) -> str:
    """What to say where the loss jumps; "" where the gradients are short already."""
    return "" if 0 < clip <= 1 else JUMPED + WHY * (model in RECURRENT)


class Display:
    """A progress bar on a terminal, and one line per epoch."""

    def __init__(self, console: Console, advice: str = ""):
        self.console, self.advice = console, advice
        columns = [TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[info]}")]
        self.bar = Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("", visible=False, info="")
        self.loss = math.inf

    def __enter__(self) -> Display:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def step(self, p: training.Progress) -> None:
        """Show the state after a step."""
        info = (
            f"loss {p.loss:.3f}  accuracy {p.accuracy:.1%}  {p.tokens_per_second:,.0f} tokens/s  "
            f"{_clock(p.seconds_left)} left"
        )
        name = f"epoch {p.epoch}/{p.epochs}"
        self.bar.update(self.task, description=name, completed=p.step, total=p.steps, info=info, visible=True)

    def epoch(self, record: dict[str, float]) -> None:
        """Print the record of an epoch."""
        # On a terminal the bar shows the speed, and the line fits 80 columns.
        speed = "" if self.console.is_terminal else f"  {record['tokens_per_second']:,.0f} tokens/s"
        self.console.print(
            f"epoch {record['epoch']:>3.0f}  loss {record['train_loss']:.3f}  accuracy {record['train_accuracy']:6.1%}"
            f"  validation loss {record['valid_loss']:.3f}  accuracy {record['valid_accuracy']:6.1%}{speed}",
            markup=False,
        )
        if record["train_loss"] > max(JUMP * self.loss, self.loss + LEAST_JUMP) and self.advice:
            self.console.print(self.advice, markup=False)
        self.loss = record["train_loss"]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def _goes_on(out: Path) -> Iterator[None]:
    """Say how to go on after a second Ctrl-C, which does not wait for anything to be saved."""
    try:
        yield
    except KeyboardInterrupt:
        if not (out / CHECKPOINT).is_file():
            raise
        fail(f"interrupted; the last checkpoint is in {out}\ngo on with: {_again()}", INTERRUPTED)


def _conclude(console: Console, out: Path, trained: recipe.Trained) -> None:
    result = trained.result
    if trained.report is None:
        console.print(f"stopped; everything up to here is saved in {out}", markup=False)
        console.print(f"go on with: {_again()}", markup=False)
        sys.exit(INTERRUPTED)
    if result.stopped_early:
        console.print(f"stopped early: no better epoch than {result.best_epoch}", markup=False)
    console.print(f"\ntest part, opened once, with the weights of epoch {result.best_epoch}:", markup=False)
    show_scores(console, trained.report, trained.by_style)
    console.print(f"\nmodel, log and pictures: {out}", markup=False)
    console.print(f'try it: {quoted([*this_command(), "predict", str(out)])} "your text"', markup=False)


def _again() -> str:
    """The command that was typed, with --resume."""
    words = [a for a in sys.argv[1:] if a not in ("--resume", "--force")]
    return quoted([*this_command(), *words, "--resume"])
