"""The command's entry point."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from .._start import listen
from .console import errors_in_words, open_console, speak_what_can_be_shown, tell_interruption, warnings_in_words

# Where each command stands, in the order of --help; loaded when it is called, because some load half of the project.
COMMANDS = {
    "train": "train:train_app",
    "lessons": "lessons:lessons_app",
    "data": "data:data_app",
    "check": "check:check",
    "predict": "predict:predict",
    "evaluate": "predict:evaluate",
    "doctor": "doctor:doctor",
    "derive": "derive:derive",
    "audit": "audit:audit",
    "bench": "bench:bench",
}


class Commands(TyperGroup):
    """The subcommands; typer itself leaves without a word after Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand, and say so where it was interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            tell_interruption()


def command_with(names: Iterable[str]) -> typer.Typer:
    """The command with these of its subcommands."""
    made = typer.Typer(
        cls=Commands,
        help="Small language models: train them, look into them, and learn how each formula works.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="markdown",
    )
    made.callback()(root)
    for name in names:
        place, _, member = COMMANDS[name].partition(":")
        found = getattr(importlib.import_module(f".{place}", __package__), member)
        if isinstance(found, typer.Typer):
            made.add_typer(found, name=name)
        else:
            made.command(name)(found)
    return made


def __getattr__(name: str) -> Any:
    """`app`, the command with everything it has."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return command_with(COMMANDS)


def _show_version(wanted: bool) -> None:
    if wanted:
        open_console().print(f"tinyslm {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Small language models: train them, look into them, and learn how each formula works."""


def main() -> None:
    """Run the command."""
    with errors_in_words(), warnings_in_words():
        speak_what_can_be_shown()
        first = sys.argv[1] if len(sys.argv) > 1 else ""
        command = command_with([first] if first in COMMANDS else COMMANDS)
        listen()
        command()
