"""From workloads to rows: compare what the contenders compute, then let blocks alternate."""

from __future__ import annotations

import importlib.util
import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .process import ContenderError, Process
from .workload import Workload, save_arrays

OURS = "tinyslm"
PACKAGES = {"torch": "torch", "jax": "jax", "keras": "keras", "gensim": "gensim"}


@dataclass
class Settings:
    """How to measure.

    repeats: pairs of blocks. seconds: length of a block. runs: the whole thing again; the worst median counts.
    compile_limit: seconds that torch.compile may take for its first step; 0 does not try it.
    """

    against: tuple[str, ...] = ("torch",)
    threads: tuple[int, ...] = (1, 2)
    repeats: int = 7
    seconds: float = 0.3
    runs: int = 1
    compile_limit: float = 120.0
    seed: int = 0
    folder: Path | None = None  # where shared data sets are, for the workloads that read one
    tell: Callable[[str], None] = field(default=lambda text: None)


@dataclass
class Row:
    """One line of the table: a workload, a contender, a number of threads. Times in seconds."""

    name: str
    title: str
    against: str
    threads: int
    clock: str
    least: float | None = None
    aim: float | None = None
    limit: float | None = None  # seconds that `ours` should stay below, in rows without a ratio
    variant: str = ""  # which form of the contender was the fastest
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None  # the worst run's median
    lowest: float | None = None
    highest: float | None = None
    medians: list[float] = field(default_factory=list)  # of each run
    losses: dict[str, list[float]] = field(default_factory=dict)  # first and last, ours and theirs
    memory: dict[str, Any] = field(default_factory=dict)  # bytes at the peak, ours and theirs
    share: float | None = None  # of the ceiling that fits, ours
    their_share: float | None = None
    ceiling: str = ""
    remark: str = ""  # why there is no ratio
    void: bool = False  # the contenders do not compute the same
    load: float | None = None  # how many processes wanted the cores besides, when it began


# -- the numbers ------------------------------------------------------------------------------------------------------


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest and largest of theirs / ours, pair by pair."""
    each = [b / a for a, b in zip(ours, theirs, strict=True)]
    return median(each), min(each), max(each)


def mismatch(mine: dict[str, np.ndarray], other: dict[str, np.ndarray], first: float, later: float) -> str:
    """The first tensor in which two contenders differ, in words; "" if there is none.

    A difference is measured against the largest number of the other's tensor; `outcome` may differ by `later`, all
    else by `first`.
    """
    for name in sorted({*mine, *other}, key=lambda n: (n == "outcome", n)):
        if name not in mine or name not in other:
            return f"{name}: only {'ours' if name in mine else 'theirs'} has it"
        a, b = mine[name], other[name]
        if a.shape != b.shape:
            return f"{name}: shapes {a.shape} and {b.shape}"
        error = relative_error(a, b)
        limit = later if name == "outcome" else first
        if not error <= limit:
            return f"{name}: relative error {error:.1e}, allowed {limit:.0e}"
    return ""


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference over the largest number of b; NaN where either holds one."""
    scale = float(np.abs(b).max(initial=0)) or 1.0
    return float(np.abs(a.astype(np.float64) - b).max(initial=0)) / scale


# -- rows -------------------------------------------------------------------------------------------------------------


def measure(workload: Workload, settings: Settings) -> list[Row]:
    """The rows of a workload: one per number of threads and contender."""
    once = getattr(workload, "measured", None) or (lambda settings: measured_rows(workload, settings))
    runs = [once(settings) for _ in range(settings.runs)]
    return [worst(list(same)) for same in zip(*runs, strict=True)]


def measured_rows(workload: Workload, settings: Settings) -> list[Row]:
    """The rows of one run: for each number of threads, one per contender."""
    return [row for threads in settings.threads for row in _run(workload, threads, settings)]


def worst(runs: list[Row]) -> Row:
    """Of several runs' rows the one that counts: a void or failed one, else that with the smallest median."""
    medians = [row.ratio for row in runs if row.ratio is not None]
    chosen = min(runs, key=lambda row: -1.0 if row.ratio is None else row.ratio)
    chosen.medians = medians
    return chosen


def _run(workload: Workload, threads: int, settings: Settings) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        case = Case(workload, threads, settings, Path(folder), processes)
        rows = [empty_row(workload, name, threads) for name in settings.against]
        try:
            ours = case.start(OURS, {})
        except ContenderError as error:
            for row in rows:
                row.remark = f"ours failed: {error}"
            return rows
        rivals = {}
        for row in rows:
            settings.tell(f"{workload.name}, {threads} thread{'s' * (threads > 1)}, against {row.against}")
            found = _rival(case, row, ours)
            if found is not None:
                rivals[row.against] = found
        _alternate(case, ours, rivals, [row for row in rows if row.against in rivals])
        return rows


def empty_row(workload: Workload, against: str, threads: int) -> Row:
    """A row in which nothing is measured yet."""
    clock = "CPU" if threads == 1 else "wall"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Row(workload.name, workload.title, against, threads, clock, workload.least, workload.aim, load=load)


class Case:
    """What all contenders of a row share: the arrays in a file, and the settings; threads None: whatever is default."""

    def __init__(self, workload: Workload, threads: int | None, settings: Settings, folder: Path, processes: ExitStack):
        self.workload, self.threads, self.settings, self.folder = workload, threads, settings, folder
        self.processes = processes
        save_arrays(folder / "case.npz", workload.arrays(np.random.default_rng(settings.seed)))

    def start(self, contender: str, options: dict[str, Any], patience: float = 900.0) -> Contender:
        """Start a process, build the session, and let it take the steps of the comparison."""
        process = self.processes.enter_context(Process(self.threads))
        process.ask(
            "build", workload=self.workload.name, sizes=self.workload.sizes(), contender=contender, options=options,
            arrays=str(self.folder / "case.npz"), threads=self.threads,
        )  # fmt: skip
        file = self.folder / f"{contender}{len(list(self.folder.iterdir()))}.npz"
        answer = process.ask("check", patience, to=str(file))
        with np.load(file) as found:
            made = {name: found[name] for name in found.files}
        return Contender(process, made, [answer["first_loss"], answer["last_loss"]], self.clock)

    @property
    def clock(self) -> str:
        """Which of a block's two times counts."""
        return "cpu" if self.threads == 1 else "wall"


@dataclass
class Contender:
    """A process that is ready, and what it computed."""

    process: Process
    made: dict[str, np.ndarray]
    losses: list[float]
    clock: str

    def block(self, seconds: float) -> float:
        """The median time of a step in a block."""
        return self.process.ask("block", seconds=seconds)[self.clock]


def _rival(case: Case, row: Row, ours: Contender) -> Contender | None:
    """The fastest form of a contender that computes the same as ours; None, and a remark, where there is none."""
    if row.against not in case.workload.contenders():
        row.remark = "this row has no such contender"
        return None
    if importlib.util.find_spec(PACKAGES[row.against]) is None:
        row.remark = "not installed"
        return None
    try:
        rival = case.start(row.against, {})
        wrong = _differs(case, ours, rival)
    except ContenderError as error:
        row.remark = f"failed: {error}"
        return None
    if wrong:
        row.void, row.remark = True, f"void: {wrong}"
        return None
    return _best_form(case, row, ours, rival)


def _differs(case: Case, ours: Contender, rival: Contender) -> str:
    return mismatch(ours.made, rival.made, case.workload.first_tolerance, case.workload.later_tolerance)


def _best_form(case: Case, row: Row, ours: Contender, eager: Contender) -> Contender:
    """PyTorch's faster form: as it is, or compiled, where that works, computes the same and does not take too long."""
    if "compiled" not in inspect.signature(getattr(case.workload, row.against)).parameters:
        return eager
    row.variant, limit = "eager", case.settings.compile_limit
    if limit <= 0:
        return eager
    try:
        compiled = case.start("torch", {"compiled": True}, limit)
    except ContenderError as error:
        row.variant = f"eager (compile: {str(error).splitlines()[0][:60]})"
        return eager
    if _differs(case, ours, compiled):
        row.variant = "eager (compile: other results)"
        return eager
    forms = {"eager": eager, "compile": compiled}
    times = {name: min(form.block(0.2) for _ in range(2)) for name, form in forms.items()}
    best = min(times, key=lambda name: times[name])
    row.variant = f"{best} ({max(times.values()) / min(times.values()):.2f}x the other)"
    forms["compile" if best == "eager" else "eager"].process.close()
    return forms[best]


def _alternate(case: Case, ours: Contender, rivals: dict[str, Contender], rows: list[Row]) -> None:
    """Blocks in turns, and the turn reversed each time; fills the rows."""
    everybody = {OURS: ours, **rivals}
    times: dict[str, list[float]] = {name: [] for name in everybody}
    order = list(everybody)
    try:
        for _ in range(case.settings.repeats if rows else 0):
            for name in order:
                times[name].append(everybody[name].block(case.settings.seconds))
            order.reverse()
    except ContenderError as error:
        for row in rows:
            row.remark = f"failed while measuring: {error}"
        return
    for row in rows:
        _fill(row, times[OURS], times[row.against], ours, rivals[row.against])


def _fill(row: Row, mine: list[float], others: list[float], ours: Contender, rival: Contender) -> None:
    fill_ratio(row, mine, others)
    row.losses = {"ours": ours.losses, "theirs": rival.losses}
    row.memory = {"ours": ours.process.ask("memory"), "theirs": rival.process.ask("memory")}


def fill_ratio(row: Row, mine: Sequence[float], others: Sequence[float]) -> None:
    """Put the times of the blocks into the row, pair by pair."""
    row.ours, row.theirs = median(mine), median(others)
    row.ratio, row.lowest, row.highest = ratios(mine, others)
