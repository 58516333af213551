"""`tinyslm bench --backend cuda`: ours on the GPU against PyTorch on the GPU, and against ours on the CPU.

As on the CPU the results are compared first, blocks alternate, and the ratio is the median over pairs of blocks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .ceilings import Ceiling
from .commands import Commands
from .measure import OURS, Row, Settings, empty_row, fill_ratio, mismatch, note
from .process import ContenderError, Process
from .report import Report, duration, machine_lines, pipes, shares
from .run import add_share
from .workload import Workload, save_arrays

if TYPE_CHECKING:
    from rich.table import Table as Grid

WORKER = "tinyslm.bench.gpu_worker"
COLUMNS = ("row", "ours", "PyTorch", "ratio (min-max)", "at least", "share", "ours on the CPU", "speed-up", "")
SIDES = (OURS, "torch", "cpu")
CPU_BLOCKS = 2  # for a speed-up, to which a few per cent more or less do no harm
Start = Callable[[], Any]


@dataclass
class GpuRow(Row):
    """A row with the time of ours on the CPU beside it, in seconds."""

    cpu: float | None = None

    @property
    def speedup(self) -> float | None:
        """How many times as fast the GPU is."""
        return self.cpu / self.ours if self.cpu and self.ours else None


def start_process() -> Process:
    """A worker for one contender."""
    return Process(os.cpu_count() or 1, WORKER)


def run_on_gpu(
    rows: Sequence[Workload], settings: Settings, report: Report, start: Start = start_process
) -> Iterator[GpuRow]:
    """The rows, one after the other, each with its share of what a copy or a matrix product reaches on this GPU.

    What was measured is put into the report as it comes.
    """
    settings.tell("ceilings of this GPU")
    with start() as process:
        found = process.ask("ceilings")
    ceiling = report.ceilings[0] = Ceiling(0, found["flops"], "cupy", found["bandwidth"], "copy")
    report.machine["gpu"] = found["gpu"]
    for workload in rows:
        settings.tell(workload.name)
        row = measure_on_gpu(workload, settings, start)
        add_share(row, workload, ceiling)
        report.rows.append(row)
        yield row


def measure_on_gpu(workload: Workload, settings: Settings, start: Start = start_process) -> GpuRow:
    """One row. What fails or differs becomes its remark; ours is then timed alone."""
    row = GpuRow(**vars(empty_row(workload, "torch", 0)))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        case = _commands if isinstance(workload, Commands) else _sessions
        try:
            blocks = case(workload, row, settings, Path(folder), processes, start)
        except ContenderError as error:
            row.remark = f"ours failed: {error}"
            return row
        try:
            _alternate(row, blocks, settings.repeats)
        except ContenderError as error:
            row.remark = f"failed while measuring: {error}"
    return row


Block = Callable[[], float]  # times one
Blocks = dict[str, Block]


def _alternate(row: GpuRow, blocks: Blocks, repeats: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in blocks if name != "cpu"}
    order = list(times)
    for _ in range(repeats):
        for name in order:
            times[name].append(blocks[name]())
        order.reverse()
    fill_ratio(row, times[OURS], times.get("torch", []))
    if "cpu" in blocks:
        row.cpu = min(blocks["cpu"]() for _ in range(CPU_BLOCKS))


def _gather(row: GpuRow, begin: Callable[[str], tuple[Any, Block]], differs: Callable[[Any, Any], str]) -> Blocks:
    """Begin with each contender; a block for each that computes the same as ours, and a remark for each other one."""
    made: dict[str, Any] = {}
    blocks: Blocks = {}
    for side in SIDES:
        try:
            made[side], block = begin(side)
        except ContenderError as error:
            if side == OURS:
                raise
            note(row, f"{side} failed: {error}")
            continue
        wrong = differs(made[OURS], made[side])
        if wrong:
            row.void = row.void or side == "torch"
            note(row, f"{side} is void: {wrong}")
        else:
            blocks[side] = block
    return blocks


def _sessions(
    workload: Any, row: GpuRow, settings: Settings, folder: Path, processes: ExitStack, start: Start
) -> Blocks:
    """Contenders that take steps, each in a process of its own."""
    save_arrays(folder / "case.npz", workload.arrays(np.random.default_rng(settings.seed)))

    def begin(side: str) -> tuple[Any, Block]:
        process = processes.enter_context(start())
        process.ask("build", workload=workload.name, contender=side, arrays=str(folder / "case.npz"))
        answer = process.ask("check", to=str(folder / f"{side}.npz"))
        row.losses[side] = [answer["first_loss"], answer["last_loss"]]
        with np.load(folder / f"{side}.npz") as found:
            made = {name: found[name] for name in found.files}
        return made, lambda: process.ask("block", seconds=settings.seconds)["wall"]

    return _gather(row, begin, lambda mine, other: mismatch(mine, other, *workload.tolerances))


def _commands(
    workload: Any, row: GpuRow, settings: Settings, folder: Path, processes: ExitStack, start: Start
) -> Blocks:
    """Contenders that are whole processes."""
    runs = workload.runs(folder, os.cpu_count() or 1, settings)

    def begin(side: str) -> tuple[Any, Block]:
        result = workload.result(runs[side]())  # also fills disk caches and compiles kernels
        row.losses[side] = [result]
        return result, lambda: runs[side]().wall

    def differs(mine: float, other: float) -> str:
        return "" if abs(mine - other) <= workload.tolerance else f"results {mine:.4f} and {other:.4f}"

    return _gather(row, begin, differs)


def gpu_table(rows: Sequence[GpuRow]) -> Grid:
    """One line per row."""
    from rich.table import Table as Grid

    grid = Grid(*COLUMNS, box=None)
    for row in rows:
        grid.add_row(*gpu_cells(row))
    return grid


def gpu_headlines(report: Report) -> list[str]:
    """The machine, the GPU, and what it reaches."""
    ceiling = report.ceilings[0]
    reached = f"{ceiling.flops / 1e12:.1f} TFLOP/s in a float32 product, {ceiling.bandwidth / 1e9:.0f} GB/s in a copy"
    return [*machine_lines(report.machine), f"{report.machine['gpu']}: {reached}"]


def gpu_markdown(report: Report, command: str) -> str:
    """The table to paste into a document, with the command, the machine and the GPU, and what the rows are."""
    head = [*COLUMNS[:-1], "remark"]
    lines = [f"`{command}`", "", *(f"{line}  " for line in gpu_headlines(report)), ""]
    lines += [*pipes(head, map(gpu_cells, report.rows)), ""]  # type: ignore[arg-type]
    lines += ["Rows: " + "; ".join(f"{row.name} {row.title}" for row in report.rows) + ".", "", LEGEND]
    return "\n".join(lines) + "\n"


LEGEND = (
    "Ratio: PyTorch's time over ours on the same GPU, the median over pairs of alternating blocks of many steps; in "
    "brackets the smallest and the largest pair. Share: of the GPU's measured ceiling, ours and in brackets theirs; "
    "products on tensor cores are held against the ceiling in float32, and may exceed it. "
    "Speed-up: ours on the CPU over ours on the GPU. All times are wall time."
)


def gpu_cells(row: GpuRow) -> tuple[str, ...]:
    """A row's cells: times, the ratio and its goal, the share of the ceiling, the CPU's time and the speed-up."""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} ({row.lowest:.2f}-{row.highest:.2f})"
    least = "" if row.least is None else f"{row.least:g}"
    speedup = "" if row.speedup is None else f"{row.speedup:.0f}x"
    times = duration(row.ours), duration(row.theirs)
    return row.name, *times, ratio, least, shares(row), duration(row.cpu), speedup, row.remark
