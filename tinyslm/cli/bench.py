"""`tinyslm bench`: the library against others, on this machine."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..errors import OptionError
from .console import choose_backend, open_console, out_file

N = TypeVar("N", int, float)

SPECIAL = {"growth": ("json", "plot"), "trap": ("json",)}  # measurements that are no rows, and the files they write

if TYPE_CHECKING:
    from ..bench.workload import Workload


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Rows such as W1, W7 or W5-256; growth; trap. All rows if left out.")
    ] = None,
    against: Annotated[str, typer.Option(help="Whom to compare with: torch, jax, keras, gensim.")] = "torch,gensim",
    threads: Annotated[str, typer.Option(help="Numbers of threads; 1 is measured as CPU time.")] = "1,2",
    repeats: Annotated[int, typer.Option(help="Pairs of blocks in a run.")] = 7,
    seconds: Annotated[float, typer.Option(help="Length of a block.")] = 0.3,
    runs: Annotated[int, typer.Option(help="Repeat everything so often; the worst median counts.")] = 1,
    compile_limit: Annotated[float, typer.Option(help="Seconds for torch.compile; 0 does not try it.")] = 120.0,
    data: Annotated[Path | None, typer.Option(help="Folder with the shared data sets.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all numbers to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture, .png or .svg, to this file.")] = None,
    backend: Annotated[
        str | None, typer.Option(help="numpy, numba or cuda; with cuda rows of their own, on the GPU.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the rows and leave.")] = False,
) -> None:
    """Measure training and inference against other libraries: same weights and data, results compared first."""
    from ..bench.measure import Settings

    chosen = list(names or ())
    if show_list:
        return _list(chosen, backend)
    choose_backend(backend)
    if backend is not None:
        os.environ["TINYSLM_BACKEND"] = backend  # each contender runs in a process of its own
    console = open_console(stderr=True)
    settings = Settings(
        against=_words(against, ("torch", "jax", "keras", "gensim")),
        threads=tuple(_number("threads", word) for word in threads.split(",")),
        repeats=_at_least(1, "repeats", repeats),
        seconds=_at_least(0, "seconds", seconds),
        runs=_at_least(1, "runs", runs),
        compile_limit=compile_limit,
        folder=data,
        tell=lambda text: console.print(text, style="dim", markup=False),
    )
    special = backend != "cuda" and _is_special(chosen, {"markdown": markdown, "plot": plot}, runs)
    if not special:
        _rows(chosen, backend)  # names that are none are refused before a folder is made
    for option, path in {"--json": json, "--markdown": markdown, "--plot": plot}.items():
        out_file(path, option)
    if backend == "cuda":
        return _gpu(chosen, settings, json, markdown, plot)
    if special:
        return {"growth": _growth, "trap": _trap}[chosen[0]](settings, json, plot)
    _run(chosen, settings, json, markdown, plot)


def _is_special(names: list[str], files: dict[str, Path | None], runs: int) -> bool:
    """Whether one of SPECIAL is meant; refused with rows, with a file that it does not write, and with more runs."""
    name = next((name for name in names if name in SPECIAL), None)
    if name is None:
        return False
    if len(names) > 1:
        raise OptionError(f"{name} is no row and stands alone: expected `tinyslm bench {name}`; got {' '.join(names)}")
    for option, path in files.items():
        if path is not None and option not in SPECIAL[name]:
            raise OptionError(f"--{option}: {name} writes {' and '.join(f'--{x}' for x in SPECIAL[name])}; got {path}")
    if runs > 1:
        raise OptionError(f"--runs: {name} is measured once; repeat the command instead. Got {runs}")
    return True


def _run(names: list[str], settings: Any, json: Path | None, markdown: Path | None, plot: Path | None) -> None:
    from ..bench import report as reports
    from ..bench.run import run
    from ..bench.workloads import choose

    workloads, report, console = choose(names), reports.Report([]), open_console()
    for _ in run(workloads, settings, report):  # after each row, so that an interrupted run leaves what it has
        if json is not None:
            reports.write_json(report.to_json(), json)
        if markdown is not None:
            reports.write_text(markdown, reports.markdown(report, _words_typed()))
    for line in reports.headlines(report):
        console.print(line, markup=False)
    console.print(reports.table(report.rows))
    if plot is not None:
        from ..bench.pictures import ratios_picture

        ratios_picture(report.rows, plot)


def _words_typed() -> str:
    """The command without its files, as one types it again."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if word in ("--json", "--markdown", "--plot", "--data"):
            next(words, None)
        elif not word.startswith(("--json=", "--markdown=", "--plot=", "--data=")):
            kept.append(word)
    return shlex.join(["tinyslm", *kept])


def _growth(settings: Any, json: Path | None, plot: Path | None) -> None:
    from ..bench import growth, pictures, report

    curves, peaks, machine = [], {}, report.machine()
    for curve in growth.grow(settings):
        curves.append(curve)
        typer.echo(report.curve_line(curve))
    for name, sides in growth.peaks(settings):
        peaks[name] = sides
        typer.echo(report.peak_line(name, sides))
    if json is not None:
        plain = [asdict(curve) | {"exponent": curve.exponent} for curve in curves]
        report.write_json({"machine": machine, "curves": plain, "peaks": peaks}, json)
    if plot is not None:
        threads = settings.threads[0]
        clock = f"{threads} thread{'s' * (threads > 1)}, {'CPU' if threads == 1 else 'wall'} time"
        pictures.growth_picture(curves, plot, "\n".join([*report.machine_lines(machine), f"{_words_typed()}: {clock}"]))


def _trap(settings: Any, json: Path | None, plot: Path | None) -> None:
    from ..bench import report, trap

    found = []
    for one in trap.traps(settings):
        found.append(one)
        typer.echo(report.trap_line(one))
    if json is not None:
        report.write_json({"machine": report.machine(), "trap": [asdict(one) for one in found]}, json)


def _gpu(names: list[str], settings: Any, json: Path | None, markdown: Path | None, plot: Path | None) -> None:
    from ..bench import gpu
    from ..bench import report as reports
    from ..bench.workloads.cuda import choose_for_gpu

    report, rows, console = reports.Report([]), [], open_console()
    for row in gpu.run_on_gpu(choose_for_gpu(names), settings, report):
        rows.append(row)
        if json is not None:
            plain = [asdict(row) | {"speedup": row.speedup} for row in rows]
            reports.write_json(report.to_json() | {"rows": plain}, json)
        if markdown is not None:
            reports.write_text(markdown, gpu.gpu_markdown(report, _words_typed()))
    for line in gpu.gpu_headlines(report):
        console.print(line, markup=False)
    console.print(gpu.gpu_table(rows))
    if plot is not None:
        from ..bench.pictures import ratios_picture

        ratios_picture(report.rows, plot)


def _list(names: list[str], backend: str | None) -> None:
    for workload in _rows(names, backend):
        typer.echo(line_of(workload))


def _rows(names: list[str], backend: str | None) -> Sequence[Workload]:
    from ..bench.workloads import choose, cuda

    return cuda.choose_for_gpu(names) if backend == "cuda" else choose(names)


def line_of(workload: Workload) -> str:
    """A workload in one line: name, contenders, what it is."""
    return f"{workload.name:<15} {', '.join(workload.contenders()):<24} {workload.title}"


def _words(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    wrong = [word for word in words if word not in known]
    if wrong or not words:
        raise OptionError(f"--against: expected some of {', '.join(known)}; got {text!r}")
    return words


def _number(name: str, word: str) -> int:
    if not word.strip().isdigit():
        raise OptionError(f"--{name}: expected numbers such as 1,2; got {word!r}")
    return _at_least(1, name, int(word))


def _at_least(least: int, name: str, value: N) -> N:
    if value < least:
        raise OptionError(f"--{name}: expected at least {least}, got {value}")
    return value
