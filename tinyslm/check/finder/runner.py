"""Running a learner's file in a process of its own, with limits of time and memory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from ..messages import say
from .outcome import Finding, Outcome

MEGABYTES = 4096
MARK = "\x1etinyslm-report\x1e"
STARTUP = 8.0  # seconds for Python and the imports, on a busy machine


def run_limited(path: str, seconds: float, seed: int, megabytes: int = MEGABYTES) -> Outcome:
    """Check a file in a subprocess."""
    package = str(Path(__file__).resolve().parents[3])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    env |= {"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, str(path), str(seed), str(megabytes)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env
    )
    try:
        out, err = process.communicate(timeout=seconds + STARTUP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return _cannot("timeout", path, seconds=seconds)
    return _read(path, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), process.returncode, megabytes)


def _read(path: str, out: str, err: str, code: int, megabytes: int) -> Outcome:
    parts = out.split(MARK)
    if len(parts) == 3:
        outcome = Outcome.from_json(json.loads(parts[1]))
        outcome.path = path
        return outcome
    if "MemoryError" in err or "Unable to allocate" in err:
        return _cannot("memory", path, megabytes=megabytes)
    return _cannot("crash", path, code=code)


def _cannot(why: str, path: str, **fields: object) -> Outcome:
    key = f"finder.cannot.{why}"
    return Outcome("cannot run", [Finding(key, "cannot run", say(key, **fields))], path=path)


def _limit_memory(megabytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    size = megabytes * 2**20
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def work(path: str, seed: int, megabytes: int) -> Outcome:
    """Check a file in this process, its printing kept apart."""
    from .check import guarded
    from .learner import from_file

    _limit_memory(megabytes)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        outcome = guarded(path, lambda: from_file(path), seed)
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
