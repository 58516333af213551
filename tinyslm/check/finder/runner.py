"""Checking a learner's file, in a process of its own with limits of time and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ...messages import say
from .clock import BUDGET
from .outcome import Finding, Outcome

MARK = "\x1etinyslm-report\x1e"
MEGABYTES = 4096
CHILD = "tinyslm.check.finder.child"
SECONDS = 30.0
ACCESS_VIOLATION = 0xC0000005  # how Windows reports a segmentation fault


def check_file(
    path: str, in_process: bool = False, seconds: float = SECONDS, seed: int = 0, budget: float = BUDGET
) -> Outcome:
    """Check a learner's file.

    Args:
        path: the file; see `tinyslm check --new dense` for one that is right.
        in_process: run it in this process, without limits of time and memory.
        seconds: the limit of time for the process, from its start.
        seed: of the random numbers.
        budget: seconds for the search for a cause, in this process only.
    """
    if in_process:
        from .check import guarded
        from .learner import from_file

        return guarded(path, lambda: from_file(path), seed, budget=budget)
    return run_limited(path, seconds, seed)


def run_limited(path: str, seconds: float, seed: int, megabytes: int = MEGABYTES) -> Outcome:
    """Check a file in a subprocess."""
    package = str(Path(__file__).resolve().parents[3])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    env |= {"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", CHILD, str(path), str(seed), str(megabytes)]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        outcome = _last(path, process.communicate()[0]) or _cannot("timeout", path, seconds=seconds)
    else:
        outcome = _read(path, out, err.decode("utf-8", "replace"), process.returncode, megabytes)
    outcome.seconds = outcome.seconds or time.perf_counter() - start
    return outcome


def _read(path: str, out: bytes, err: str, code: int, megabytes: int) -> Outcome:
    outcome = _last(path, out)
    if outcome is not None and (code == 0 or outcome.verdict == "wrong"):
        return outcome
    if "MemoryError" in err or "Unable to allocate" in err:
        return _cannot("memory", path, megabytes=megabytes)
    last = err.strip().splitlines()[-1:]
    said = f" ({last[0][:200]})" if last else ""
    name = _crash(code)
    if name:
        return _cannot("signal", path, name=name, said=said)
    return _cannot("crash" if "Traceback" in err else "ended", path, code=code, said=said)


def _crash(code: int) -> str:
    """What the system stopped the process for; empty where it came to an end itself."""
    if code == ACCESS_VIOLATION:
        return "segmentation fault"
    return (signal.strsignal(-code) or f"signal {-code}").lower() if code < 0 else ""


def _last(path: str, out: bytes) -> Outcome | None:
    """The last report that came through whole."""
    parts = out.decode("utf-8", "replace").split(MARK)
    if len(parts) < 3:
        return None
    outcome = Outcome.from_json(json.loads(parts[len(parts) - 2 if len(parts) % 2 else len(parts) - 3]))
    outcome.path = path
    return outcome


def _cannot(why: str, path: str, **fields: object) -> Outcome:
    key = f"finder.cannot.{why}"
    return Outcome("cannot run", [Finding(key, "cannot run", say(key, **fields))], path=path)
