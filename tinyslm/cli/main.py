"""The command's entry point."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from .audit import audit
from .bench import bench
from .check import check
from .console import errors_in_words, open_console, speak_what_can_be_shown
from .data import data_app
from .derive import derive
from .doctor import doctor
from .lessons import lessons_app
from .predict import evaluate, predict
from .train import train_app

app = typer.Typer(
    help="Small language models: train them, look into them, and learn how each formula works.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
app.add_typer(train_app, name="train")
app.add_typer(lessons_app, name="lessons")
app.add_typer(data_app, name="data")
app.command()(check)
app.command()(predict)
app.command()(evaluate)
app.command()(doctor)
app.command()(derive)
app.command()(audit)
app.command()(bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        open_console().print(f"tinyslm {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Small language models: train them, look into them, and learn how each formula works."""


def main() -> None:
    """Run the command."""
    with errors_in_words():
        speak_what_can_be_shown()
        app()
