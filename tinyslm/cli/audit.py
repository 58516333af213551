"""`tinyslm audit`: every formula of the articles, judged by questions that run now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import PATH, choose_backend, open_console, out_file, out_folder


def audit(
    ids: Annotated[list[str] | None, typer.Argument(help="IDs such as B8, A, or A1-A6; all if left out.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also run what takes long (measurements).")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="The same, for the IDs that are named.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page that opens offline.", **PATH)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the picture of a single ID.", **PATH)] = None,
) -> None:
    """Judge the formulas of both articles; with one ID, tell the whole story. Exit code 1 if a verdict differs."""
    from ..audit import audit as run
    from ..audit import chosen, report

    choose_backend()
    if out is not None:
        out_folder(out)
    out_file(html, "--html")
    names = list(ids or ())
    single = len(names) == 1 and len(chosen(names)) == 1
    console, results = open_console(), []
    for record in chosen(names):
        slow = everything or measure or single
        results.append(run(record, measure=slow or not record.slow))
        if not as_json and not single:
            console.print(report.line(results[-1]), markup=False)
    if as_json:
        typer.echo(report.to_json(results))
    elif single:
        console.print("\n".join(report.story(results[0])), markup=False)
    if single:
        _save_picture(results[0], out, quiet=as_json)
    if html is not None:
        report.write_html(results, html)
    _conclude(results, quiet=as_json or single)


def _save_picture(result: Any, out: Path | None, quiet: bool) -> None:
    """Write the picture into --out, or say how to have it written."""
    from .. import plot
    from ..audit import report

    if result.record.picture is None:
        return
    if out is None:
        told = report.say("picture_option", id=result.record.id)
    else:
        out.mkdir(parents=True, exist_ok=True)
        told = report.say("picture", path=plot.save(report.picture(result), out / f"{result.record.id}.png"))
    if not quiet:
        open_console().print(told, markup=False)


def _conclude(results: list, quiet: bool) -> None:
    from ..audit import report

    bad = [r.record.id for r in results if not r.ok]
    if not quiet:
        text = report.say("not_all", ids=", ".join(bad)) if bad else report.say("all")
        seconds = sum(r.seconds for r in results)
        open_console().print(f"\n{report.say('count', n=len(results), seconds=seconds)} {text}", markup=False)
    if bad:
        sys.exit(1)
