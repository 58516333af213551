"""Which code computes: the reference in NumPy, numba kernels on the CPU, or CUDA kernels on a GPU.

`use("numpy" | "numba" | "cuda")` chooses, for good or inside a `with` block. Unless told otherwise (also by the
environment variable TINYSLM_BACKEND) it is numba where that is installed, and NumPy where it is not or does not import;
that is said once, with the reason. Kernels serve float32 and float64; the reference serves all else. A numba kernel
serves where NumPy would have to do the work of one operation on `SMALL` elements (`Kernel` says how that is counted);
below that NumPy is about as fast, and numba need not be loaded (a second) or compile (some seconds, the first time).
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .errors import BackendError, ShapeError, require_whole, warn

SMALL = 4096
NAMES = ("numpy", "numba", "cuda")
_SIZE = operator.attrgetter("size")
FLOATS = (np.dtype("float32"), np.dtype("float64"))  # what kernels compute with, in the machine's order of bytes


class State:
    """The chosen backend, the amount of work from which its kernels serve, and the `use` that chose them."""

    name: str | None = None
    small: int = SMALL
    by: use | None = None


def backend() -> str:
    """The backend in force: "numpy", "numba" or "cuda"."""
    if State.name is None:
        wanted = os.environ.get("TINYSLM_BACKEND")
        if wanted:
            use(wanted)
        elif importlib.util.find_spec("numba"):
            State.name = "numba"
        else:
            State.name = "numpy"
            _warn_once("numba is not installed: NumPy serves, several times slower.\n  Remedy: pip install numba")
    return State.name or "numpy"


def array_module() -> ModuleType:
    """The array library of the backend in force (`xp` in the operations)."""
    return cuda_kernels("_launch").array_library() if backend() == "cuda" else np


def on_device(value: Any) -> Any:
    """A number or an array of the host as an array of the backend in force."""
    return np.asarray(value) if backend() != "cuda" else array_module().asarray(value)


def to_host(a: Any) -> Any:
    """An array of any device as NumPy's, for which the host waits; NumPy's own stay what they are.

    Raises:
        ShapeError: see `settle`.
    """
    if not hasattr(a, "get"):
        return a
    found = a.get()
    settle()
    return found


def synchronize() -> None:
    """Wait until a GPU has done all that was asked of it; at once where there is none in use."""
    if backend() == "cuda":
        xp: Any = array_module()
        xp.cuda.get_current_stream().synchronize()


def settle() -> None:
    """On a GPU, say what the kernels found out about indices since the last reading; no wait if none looked.

    Raises:
        ShapeError: an index was outside its range, with the operation and the number.
    """
    if backend() == "cuda":
        notes = cuda_kernels("_late")
        worst = notes.unread()
        if worst is not None:
            _say_late(notes.words(np.array(worst.get() if hasattr(worst, "get") else worst)))


def fetch(numbers: list[Any]) -> list[float]:
    """Numbers, wherever they lie, as Python's; with one wait for all of them and for what `settle` would read.

    Raises:
        ShapeError: see `settle`.
    """
    if not numbers:
        return []
    xp: Any = array_module()
    values = xp.stack([xp.asarray(n, np.float64).reshape(()) for n in numbers])
    if backend() != "cuda":
        return values.tolist()
    notes = cuda_kernels("_late")
    worst, bits = notes.unread(), values.view(np.uint64)
    both = bits if worst is None else xp.concatenate([bits, worst])
    found = np.array(both.get() if hasattr(both, "get") else both)
    if worst is not None:
        _say_late(notes.words(found[len(numbers) :]))
    return found[: len(numbers)].view(np.float64).tolist()


def _say_late(words: str) -> None:
    if words:
        raise ShapeError(
            f"{words}.\n  The GPU found it in an earlier operation; it was noticed only now, when numbers were read.\n"
            "  `with ts.detect_anomaly():` looks after each operation, and stops at the line that asked for it"
        )


class use:
    """Choose the backend: `ts.use("numpy")` from now on, or `with ts.use("numpy"):` for a block.

    Args:
        name: "numpy", "numba" or "cuda".
        small: operations on fewer elements than this are served by NumPy even with numba (default 4096). What takes
            NumPy long counts as more: layer and RMS norm, GELU, cross-entropy, convolution and attention as 16 times
            their elements (attention's scores), a layer x W^T + b as 4 times, a recurrent layer's step over time as
            512 more. 0: kernels serve always.

    Raises:
        BackendError: the backend is unknown or not available here, with the reason and the remedy.
        OptionError: `small` is no whole number of at least 0.
    """

    def __init__(self, name: str, small: int = SMALL):
        if name not in NAMES:
            raise BackendError(f"There is no such backend.\n  Expected: one of {', '.join(NAMES)}\n  Got: {name!r}")
        found = probe(name)
        if not found.works:
            raise BackendError(f"The backend {name!r} is not available: {found.why}\n  Remedy: {found.remedy}")
        self.name, self.small = name, require_whole(small, "small", 0, of="use")
        self._before = [self._switch()]
        self._entered = False

    def _switch(self) -> tuple[str | None, int, use | None]:
        before = State.name, State.small, State.by
        State.name, State.small, State.by = self.name, self.small, self
        return before

    def __enter__(self) -> use:
        if self._entered or State.by is not self:  # not `with use(...)`: chosen earlier, and something else since
            self._before.append(self._switch())
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        State.name, State.small, State.by = self._before.pop()


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
        return "CuPy is not installed", f"{_install(13)}, or for older drivers: {_install(12)}"
    try:
        importlib.import_module("cupy")
    except Exception as error:  # a half-removed CuPy raises whatever its remains raise
        again = f"pip uninstall cupy-cuda12x cupy-cuda13x, then {_install(13)} (or 12x; only one of them)"
        return f"CuPy does not import: {error}", again
    return None


def _look_for_gpu() -> Trouble | None:
    cupy: Any = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    driver, wanted = runtime.driverGetVersion() // 1000, runtime.runtimeGetVersion() // 1000
    if driver == 0:
        return "there is no NVIDIA driver", "install the driver of your NVIDIA GPU; without such a GPU, use numba"
    if driver < wanted:
        older = f"pip uninstall cupy-cuda{wanted}x, then {_install(driver)}; or update the driver"
        return f"the driver serves CUDA up to {driver}, this CuPy needs CUDA {wanted}", older
    if not cupy.is_available():
        return "no GPU can be seen", "look at nvidia-smi and at the environment variable CUDA_VISIBLE_DEVICES"
    return None


def _try_kernel() -> Trouble | None:
    try:
        xp = cuda_kernels("_launch").array_library()
        found = float(cuda_kernels("elementwise").gelu_forward(xp.ones(1, np.float32))[0][0])
    except Exception as error:  # CuPy's own errors, missing libraries, a compiler that refuses
        return f"a kernel does not run: {_first_line(error)}", _libraries("nvidia-cuda-nvrtc")
    if abs(found - 0.8413447) > 1e-5:
        return f"a kernel computes {found} instead of 0.8413", "update the driver, and reinstall CuPy"
    return None


def _try_product() -> Trouble | None:
    try:
        two = cuda_kernels("_launch").array_library().full((2, 2), 2.0, np.float32)
        found = float((two @ two)[0, 0])
    except Exception as error:
        return f"a matrix product does not run: {_first_line(error)}", _libraries("nvidia-cublas")
    return None if found == 8 else (f"a matrix product gives {found} instead of 8", "update the driver, and CuPy")


def _libraries(package: str) -> str:
    return f"pip install {package}, or all of CUDA's libraries: {_install(13)} (or 12x)"


def _install(cuda: int) -> str:
    """How CuPy and CUDA's libraries are installed; as the extras in pyproject.toml say it."""
    return f'pip install "cupy-cuda{cuda}x[ctk]>=14.0.1,!=14.1.0,<15"'


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def cuda_kernels(family: str) -> Any:
    """The host side of a family of CUDA kernels."""
    return importlib.import_module(f"tinyslm.kernels.cuda.{family}")


def _version(*packages: str) -> str:
    from importlib import metadata  # it loads the mail and zip modules: a third of the time of `import tinyslm`

    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""


class Kernel:
    """A forward and backward pair in `tinyslm.kernels`, loaded when it is first used.

    Args:
        backend: "numba" or "cuda".
        where: "family:name"; `tinyslm.kernels.cpu.family` (or cuda) must define `name_forward` and `name_backward`.
        size: how large an array NumPy would work on, from the inputs; the largest of them unless given.
        steps: roughly how many times as long NumPy takes as for one operation. On a CPU the kernel serves from
            size * steps = `small` on.
    """

    def __init__(self, backend: str, where: str, size: Callable[..., int] | None = None, steps: int = 1):
        family, self.name = where.split(":")
        folder = {"numba": "cpu", "cuda": "cuda"}[backend]
        self.backend, self.size, self.steps = backend, size or _largest, steps
        self.module = f"tinyslm.kernels.{folder}.{family}"
        self.forward: Callable[..., Any] | None = None
        self.backward: Callable[..., Any] | None = None
        self.broken = False  # it does not import
        self.refused: set[tuple] = set()  # signatures of arrays for which it does not compile

    def serves(self, arrays: list) -> bool:
        """True for float32 and float64 (whole numbers beside them are indices), large enough for a CPU's kernel, which
        must load here, and compile for arrays of these types.
        """
        small = self.backend == "numba" and self.steps * self.size(*arrays) < State.small
        if self.broken or small or not _are_floats(arrays) or (self.refused and signature(arrays) in self.refused):
            return False
        return self.forward is not None or self.load()

    def load(self) -> bool:
        """Import the pair. A kernel without a backward is refused: it would freeze training silently."""
        module = self.import_module()
        if module is None:
            return False
        self.backward = getattr(module, f"{self.name}_backward", None)
        self.forward = getattr(module, f"{self.name}_forward", None)
        if self.forward is None or self.backward is None:
            raise BackendError(f"The kernel {self.name} in {self.module} lacks a forward or a backward")
        return True

    def import_module(self) -> ModuleType | None:
        """The kernel's module; None, said once with the reason, if it does not import."""
        try:
            return importlib.import_module(self.module)
        except Exception as error:  # a broken numba must not stop the work: NumPy serves
            if self.backend == "cuda":
                raise BackendError(f"The CUDA kernels can't be loaded: {error}\n  Remedy: tinyslm doctor") from error
            self.broken = True
            _warn_once(f"{self.backend} kernels can't be used, NumPy serves instead: {error}")
            return None

    def compute(self, arrays: list, attrs: dict[str, Any], instead: Callable[[], Any]) -> tuple[Any, Any, Any]:
        """(out, saved, this kernel); where numba can't compile it here, (what `instead` computes, None, None)."""
        try:
            return (*self.forward(*arrays, **attrs), self)  # type: ignore[misc]
        except Exception as error:
            trouble = _of_the_compiler(error)
        out = instead()  # if it refuses, too, the mistake is the caller's and not the compiler's
        self.give_up(signature(arrays), trouble)
        return out, None, None

    def differentiate(self, g: Any, out: Any, saved: Any, arrays: list, *needs: Any, **attrs: Any) -> Any:
        """The gradients, or None if numba can't compile the kernel here: then the rule serves."""
        try:
            return self.backward(g, out, saved, arrays, *needs, **attrs)  # type: ignore[misc]
        except Exception as error:
            self.give_up(signature(arrays), _of_the_compiler(error))
            return None

    def give_up(self, refused: tuple, error: Exception) -> None:
        """Serve arrays of this signature no more, and say why."""
        self.refused.add(refused)
        why = (str(error) or type(error).__name__).strip().splitlines()[0]
        _warn_once(f"The {self.backend} kernel {self.name} does not compile here, NumPy serves instead: {why}")


def _largest(*arrays: Any) -> int:
    return max(map(_SIZE, arrays))  # without a loop in Python: every operation that has a kernel asks


def signature(values: Sequence[Any]) -> tuple:
    """What numba compiles for: the type and the number of dimensions of each array, the type of anything else."""
    return tuple((v.dtype.str, v.ndim) if hasattr(v, "dtype") else type(v).__name__ for v in values)


def _are_floats(arrays: list) -> bool:
    """True where all are FLOATS, apart from whole numbers beside them."""
    found = False
    for a in arrays:
        if a.dtype in FLOATS:
            found = True
        elif a.dtype.kind not in "iu":
            return False
    return found


def _of_the_compiler(error: Exception) -> Exception:
    """`error` if it comes out of the compiler itself; any other is raised again."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    if where.partition(".")[0] not in ("numba", "llvmlite"):
        raise error
    return error


class Loops:
    """A compiled function in `tinyslm.kernels.cpu` that is no operation, and the formulas that serve without it.

    Numba compiles a function before it runs any of it, so nothing is done twice where the formulas step in.

    Args:
        where: "family:name".
        formulas: takes the same arguments.
    """

    def __init__(self, where: str, formulas: Callable[..., Any]):
        self.kernel, self.formulas = Kernel("numba", where), formulas

    def __call__(self, *args: Any) -> Any:
        """By the compiled function if numba is the backend, and imports and compiles; else by the formulas."""
        kernel = self.kernel
        refused = kernel.broken or (kernel.refused and signature(args) in kernel.refused)
        module = kernel.import_module() if backend() == "numba" and not refused else None
        if module is None:
            return self.formulas(*args)
        try:
            return getattr(module, kernel.name)(*args)
        except Exception as error:
            trouble = _of_the_compiler(error)
        out = self.formulas(*args)
        kernel.give_up(signature(args), trouble)
        return out


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warn(message)
