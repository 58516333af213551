"""`tinyslm train`: from a CSV file to a model folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table as Grid

from .. import training
from ..errors import OptionError
from ..recipes import classifier as recipe
from .console import INTERRUPTED, choose_backend, open_console, open_table

train_app = typer.Typer(help="Train a model.", no_args_is_help=True)

MODEL, TRAINING, FILES = "The model", "The training", "The data"


def _in(panel: str, text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel)


@train_app.callback()
def root() -> None:
    """Train a model."""


@train_app.command()
def classifier(
    data: Annotated[str, typer.Argument(help="A CSV file, - for stdin, or a name (`tinyslm data list`).")] = "reviews",
    out: Annotated[Path, _in(FILES, "Where the model folder goes.")] = Path("model"),
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
    length: Annotated[int, _in(MODEL, "Tokens per text; others are cut or padded at the front.")] = 100,
    layers: Annotated[int, _in(MODEL, "Layers on top of each other.")] = 1,
    heads: Annotated[int, _in(MODEL, "Attention heads of the transformer.")] = 4,
    bidirectional: Annotated[bool, _in(MODEL, "Also read from the last word to the first.")] = False,
    pooling: Annotated[str, _in(MODEL, "last, mean, max or attention over the states.")] = "last",
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
    force: Annotated[bool, _in(FILES, "Replace a model that is already in the folder --out.")] = False,
    backend: Annotated[str | None, _in(TRAINING, "numpy, numba or cuda.")] = None,
    threads: Annotated[int | None, _in(TRAINING, "Threads of the kernels.")] = None,
) -> None:  # fmt: skip
    """Train a text classifier; without arguments, the articles' LSTM on the bundled reviews."""
    given = dict(locals())
    choose_backend(backend, threads)
    _check_folder(out, resume, force)
    console = open_console()
    table = open_table(data, text_column, label_column, encoding, delimiter, data_dir, quoting)
    options = recipe.Options(**{k: given[k] for k in recipe.Options.__dataclass_fields__})
    config = recipe.config_for(recipe.with_classes(table), **given)
    with Display(console) as display:
        run = recipe.ClassifierTraining(table, config, options, out, display.step, display.epoch)
        _introduce(console, data, table, run)
        trained = run.run(resume)
    _conclude(console, out, trained, data)


def _check_folder(out: Path, resume: bool, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out: expected a folder, got the file {out}")
    used = any((out / name).exists() for name in ("config.json", "checkpoint", "training.json"))
    if used and not resume and not force:
        raise OptionError(
            f"--out: {out} already holds a model or an interrupted run.\n"
            "  Expected: another folder, --resume to go on with it, or --force to replace it"
        )
    if force and not resume:
        training.forget(out)


def _introduce(console: Console, name: str, table: Any, run: recipe.ClassifierTraining) -> None:
    parts, model = run.parts, run.classifier.model
    for note in [*table.warnings, *parts.notes]:
        console.print(f"[yellow]note:[/] {note}", markup=True)
    sizes = (
        f"{len(parts.train):,} texts to train, {len(parts.valid):,} to choose the epoch, {len(parts.test):,} to test"
    )
    console.print(f"data    {name}: {sizes}", markup=False)
    console.print(f"classes {', '.join(f'{k} ({n:,})' for k, n in table.classes().items())}", markup=False)
    console.print(f"model   {run.classifier.config.model}, {model.num_parameters():,} parameters", markup=False)


class Display:
    """A progress bar on a terminal, one line per epoch anywhere."""

    def __init__(self, console: Console):
        self.console = console
        columns = [TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[info]}")]
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task: TaskID | None = None

    def __enter__(self) -> Display:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def step(self, p: training.Progress) -> None:
        """Show the state after a step."""
        info = (
            f"loss {p.loss:.3f}  accuracy {p.accuracy:6.1%}  {p.tokens_per_second:,.0f} tokens/s  "
            f"{_clock(p.seconds_left)} left"
        )
        if self.task is None:
            self.task = self.bar.add_task("", total=p.steps, info=info)
        self.bar.update(
            self.task, description=f"epoch {p.epoch}/{p.epochs}", completed=p.step, total=p.steps, info=info
        )

    def epoch(self, record: dict[str, float]) -> None:
        """Print the record of an epoch."""
        self.console.print(
            f"epoch {record['epoch']:>3.0f}  loss {record['train_loss']:.3f}  accuracy {record['train_accuracy']:6.1%}"
            f"   validation: loss {record['valid_loss']:.3f}  accuracy {record['valid_accuracy']:6.1%}"
            f"   {record['tokens_per_second']:>9,.0f} tokens/s",
            markup=False,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _conclude(console: Console, out: Path, trained: recipe.Trained, data: str) -> None:
    result = trained.result
    if result.interrupted or trained.report is None:
        console.print(f"stopped; everything up to here is saved in {out}", markup=False)
        console.print(f"go on with: {_again()} --resume", markup=False)
        sys.exit(INTERRUPTED)
    if result.stopped_early:
        console.print(f"stopped early: no better epoch than {result.best_epoch}", markup=False)
    console.print(f"\ntest part, opened once, with the weights of epoch {result.best_epoch}:")
    console.print(str(trained.report), markup=False)
    if trained.by_style:
        console.print(style_grid(trained.by_style))
    console.print(f"model, log and pictures: {out}", markup=False)
    console.print(f'try it: tinyslm predict {out} "your text"', markup=False)


def style_grid(by_style: dict[str, tuple[float, int]]) -> Grid:
    """Accuracy by the column `style` of the data."""
    grid = Grid("style", "accuracy", "texts", title=None, box=None)
    for style, (accuracy, rows) in by_style.items():
        grid.add_row(style, f"{accuracy:.1%}", str(rows))
    return grid


def _again() -> str:
    words = [a for a in sys.argv[1:] if a not in ("--resume", "--force")]
    return " ".join(["tinyslm", *(f'"{w}"' if " " in w else w for w in words)])
