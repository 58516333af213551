"""The parent's end of the pipe to a worker, and the environment that all workers share."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import TinyslmError
from .worker import MARK

# Every library that has threads listens to one of these; SPIN is the same for both sides of a ratio.
THREADS = (
    "TINYSLM_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
SPIN = {"GOMP_SPINCOUNT": "2000", "OMP_WAIT_POLICY": ""}  # as much waiting in a loop as a busy machine bears
# Byte code is kept, as in a shell where nobody forbids it: else each process would compile its sources again.
BYTE_CODE = {"PYTHONDONTWRITEBYTECODE": ""}
PATIENCE = 900.0  # seconds before a worker that says nothing is given up


class ContenderError(TinyslmError, RuntimeError):
    """A contender that failed, with its words."""


def environment(threads: int | None, **more: str) -> dict[str, str]:
    """The environment of this process with the number of threads and the spinning set; None leaves both as they are.

    Empty values unset a variable.
    """
    env = {**os.environ, **BYTE_CODE, **more}
    if threads is not None:
        env |= {name: str(threads) for name in THREADS} | SPIN
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    root = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {name: value for name, value in env.items() if value}


class Process:
    """A worker process; use it in a `with` block, which ends it.

    Args:
        module: run as `python -m module`.
        threads: set for every library it may load; None sets nothing.
    """

    def __init__(self, threads: int | None, module: str = "tinyslm.bench.worker"):
        # It lives as long as the process, and is closed with it.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.child = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(threads),
            encoding="utf-8",
            errors="replace",
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # A thread, since a pipe can't be read with a time limit on every system.
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if line.startswith(MARK):
                self.lines.put(line[len(MARK) :])
        self.lines.put(None)

    def ask(self, do: str, patience: float = PATIENCE, **command: Any) -> dict[str, Any]:
        """Send a command and wait for the answer.

        Raises:
            ContenderError: the contender raised an error, died, or took longer than `patience` seconds.
        """
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(json.dumps({"do": do, **command}) + "\n")
            self.child.stdin.flush()
            line = self.lines.get(timeout=patience)
        except queue.Empty:
            raise ContenderError(f"no answer within {patience:.0f} s") from None
        except OSError:
            line = None
        if line is None:
            raise ContenderError(f"the process ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def _last_words(self) -> str:
        self.child.wait(10)
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {self.child.returncode}"

    def close(self) -> None:
        """End the process."""
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.errors):
            with suppress(OSError):  # a command that the dead process no longer read
                pipe.close()  # type: ignore[union-attr]

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
