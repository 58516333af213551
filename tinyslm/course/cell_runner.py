"""Runs one lesson cell by cell: `python -m tinyslm.course.cell_runner LESSON.py OUT`.

What each cell prints goes into OUT/cells.json, beside the checks and figures that the lesson records itself. A process
of its own keeps one lesson's state, and its faults, away from the next.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from .lessons import cells


class Tee(io.TextIOBase):
    """Writes to the terminal and keeps a copy."""

    def __init__(self, terminal: Any):
        self.terminal, self.copy = terminal, io.StringIO()

    def write(self, text: str) -> int:
        """Write to both."""
        self.terminal.write(text)
        return self.copy.write(text)

    def flush(self) -> None:
        """Flush the terminal."""
        self.terminal.flush()


def run(path: Path, out: Path) -> int:
    """Run the cells of `path` in one namespace; 0 if all went well, else 1."""
    module = ModuleType("__main__")
    module.__file__ = str(path)
    sys.modules["__main__"] = module
    outputs: list[dict[str, Any]] = []
    failed = False
    for cell in cells(path.read_text(encoding="utf-8")):
        entry: dict[str, Any] = {"kind": cell.kind, "text": cell.text, "output": "", "figures": []}
        outputs.append(entry)
        if cell.kind != "markdown" and not failed:
            before = set(out.glob("figure*.png"))
            entry["output"], failed = _run_cell(cell.text, cell.line, path, module)
            entry["figures"] = sorted(p.name for p in set(out.glob("figure*.png")) - before)
    (out / "cells.json").write_text(json.dumps(outputs, ensure_ascii=False), encoding="utf-8")
    return int(failed)


def _run_cell(text: str, line: int, path: Path, module: ModuleType) -> tuple[str, bool]:
    tee = Tee(sys.stdout)
    try:
        # Blank lines in front keep the line numbers of tracebacks those of the file.
        code = compile("\n" * (line - 1) + text, str(path), "exec")
        with contextlib.redirect_stdout(tee):
            exec(code, module.__dict__)
    except (Exception, SystemExit):  # a lesson that leaves early has not run to its end
        tee.write(traceback.format_exc(limit=-3))
        return tee.copy.getvalue(), True
    return tee.copy.getvalue(), False


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))
