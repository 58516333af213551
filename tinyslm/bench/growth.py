"""How time and memory grow with the size of the work: `tinyslm bench growth`.

Each curve is fitted by a power law, value = c size^e, as a line through the logarithms. The exponent e says more than
the times do: 1 is proportional, 2 is quadratic, 0 means that something else takes the time. Beyond the size at which
a step takes longer than `CAP` seconds no larger one is tried.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .measure import OURS, Case, Settings
from .process import ContenderError, Process
from .workload import Workload, save_arrays
from .workloads import all_workloads

CAP = 5.0
SIDES = (OURS, "torch")
MEMORY_ROWS = ("W1", "W2", "W3", "W4")


@dataclass(frozen=True)
class Axis:
    """A workload, the field that is varied, and its sizes. unit: "seconds" per step, or "bytes" at the peak."""

    letter: str
    title: str
    workload: Workload
    field: str
    sizes: tuple[int, ...]
    unit: str = "seconds"


@dataclass
class Curve:
    """One side's values along an axis."""

    letter: str
    title: str
    side: str
    unit: str
    sizes: list[int]
    values: list[float]
    remark: str = ""

    @property
    def exponent(self) -> float | None:
        """The exponent of the fitted power law; None for fewer than two points."""
        return fitted_exponent(self.sizes, self.values)


def axes() -> list[Axis]:
    """What is varied: time, hidden size, batch, vocabulary, depth; and attention's memory over time."""
    known: dict[str, Any] = all_workloads()
    lstm, transformer, attention = known["W1"], known["W3"], known["W5-256"]
    small = replace(lstm, batch=8, time=50)
    return [
        Axis("T", "LSTM, steps", replace(lstm, batch=4), "time", (100, 300, 1000, 3000, 10_000)),
        Axis("H", "LSTM, hidden size", small, "hidden", (64, 128, 256, 512, 1024)),
        Axis("B", "LSTM, batch", replace(lstm, time=50), "batch", (8, 32, 128, 512)),
        Axis("V", "LSTM, vocabulary", small, "vocabulary", (1000, 5000, 20_000, 50_000)),
        Axis("L", "Transformer, layers", replace(transformer, batch=4), "layers", (1, 2, 4, 8, 16)),
        Axis("T", "attention, tokens", replace(attention, batch=1), "time", (128, 256, 512, 1024, 2048, 4096)),
        Axis(
            "V", "cross-entropy, vocabulary", replace(known["W7-loss"], batch=256), "vocabulary",
            (1000, 5000, 20_000, 50_000),
        ),
        Axis(
            "T", "attention, memory", replace(attention, batch=1, heads=1), "time",
            (1024, 2048, 4096, 8192), "bytes",
        ),
        Axis("B", "cross-entropy, memory", known["W7-loss"], "batch", (256, 512, 1024, 2048), "bytes"),
    ]  # fmt: skip


def fitted_exponent(sizes: list[int], values: list[float]) -> float | None:
    """The slope of a line through the logarithms."""
    if len(sizes) < 2 or min(values) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


# -- measuring --------------------------------------------------------------------------------------------------------


def grow(settings: Settings) -> Iterator[Curve]:
    """The curves of both sides along every axis, with the first of the settings' numbers of threads."""
    sides = [side for side in SIDES if side == OURS or importlib.util.find_spec(side)]
    for axis in axes():
        for side in sides:
            settings.tell(f"{axis.title}: {side}")
            yield memory_curve(axis, side, settings) if axis.unit == "bytes" else time_curve(axis, side, settings)


def time_curve(axis: Axis, side: str, settings: Settings) -> Curve:
    """Seconds per step for each size, as far as the cap allows; one process for all."""
    curve = Curve(axis.letter, axis.title, side, axis.unit, [], [])
    clock = "cpu" if settings.threads[0] == 1 else "wall"
    try:
        with Process(settings.threads[0]) as process:
            for size in axis.sizes:
                _build(process, axis, side, size, settings)
                process.ask("block", seconds=0)  # compiles and fills caches
                curve.values.append(process.ask("block", seconds=settings.seconds)[clock])
                curve.sizes.append(size)
                if curve.values[-1] > CAP:
                    break
    except ContenderError as error:
        curve.remark = str(error)
    return curve


def memory_curve(axis: Axis, side: str, settings: Settings) -> Curve:
    """Bytes at the peak above those of a step of 64, for each size; a process each, since a peak never falls."""
    curve = Curve(axis.letter, axis.title, side, axis.unit, [], [])
    try:
        base = _peak(axis, side, 64, settings)
        for size in axis.sizes:
            curve.values.append(_peak(axis, side, size, settings) - base)
            curve.sizes.append(size)
    except (ContenderError, TypeError) as error:  # TypeError: this system does not tell the peak
        curve.remark = str(error)
    return curve


def _peak(axis: Axis, side: str, size: int, settings: Settings) -> int:
    with Process(settings.threads[0]) as process:
        _build(process, axis, side, size, settings)
        process.ask("block", seconds=0)
        return process.ask("memory")["peak"]


def _build(process: Process, axis: Axis, side: str, size: int, settings: Settings) -> None:
    changes: dict[str, Any] = {axis.field: size}
    workload = replace(axis.workload, **changes)
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case.npz"
        save_arrays(case, workload.arrays(np.random.default_rng(settings.seed)))
        process.ask(
            "build", workload=workload.name, sizes=workload.sizes(), contender=side, options={}, arrays=str(case),
            threads=settings.threads[0],
        )  # fmt: skip


def peaks(settings: Settings) -> Iterator[tuple[str, dict[str, dict[str, int]]]]:
    """The memory of some training steps at the peak, in bytes, for W1 to W4 and each side.

    Beside the peak of the process stands how far it is above the state before the first step. Ours loads numba in
    that step and PyTorch's libraries are loaded before, so the first of the two numbers compares better.
    """
    sides = [side for side in SIDES if side == OURS or importlib.util.find_spec(side)]
    for name in MEMORY_ROWS:
        settings.tell(f"peak memory: {name}")
        with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
            case = Case(all_workloads()[name], settings.threads[0], settings, Path(folder), processes)
            found = {side: case.start(side, {}).process.ask("memory") for side in sides}
        if all(m["peak"] is not None for m in found.values()):  # else the system does not tell
            yield name, found
