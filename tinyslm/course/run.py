"""Running a lesson in a process of its own, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..lesson import OUT
from ..messages import say
from .lessons import Lesson

PATIENCE = 10  # a slow machine gets this many times the lesson's own limit


@dataclass
class Outcome:
    """A lesson's cells with their output, its checks and figures, how long it took, and whether all went well."""

    lesson: Lesson
    ok: bool
    seconds: float
    checks: list[dict[str, Any]]
    figures: dict[str, str]
    cells: list[dict[str, Any]]
    folder: Path
    trouble: str = ""

    @property
    def largest_error(self) -> float | None:
        """The largest gradient error among the checks that rest on one."""
        errors = [c["error"] for c in self.checks if c["error"] is not None]
        return max(errors) if errors else None


def run_lesson(lesson: Lesson, folder: Path) -> Outcome:
    """Run `lesson`; everything it leaves goes into `folder`. A lesson without a check has shown nothing: it fails."""
    _make_empty(folder)
    start = time.perf_counter()
    command = [sys.executable, "-m", "tinyslm.course.cell_runner", str(lesson.path), str(folder)]
    trouble = ""
    try:
        done = subprocess.run(
            command, env=environment(folder), capture_output=True, text=True, encoding="utf-8", errors="replace",
            timeout=PATIENCE * lesson.seconds,
        )  # fmt: skip
        ok, trouble = done.returncode == 0, done.stderr.strip()
    except subprocess.TimeoutExpired:
        ok, trouble = False, say("lessons.stopped", after=PATIENCE * lesson.seconds, seconds=lesson.seconds)
    seconds = time.perf_counter() - start
    checks = _lines(folder / "checks.jsonl")
    figures = {f["file"]: f["caption"] for f in _lines(folder / "figures.jsonl")}
    if ok and not checks:
        ok, trouble = False, say("lessons.no_check")
    return Outcome(
        lesson, ok and all(c["ok"] for c in checks), seconds, checks, figures, _cells(folder), folder, trouble
    )


def _make_empty(folder: Path) -> None:
    """Make the folder, and remove what an earlier run of a lesson left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("checks.jsonl", "figures.jsonl", "cells.json", "figure*.png"):
        for path in folder.glob(pattern):
            path.unlink()


def environment(folder: Path | None) -> dict[str, str]:
    """The environment of a process that runs a lesson; what it leaves goes into `folder`, or nowhere if None."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    # Lessons multiply small matrices, for which more threads only wait for each other.
    given = {k: v for k, v in os.environ.items() if k != OUT} | ({OUT: str(folder)} if folder else {})
    own = {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "agg"}
    return {"OPENBLAS_NUM_THREADS": "1", "TINYSLM_NUM_THREADS": "1"} | given | own


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _cells(folder: Path) -> list[dict[str, Any]]:
    path = folder / "cells.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
