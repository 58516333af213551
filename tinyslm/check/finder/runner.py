"""Checking a learner's file, in a process of its own with limits of time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ...messages import say
from .check import SEED, guarded
from .child import MARK
from .diagnose import SECONDS as BUDGET
from .learner import from_file
from .outcome import Finding, Outcome

MEGABYTES = 4096
CHILD = "tinyslm.check.finder.child"
SECONDS = 30.0


def check_file(
    path: str, in_process: bool = False, seconds: float = SECONDS, seed: int = SEED, budget: float = BUDGET
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
        return guarded(path, lambda: from_file(path), seed, budget=budget)
    return run_limited(path, seconds, seed)


def run_limited(path: str, seconds: float, seed: int, megabytes: int = MEGABYTES) -> Outcome:
    """Check a file in a subprocess."""
    package = str(Path(__file__).resolve().parents[3])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    env |= {"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", CHILD, str(path), str(seed), str(megabytes)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env
    )
    try:
        out, err = process.communicate(timeout=seconds)
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
