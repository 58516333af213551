"""One thread for the small matrix products of a recurrent step.

A product of 32 x 128 by 128 x 512 takes some 60 microseconds. OpenBLAS, which comes inside NumPy, splits even that over
all cores and lets them wait for each other by spinning; on cores that others use too, the wait becomes milliseconds,
for each of a hundred steps. So the loops over time ask OpenBLAS for one thread and set it back after. Where NumPy uses
another library (Accelerate, MKL) nothing is changed.
"""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
PREFIXES = ("scipy_openblas", "openblas")
SUFFIXES = ("64_", "")


def one_thread(function: F) -> F:
    """Decorator: while `function` runs, NumPy's OpenBLAS uses one thread."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        get, put = _controls()
        before = get()
        put(1)
        try:
            return function(*args, **kwargs)
        finally:
            put(before)

    return run  # type: ignore[return-value]


@functools.cache
def _controls() -> tuple[Callable[[], int], Callable[[int], object]]:
    """The two functions that read and set OpenBLAS' number of threads; harmless ones where there is no OpenBLAS."""
    for library in _libraries():
        for prefix in PREFIXES:
            for suffix in SUFFIXES:
                get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                if get and put:
                    return get, put
    return (lambda: 1), (lambda n: None)


def _libraries() -> list[ctypes.CDLL]:
    # Wheels carry the library beside NumPy (Linux, Windows) or inside it (macOS); it is already loaded.
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*openblas*"))]
    libraries = []
    for path in found:
        try:
            libraries.append(ctypes.CDLL(str(path)))
        except OSError:  # not a library of this machine: the products keep their threads
            continue
    return libraries
