"""`tinyslm check`: is a hand-written backward pass right, and if not, which line is to blame?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..check.finder import Outcome, check_file
from ..check.finder.templates import TEMPLATES
from ..errors import OptionError, did_you_mean
from ..files import atomic_write
from ..messages import say
from .console import choose_backend, open_console, out_file

COLOURS = {"right": "green", "wrong": "bold red", "undecided": "yellow", "cannot run": "bold red"}


def check(
    file: Annotated[Path | None, typer.Argument(help="A Python file with inputs, forward and backward.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    watch: Annotated[bool, typer.Option(help="Check again whenever the file changes.")] = False,
    new: Annotated[str | None, typer.Option(help=f"Write a right example, my_NAME.py: {', '.join(TEMPLATES)}.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Where a passed check writes its certificate (JSON).")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Limit of time.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
) -> None:
    """Check a derivation. The file is executed. Exit code 0: right, 1: wrong, 2: cannot run, 3: undecided."""
    if seed < 0:
        raise OptionError(f"--seed: expected a number of at least 0, got {seed}")
    if not seconds > 0:
        raise OptionError(f"--seconds: expected a number above 0, got {seconds:g}")
    if new is not None:
        _write(new, file or Path(f"my_{new}.py"))
        return
    if file is None:
        raise OptionError("expected a file; `tinyslm check --new lstm` writes one to start from")
    if file.is_dir():
        raise OptionError(f"{file} is a folder. Expected: a Python file with inputs, forward and backward")
    if not file.is_file():
        raise OptionError(f"{file}: no such file; `tinyslm check --new dense {file}` writes one")
    choose_backend()
    out_file(certificate, "--certificate")
    before = _state(file)
    outcome = _once(file, as_json, seconds, seed, certificate)
    while watch:
        before = _changed(file, before)
        outcome = _once(file, as_json, seconds, seed, certificate)
    sys.exit(outcome.code)


def _once(file: Path, as_json: bool, seconds: float, seed: int, certificate: Path | None) -> Outcome:
    outcome = check_file(str(file), seconds=seconds, seed=seed)
    if as_json:
        sys.stdout.write(json.dumps(outcome.json(), indent=1) + "\n")
    else:
        _show(file, outcome)
    if certificate is not None:
        _certify(file, outcome, certificate, quiet=as_json)
    sys.stdout.flush()
    return outcome


def _certify(file: Path, outcome: Outcome, path: Path, quiet: bool) -> None:
    text = say("finder.certificate.none")
    if outcome.certificate is not None:
        with atomic_write(path) as out:
            out.write(json.dumps({"file": file.name, **outcome.certificate}, indent=1).encode("utf-8"))
        text = say("finder.certificate.written", path=path)
    if not quiet:
        open_console().print("  " + text, markup=False)


def _changed(file: Path, before: tuple[int, int] | None) -> tuple[int, int] | None:
    """Wait until the file is another than it was when it was checked; gives what it is now."""
    while _state(file) in (before, None):
        time.sleep(0.3)
    return _state(file)


def _state(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # an editor is replacing it
    return found.st_mtime_ns, found.st_size


def _show(file: Path, outcome: Outcome) -> None:
    console = open_console()
    colour = COLOURS[outcome.verdict]
    console.print(f"[{colour}]{outcome.word}[/]  {escape(str(file))}  ({outcome.seconds:.1f} s)")
    for line in outcome.texts():
        console.print("  " + line, markup=False)
    source = file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if outcome.lines else []
    for number in outcome.lines:
        code = source[number - 1].strip() if number <= len(source) else ""
        if code and not any(code in f.text for f in outcome.findings):  # a sentence may have told it already
            console.print(f"  {number:>4} | {code}", markup=False)


def _write(name: str, file: Path) -> None:
    if name not in TEMPLATES:
        raise OptionError(
            f"--new: expected one of {', '.join(TEMPLATES)}; got {name!r}.{did_you_mean(name, TEMPLATES)}"
        )
    if file.exists():
        raise OptionError(f"{file} exists already; choose another name")
    with atomic_write(file) as out:
        out.write(TEMPLATES[name].encode("utf-8"))
    open_console().print(f"wrote {file}; check it with: tinyslm check {file}", markup=False)
