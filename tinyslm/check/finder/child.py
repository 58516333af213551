"""The process in which a learner's file runs: `python -m tinyslm.check.finder.child FILE SEED MEGABYTES`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

from ...messages import say
from .check import guarded
from .learner import from_file
from .outcome import Outcome

MARK = "\x1etinyslm-report\x1e"


def _limit_memory(megabytes: int) -> int:
    """The limit that holds from now on; 0 where there can be none."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))
    except (ImportError, ValueError, OSError):  # Windows knows no such limit, macOS refuses it
        return 0
    return megabytes


def work(path: str, seed: int, megabytes: int) -> Outcome:
    """Check a file in this process, its printing kept apart."""
    limit = _limit_memory(megabytes)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        outcome = guarded(path, lambda: from_file(path), seed, megabytes=limit)
    text = printed.getvalue().strip()
    if text:
        first = text.splitlines()[0]
        outcome.notes.append(say("finder.note.prints", text=first[:80] + (" ..." if len(text) > len(first) else "")))
    return outcome


if __name__ == "__main__":
    found = work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    sys.__stdout__.write(MARK + json.dumps(found.json()) + MARK)  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]
    os._exit(0)  # whatever threads or exit handlers the file left behind
