"""`tinyslm lessons`: the course."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid

from ..course import Outcome, lessons, run_lesson
from ..course.lessons import choose
from .console import choose_backend, open_console

lessons_app = typer.Typer(help="The course: each formula run as printed, broken or not, repaired, and checked.")


@lessons_app.command("list")
def list_lessons() -> None:
    """List the lessons with their formulas."""
    grid = Grid("lesson", "title", "formulas", "minutes to read", box=None)
    for lesson in lessons():
        grid.add_row(lesson.name, lesson.title, ", ".join(lesson.ids), str(lesson.minutes))
    open_console().print(grid)


@lessons_app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Lessons or formula IDs; all if left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("tinyslm-report"),
    backend: Annotated[str | None, typer.Option(help="numpy, numba or cuda.")] = None,
) -> None:
    """Run lessons and write their report, index.html, which opens offline. Exit code 1 if any check fails."""
    from ..course.report import write_report

    choose_backend(backend, None)
    if backend is not None:
        os.environ["TINYSLM_BACKEND"] = backend  # each lesson runs in a process of its own
    console = open_console()
    chosen = choose(list(names or ()))
    out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        for lesson in chosen:
            outcomes.append(run_lesson(lesson, Path(scratch) / lesson.name))
            _show(outcomes[-1])
        write_report(outcomes, out / "index.html")
    checks, failed = sum(len(o.checks) for o in outcomes), [o.lesson.name for o in outcomes if not o.ok]
    console.print(f"\n{len(outcomes)} lessons, {checks} checks, {sum(o.seconds for o in outcomes):.0f} s", markup=False)
    console.print(f"report: {out / 'index.html'}", markup=False)
    if failed:
        console.print(f"[bold red]failed:[/] {', '.join(failed)}")
        sys.exit(1)


def _show(o: Outcome) -> None:
    console = open_console()
    mark = "[green]ok[/]" if o.ok else "[bold red]failed[/]"
    error = "" if o.largest_error is None else f", largest gradient error {o.largest_error:.1e}"
    console.print(f"{mark} [bold]{o.lesson.title}[/]  {len(o.checks)} checks{error}, {o.seconds:.1f} s")
    for check in o.checks:
        verdict = f"  [{check['verdict']}]" if check["verdict"] else ""
        number = "" if check["error"] is None else f"  {check['error']:.1e}"
        console.print(
            f"   {'ok  ' if check['ok'] else 'FAIL'} {check['id']:<4}{check['statement']}{verdict}{number}",
            markup=False,
        )
    if not o.ok:
        console.print((_failure(o) or o.trouble)[-2000:], markup=False)


def _failure(o: Outcome) -> str:
    return next((c["output"] for c in o.cells if "Traceback" in c["output"]), "")
