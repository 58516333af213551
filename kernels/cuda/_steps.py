"""A kernel started once for each step of a loop; a loop that comes again is one launch, as a CUDA graph.

A graph holds launches with all their arguments, also the addresses of the arrays. So it serves only where every
address, size and number is what it was before: then the arrays that it reads and writes are those that were passed now.
In a training loop they often are, since CuPy's pool gives freed memory out again. A loop that is seen for the first
time is launched step by step; when the same loop comes a second time, it is recorded. Where recording fails, a warning
says so once, and everything is launched step by step. TINYSLM_CUDA_GRAPHS=0 in the environment turns graphs off.
"""

from __future__ import annotations

import functools
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import warn
from ._launch import Gpu, gpu, prepare

SWITCH = "TINYSLM_CUDA_GRAPHS"
ROOM = 64  # loops that are remembered
LEAST_STEPS = 4  # of a loop worth recording


class _Loops(OrderedDict):
    """The loops seen lately on one device, and their graphs; None for those seen once."""

    def __init__(self, where: Gpu):
        super().__init__()
        self.works = where.graphs


_loops = functools.lru_cache(maxsize=1)(_Loops)


def launch_steps(
    kernel: str, grid: Sequence[int], block: Sequence[int], arguments: list, steps: range, shared: int = 0
) -> None:
    """Start a kernel once for each of the steps, whose number is its last argument.

    Args:
        kernel, grid, block, arguments, shared: as for `launch`.
        steps: the numbers, in order.
    """
    start = prepare(kernel, grid, block, arguments, shared)
    if start is None:
        return

    def every() -> None:
        for t in steps:
            start(np.int32(t))

    loops = _loops(gpu())
    if not loops.works or len(steps) < LEAST_STEPS or os.environ.get(SWITCH) == "0":
        return every()
    _again(loops, (kernel, *grid, *block, shared, steps, *map(_identity, arguments)), every)


def _identity(a: Any) -> Any:
    """Address, type and shape of an array; a number itself."""
    return (a.data.ptr, a.dtype.str, a.shape) if hasattr(a, "shape") and a.shape else a


def _again(loops: _Loops, key: tuple, every: Callable[[], None]) -> None:
    if key not in loops:
        loops[key] = None
        while len(loops) > ROOM:
            loops.popitem(last=False)
        return every()
    loops.move_to_end(key)
    try:
        if loops[key] is None:
            loops[key] = _record(every)
        loops[key].launch()
    except Exception as error:  # whatever CuPy or the driver raises: nothing has run yet, so the steps still can
        loops.works = False
        loops.clear()
        warn(f"CUDA graphs can't be used, steps are launched one by one: {error}")
        every()


def _record(every: Callable[[], None]) -> Any:
    """A graph of what `every` launches, none of which runs now."""
    stream = gpu().xp.cuda.Stream(non_blocking=True)  # the default stream can't record
    with stream:
        stream.begin_capture()
        try:
            every()
        finally:
            graph = stream.end_capture()
    return graph
