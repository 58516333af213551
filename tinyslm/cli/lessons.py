"""`tinyslm lessons`: the course."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table as Grid

from ..course import Lesson, Outcome, lessons, run_lesson
from ..course.lessons import cells, choose
from ..course.notebook import notebook as notebook_of
from ..course.progress import done, remember
from ..files import write_text
from ..messages import column, say
from ..unicode_math import in_unicode
from .console import INTERRUPTED, PATH, choose_backend, open_console, out_file, out_folder

if TYPE_CHECKING:
    from ..course.power import Power

lessons_app = typer.Typer(
    help="The course: each formula run as printed, broken or not, repaired, and checked.", invoke_without_command=True
)


@lessons_app.callback()
def root(context: typer.Context) -> None:
    """The course: each formula run as printed, broken or not, repaired, and checked."""
    if context.invoked_subcommand is None:
        list_lessons()


@lessons_app.command("list")
def list_lessons() -> None:
    """List the lessons with their part, formulas, minutes to read, and whether you have run them."""
    heads = ("part", "lesson", "title", "formulas", "minutes", "state")
    grid = Grid(*(say(f"lessons.head.{head}") for head in heads), box=None)
    grid.columns[1].no_wrap = True
    finished = done()
    for x in lessons():
        state = say("lessons.state.done" if x.name in finished else "lessons.state.not_yet")
        grid.add_row(x.part, x.name, x.title, ", ".join(x.ids), str(x.minutes), state)
    open_console().print(grid)


@lessons_app.command()
def show(
    name: Annotated[str, typer.Argument(help="A lesson or a formula ID.")],
    solution: Annotated[bool, typer.Option(help="Show the solutions too.")] = False,
) -> None:
    """Read a lesson in the terminal, with its formulas as characters."""
    console = open_console()
    for lesson in choose([name]):
        for cell in cells(lesson.path.read_text(encoding="utf-8")):
            if cell.kind == "markdown":
                console.print(Markdown(in_unicode(cell.text)))
            elif cell.kind == "code" or solution:
                console.print(Syntax(cell.text.strip("\n"), "python", background_color="default"))
            else:
                console.print(say("lessons.solution"), style="dim")
            console.print()


@lessons_app.command()
def notebook(
    name: Annotated[str, typer.Argument(help="A lesson.")],
    out: Annotated[Path | None, typer.Option(help="The file; NAME.ipynb here if left out.")] = None,
) -> None:
    """Write a lesson as a notebook."""
    (lesson, *_) = choose([name])
    path = out or Path(f"{lesson.name}.ipynb")
    out_file(path, "--out")
    write_text(path, notebook_of(lesson))
    open_console().print(say("lessons.notebook", path=path), markup=False)


@lessons_app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(help="Lessons, parts (I to V) or formula IDs; all if left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.", **PATH)] = Path("tinyslm-report"),
    backend: Annotated[str | None, typer.Option(help="numpy, numba or cuda.")] = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Run lessons and write their report, index.html, which opens offline. Exit code 1 if any check fails."""
    from ..course.report import write_report

    choose_backend(backend)
    if backend is not None:
        os.environ["TINYSLM_BACKEND"] = backend  # each lesson runs in a process of its own
    console = open_console()
    chosen = choose(list(names or ()))
    out_folder(out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = _run_all(chosen, Path(scratch))
        write_report(outcomes, out / "index.html")
    if len(outcomes) < len(chosen):
        told = say("lessons.interrupted", n=len(outcomes), all=len(chosen), path=out / "index.html")
        console.print(told, markup=False)
        sys.exit(INTERRUPTED)
    checks, failed = sum(len(o.checks) for o in outcomes), [o.lesson.name for o in outcomes if not o.ok]
    seconds = sum(o.seconds for o in outcomes)
    console.print(f"\n{say('lessons.count', n=len(outcomes), checks=checks, seconds=seconds)}", markup=False)
    console.print(say("lessons.report", path=out / "index.html"), markup=False)
    if open_report:
        webbrowser.open((out / "index.html").resolve().as_uri())
    if failed:
        console.print(f"[bold red]{say('lessons.failed')}[/] {', '.join(failed)}")
        sys.exit(1)


def _run_all(chosen: list[Lesson], scratch: Path) -> list[Outcome]:
    """What came of each lesson; after Ctrl-C, of those that were finished by then. KeyboardInterrupt if none was."""
    outcomes: list[Outcome] = []
    try:
        for lesson in chosen:
            outcomes.append(run_lesson(lesson, scratch / lesson.name))
            _show(outcomes[-1])
            if outcomes[-1].ok:
                remember(lesson)
    except KeyboardInterrupt:
        if not outcomes:
            raise
    return outcomes


@lessons_app.command()
def power(
    names: Annotated[list[str], typer.Argument(help="Lessons, parts or formula IDs, or all.")],
    every: Annotated[bool, typer.Option("--all", help="Try all mutants in place of a sample.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    keep: Annotated[bool, typer.Option("--store", help="Keep the result beside the lessons, in power.json.")] = False,
    stale: Annotated[bool, typer.Option(help="Only lessons that changed since they were measured.")] = False,
) -> None:
    """Plant mistakes in what lessons build, and count those that their checks catch. Exit code 1 below 95 %."""
    from ..course.power import LEAST, SAMPLE, is_current, measure, store

    choose_backend()
    found = []
    for lesson in choose(names):
        if stale and is_current(lesson):
            continue
        found.append(measure(lesson, None if every else SAMPLE))
        if keep:
            store(found[-1:], [x.name for x in lessons()])
        if not as_json:
            _show_power(found[-1])
    if as_json:
        typer.echo(json.dumps([p.record() for p in found], ensure_ascii=False, indent=1))
    if low := [p.lesson for p in found if p.share < LEAST]:
        open_console(stderr=True).print(say("lessons.power.low", least=LEAST, names=", ".join(low)), markup=False)
        sys.exit(1)


def _show_power(p: Power) -> None:
    lines = [say("lessons.power", name=p.lesson, mistakes=p.caught + len(p.survived), share=p.share,
                 caught=p.caught, equivalent=len(p.equivalent), tried=p.tried, mutants=p.mutants)]  # fmt: skip
    lines += [say("lessons.power.survived", text=text) for text in p.survived]
    open_console().print("\n".join(lines), markup=False)


def _show(o: Outcome) -> None:
    console = open_console()
    mark = f"[green]{say('lessons.verdict.ok')}[/]" if o.ok else f"[bold red]{say('lessons.verdict.failed')}[/]"
    error = "" if o.largest_error is None else say("lessons.largest_error", error=o.largest_error)
    checks = say("lessons.checks", n=len(o.checks))
    console.print(f"{mark} [bold]{escape(o.lesson.title)}[/]  {checks}{error}, {o.seconds:.1f} s")
    for check in o.checks:
        held = column(say("lessons.mark.ok" if check["ok"] else "lessons.mark.failed"), 5)
        verdict = f"  [{check['verdict']}]" if check["verdict"] else ""
        number = "" if check["error"] is None else f"  {check['error']:.1e}"
        console.print(f"   {held}{check['id']:<4}{check['statement']}{verdict}{number}", markup=False)
    if not o.ok:
        console.print((_failure(o) or o.trouble)[-2000:], markup=False)


def _failure(o: Outcome) -> str:
    return next((c["output"] for c in o.cells if "Traceback" in c["output"]), "")
