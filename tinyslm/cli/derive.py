"""`tinyslm derive`: derivations checked line by line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table as Grid

from ..errors import OptionError
from .console import choose_backend, open_console


def derive(
    name: Annotated[str | None, typer.Argument(help="A derivation, or 'all'; lists them if left out.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print it as LaTeX.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    seed: Annotated[int, typer.Option(help="Chooses the random points.")] = 0,
) -> None:
    """Check a derivation from its definition to the code that runs. Exit code 1 if a line is not as it should be."""
    from .. import derivations

    if latex and markdown:
        raise OptionError("derive: expected one of --latex and --markdown, got both")
    if seed < 0:
        raise OptionError(f"--seed: expected a number from 0 on, got {seed}")
    if name is None:
        _list()
        return
    choose_backend()
    chosen = derivations.names() if name == "all" else (name,)
    reports = [derivations.load(n).check(seed=seed) for n in chosen]
    for report in reports:
        text = report.latex() if latex else report.markdown() if markdown else f"{report}\n"
        open_console().print(text, markup=False, soft_wrap=True, end="\n" if len(reports) > 1 else "")
    if not all(r.ok for r in reports):
        sys.exit(1)


def _list() -> None:
    from .. import derivations

    grid = Grid("derivation", "what", "steps", box=None)
    for found in map(derivations.load, derivations.names()):
        grid.add_row(found.name, found.title, str(len(found.steps)))
    open_console().print(grid)
