"""Which code computes: the reference in NumPy, numba kernels on the CPU, or CUDA kernels on a GPU.

`use("numpy" | "numba" | "cuda")` chooses, for good or inside a `with` block. Unless told otherwise (also by the
environment variable TINYSLM_BACKEND) it is numba where that is installed, and NumPy where it is not or does not import;
that is said once, with the reason. A numba kernel
serves arrays from `SMALL` elements on; below that NumPy is as fast and needs no compilation.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .errors import BackendError

SMALL = 4096
NAMES = ("numpy", "numba", "cuda")


class State:
    """The chosen backend and the size from which its kernels serve."""

    name: str | None = None
    small: int = SMALL


def backend() -> str:
    """The backend in force: "numpy", "numba" or "cuda"."""
    if State.name is None:
        wanted = os.environ.get("TINYSLM_BACKEND")
        if wanted:
            use(wanted)
        else:
            State.name = "numba" if importlib.util.find_spec("numba") else "numpy"
    return State.name or "numpy"


def array_module() -> ModuleType:
    """The array library of the backend in force (`xp` in the operations)."""
    return importlib.import_module("cupy") if backend() == "cuda" else np


class use:
    """Choose the backend: `ts.use("numpy")` from now on, or `with ts.use("numpy"):` for a block.

    Args:
        name: "numpy", "numba" or "cuda".
        small: arrays with fewer elements than this are served by NumPy even with numba (default 4096).

    Raises:
        BackendError: the backend is unknown or not available here, with the reason and the remedy.
    """

    def __init__(self, name: str, small: int = SMALL):
        if name not in NAMES:
            raise BackendError(f"There is no such backend.\n  Expected: one of {', '.join(NAMES)}\n  Got: {name!r}")
        found = probe(name)
        if not found.works:
            raise BackendError(f"The backend {name!r} is not available: {found.why}\n  Remedy: {found.remedy}")
        self.before = (State.name, State.small)
        State.name, State.small = name, small

    def __enter__(self) -> use:
        return self

    def __exit__(self, *error: object) -> None:
        State.name, State.small = self.before


@dataclass(frozen=True)
class Found:
    """What a probe found out about one backend."""

    name: str
    works: bool
    version: str = ""
    why: str = ""
    remedy: str = ""


_found: dict[str, Found] = {}


def probe(name: str) -> Found:
    """Try a backend once and remember the outcome."""
    if name not in _found:
        _found[name] = {"numpy": _probe_numpy, "numba": _probe_numba, "cuda": _probe_cuda}[name]()
    return _found[name]


def report() -> list[Found]:
    """What was found, for every backend."""
    return [probe(name) for name in NAMES]


def _probe_numpy() -> Found:
    return Found("numpy", True, np.__version__)


def _probe_numba() -> Found:
    if importlib.util.find_spec("numba") is None:
        return Found("numba", False, why="numba is not installed", remedy="pip install numba")
    try:
        version = importlib.import_module("numba").__version__
    except Exception as error:  # numba raises ImportError, SystemError and others when it does not fit NumPy or Python
        return Found("numba", False, why=f"numba does not import: {error}", remedy="pip install --upgrade numba numpy")
    return Found("numba", True, version)


def _probe_cuda() -> Found:
    if importlib.util.find_spec("cupy") is None:
        return Found(
            "cuda", False, why="CuPy is not installed", remedy='pip install "tinyslm[cuda12]" on a machine with a GPU'
        )
    return Found(
        "cuda",
        False,
        version=_version("cupy-cuda12x", "cupy-cuda13x", "cupy"),
        why="this version of tinyslm has no CUDA kernels",
        remedy="use numba or numpy",
    )


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


class Kernel:
    """A forward and backward pair in `tinyslm.kernels`, loaded when it is first used.

    Args:
        backend: "numba" or "cuda".
        where: "family:name"; the module `tinyslm.kernels.cpu.family` must define `name_forward` and `name_backward`.
    """

    def __init__(self, backend: str, where: str):
        family, self.name = where.split(":")
        folder = {"numba": "cpu", "cuda": "cuda"}[backend]
        self.backend = backend
        self.module = f"tinyslm.kernels.{folder}.{family}"
        self.forward: Callable[..., Any] | None = None
        self.backward: Callable[..., Any] | None = None
        self.broken = False

    def serves(self, arrays: list) -> bool:
        """True when these arrays are large enough and real, and the kernel can be loaded."""
        if self.broken or max(a.size for a in arrays) < State.small or any(a.dtype.kind == "c" for a in arrays):
            return False
        return self.forward is not None or self.load()

    def load(self) -> bool:
        """Import the pair. A kernel without a backward is refused: it would freeze training silently."""
        try:
            module = importlib.import_module(self.module)
        except Exception as error:  # a broken numba must not stop the work: NumPy serves
            self.broken = True
            _warn_once(f"{self.backend} kernels can't be used, NumPy serves instead: {error}")
            return False
        self.backward = getattr(module, f"{self.name}_backward", None)
        self.forward = getattr(module, f"{self.name}_forward", None)
        if self.forward is None or self.backward is None:
            raise BackendError(f"The kernel {self.name} in {self.module} lacks a forward or a backward")
        return True


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, RuntimeWarning, stacklevel=2)
