"""What every command shares: the console, errors in words, the backend, opening data."""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console

from .. import device
from .._start import INTERRUPTED
from ..data import Table, load, names, read_csv
from ..errors import BackendError, DataError, OptionError, TinyslmError, TinyslmWarning, did_you_mean
from ..messages import LANGUAGE, say
from ..unicode_math import SPELLED

BAD_INPUT = 2
WIDE = 200  # columns of a table that goes into a file or a pipe, where nothing needs to wrap


def open_console(stderr: bool = False) -> Console:
    """A console that shows texts as they are; signs that the terminal lacks are spelled, letters become codes."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=SPELLED)
    width = None if stream.isatty() else WIDE
    # The terminal wraps long lines itself: a command that was cut into lines could not be copied.
    return Console(file=stream, highlight=False, emoji=False, soft_wrap=True, width=width)


def speak_what_can_be_shown() -> None:
    """Change to English where standard output has no characters for the chosen language."""
    try:
        say("audit.verdict.right").encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        os.environ[LANGUAGE] = "en"


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn expected errors into one message and an exit code; TINYSLM_DEBUG=1 shows the traceback instead."""
    try:
        yield
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        tell_interruption()
    except (TinyslmError, OSError, MemoryError) as error:
        if os.environ.get("TINYSLM_DEBUG"):
            raise
        fail(explain(error), BAD_INPUT)


@contextmanager
def warnings_in_words() -> Iterator[None]:
    """Show our own warnings as a message, without the line of code; other libraries' stay as Python shows them.

    TINYSLM_DEBUG=1 leaves all of them to Python.
    """
    before = warnings.showwarning

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if isinstance(message, TinyslmWarning) and file is None and not os.environ.get("TINYSLM_DEBUG"):
            _tell("[bold yellow]warning:[/]", str(message))
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def fail(message: str, code: int) -> NoReturn:
    """Print an error and leave."""
    _tell("[bold red]error:[/]", message)
    sys.exit(code)


def _tell(kind: str, message: str) -> None:
    console = open_console(stderr=True)
    console.print(kind, end=" ")
    console.print(message, markup=False)


def tell_interruption() -> NoReturn:
    """Say that Ctrl-C ended the command, and leave."""
    fail("interrupted; what was not finished was not saved", INTERRUPTED)


def explain(error: BaseException) -> str:
    """An error as a sentence with what to do."""
    if isinstance(error, MemoryError):
        return "not enough memory; try a smaller --batch-size, --length, --hidden or --vocabulary"
    if isinstance(error, TinyslmError) or not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}); free some space, nothing was half-written"
    return f"{_target(error)}: {error.strerror}.\n  Expected: a place that can be read and written; name another one"


def _target(error: OSError) -> str:
    """The file that was meant, where the error names the temporary one beside it."""
    path = Path(str(error.filename))
    match = re.fullmatch(r"\.(.+)\.[^.]+\.part", path.name)
    return str(path.with_name(match.group(1)) if match else path)


@contextmanager
def named_as_options(known: Sequence[str]) -> Iterator[None]:
    """Let messages about an argument of Python's name the option of the command: batch_size becomes --batch-size."""
    try:
        yield
    except OptionError as error:
        name, _, rest = str(error).partition(":")
        raise OptionError(f"--{name.replace('_', '-')}:{rest}" if name in known else str(error)) from None


def quoted(words: Sequence[str]) -> str:
    """Words as a command line that can be pasted into a shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def this_command() -> list[str]:
    """How the command was called: `tinyslm`, or `python -m tinyslm`."""
    return ["python", "-m", "tinyslm"] if Path(sys.argv[0]).name == "__main__.py" else ["tinyslm"]


def choose_backend(backend: str | None = None, threads: int | None = None) -> None:
    """Apply --backend and --threads. Whatever computes calls this first.

    Raises:
        BackendError: the backend, also one that TINYSLM_BACKEND asks for, is not available here.
    """
    if backend is not None:
        device.use(backend)
    try:
        device.backend()
    except BackendError as error:
        raise BackendError(f"TINYSLM_BACKEND asks for {os.environ.get('TINYSLM_BACKEND')!r}. {error}") from None
    if threads is not None:
        if threads < 1:
            raise OptionError(f"--threads: expected at least 1, got {threads}")
        os.environ["TINYSLM_NUM_THREADS"] = str(threads)


def named(path: str | Path) -> Path:
    """The parser of an option that takes a path: an empty one, as of an unset variable in a script, is refused."""
    if not str(path).strip():
        raise typer.BadParameter('expected a name, got nothing; "." is the current folder')
    return Path(path)


PATH: dict[str, Any] = {"parser": named, "metavar": "PATH"}


def out_folder(path: Path, option: str = "--out") -> Path:
    """The folder, if it is one or can become one; OptionError where a file is in the way or nothing can be written."""
    for place in (path, *path.absolute().parents):
        if place.is_dir():
            _try_to_write(place, path, option)
            return path
        if place.exists():
            raise OptionError(f"{option}: expected a folder, got {path}; {place} is a file")
    return path


def out_file(path: Path | None, option: str) -> None:
    """Make a file's folder before the work begins; OptionError where that fails, or a folder has the file's name."""
    if path is None:
        return
    if path.is_dir():
        raise OptionError(f"{option}: expected a file, got the folder {path}; put a name behind it")
    out_folder(path.parent, option).mkdir(parents=True, exist_ok=True)


def _try_to_write(place: Path, path: Path, option: str) -> None:
    # Asking for permissions says little: the system, a read-only disk or a full one may still refuse.
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OptionError(
            f"{option}: expected a folder that can be written, got {path} ({error.strerror}); name another one"
        ) from None


def open_table(
    data: str,
    text_column: str,
    label_column: str,
    encoding: str,
    delimiter: str | None,
    data_dir: Path | None,
    quoting: str,
) -> Table:
    """A CSV file by its path, standard input as "-", or a data set by its name."""
    if _is_path(data):
        if data == "-" and sys.stdin is None:
            raise DataError("standard input is closed; pass the path of a CSV file")
        delimiter = "\t" if delimiter == r"\t" else delimiter  # a shell hands on two characters
        return read_csv(data, text_column, label_column, encoding, delimiter, quoting)
    if data not in names():
        meant = did_you_mean(data, names())
        raise DataError(f"{data}: expected a CSV file or one of the data sets {', '.join(names())}.{meant}")
    found = load(data, data_dir)
    if not isinstance(found, Table):
        raise DataError(f"{data}: expected texts with labels; this is a plain text")
    return found


def _is_path(data: str) -> bool:
    looks_like_one = data.lower().endswith((".csv", ".tsv", ".txt")) or "/" in data or os.sep in data
    return data == "-" or looks_like_one or (data not in names() and Path(data).exists())
