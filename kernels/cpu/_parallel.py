"""One thin wrapper that spreads a loop over threads.

The kernels themselves are serial, which keeps compiling short. They release Python's lock while they run, so plain
threads run them side by side. The same number of threads gives the same bits again: the pieces depend on nothing
else, not on which thread does which. Kernels that add up across rows do so over fixed blocks (`blocks`), so that most
results have the same bits for every number of threads, too. Products by NumPy's library (`_blas.py`) have not: how it
adds up may depend on the shape of a piece, and they then agree within rounding.
"""

import collections
import contextvars
import itertools
import os
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

WORK_PER_THREAD = 1 << 18  # element operations; waking a thread takes as long as 100,000 of them, often more
BLOCKS = 16  # partial sums of a reduction across rows

_threads: int | None = None
_pool: ThreadPoolExecutor | None = None
_refused: set[str] = set()  # what TINYSLM_NUM_THREADS was and can't be; it is said once
_untold = False  # this process came out of a fork, and nobody has been told yet what that costs


def get_num_threads() -> int:
    """How many threads the kernels use: `set_num_threads`, else TINYSLM_NUM_THREADS, else the cores, at most 8."""
    if _threads is not None:
        return _threads
    chosen = os.environ.get("TINYSLM_NUM_THREADS", "").strip()
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    if chosen:
        _refuse(chosen)
    return min(_cores(), 8)


def set_num_threads(n: int) -> None:
    """Use n threads from now on, in the matrix products of layers too.

    What is left to NumPy alone (vectors, batches of matrices) keeps its own setting, OPENBLAS_NUM_THREADS and the like.
    """
    global _threads, _pool, _untold
    if n < 1:
        raise ValueError(f"Expected n >= 1 threads. Got {n}.")
    # The pool is not shut down: another thread may be using it. Its threads end when nobody holds it any more.
    _threads, _pool, _untold = int(n), None, False


def split(task: Callable[[int, int], object], size: int, work: int, grain: int = 1) -> None:
    """Call `task(start, stop)` on pieces that cover range(size), in threads if `work` element operations pay for it.

    Pieces begin at multiples of `grain`.
    """
    pieces = min(get_num_threads(), work // WORK_PER_THREAD, -(-size // grain))
    if pieces <= 1:
        if _untold and work // WORK_PER_THREAD > 1:
            _tell()
        task(0, size)
        return
    cuts = [min(size, -(-size * i // (pieces * grain)) * grain) for i in range(pieces + 1)]
    todo = collections.deque(itertools.pairwise(cuts))

    def work_off() -> None:
        while (piece := _next(todo)) is not None:
            task(*piece)

    pool = _get_pool()
    # A copy of the context each, in which NumPy keeps what `np.errstate` chose.
    helpers = [pool.submit(contextvars.copy_context().run, work_off) for _ in range(pieces - 1)]
    try:
        work_off()
    finally:
        _wait_for(helpers)


def _wait_for(helpers: list[Future]) -> None:
    """All that have begun, also when one has failed: the others may still be writing. Then raise the first error.

    One that has not begun, since its core is busy, is not waited for.
    """
    errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in filter(None, errors):
        raise error


def _next(todo: collections.deque) -> Any:
    try:
        return todo.popleft()
    except IndexError:
        return None


def blocks(rows: int) -> tuple[int, int]:
    """(rows in a block, number of blocks) for sums across rows; it depends on nothing but the number of rows."""
    size = max(1, -(-rows // BLOCKS))
    return size, -(-rows // size)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    pool = _pool  # looked at once: `set_num_threads` in another thread may take it away at any moment
    if pool is None:
        _pool = pool = ThreadPoolExecutor(max(1, get_num_threads() - 1), thread_name_prefix="tinyslm")
    return pool


def _after_fork() -> None:
    # The threads did not come along into the child: waiting for them would never end.
    global _threads, _pool, _untold
    _untold = get_num_threads() > 1
    _threads, _pool = 1, None


def _refuse(chosen: str) -> None:
    if chosen not in _refused:
        _refused.add(chosen)
        message = f"TINYSLM_NUM_THREADS is left aside. Expected: a whole number of at least 1. Got: {chosen!r}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def _tell() -> None:
    global _untold
    _untold = False
    message = (
        "This process was made by fork: its kernels run on one thread, since threads don't survive a fork. "
        "For more, start processes by 'spawn' or 'forkserver', or call set_num_threads(n) here."
    )
    warnings.warn(message, RuntimeWarning, stacklevel=4)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
