"""Rows whose work is a whole process: it is started, waited for, and timed from outside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from .measure import OURS, Row, Settings, empty_row, fill_ratio, note, sides, told, why_not
from .process import ContenderError, environment
from .workload import Workload

LEAST_PAIRS = 3  # of processes in a run: each takes seconds, and what it takes is the mean of much
SCRIPTS = Path(__file__).parent / "scripts"


@dataclass
class Finished:
    """What a process took, in seconds, and what it said."""

    cpu: float
    wall: float
    out: str
    err: str

    def seconds(self, threads: int) -> float:
        """The time that counts: of the CPU with one thread, else of the clock on the wall."""
        return self.cpu if threads == 1 else self.wall


def finish(words: list[str], threads: int, **env: str) -> Finished:
    """Run Python with these words.

    Raises:
        ContenderError: the process failed; the last line that it wrote.
    """
    cpu, wall = _cpu_of_children(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], env=environment(threads, **env), capture_output=True, encoding="utf-8",
        errors="replace", check=False,
    )  # fmt: skip
    wall = time.perf_counter() - wall
    if done.returncode:
        raise ContenderError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    spent = _cpu_of_children()
    return Finished(wall if cpu is None or spent is None else spent - cpu, wall, done.stdout, done.stderr)


def _cpu_of_children() -> float | None:
    """CPU seconds of all processes that were waited for; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


Run = Callable[[], Finished]


@dataclass(frozen=True)
class Commands(Workload):
    """A workload of whole processes. `runs` gives one function per contender; `result` reads what is compared."""

    tolerance: float = 1e-4  # the results may differ by so much
    others: ClassVar[tuple[str, ...]] = ()  # whom `runs` has beside ours

    def contenders(self) -> list[str]:
        """Ours and the others: there is no method for each."""
        return [OURS, *self.others]

    def runs(self, folder: Path, threads: int, settings: Settings) -> Mapping[str, Run]:
        """How each contender is run once."""
        raise NotImplementedError

    def result(self, done: Finished) -> float:
        """The number that a process ended with."""
        return float(done.out.split()[-1])

    def measured(self, settings: Settings) -> list[Row]:
        """The rows, as `measure` gives them for other workloads."""
        rows = []
        for threads in settings.threads:
            with tempfile.TemporaryDirectory() as folder:
                runs = self.runs(Path(folder), threads, settings)
                rows += [self._row(name, runs, threads, settings) for name in sides(runs, settings)]
        return rows

    def _row(self, against: str, runs: Mapping[str, Run], threads: int, settings: Settings) -> Row:
        row = empty_row(self, against, threads)
        row.remark = why_not(against, runs)
        if against in runs:
            names = {"ours": OURS} if row.remark else {"ours": OURS, "theirs": against}
            settings.tell(told(self, threads, [] if row.remark else [against]))
            try:
                self._take(row, {side: runs[name] for side, name in names.items()}, settings)
            except ContenderError as error:
                note(row, f"failed: {error}")
        return row

    def _take(self, row: Row, runs: Mapping[str, Run], settings: Settings) -> None:
        results = {side: self.result(run()) for side, run in runs.items()}  # also fills disk caches, compiles kernels
        row.losses = {side: [result] for side, result in results.items()}
        if "theirs" in results and not abs(results["ours"] - results["theirs"]) <= self.tolerance:
            row.void, row.remark = True, f"void: results {results['ours']:.4f} and {results['theirs']:.4f}"
            return
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        order = list(runs)
        for _ in range(max(LEAST_PAIRS, -(-settings.repeats // settings.runs))):
            for side in order:
                times[side].append(runs[side]().seconds(row.threads))
            order.reverse()
        fill_ratio(row, times["ours"], times["theirs"])


def seconds_row(workload: Workload, against: str, threads: int, seconds: list[float], limit: float) -> Row:
    """A row without a ratio: a time that must stay below a limit."""
    row = empty_row(workload, against, threads)
    row.ours, row.lowest, row.highest, row.limit = median(seconds), min(seconds), max(seconds), limit
    return row


def script(name: str, *words: Any) -> list[str]:
    """Python's words for one of the scripts."""
    return [str(SCRIPTS / name), *map(str, words)]
