"""What a benchmark leaves: the table and the JSON file; `pictures.py` has the picture."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..files import write_text
from .ceilings import Ceiling
from .measure import Row

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from .growth import Curve
    from .trap import Trap

PACKAGES = ("numpy", "numba", "torch", "jax", "keras", "gensim")


@dataclass
class Report:
    """All rows, and what they were measured on."""

    rows: list[Row]
    ceilings: dict[int, Ceiling] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=lambda: machine())

    def to_json(self) -> dict[str, Any]:
        """Everything, in JSON's types."""
        ceilings = [asdict(c) for c in self.ceilings.values()]
        return {"machine": self.machine, "ceilings": ceilings, "rows": [asdict(row) for row in self.rows]}


def machine() -> dict[str, Any]:
    """Processor, cores, system, versions, date."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"tinyslm": __version__, **{n: v for n in PACKAGES if (v := version(n))}},
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # no Linux
        pass
    return platform.processor() or platform.machine()


def version(package: str) -> str:
    """The installed version, or ""."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write numbers to a file, one a line."""
    write_text(path, json.dumps(value, indent=1) + "\n")


# -- the table --------------------------------------------------------------------------------------------------------


COLUMNS = ("row", "against", "threads", "ours", "theirs", "ratio (min-max)", "at least", "share", "memory", "")


def table(rows: Sequence[Row]) -> Grid:
    """One line per row."""
    from rich.table import Table as Grid

    grid = Grid(*COLUMNS, box=None)
    for row in rows:
        grid.add_row(*cells(row))
    return grid


def markdown(report: Report, command: str) -> str:
    """The table to paste into a document, with the command, the machine and the date, and what the rows are."""
    titles = {row.name: row.title for row in report.rows}
    table = pipes([*COLUMNS[:-1], "remark"], map(cells, report.rows))
    lines = [f"`{command}`", "", *(f"{line}  " for line in headlines(report)), "", *table, ""]
    lines += ["Rows: " + "; ".join(f"{name} {title}" for name, title in titles.items()) + ".", "", LEGEND]
    return "\n".join(lines) + "\n"


LEGEND = (
    "Ratio: their time over ours, the median over pairs of alternating blocks, of several runs the worst; in brackets "
    "the smallest and the largest pair. Share: of the machine's measured ceiling for products of matrices (sgemm) or "
    "for memory, ours and in brackets theirs. Memory: the most that the process held until its first steps were done, "
    "ours and in brackets theirs, uncompiled. One thread is measured as CPU time, more as wall time."
)


def pipes(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    body = [" | ".join(cell.replace("|", "/") for cell in row) for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'|'.join(['---'] * len(head))}|", *(f"| {line} |" for line in body)]


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells: times, the ratio, its goal, shares of the ceiling and memory (theirs in brackets), remarks."""
    against = f"{row.against} {row.variant}".strip()
    goal = "" if row.least is None else f"{row.least:g} (aim {row.aim:g})" if row.aim else f"{row.least:g}"
    threads = f"{row.threads} {row.clock}"
    if row.ratio is None:
        limit = "" if row.limit is None else f"at most {duration(row.limit)}"
        return row.name, against, threads, speed(row, row.ours), "", "", limit, shares(row), memory(row), remarks(row)
    ratio = f"{row.ratio:.2f} ({row.lowest:.2f}-{row.highest:.2f})"
    times = speed(row, row.ours), speed(row, row.theirs)
    return row.name, against, threads, *times, ratio, goal, shares(row), memory(row), remarks(row)


def speed(row: Row, seconds: float | None) -> str:
    """The time of a step, and beside it how many words or tokens that are in a second."""
    if not row.amount or not seconds:
        return duration(seconds)
    return f"{duration(seconds)}, {row.amount / seconds:,.0f} {row.unit}/s"


def duration(seconds: float | None) -> str:
    """Seconds in a fitting unit."""
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def shares(row: Row) -> str:
    """Our share of the ceiling, theirs in brackets where it was measured, and which ceiling."""
    if row.share is None:
        return ""
    theirs = "" if row.their_share is None else f" ({row.their_share:.0%})"
    return f"{row.share:.0%}{theirs} {row.ceiling}"


def memory(row: Row) -> str:
    """The most that the process has held after the first steps, theirs in brackets where it was measured."""
    ours, theirs = (row.memory.get(side, {}).get("peak") for side in ("ours", "theirs"))
    if ours is None:
        return ""
    return f"{ours / 1e6:.0f} MB" + ("" if theirs is None else f" ({theirs / 1e6:.0f} MB)")


def remarks(row: Row) -> str:
    """Below the goal, more memory, several runs."""
    notes = [row.remark]
    if row.least is not None and row.ratio is not None and row.ratio < row.least:
        notes.append("below the goal")
    if row.limit is not None and row.ours is not None and row.ours > row.limit:
        notes.append("above the limit")
    if len(row.medians) > 1:
        notes.append(f"worst of {', '.join(f'{m:.2f}' for m in row.medians)}")
    return "; ".join(filter(None, notes))


def headlines(report: Report) -> list[str]:
    """Machine, versions, ceilings, in lines."""
    lines = machine_lines(report.machine)
    for c in report.ceilings.values():
        lines.append(
            f"ceilings, {c.threads} thread{'s' * (c.threads > 1)}: {c.flops / 1e9:.0f} GFLOP/s sgemm ({c.flops_by}), "
            f"{c.bandwidth / 1e9:.1f} GB/s ({c.bandwidth_by})"
        )
    return lines


def machine_lines(m: Mapping[str, Any]) -> list[str]:
    """Machine and versions, in two lines."""
    versions = ", ".join(f"{name} {v}" for name, v in m["versions"].items())
    return [f"{m['processor']}, {m['cores']} cores, {m['system']}, {m['date']}", f"Python {m['python']}, {versions}"]


def curve_line(c: Curve) -> str:
    """How far a curve went, and its fitted exponent."""
    fit = "" if c.exponent is None else f"exponent {c.exponent:.2f}"
    ends = f"{c.letter} {c.sizes[0]:,} to {c.sizes[-1]:,}" if c.sizes else ""
    return f"{c.title:<30} {c.side:<8} {ends:<20} {fit} {c.remark}".rstrip()


def peak_line(name: str, sides: Mapping[str, Mapping[str, int]]) -> str:
    """The peak memory of the first training steps on each side: of the process, and above what it was before them."""
    told = [f"{side} {m['peak'] / 1e6:.0f} MB, {m['above'] / 1e6:.0f} above the start" for side, m in sides.items()]
    return f"peak memory {name:<4} {'; '.join(told)}"


def trap_line(trap: Trap) -> str:
    """One side's steps alone and beside busy processes."""
    times = f"{duration(trap.alone)} alone, {duration(trap.beside)} beside a busy process per core"
    return f"{trap.side:<8} {times}: {trap.slower:.1f} times ({trap.lowest:.1f}-{trap.highest:.1f}); fair is 2"
