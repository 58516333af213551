"""Where in the caller's code an operation was asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType

_HOUSE = str(Path(__file__).resolve().parents[1])
_LESSONS = str(Path(_HOUSE) / "lessons")
_inside: dict[str, bool] = {}  # by file name, whose hash is at hand; a code's own is computed anew each time


def caller() -> tuple[CodeType, int]:
    """The code and instruction of the innermost frame outside tinyslm (lessons count as outside)."""
    frame = sys._getframe(3)  # above Node and apply
    frame = frame.f_back or frame  # C may have called the operation
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        inside = _inside.get(name)
        if inside is None:
            inside = _inside[name] = name.startswith(_HOUSE) and not name.startswith(_LESSONS)
        if not inside:
            break
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def line_text(where: tuple[CodeType, int]) -> str:
    """The place as file:line."""
    code, instruction = where
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return f"{Path(code.co_filename).name}:{line}"
