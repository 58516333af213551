"""The process in which one contender runs on a GPU: `python -m tinyslm.bench.gpu_worker`; commands as in `worker.py`.

A GPU works while the host goes on, so a single step has no time of its own. A block is many steps, none of which
reads a number, between two moments at which the GPU has done all its work.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import device, precision
from .worker import Answer, Worker, serve

LEAST_CALLS = 3


class GpuWorker(Worker):
    """Builds rows for a GPU, and times blocks of steps by the clock on the wall."""

    clock = staticmethod(time.perf_counter)
    advance: Callable[[], Any]
    wait: Callable[[], Any]

    def build(self, workload: str, contender: str, arrays: str) -> Answer:  # type: ignore[override]
        """Make the contender's session from the arrays in a file."""
        from .workloads.cuda import choose_for_gpu

        self.workload = choose_for_gpu([workload])[0]
        with np.load(arrays) as found:
            held = {name: found[name] for name in found.files}
        self.session = getattr(self.workload, contender)(held)
        self.advance = getattr(self.session, "advance", self.session.step)
        self.wait = _wait_for_torch if contender == "torch" else device.synchronize
        return {}

    def block(self, seconds: float) -> Answer:
        """Steps for about so many seconds, after one that warms up and says how long they take; their mean time."""
        self._seconds(1)
        calls = max(LEAST_CALLS, math.ceil(seconds / max(self._seconds(1), 1e-9)))
        return {"wall": self._seconds(calls) / calls, "calls": calls}

    def _seconds(self, calls: int) -> float:
        self.wait()
        start = self.clock()
        for _ in range(calls):
            self.advance()
        self.wait()
        return self.clock() - start

    def ceilings(self, numbers: int = 1 << 28, size: int = 8192) -> Answer:
        """Bytes/s of a copy of so many floats, and FLOP/s of a product of matrices of this size, by CuPy."""
        device.use("cuda")
        xp: Any = device.array_module()
        a, b = (xp.ones(numbers, np.float32) for _ in range(2))
        self.advance, self.wait = lambda: xp.copyto(b, a), device.synchronize
        copied = min(self._seconds(10) / 10 for _ in range(4))
        m, out = xp.ones((size, size), np.float32), xp.ones((size, size), np.float32)
        self.advance = lambda: xp.matmul(m, m, out=out)
        product = min(self._seconds(3) / 3 for _ in range(4))
        return {"bandwidth": 8.0 * numbers / copied, "flops": 2.0 * size**3 / product, "gpu": precision.describe_gpu()}


def _wait_for_torch() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    """Read commands from stdin."""
    serve(GpuWorker(), sys.stdin, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
