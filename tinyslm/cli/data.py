"""`tinyslm data`: the corpora that come along, and the public ones that are fetched by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table as Grid

from ..data import DATASETS, fetch, names
from .console import open_console

data_app = typer.Typer(help="Data sets: what there is, and fetching one.", no_args_is_help=True)


@data_app.command("list")
def list_sets() -> None:
    """List the data sets by name."""
    grid = Grid("name", "size", "licence", box=None)
    for name in names():
        found = DATASETS.get(name)
        size = "comes along" if found is None else f"{sum(f.size for f in found.files) / 1e6:.1f} MB"
        grid.add_row(name, size, "" if found is None else found.licence)
    open_console().print(grid)


@data_app.command("fetch")
def fetch_set(
    name: Annotated[str, typer.Argument(help="Name of a public data set.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with local copies.")] = None,
) -> None:
    """Fetch a public data set into the cache folder and check it."""
    console = open_console()
    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def show(file: str, done: int, total: int) -> None:
            bar.update(task, description=file, completed=done, total=total)

        folder = fetch(name, data_dir, progress=show)
    console.print(f"{name}: {folder}", markup=False)
