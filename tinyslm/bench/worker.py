"""The process in which one contender runs: `python -m tinyslm.bench.worker`. Commands come in as lines of JSON.

    {"do": "build", "workload": "W1", "sizes": {...}, "contender": "torch", "options": {...}, "arrays": "case.npz"}
    {"do": "check", "to": "torch.npz"}    one step, everything it made; some more steps, and the outcome
    {"do": "block", "seconds": 0.3}       steps for so long; the median of their times
    {"do": "memory"}                      the most memory that this process has held, in all and for the steps

The answers are lines that begin with a mark, so that what a library prints meanwhile does no harm.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .workload import Session, Workload, save_arrays

MARK = "@@"
LEAST_CALLS = 2
LONG = 0.5  # seconds: a step as long as this does not notice that the caches were cold, and one of them says enough
Answer = dict[str, Any]


class Worker:
    """Holds the session between commands."""

    session: Session
    workload: Workload
    before: int | None = None  # peak memory when the libraries were loaded and the session was made: before any step

    def build(self, workload: str, sizes: dict, contender: str, options: dict, arrays: str, threads: Any) -> Answer:
        """Make the contender's session from the arrays in a file."""
        from .workloads import choose

        self.workload = replace(choose([workload])[0], **sizes)
        _set_threads(contender, threads)
        with np.load(arrays) as found:
            held = {name: found[name] for name in found.files}
        self.session = getattr(self.workload, contender)(held, **options)
        self.before = peak_memory()
        return {}

    def check(self, to: str) -> Answer:
        """One step and what it made, then the outcome of some steps, into a file."""
        first = self.session.step()
        made = {"loss of the first step": np.asarray(first), **self.session.tensors()}
        made = {name: np.array(a) for name, a in made.items()}
        last = first
        for _ in range(self.workload.steps - 1):
            last = self.session.step()
        save_arrays(to, {**made, "outcome": self.session.outcome(last)})
        return {"first_loss": first, "last_loss": last, "steps": self.workload.steps}

    def block(self, seconds: float) -> Answer:
        """Steps for so many seconds, after one that warms the caches up; medians in seconds, CPU time and wall time."""
        start = time.perf_counter()
        first = self._timed()
        times, least = ([first], 1) if first[1] >= LONG else ([], LEAST_CALLS)
        start = start if times else time.perf_counter()
        while len(times) < least or time.perf_counter() - start < seconds:
            times.append(self._timed())
        cpu, wall = (median(column) for column in zip(*times, strict=True))
        return {"cpu": cpu, "wall": wall, "calls": len(times)}

    def _timed(self) -> tuple[float, float]:
        """CPU time and wall time of a step."""
        c, w = time.process_time(), time.perf_counter()
        self.session.step()
        wall = time.perf_counter() - w
        return time.process_time() - c, wall

    def memory(self) -> Answer:
        """Bytes at the peak: of the whole process, and above what it held before the first step."""
        peak = peak_memory()
        return {"peak": peak, "above": None if peak is None or self.before is None else peak - self.before}


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held; None where the system does not tell."""
    with suppress(OSError):  # Linux; getrusage would count the parent in, as it was when it started this process
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), None)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _set_threads(contender: str, threads: int | None) -> None:
    # The environment has set everybody's threads already; PyTorch is told by its own call, too.
    if contender == "torch" and threads is not None:
        import torch

        torch.set_num_threads(threads)


def serve(worker: Any, lines: Any, say: Callable[[str], Any]) -> None:
    """Answer commands until they end; an error is an answer, too."""
    for line in lines:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # whatever a contender raises becomes a remark in its row
            answer = {"error": f"{type(error).__name__}: {error}"}
        say(MARK + json.dumps(answer))


def main() -> None:
    """Read commands from stdin."""
    serve(Worker(), sys.stdin, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
