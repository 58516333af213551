"""The whole benchmark: ceilings, then one workload after the other, and all of it again, as a stream of rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from .ceilings import Ceiling, measure_ceiling
from .measure import Choices, Row, Settings, measure, worst
from .report import Report, cells
from .workload import Work, Workload


def run(workloads: Sequence[Workload], settings: Settings, report: Report) -> Iterator[Row]:
    """Measure, and put everything into the report as it comes; yields the rows, those of later runs included.

    A later run begins when all rows are through, so that a slow hour of the machine does not fall on one row alone, and
    it starts new processes. Which of PyTorch's forms is the faster it takes from the first.
    """
    for threads in settings.threads if any(workload.work() != Work() for workload in workloads) else ():
        settings.tell(f"ceilings of this machine, {threads} thread{'s' * (threads > 1)}")
        report.ceilings[threads] = measure_ceiling(threads)
    choices: Choices = {}
    begin = time.perf_counter()
    for k, workload in enumerate([*workloads] * settings.runs):
        settings.tell(progress(k, len(workloads), settings.runs, time.perf_counter() - begin))
        for row in measure(workload, settings, choices):
            if row.threads in report.ceilings:
                add_share(row, workload, report.ceilings[row.threads])
            settings.tell("  " + "  ".join(filter(None, cells(row))))
            add(report.rows, row)
            yield row


def progress(done: int, rows: int, runs: int, seconds: float) -> str:
    """How far a benchmark is: the run, the row, minutes spent, and minutes left if the rest takes as long per row."""
    where = f"row {done % rows + 1} of {rows}" + (f", run {done // rows + 1} of {runs}" if runs > 1 else "")
    left = f", about {seconds / done * (rows * runs - done) / 60:.0f} min left" if done else ""
    return f"{where} ({seconds / 60:.0f} min so far{left})"


def add(rows: list[Row], row: Row) -> None:
    """Put a row in, or the worse of it and the same row of an earlier run in its place."""
    for k, old in enumerate(rows):
        if (old.name, old.against, old.threads) == (row.name, row.against, row.threads):
            rows[k] = worst([old, row])
            return
    rows.append(row)


def add_share(row: Row, workload: Workload, ceiling: Ceiling) -> None:
    """Say which share of the fitting ceiling both reach, or ours where it stands alone."""
    if row.ours:
        row.share, row.ceiling = ceiling.share(workload.work(), row.ours)
    if row.theirs:
        row.their_share, _ = ceiling.share(workload.work(), row.theirs)
