"""The process in which a learner's file runs: `python -m tinyslm.check.finder.child FILE SEED MEGABYTES`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable

from ...messages import say
from .check import guarded
from .learner import from_file
from .outcome import Outcome
from .runner import MARK


def _limit_memory(megabytes: int) -> int:
    """The limit that holds from now on; 0 where there can be none."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))
    except (ImportError, ValueError, OSError):  # Windows knows no such limit, macOS refuses it
        return 0
    return megabytes


def work(path: str, seed: int, megabytes: int, tell: Callable[[Outcome], None]) -> Outcome:
    """Check a file in this process, its printing kept apart; `tell` gets what is known before the end."""
    limit = _limit_memory(megabytes)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        outcome = guarded(path, lambda: from_file(path), seed, megabytes=limit, tell=tell)
    text = printed.getvalue().strip()
    if text:
        first = text.splitlines()[0]
        outcome.notes.append(say("finder.note.prints", text=first[:80] + (" ..." if len(text) > len(first) else "")))
    return outcome


def send(outcome: Outcome) -> None:
    """Hand a report to the process that waits for it; the last one counts."""
    sys.__stdout__.write(MARK + json.dumps(outcome.json()) + MARK)  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    send(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), send))
    os._exit(0)  # whatever threads or exit handlers the file left behind
