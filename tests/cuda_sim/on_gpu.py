"""The same face as the emulator's `RawModule`, but the kernels run on a GPU: arrays are copied there and back.

With TINYSLM_TEST_GPU=1 in the environment the tests in `tests/cuda` use it, so one set of tests serves both.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


class RawModule:
    """The kernels of one source text, compiled by CuPy."""

    def __init__(self, code: str, options: tuple[str, ...] = ()):
        self.cupy: Any = importlib.import_module("cupy")
        self.module = self.cupy.RawModule(code=code, options=tuple(options))

    def get_function(self, name: str) -> Kernel:
        """The kernel `name`."""
        return Kernel(self.cupy, self.module.get_function(name))


class Kernel:
    """One kernel: `kernel(grid, block, arguments, shared_mem=bytes)`, with NumPy arrays."""

    def __init__(self, cupy: Any, kernel: Any):
        self.cupy, self.kernel = cupy, kernel
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        """Run the kernel to its end."""
        if self.max_dynamic_shared_size_bytes > 48 * 1024:
            self.kernel.max_dynamic_shared_size_bytes = self.max_dynamic_shared_size_bytes
        there = [self.cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
        self.kernel(grid, block, tuple(there), shared_mem=shared_mem)
        for here, copy in zip(args, there, strict=True):
            if isinstance(here, np.ndarray) and here.flags.writeable:
                here[...] = copy.get()
