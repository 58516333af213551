"""What a benchmark leaves: the table and the JSON file; `pictures.py` has the picture."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
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
        "system": platform.platform(),
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


def table(rows: Sequence[Row]) -> Grid:
    """One line per row."""
    from rich.table import Table as Grid

    grid = Grid("row", "against", "threads", "ours", "theirs", "ratio (min-max)", "at least", "share", "", box=None)
    for row in rows:
        grid.add_row(*cells(row))
    return grid


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells: times, the ratio, its goal, the share of the ceiling (theirs in brackets), remarks."""
    against = f"{row.against} {row.variant}".strip()
    goal = "" if row.least is None else f"{row.least:g} (aim {row.aim:g})" if row.aim else f"{row.least:g}"
    threads = f"{row.threads} {row.clock}"
    if row.ratio is None:
        limit = "" if row.limit is None else f"at most {duration(row.limit)}"
        return row.name, against, threads, duration(row.ours), "", "", limit, "", remarks(row)
    ratio = f"{row.ratio:.2f} ({row.lowest:.2f}-{row.highest:.2f})"
    times = duration(row.ours), duration(row.theirs)
    return row.name, against, threads, *times, ratio, goal, shares(row), remarks(row)


def duration(seconds: float | None) -> str:
    """Seconds in a fitting unit."""
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def shares(row: Row) -> str:
    """Our share of the ceiling, theirs in brackets, and which ceiling."""
    if row.share is None or row.their_share is None:
        return ""
    return f"{row.share:.0%} ({row.their_share:.0%}) {row.ceiling}"


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
    m = report.machine
    versions = ", ".join(f"{name} {v}" for name, v in m["versions"].items())
    lines = [f"{m['processor']}, {m['cores']} cores, {m['system']}, {m['date']}", f"Python {m['python']}, {versions}"]
    for c in report.ceilings.values():
        lines.append(
            f"ceilings, {c.threads} thread{'s' * (c.threads > 1)}: {c.flops / 1e9:.0f} GFLOP/s sgemm ({c.flops_by}), "
            f"{c.bandwidth / 1e9:.1f} GB/s ({c.bandwidth_by})"
        )
    return lines


def curve_line(c: Curve) -> str:
    """How far a curve went, and its fitted exponent."""
    fit = "" if c.exponent is None else f"exponent {c.exponent:.2f}"
    ends = f"{c.letter} {c.sizes[0]:,} to {c.sizes[-1]:,}" if c.sizes else ""
    return f"{c.title:<30} {c.side:<8} {ends:<20} {fit} {c.remark}".rstrip()


def peak_line(name: str, sides: Mapping[str, int]) -> str:
    """The peak memory of a training step on each side."""
    return f"peak memory {name:<18} {', '.join(f'{s} {b / 1e6:.0f} MB' for s, b in sides.items())}"


def trap_line(trap: Trap) -> str:
    """One side's steps alone and beside busy processes."""
    times = f"{duration(trap.alone)} alone, {duration(trap.beside)} beside a busy process per core"
    return f"{trap.side:<8} {times}: {trap.slower:.1f} times ({trap.lowest:.1f}-{trap.highest:.1f}); fair is 2"
