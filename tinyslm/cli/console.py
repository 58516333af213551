"""What every command shares: the console, errors in words, the backend."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from .. import device
from ..data import Table, load, names, read_csv
from ..errors import DataError, OptionError, TinyslmError

BAD_INPUT = 2
INTERRUPTED = 130


def open_console(stderr: bool = False) -> Console:
    """A console that prints a mark in place of what the terminal's encoding lacks, instead of failing."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    return Console(file=stream, highlight=False, soft_wrap=not stream.isatty())


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn expected errors into one message and an exit code; TINYSLM_DEBUG=1 shows the traceback instead."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except (TinyslmError, OSError, MemoryError) as error:
        if os.environ.get("TINYSLM_DEBUG"):
            raise
        fail(explain(error), BAD_INPUT)


def fail(message: str, code: int) -> None:
    """Print an error and leave."""
    open_console(stderr=True).print(f"[bold red]error:[/] {escape(message)}")
    sys.exit(code)


def explain(error: BaseException) -> str:
    """An error as a sentence with what to do."""
    if isinstance(error, TinyslmError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; try a smaller --batch-size, --length or --vocabulary"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}); free some space, nothing was half-written"
    if isinstance(error, PermissionError):
        return f"no permission for {error.filename}; choose a folder that you may write to with --out"
    return str(error)


def choose_backend(backend: str | None, threads: int | None) -> None:
    """Apply --backend and --threads."""
    if backend is not None:
        device.use(backend)
    if threads is not None:
        if threads < 1:
            raise OptionError(f"--threads: expected at least 1, got {threads}")
        os.environ["TINYSLM_NUM_THREADS"] = str(threads)


def open_table(
    data: str,
    text: str,
    label: str | None,
    encoding: str,
    delimiter: str | None,
    data_dir: Path | None,
    quoting: str = "minimal",
) -> Table:
    """A CSV file by its path, standard input as "-", or a data set by its name."""
    if data == "-" or Path(data).exists() or data.lower().endswith((".csv", ".tsv", ".txt")) or os.sep in data:
        return read_csv(data, text=text, label=label, encoding=encoding, delimiter=delimiter, quoting=quoting)
    if data not in names():
        raise DataError(f"{data}: expected a CSV file or one of the data sets {', '.join(names())}")
    found = load(data, data_dir)
    if not isinstance(found, Table):
        raise DataError(f"{data}: expected texts with labels; this is a plain text")
    return found
