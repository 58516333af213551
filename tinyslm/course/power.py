"""How much would a lesson's checks notice? Mistakes are planted in what it builds, and the caught ones are counted.

The result lies beside the lessons in power.json, with a fingerprint of the lesson that it was measured on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TinyslmError
from ..files import write_text
from .lessons import Lesson, fingerprint, lessons_folder
from .mutants import built, mutants
from .run import environment

SAMPLE = 25  # mutants of one lesson, unless all are asked for
LEAST = 0.95  # the share that a lesson's checks have to catch


@dataclass(frozen=True)
class Power:
    """What became of a lesson's mutants.

    Attributes:
        lesson: its name.
        source: fingerprint of the lesson that was measured.
        mutants: how many there are in all.
        tried: how many of them were tried, equivalent ones included.
        caught: by a check that failed, or an error.
        stopped: how many of the caught were still running at the limit of time.
        survived: mistakes that no check noticed.
        equivalent: mutants that gave the function's own results on all inputs tried, so no mistakes.
        functions: the functions that were mutated.
        left_out: functions that were not, with the reason.
    """

    lesson: str
    source: str
    mutants: int
    tried: int
    caught: int
    stopped: int
    survived: list[str]
    equivalent: list[str]
    functions: list[str]
    left_out: dict[str, str]

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"share": self.share}

    @property
    def share(self) -> float:
        """Caught, of those that are mistakes; 1 if there are none."""
        mistakes = self.caught + len(self.survived)
        return self.caught / mistakes if mistakes else 1.0


def measure(lesson: Lesson, most: int | None = SAMPLE) -> Power:
    """Plant the mistakes of the fixed list in `lesson`, and run its checks.

    Args:
        lesson: the lesson.
        most: at most so many mutants, drawn with a fixed seed; None for all.

    Raises:
        TinyslmError: the system has no fork, or the lesson itself does not run.
    """
    source, mark = lesson.path.read_text(encoding="utf-8"), fingerprint(lesson)  # of now: it may change meanwhile
    every, parts = mutants(source), built(source)
    chosen = _sample(len(every), most)
    fates = _run(lesson, chosen)
    named = {fate: [str(every[n]) for n in chosen if fates[n] == fate] for fate in set(fates.values())}
    survived, equivalent = named.get("survived", []), named.get("equivalent", [])
    return Power(
        lesson.name, mark, len(every), len(chosen), len(chosen) - len(survived) - len(equivalent),
        len(named.get("stopped", [])), survived, equivalent,
        [b.name for b in parts if not b.why_not], {b.name: b.why_not for b in parts if b.why_not},
    )  # fmt: skip


def _sample(count: int, most: int | None) -> list[int]:
    if most is None or count <= most:
        return list(range(count))
    return sorted(int(i) for i in np.random.default_rng(0).choice(count, most, replace=False))


def _run(lesson: Lesson, numbers: list[int]) -> dict[int, str]:
    if not hasattr(os, "fork"):
        raise TinyslmError(
            "The power of lessons is measured with copies of a running process, which this system can't make"
        )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fates.json"
        limit = 10 + 4 * lesson.seconds  # of computing, for one mutant
        command = [sys.executable, "-m", "tinyslm.course.power_runner", lesson.path, out, limit, *numbers]
        done = subprocess.run(list(map(str, command)), env=environment(None), capture_output=True, text=True)
        if done.returncode:
            raise TinyslmError(f"The lesson {lesson.name} does not run as it is:\n{done.stderr[-2000:]}")
        return {int(n): fate for n, fate in json.loads(out.read_text(encoding="utf-8")).items()}


# -- what was measured ------------------------------------------------------------------------------------------------


def measured() -> dict[str, Power]:
    """The stored results by the lesson's name."""
    path = _path()
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return {e["lesson"]: Power(**e) for e in entries}


def is_current(lesson: Lesson) -> bool:
    """Whether the stored result was measured on the lesson as it is now."""
    known = measured().get(lesson.name)
    return known is not None and known.source == fingerprint(lesson)


def store(powers: list[Power], order: list[str]) -> None:
    """Put these results into the file, in the place of earlier ones of the same lessons; lessons not in `order` go."""
    found = measured() | {p.lesson: p for p in powers}
    entries = [asdict(found[name]) for name in order if name in found]
    write_text(_path(), json.dumps(entries, ensure_ascii=False, indent=1) + "\n")


def _path() -> Path:
    return lessons_folder() / "power.json"
