"""The decorator of every kernel: compile at first use, keep the machine code on disk, say so once.

numba's cache looks at the file of the kernel itself and not at the functions that the kernel calls, so an edit in
`_math.py` would leave stale machine code behind. The cache folder therefore carries a hash of all kernel sources.
"""

import atexit
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event

# Sums may be reordered, which vector instructions need. NaN and infinity must keep their meaning: no nnan, no ninf.
# Divisions stay divisions: no arcp.
FASTMATH = {"contract", "nsz", "reassoc"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def jit(function: Callable) -> Callable:
    """Compile `function` with numba at its first call and keep the result in `cache_folder()`."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = cache_folder()  # numba reads it while it decorates; the user's own caches stay put
    try:
        return numba.njit(cache=True, fastmath=FASTMATH, **OPTIONS)(function)
    finally:
        config.CACHE_DIR = before


def inline(function: Callable) -> Callable:
    """Compile a small function as a part of the kernels that call it; its sums keep the order they are written in."""
    return numba.njit(fastmath={"contract"}, **OPTIONS)(function)


def woven(function: Callable) -> Callable:
    """Compile a function into the very loop that calls it; its sums may be reordered.

    For work of a few hundred nanoseconds. A call would hand over some forty numbers (the address, the shape and the
    strides of each array) and count, for each row of a table that it is given, one more user of the table.
    """
    return numba.njit(fastmath=FASTMATH, forceinline=True, **OPTIONS)(function)


def source_hash(folder: Path) -> str:
    """The first 16 hexadecimal digits of a hash of all Python files in `folder`, names included."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> str:
    """The folder of compiled kernels: below the user's cache, or a temporary one where that can't be written."""
    folder = user_cache() / "numba" / source_hash(Path(__file__).parent)
    return str(folder) if _writable(folder) else _temporary_folder()


def user_cache() -> Path:
    """TINYSLM_CACHE where it is set, else the place that this operating system keeps for caches."""
    if chosen := os.environ.get("TINYSLM_CACHE"):
        return Path(chosen).expanduser().absolute()
    return _system_cache() / "tinyslm"


def _system_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_folder() -> str:
    folder, owner = tempfile.mkdtemp(prefix="tinyslm-"), os.getpid()
    # A fork inherits this hook, and must not remove the folder of its parent.
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    return folder


class _Announcer(event.Listener):
    """One line on stderr when a kernel is really compiled; numba stays silent when it loads one from disk."""

    def __init__(self) -> None:
        self.depth = 0  # a kernel compiles the functions it calls, too; only the outermost is worth a line

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if self.depth == 0 and function.__module__.startswith(f"{__package__}.") and sys.stderr:
            name = function.__name__.strip("_")
            print(f"tinyslm: compiling kernel {name} (first use; kept for later runs)", file=sys.stderr)
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1


event.register("numba:compile", _Announcer())
