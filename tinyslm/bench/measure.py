"""From workloads to rows: compare what the contenders compute, then let blocks alternate."""

from __future__ import annotations

import importlib.util
import inspect
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .process import PATIENCE, ContenderError, Process
from .workload import Workload, save_arrays

OURS = "tinyslm"


@dataclass
class Settings:
    """How to measure.

    repeats: pairs of blocks. seconds: length of a block. runs: everything again so often; the worst median counts.
    compile_limit: seconds that torch.compile may take for its first step; 0 does not try it.
    """

    against: tuple[str, ...] = ("torch", "gensim")
    threads: tuple[int, ...] = (1, 2)
    repeats: int = 7  # in rows whose work is a whole process: of all runs together, and at least 3 in each
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
    memory: dict[str, Any] = field(default_factory=dict)  # bytes at the peak; ours, and theirs uncompiled
    amount: float | None = None  # how many of `unit` a step goes through
    unit: str = ""
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


@dataclass
class Choice:
    """What the first run found out about a contender, so that later runs need not start its slower form again."""

    options: dict[str, Any]  # of the faster form
    variant: str
    memory: dict[str, Any]  # of the uncompiled form


Choices = dict[tuple[str, int, str], Choice]  # by workload, threads and contender


def measure(workload: Workload, settings: Settings, choices: Choices | None = None) -> list[Row]:
    """The rows of one run: one per number of threads and contender.

    choices: filled, and used where an earlier run has filled it.
    """
    workload = workload.prepared(settings)
    if own := getattr(workload, "measured", None):
        return own(settings)
    chosen = {} if choices is None else choices
    return [row for n in workload.threads(settings.threads) for row in _run(workload, n, settings, chosen)]


def worst(runs: list[Row]) -> Row:
    """Of several runs' rows the one that counts: a void or failed one, else that with the smallest median."""
    medians = [median for row in runs for median in row.medians]
    return replace(min(runs, key=_standing), medians=medians)


def _standing(row: Row) -> tuple[int, float]:
    if row.ratio is not None:
        return 2, row.ratio
    return (0, 0.0) if row.ours is None else (1, -row.ours)  # a row without a ratio: the longest time


def _run(workload: Workload, threads: int, settings: Settings, choices: Choices) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        case = Case(workload, threads, settings, Path(folder), processes)
        rows = [empty_row(workload, name, threads) for name in sides(workload.contenders(), settings)]
        for row in rows:
            row.remark = why_not(row.against, workload.contenders())
        measured = [row for row in rows if row.against in workload.contenders()]
        forms = {row.against: _forms(case, row, choices) for row in measured if not row.remark}
        if measured:
            settings.tell(told(workload, threads, forms))
            _measure(case, measured, _start_all(case, forms), choices)
        return rows


def told(workload: Workload, threads: int, against: Collection[str]) -> str:
    """What is measured next, and against whom."""
    whom = f"against {', '.join(against)}" if against else "alone"
    return f"{workload.name}, {threads} thread{'s' * (threads > 1)}, {whom}"


def _measure(case: Case, rows: list[Row], started: Started, choices: Choices) -> None:
    """Fill the rows: pairs with a rival that computes the same, and ours alone where the rival is not installed."""
    try:
        ours = started[OURS][0].result()
    except ContenderError as error:
        for row in rows:
            note(row, f"ours failed: {error}")
        return
    rivals: dict[str, Contender] = {}
    for row in rows:
        if row.against not in started:
            row.memory = {"ours": ours.process.ask("memory")}
        elif (found := _rival(case, row, ours, started[row.against], choices)) is not None:
            rivals[row.against] = found
    _alternate(case, ours, rivals, [row for row in rows if row.against in rivals or row.against not in started])


def sides(contenders: Collection[str], settings: Settings) -> list[str]:
    """Whom of the wanted ones a row has; if it has none of them, all, each with the remark that it is missing."""
    return [name for name in settings.against if name in contenders] or list(settings.against)


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
        arrays = workload.arrays(np.random.default_rng(settings.seed))
        self.amount, self.unit = workload.amount(arrays)
        save_arrays(folder / "case.npz", arrays)

    def start(self, contender: str, options: dict[str, Any], patience: float = PATIENCE) -> Contender:
        """Start a process, build the session, and let it take the steps of the comparison."""
        process = self.processes.enter_context(Process(self.threads))
        try:
            return self._made(process, contender, options, patience)
        except BaseException:
            process.close()  # one that is given up on must not compute beside the others
            raise

    def _made(self, process: Process, contender: str, options: dict[str, Any], patience: float) -> Contender:
        process.ask(
            "build", workload=self.workload.name, sizes=self.workload.sizes(), contender=contender, options=options,
            arrays=str(self.folder / "case.npz"), threads=self.threads,
        )  # fmt: skip
        file = self.folder / f"{'-'.join([contender, *options])}.npz"
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


# -- who takes part ---------------------------------------------------------------------------------------------------

Form = tuple[dict[str, Any], float]  # options, and the seconds that the first steps may take


def why_not(against: str, contenders: Collection[str]) -> str:
    """Why a row can't be measured against this library, if so. Where it is not installed, ours stands alone."""
    if against not in contenders:
        return "this row has no such contender"
    return "" if importlib.util.find_spec(against) else f"not installed: pip install {against}"


def _forms(case: Case, row: Row, choices: Choices) -> list[Form]:
    """The forms of a contender that are to be tried: PyTorch as it is, and compiled; later the faster one alone."""
    known = choices.get((row.name, row.threads, row.against))
    if known is not None:
        return [(known.options, PATIENCE)]
    limit = case.settings.compile_limit
    compiles = "compiled" in inspect.signature(getattr(case.workload, row.against)).parameters and limit > 0
    return [({}, PATIENCE), *([({"compiled": True}, limit)] if compiles else [])]


Started = dict[str, list[Future[Contender]]]


def _start_all(case: Case, forms: dict[str, list[Form]]) -> Started:
    """Start everybody at once: imports and compilation take the time, and nothing is timed yet."""
    everybody: dict[str, list[Form]] = {OURS: [({}, PATIENCE)], **forms}
    with ThreadPoolExecutor(sum(len(several) for several in everybody.values())) as pool:
        return {name: [pool.submit(case.start, name, *form) for form in several] for name, several in everybody.items()}


def _rival(
    case: Case, row: Row, ours: Contender, started: list[Future[Contender]], choices: Choices
) -> Contender | None:
    """The fastest form of a contender that computes the same as ours; None, and a remark, where there is none."""
    try:
        rival = started[0].result()
    except ContenderError as error:
        row.remark = f"failed: {error}"
        return None
    wrong = _differs(case, ours, rival)
    if wrong:
        row.void, row.remark = True, f"void: {wrong}"
        return None
    key = (row.name, row.threads, row.against)
    if key not in choices:
        rival, choices[key] = _best_form(case, ours, rival, started[1:])
    row.variant = choices[key].variant
    row.memory = {"ours": ours.process.ask("memory"), "theirs": choices[key].memory}
    return rival


def _differs(case: Case, ours: Contender, rival: Contender) -> str:
    return mismatch(ours.made, rival.made, case.workload.first_tolerance, case.workload.later_tolerance)


def _best_form(
    case: Case, ours: Contender, eager: Contender, compiled: list[Future[Contender]]
) -> tuple[Contender, Choice]:
    """PyTorch's faster form: as it is, or compiled, where that works, computes the same and does not take too long."""
    choice = Choice({}, "", eager.process.ask("memory"))
    if not compiled:
        return eager, choice
    try:
        other = compiled[0].result()
    except ContenderError as error:
        choice.variant = f"eager (compile: {str(error).splitlines()[0][:60]})"
        return eager, choice
    if _differs(case, ours, other):
        choice.variant = "eager (compile: other results)"
        return eager, choice
    forms = {"eager": eager, "compile": other}
    times = {name: min(form.block(0.2) for _ in range(2)) for name, form in forms.items()}
    best, slower = sorted(forms, key=lambda name: times[name])
    choice.variant = f"{best} ({times[slower] / times[best]:.2f}x the other)"
    choice.options = {"compiled": True} if best == "compile" else {}
    forms[slower].process.close()
    return forms[best], choice


# -- blocks -----------------------------------------------------------------------------------------------------------


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
            note(row, f"failed while measuring: {error}")
        return
    for row in rows:
        fill_ratio(row, times[OURS], times.get(row.against, []))
        row.losses = {"ours": ours.losses}
        if row.against in rivals:
            row.losses["theirs"] = rivals[row.against].losses
        row.amount, row.unit = case.amount, case.unit


def note(row: Row, what: str) -> None:
    """One more remark."""
    row.remark = f"{row.remark}; {what}" if row.remark else what


def fill_ratio(row: Row, mine: Sequence[float], others: Sequence[float]) -> None:
    """Put the times of the blocks into the row, pair by pair; ours alone where there are no others."""
    row.ours = median(mine)
    if not others:
        return
    row.theirs = median(others)
    row.ratio, row.lowest, row.highest = ratios(mine, others)
    row.medians = [row.ratio]
