"""One thin wrapper that spreads a loop over threads.

The kernels themselves are serial, which keeps compiling short. They release Python's lock while they run, so plain
threads run them side by side. The same number of threads gives the same bits again: the pieces depend on nothing
else, not on which thread does which. Kernels that add up across rows do so over fixed blocks (`blocks`), so that most
results have the same bits for every number of threads, too. Products by NumPy's library (`_blas.py`) have not: how it
adds up may depend on the shape of a piece, and they then agree within rounding.
"""

from __future__ import annotations

import collections
import contextvars
import functools
import itertools
import os
import queue
import threading
import time
from collections.abc import Callable

from ...errors import require_whole, warn

WORK_PER_THREAD = 1 << 18  # element operations; waking a thread takes as long as 100,000 of them, often more
BLOCKS = 16  # partial sums of a reduction across rows

MOST_ASKED = 64  # so many of earlier calls may wait for helpers whose cores are busy with something else
Task = Callable[[int, int], object]
Asked = queue.SimpleQueue[Callable[[], object]]

_threads: int | None = None
_helpers = 0
_asked: Asked = queue.SimpleQueue()
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
    global _threads, _untold
    _threads, _untold = require_whole(n, "n", 1, of="set_num_threads"), False


def split(task: Task, size: int, work: int, grain: int = 1) -> None:
    """Call `task(start, stop)` on pieces that cover range(size), in threads if `work` element operations pay for it.

    Pieces begin at multiples of `grain`.
    """
    pieces = min(work // WORK_PER_THREAD, -(-size // grain))
    if pieces > 1:
        pieces = min(pieces, get_num_threads())
        if _untold:
            _tell()
    if pieces > 1:
        cuts = [min(size, -(-size * i // (pieces * grain)) * grain) for i in range(pieces + 1)]
        _Share(task, list(itertools.pairwise(cuts))).do()
    else:
        task(0, size)


class _Share:
    """The pieces of one call. Whoever is free takes the next; a helper that has not begun is not waited for."""

    def __init__(self, task: Task, pieces: list[tuple[int, int]]):
        self.task, self.todo, self.count = task, collections.deque(pieces), len(pieces)
        self.finished, self.done = itertools.count(1), threading.Lock()
        self.errors: list[BaseException] = []
        self.helping: list[bool] = []
        self.done.acquire()

    def do(self) -> None:
        """All pieces, together with the helpers that are free. Raises the first error, once nobody writes any more."""
        try:
            for _ in range(self.count - 1):
                _ask(self.help, self.count - 1)
            self.take()
            self.done.acquire()
        except BaseException:  # Ctrl-C between two pieces or in the wait; a second one doesn't wait for the helpers
            self.todo.clear()
            while self.helping:
                time.sleep(0.001)
            raise
        finally:
            del self.task  # a helper that comes too late must not hold arrays
        errors = self.errors[:1]
        self.errors.clear()  # nor must a circle of an error, its traceback and this list
        if errors:
            raise errors.pop()

    def help(self) -> None:
        """What a helper does: it can be seen to be at work from before its first piece to after its last one."""
        self.helping.append(True)
        self.take()
        self.helping.pop()

    def take(self) -> None:
        """Piece after piece until none is left; after an error the rest is left undone."""
        while True:
            try:
                piece = self.todo.popleft()
            except IndexError:
                return
            try:
                if not self.errors:
                    self.task(*piece)
            except BaseException as error:
                self.errors.append(error)
            if next(self.finished) == self.count:
                self.done.release()


def _ask(todo: Callable[[], object], helpers: int) -> None:
    """Have a helper call `todo`, which must not raise, as soon as one is free. At each call one more helper is started,
    until there are `helpers` of them.

    A `ThreadPoolExecutor` does the same in twice the time, and a training step asks a hundred times.
    """
    global _helpers
    if _helpers < helpers:
        try:
            threading.Thread(target=_help, args=(_asked,), name="tinyslm", daemon=True).start()
            _helpers += 1
        except RuntimeError:  # the system gives no more threads: those that are there do the work
            pass
    if _asked.qsize() < MOST_ASKED + helpers:
        # A copy of the context each, in which NumPy keeps what `np.errstate` chose.
        _asked.put(functools.partial(contextvars.copy_context().run, todo))


def _help(asked: Asked) -> None:
    while True:
        asked.get()()


def blocks(rows: int) -> tuple[int, int]:
    """(rows in a block, number of blocks) for sums across rows; it depends on nothing but the number of rows."""
    size = max(1, -(-rows // BLOCKS))
    return size, -(-rows // size)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _after_fork() -> None:
    # The helpers did not come along into the child, and one of them may have held the queue's lock.
    global _threads, _helpers, _asked, _untold
    _untold = _untold or get_num_threads() > 1
    _threads, _helpers, _asked = 1, 0, queue.SimpleQueue()


def _refuse(chosen: str) -> None:
    if chosen not in _refused:
        _refused.add(chosen)
        warn(f"TINYSLM_NUM_THREADS is left aside. Expected: a whole number of at least 1. Got: {chosen!r}")


def _tell() -> None:
    global _untold
    _untold = False
    warn(
        "This process was made by fork: its kernels run on one thread, since threads don't survive a fork. "
        "For more, start processes by 'spawn' or 'forkserver', or call tinyslm.set_num_threads(n) here."
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
