"""The clock for the time that a search may take."""

from __future__ import annotations

import time

BUDGET = 3.0  # seconds for the search: with the start of Python and the comparisons a check stays within five
BUSY = 3.0  # on a busy machine the search may take so many times longer by the clock on the wall
EVERY = 0.02  # seconds between two looks at the process's own clock, which is slow to read


class Clock:
    """Seconds of work by this process; on a machine that has no time for it, a third of the wall clock's."""

    def __init__(self) -> None:
        self.start = time.process_time(), time.perf_counter()
        self.seen, self.value = self.start[1], 0.0

    def now(self) -> float:
        """Seconds since the start."""
        wall = time.perf_counter()
        if wall - self.seen > EVERY:
            self.seen = wall
            self.value = max(time.process_time() - self.start[0], (wall - self.start[1]) / BUSY)
        return self.value


now = Clock().now
