"""W10: how long a newcomer waits. A fresh process until W1's first step is done; the import; the first compilation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..commands import Commands, Finished, Run, finish, script, seconds_row
from ..measure import Row, Settings
from ..workload import save_arrays
from .w1_lstm import LstmClassifier

SCRIPT = "w10_first_step.py"


@dataclass(frozen=True)
class FirstStep(Commands):
    """Start Python, import, build the model of W1, one training step. Kernels are compiled already."""

    others: ClassVar[tuple[str, ...]] = ("torch",)

    def runs(self, folder: Path, threads: int, settings: Settings) -> Mapping[str, Run]:
        """The script with either library."""
        case = write_case(folder, settings.seed)
        return {name: partial(finish, script(SCRIPT, name, case), threads) for name in ("tinyslm", "torch")}


@dataclass(frozen=True)
class Import(Commands):
    """`import tinyslm` above `import numpy`, pair by pair; the remark says whether byte code was cached."""

    limit: float = 0.1

    def measured(self, settings: Settings) -> list[Row]:
        """One row."""
        threads = settings.threads[0]
        settings.tell(self.name)
        pairs = [[self._seconds(name, threads) for name in ("tinyslm", "numpy")] for _ in range(settings.repeats + 1)]
        row = seconds_row(self, "above numpy", threads, [ours - numpy for ours, numpy in pairs[1:]], self.limit)
        row.remark = "byte code cached" if byte_code_is_kept(threads) else "no byte code can be kept here"
        return [row]

    def _seconds(self, name: str, threads: int) -> float:
        return finish(["-c", f"import {name}"], threads).seconds(threads)


def byte_code_is_kept(threads: int) -> bool:
    """Whether a process that imports tinyslm finds it compiled to byte code by those before."""
    look = "import os, tinyslm; print(os.path.exists(tinyslm.__spec__.cached or ''))"
    return finish(["-c", look], threads).out.split() == ["True"]


@dataclass(frozen=True)
class FirstCompilation(Commands):
    """The first step of W1 where nothing is compiled yet, less the same where all is."""

    limit: float = 20.0

    def measured(self, settings: Settings) -> list[Row]:
        """One row; the remark says what was shown meanwhile."""
        threads = settings.threads[0]
        settings.tell(self.name)
        with tempfile.TemporaryDirectory() as folder:
            words = script(SCRIPT, "tinyslm", write_case(Path(folder), settings.seed))
            fresh = finish(words, threads, TINYSLM_CACHE=str(Path(folder) / "cache"))
            again = finish(words, threads, TINYSLM_CACHE=str(Path(folder) / "cache"))
        row = seconds_row(self, "first ever", threads, [fresh.seconds(threads) - again.seconds(threads)], self.limit)
        row.remark = shown(fresh)
        return [row]


def shown(done: Finished) -> str:
    """How many progress lines the compilation printed."""
    count = done.err.count("tinyslm: compiling")
    return f"{count} progress lines" if count else "no progress line"


def write_case(folder: Path, seed: int) -> Path:
    """W1's arrays in a file."""
    case = folder / "case.npz"
    save_arrays(case, LstmClassifier("W1", "").arrays(np.random.default_rng(seed)))
    return case


ROWS = [
    FirstStep("W10-first-step", "a fresh process until W1's first step is done", 1.5, 3.0),
    Import("W10-import", "import tinyslm, above NumPy's own import"),
    FirstCompilation("W10-compile", "first ever compilation of what W1 needs"),
]
