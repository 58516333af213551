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
        there = [self._there(a) for a in args]
        self.kernel(grid, block, tuple(map(self._argument, there)), shared_mem=shared_mem)
        for here, copy in zip(args, there, strict=True):
            _bring_back(here, copy)

    def _there(self, a: Any) -> Any:
        """An array, or each array of a list, on the GPU."""
        if isinstance(a, list):
            return [self._there(one) for one in a]
        return self.cupy.asarray(a) if isinstance(a, np.ndarray) else a

    def _argument(self, a: Any) -> Any:
        """A list as the table of its arrays' addresses."""
        return self.cupy.asarray(np.array([one.data.ptr for one in a], np.uint64)) if isinstance(a, list) else a


def _bring_back(here: Any, copy: Any) -> None:
    if isinstance(here, list):
        for one, its_copy in zip(here, copy, strict=True):
            _bring_back(one, its_copy)
    elif isinstance(here, np.ndarray) and here.flags.writeable:
        here[...] = copy.get()
