"""What this machine can do at most: the fastest matrix product, and the fastest way through memory.

A row's share says how near it comes to the ceiling that fits it: the least time that its products would take at the
speed of the best sgemm, or its bytes at the best bandwidth, whichever is longer, divided by the time it took.

Bytes are counted as the program names them (as in McCalpin's STREAM). A store into memory that is not in the cache
reads it first, which a sum in place gets for free; so the best of copy, triad and sum in place counts.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from .process import ContenderError, Process
from .worker import serve
from .workload import Work

SIZE = 1536  # of the matrices: 28 MB for three of them
NUMBERS = 1 << 24  # of a float32 array: 64 MB, more than a cache holds
SECONDS = 1.0


@dataclass(frozen=True)
class Ceiling:
    """For a number of threads: sgemm in FLOP/s and whose it was, bandwidth in bytes/s and by which loop."""

    threads: int
    flops: float
    flops_by: str
    bandwidth: float
    bandwidth_by: str

    def share(self, work: Work, seconds: float) -> tuple[float | None, str]:
        """How much of the fitting ceiling a step of so many seconds reaches, and which ceiling that is."""
        products, memory = work.flops / self.flops, work.bytes / self.bandwidth
        if not products and not memory:
            return None, ""
        return (products / seconds, "sgemm") if products >= memory else (memory / seconds, "memory")


def measure_ceiling(threads: int) -> Ceiling:
    """Measure in a process of its own."""
    with Process(threads, "tinyslm.bench.ceilings") as process:
        products = {"numpy": process.ask("numpy_product")["rate"]}
        if importlib.util.find_spec("torch"):
            with suppress(ContenderError):  # a PyTorch that does not load is no reason to have no ceiling
                products["torch"] = process.ask("torch_product", threads=threads)["rate"]
        loops = process.ask("loops")
    best, loop = max(products, key=lambda n: products[n]), max(loops, key=lambda n: loops[n])
    return Ceiling(threads, products[best], best, loops[loop], loop)


class Meter:
    """The commands of the measuring process."""

    def numpy_product(self) -> dict[str, float]:
        """FLOP/s of NumPy's product."""
        a, b, out = (np.ones((SIZE, SIZE), np.float32) for _ in range(3))
        return {"rate": 2.0 * SIZE**3 / _fastest(lambda: np.matmul(a, b, out=out))}

    def torch_product(self, threads: int) -> dict[str, float]:
        """FLOP/s of PyTorch's product."""
        import torch

        torch.set_num_threads(threads)
        a, b, out = (torch.ones(SIZE, SIZE) for _ in range(3))
        return {"rate": 2.0 * SIZE**3 / _fastest(lambda: torch.mm(a, b, out=out))}

    def loops(self) -> dict[str, float]:
        """Bytes/s of three loops."""
        from ..kernels.cpu._parallel import split

        a, b, c = (np.ones(NUMBERS, np.float32) for _ in range(3))
        rates = {}
        for name, (loop, streams) in _loops().items():

            def run(loop: Callable = loop) -> None:
                split(lambda start, stop: loop(a[start:stop], b[start:stop], c[start:stop]), NUMBERS, NUMBERS, 1024)

            rates[name] = streams * a.nbytes / _fastest(run)
        return rates


def _loops() -> dict[str, tuple[Callable, int]]:
    """The loops, and how many arrays each reads or writes."""
    import numba

    @numba.njit(nogil=True)
    def copy(a, b, c):
        for i in range(a.size):
            a[i] = b[i]

    @numba.njit(nogil=True)
    def triad(a, b, c):
        for i in range(a.size):
            a[i] = b[i] + np.float32(3) * c[i]

    @numba.njit(nogil=True)
    def sum_in_place(a, b, c):
        for i in range(a.size):
            a[i] += np.float32(3) * b[i]

    return {"copy": (copy, 2), "triad": (triad, 3), "sum in place": (sum_in_place, 3)}


def _fastest(run: Callable[[], object], seconds: float = SECONDS) -> float:
    """The shortest time of a call, in seconds; with one thread CPU time, as the rows are measured."""
    clock = time.process_time if os.environ.get("TINYSLM_NUM_THREADS") == "1" else time.perf_counter
    run()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        begin = clock()
        run()
        best = min(best, clock() - begin)
    return best


if __name__ == "__main__":
    serve(Meter(), sys.stdin, lambda text: print(text, flush=True))
