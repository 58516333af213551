"""Runs one lesson with mutants: `python -m tinyslm.course.power_runner LESSON.py OUT.json SECONDS NUMBER...`.

The lesson runs once, cell by cell. Before a cell with mutants the process forks for each of them; the copy runs the
changed cell and those that follow until a check fails. What the earlier cells computed is thus not computed again, and
the random numbers are the same. At the end, what survived is compared with the function itself.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ..lesson import CheckFailed
from .lessons import cells
from .mutants import Mutant, built, defines, mutants, tree_of
from .same import Recorder, same

SURVIVED, CAUGHT, RAISED, EQUAL = 0, 3, 4, 5
WAIT = 30  # a sleeping mutant may take this many times longer by the clock
FATES = {SURVIVED: "survived", CAUGHT: "check", RAISED: "error", EQUAL: "equivalent"}


def apart(work: Callable[[], int], seconds: int) -> str:
    """What became of `work` in a copy of this process: a fate, or "stopped" after so many seconds of computing."""
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, seconds)  # the processor's time: a busy machine changes nothing
        signal.alarm(WAIT * seconds)
        os._exit(work())
    status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    return "stopped" if code in (-signal.SIGPROF, -signal.SIGALRM) else FATES.get(code, "error")


class Bench:
    """A lesson at work: its namespace, the trees of its cells, and the calls of what it builds."""

    def __init__(self, path: Path):
        source = path.read_text(encoding="utf-8")
        self.path = path
        self.cells = [None if c.kind == "markdown" else tree_of(c) for c in cells(source)]
        self.built = [b for b in built(source) if not b.why_not]
        self.mutants = mutants(source)
        self.recorder = Recorder()
        self.module = ModuleType("__main__")
        self.module.__file__ = str(path)
        sys.modules["__main__"] = self.module

    def execute(self, tree: ast.Module | None) -> None:
        """Run a cell in the lesson's namespace."""
        if tree is not None:
            exec(compile(tree, str(self.path), "exec"), self.module.__dict__)

    def record(self, cell: int) -> None:
        """Run a cell as it is, and from its definition on record the calls of each function that it builds."""
        for statement in getattr(self.cells[cell], "body", ()):
            self.execute(ast.Module([statement], []))
            for b in self.built:
                if b.cell == cell and defines(statement, b.name):
                    self._watch(b.name)

    def _watch(self, name: str) -> None:
        first, _, method = name.partition(".")
        owner, part = (getattr(self.module, first), method) if method else (self.module, first)
        if isinstance(getattr(owner, part), FunctionType):  # a decorator may have made something else of it
            setattr(owner, part, self.recorder.wrap(name, getattr(owner, part)))

    def fate(self, mutant: Mutant) -> int:
        """Run the changed cell and those after it."""
        try:
            self.execute(mutant.tree)
            for tree in self.cells[mutant.cell + 1 :]:
                self.execute(tree)
        except CheckFailed:
            return CAUGHT
        except BaseException:  # a lesson that leaves early has not run to its end, either
            return RAISED
        return SURVIVED

    def compare(self, mutant: Mutant) -> int:
        """Whether the mutant is the function itself on all inputs tried."""
        kinds = [self._function(tree, mutant.function) for tree in (self.cells[mutant.cell], mutant.tree)]
        return EQUAL if same(kinds[0], kinds[1], self.recorder.calls.get(mutant.function, [])) else SURVIVED

    def _function(self, tree: Any, name: str) -> Callable:
        space = dict(self.module.__dict__)
        body = [node for node in tree.body if defines(node, name)]
        exec(compile(ast.Module(body, []), str(self.path), "exec"), space)
        first, _, method = name.partition(".")
        return getattr(space[first], method) if method else space[first]


def measure(path: Path, numbers: list[int], seconds: int) -> dict[int, str]:
    """The fate of each of the lesson's mutants with these numbers."""
    bench, fates = Bench(path), {}
    for i in range(len(bench.cells)):
        for n in numbers:
            if bench.mutants[n].cell == i:
                fates[n] = apart(lambda n=n: bench.fate(bench.mutants[n]), seconds)  # type: ignore[misc]
        bench.record(i)
    for n, fate in fates.items():
        if fate == "survived":
            # What can't be compared, or takes too long, is not shown to be equivalent.
            found = apart(lambda n=n: bench.compare(bench.mutants[n]), seconds)  # type: ignore[misc]
            fates[n] = found if found == "equivalent" else "survived"
    return fates


def main(arguments: list[str]) -> None:
    """Measure, and write the fates."""
    path, out, seconds, *numbers = arguments
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        fates = measure(Path(path), [int(n) for n in numbers], int(seconds))
    Path(out).write_text(json.dumps(fates), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
