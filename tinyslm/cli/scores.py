"""Scores as tables in the terminal: per class, which is taken for which, and by style.

Labels go in as `Text`: in a plain string rich would take their brackets for colours.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ..metrics import ClassReport

# A matrix with more columns than this fits no terminal; its largest mistakes are listed instead.
MOST_COLUMNS = 12


def show_scores(console: Console, report: ClassReport, by_style: dict[str, tuple[float, int]]) -> None:
    """Print a classifier's scores."""
    console.print(str(report), markup=False)
    console.print()
    console.print(confusion_grid(report) if len(report.labels) <= MOST_COLUMNS else mistakes_grid(report))
    if by_style:
        console.print(style_grid(by_style))


def confusion_grid(report: ClassReport) -> Grid:
    """The confusion matrix: a row for each true class, a column for each predicted one."""
    grid = _grid("confusion: true class")
    for label in report.labels:
        grid.add_column(Text(f"as {label}"), justify="right", overflow="fold")
    for label, row in zip(report.labels, report.confusion, strict=True):
        grid.add_row(Text(label), *map(str, row))
    return grid


def mistakes_grid(report: ClassReport, most: int = 10) -> Grid:
    """The most frequent confusions of two classes."""
    pairs = [(n, t, p) for t, row in enumerate(report.confusion) for p, n in enumerate(row) if n and t != p]
    grid = _grid(f"most frequent of {len(pairs)} confusions: true class", "taken for", "items")
    for count, true, taken in sorted(pairs, key=lambda x: -x[0])[:most]:
        grid.add_row(Text(report.labels[true]), Text(report.labels[taken]), str(count))
    return grid


def style_grid(by_style: dict[str, tuple[float, int]]) -> Grid:
    """Accuracy by the column `style` of the data."""
    grid = _grid("style", "accuracy", "texts")
    for style, (accuracy, rows) in by_style.items():
        grid.add_row(Text(style), f"{accuracy:.1%}", str(rows))
    return grid


def _grid(*headers: str) -> Grid:
    return Grid(*headers, box=None, pad_edge=False)
