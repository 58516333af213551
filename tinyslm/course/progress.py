"""Which lessons a learner has run with all checks holding, kept in the user's own data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..files import write_text
from .lessons import Lesson, fingerprint, lessons


def done() -> set[str]:
    """Names of the lessons that ran well in the form they have now."""
    saved = _read()
    return {x.name for x in lessons() if saved.get(x.name) == fingerprint(x)}


def remember(lesson: Lesson) -> None:
    """Note that a lesson ran well. A folder that can't be written is no reason to fail."""
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(_read() | {lesson.name: fingerprint(lesson)}, indent=1) + "\n")
    except OSError:
        return


def _path() -> Path:
    from platformdirs import user_data_path

    return Path(os.environ.get("TINYSLM_STATE") or user_data_path("tinyslm", appauthor=False)) / "lessons.json"


def _read() -> dict[str, str]:
    try:
        saved = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}
