"""Which code computes: the reference in NumPy, numba kernels on the CPU, or CUDA kernels on a GPU.

`use("numpy" | "numba" | "cuda")` chooses, for good or inside a `with` block. Unless told otherwise (also by the
environment variable TINYSLM_BACKEND) it is numba where that is installed, and NumPy where it is not or does not import;
that is said once, with the reason. A numba kernel
serves arrays from `SMALL` elements on; below that NumPy is as fast and needs no compilation. CUDA kernels serve all.
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
    return _cuda("_launch").array_library() if backend() == "cuda" else np


def on_device(value: Any) -> Any:
    """A number or an array of the host as an array of the backend in force."""
    return np.asarray(value) if backend() != "cuda" else array_module().asarray(value)


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
    """Look for CuPy, driver and GPU, then run a kernel and a matrix product; stop at the first that fails."""
    version = _version("cupy-cuda13x", "cupy-cuda12x", "cupy")
    for look in (_look_for_cupy, _look_for_gpu, _try_kernel, _try_product):
        trouble = look()
        if trouble:
            return Found("cuda", False, version, *trouble)
    return Found("cuda", True, version)


Trouble = tuple[str, str]  # why, remedy


def _look_for_cupy() -> Trouble | None:
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed", 'pip install "tinyslm[cuda13]", or [cuda12] for older drivers'
    try:
        importlib.import_module("cupy")
    except Exception as error:  # a half-removed CuPy raises whatever its remains raise
        again = 'pip uninstall cupy-cuda12x cupy-cuda13x, then pip install "tinyslm[cuda13]" (only one of them)'
        return f"CuPy does not import: {error}", again
    return None


def _look_for_gpu() -> Trouble | None:
    cupy: Any = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    driver, wanted = runtime.driverGetVersion() // 1000, runtime.runtimeGetVersion() // 1000
    if driver == 0:
        return "there is no NVIDIA driver", "install the driver of your NVIDIA GPU; without such a GPU, use numba"
    if driver < wanted:
        older = f'pip uninstall cupy-cuda{wanted}x, then pip install "tinyslm[cuda{driver}]"; or update the driver'
        return f"the driver serves CUDA up to {driver}, this CuPy needs CUDA {wanted}", older
    if not cupy.is_available():
        return "no GPU can be seen", "look at nvidia-smi and at the environment variable CUDA_VISIBLE_DEVICES"
    return None


def _try_kernel() -> Trouble | None:
    try:
        xp = _cuda("_launch").array_library()
        found = float(_cuda("elementwise").gelu_forward(xp.ones(1, np.float32))[0][0])
    except Exception as error:  # CuPy's own errors, missing libraries, a compiler that refuses
        return f"a kernel does not run: {_first_line(error)}", _libraries("nvidia-cuda-nvrtc")
    if abs(found - 0.8413447) > 1e-5:
        return f"a kernel computes {found} instead of 0.8413", "update the driver, and reinstall CuPy"
    return None


def _try_product() -> Trouble | None:
    try:
        two = _cuda("_launch").array_library().full((2, 2), 2.0, np.float32)
        found = float((two @ two)[0, 0])
    except Exception as error:
        return f"a matrix product does not run: {_first_line(error)}", _libraries("nvidia-cublas")
    return None if found == 8 else (f"a matrix product gives {found} instead of 8", "update the driver, and CuPy")


def _libraries(package: str) -> str:
    return f'pip install {package}, or all of CUDA\'s libraries: pip install "cupy-cuda13x[ctk]" (or 12x)'


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _cuda(name: str) -> Any:
    return importlib.import_module(f"tinyslm.kernels.cuda.{name}")


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
        where: "family:name"; `tinyslm.kernels.cpu.family` (or cuda) must define `name_forward` and `name_backward`.
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
        """True when these arrays are real, and large enough if the CPU serves them, and the kernel can be loaded."""
        small = self.backend == "numba" and max(a.size for a in arrays) < State.small
        if self.broken or small or any(a.dtype.kind == "c" for a in arrays):
            return False
        return self.forward is not None or self.load()

    def load(self) -> bool:
        """Import the pair. A kernel without a backward is refused: it would freeze training silently."""
        try:
            module = importlib.import_module(self.module)
        except Exception as error:  # a broken numba must not stop the work: NumPy serves
            if self.backend == "cuda":
                raise BackendError(f"The CUDA kernels can't be loaded: {error}\n  Remedy: tinyslm doctor") from error
            self.broken = True
            _warn_once(f"{self.backend} kernels can't be used, NumPy serves instead: {error}")
            return False
        self.backward = getattr(module, f"{self.name}_backward", None)
        self.forward = getattr(module, f"{self.name}_forward", None)
        if self.forward is None or self.backward is None:
            raise BackendError(f"The kernel {self.name} in {self.module} lacks a forward or a backward")
        return True

    def compute(self, arrays: list, attrs: dict[str, Any]) -> Any:
        """(out, saved) for these arrays, or None if numba can't compile the kernel here: then the reference serves."""
        try:
            return self.forward(*arrays, **attrs)  # type: ignore[misc]
        except Exception as error:
            self._give_up(error)
            return None

    def differentiate(self, *args: Any, **attrs: Any) -> Any:
        """The gradients, or None if numba can't compile the kernel here: then the rule serves."""
        try:
            return self.backward(*args, **attrs)  # type: ignore[misc]
        except Exception as error:
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        """Serve no more, and say why, if `error` comes out of the compiler itself; any other is raised again."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
        if where.partition(".")[0] not in ("numba", "llvmlite"):
            raise error
        self.broken = True
        why = (str(error) or type(error).__name__).strip().splitlines()[0]
        _warn_once(f"The {self.backend} kernel {self.name} does not compile here, NumPy serves instead: {why}")


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, RuntimeWarning, stacklevel=2)
