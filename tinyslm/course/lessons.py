"""Where the lessons lie, in which order, and of which cells each consists."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, did_you_mean


@dataclass(frozen=True)
class Lesson:
    """One entry of the manifest: name (its file without .py), part of the course, title, formulas, time it may take."""

    name: str
    part: str
    title: str
    ids: tuple[str, ...]
    minutes: int
    seconds: int
    path: Path


@dataclass(frozen=True)
class Cell:
    """One cell of a percent script: "markdown", "code" or "solution", its text, and the line where it starts."""

    kind: str
    text: str
    line: int


def lessons_folder() -> Path:
    """The folder with the lessons: beside the package's files when installed, beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "lessons", package.parent / "lessons"):
        if (folder / "manifest.json").is_file():
            return folder
    raise DataError(f"The lessons are missing: expected them in {package / 'lessons'}. Remedy: reinstall tinyslm")


def lessons() -> list[Lesson]:
    """All lessons in their order."""
    folder = lessons_folder()
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return [
        Lesson(
            e["name"], e["part"], e["title"], tuple(e["ids"]), e["minutes"], e["seconds"], folder / f"{e['name']}.py"
        )
        for e in entries
    ]


def formula_lessons() -> dict[str, Lesson]:
    """Each formula's ID in its order, with the lesson that builds it."""
    found = {id: lesson for lesson in lessons() for id in lesson.ids}
    return {id: found[id] for id in sorted(found, key=lambda i: (i[0], int(i[1:])))}


def fingerprint(lesson: Lesson) -> str:
    """16 hexadecimal digits that change with the lesson's text, however its lines end."""
    return hashlib.sha256(lesson.path.read_text(encoding="utf-8").encode()).hexdigest()[:16]


def choose(names: list[str]) -> list[Lesson]:
    """The lessons with these names, parts or formula IDs, in their order; all of them for an empty list or "all"."""
    every = lessons()
    known = [name for x in every for name in _known_as(x)]
    lower = {name.lower() for name in known}
    wanted = {_bare(n).lower(): _bare(n) for n in names if n.lower() != "all"}
    missing = [name for key, name in wanted.items() if key not in lower]
    if missing:
        told = "\n".join(f"There is no lesson {name}.{did_you_mean(name, known)}" for name in missing)
        raise DataError(
            f"{told}\n  Expected: the name of a lesson, a part (I to V), or a formula such as A6; "
            "`tinyslm lessons list` shows all"
        )
    return [x for x in every if not wanted or any(name.lower() in wanted for name in _known_as(x))]


def _bare(name: str) -> str:
    return name.removesuffix(".py")


def _known_as(lesson: Lesson) -> list[str]:
    return [lesson.name, lesson.part, *lesson.ids]


def cells(source: str) -> list[Cell]:
    """Cut a percent script into cells; comment marks are taken off Markdown."""
    found: list[Cell] = []
    kind, start, lines = "code", 1, []
    for number, line in enumerate([*source.split("\n"), "# %%"], start=1):
        if not line.startswith("# %%"):
            lines.append(line)
            continue
        text = "\n".join(lines)
        if text.strip():
            found.append(Cell(kind, _uncomment(text) if kind == "markdown" else text, start))
        kind = "markdown" if "[markdown]" in line else "solution" if "solution" in line else "code"
        start, lines = number + 1, []
    return found


def _uncomment(text: str) -> str:
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.split("\n")).strip()
