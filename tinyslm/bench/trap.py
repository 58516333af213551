"""The thread trap: a training step of W1 while another process keeps the same cores busy: `tinyslm bench trap`.

Threads that wait for each other in a loop lose their turn to the other process, and the rest waits for the one that
was put aside: instead of twice, a step then takes ten times as long. Nothing about threads is set here, on either
side: the defaults are what is tested. One busy process per core takes half of every core away, so a step that shares
fairly takes about twice as long.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .measure import OURS, Case, Contender, Settings, ratios
from .workloads import all_workloads

LOOP = "while True: pass"


@dataclass
class Trap:
    """One side: seconds per step alone and beside the busy processes, and the ratio's median, least and most."""

    side: str
    alone: float
    beside: float
    slower: float
    lowest: float
    highest: float


def traps(settings: Settings) -> Iterator[Trap]:
    """Ours, and PyTorch's where it is installed."""
    for side in (OURS, "torch"):
        if side == OURS or importlib.util.find_spec(side):
            settings.tell(f"W1 beside busy processes: {side}")
            with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
                case = Case(all_workloads()["W1"], None, settings, Path(folder), processes)
                yield one_trap(side, case.start(side, {}), settings)


def one_trap(side: str, contender: Contender, settings: Settings) -> Trap:
    """Blocks alone and beside the busy processes, in turns."""
    alone, beside = [], []
    for _ in range(settings.repeats):
        alone.append(contender.block(settings.seconds))
        with busy_cores():
            beside.append(contender.block(settings.seconds))
    return Trap(side, median(alone), median(beside), *ratios(alone, beside))


@contextmanager
def busy_cores() -> Iterator[None]:
    """One process per core that does nothing but count time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(cores)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
