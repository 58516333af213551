"""The whole benchmark: ceilings, then one workload after the other, as a stream of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .ceilings import Ceiling, measure_ceiling
from .measure import Row, Settings, measure
from .report import Report
from .workload import Workload


def run(workloads: Sequence[Workload], settings: Settings, report: Report) -> Iterator[Row]:
    """Measure, and put everything into the report as it comes."""
    for threads in settings.threads:
        settings.tell(f"ceilings of this machine, {threads} thread{'s' * (threads > 1)}")
        report.ceilings[threads] = measure_ceiling(threads)
    for workload in workloads:
        for row in measure(workload, settings):
            add_share(row, workload, report.ceilings[row.threads])
            report.rows.append(row)
            yield row


def add_share(row: Row, workload: Workload, ceiling: Ceiling) -> None:
    """Say which share of the fitting ceiling both reach."""
    if row.ours and row.theirs:
        row.share, row.ceiling = ceiling.share(workload.work(), row.ours)
        row.their_share, _ = ceiling.share(workload.work(), row.theirs)
