"""An array library as strict as CuPy: its arrays never turn into NumPy's by themselves, and each wait is counted.

CuPy refuses to mix its arrays with NumPy's, and makes the host wait for the device when a number is asked for
(`float(x)`, `if x`, `x.item()`, a selection by a bool mask). Code that runs on these arrays will do neither unseen.
It is a part of CuPy, not all of it: what is missing here has to be looked up there.
"""

from __future__ import annotations

import ctypes
import math
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

NOT_NUMPY = "Implicit conversion to a NumPy array is not allowed. Use .get()."


class Waits:
    """How often the host waited for the device."""

    count = 0


class Calls:
    """What was asked of the device, in order: our kernels by name, and the library's functions, operators, methods."""

    kernels: list[str] = []  # noqa: RUF012 - one list for all
    library: list[str] = []  # noqa: RUF012
    graphs = 0

    @classmethod
    def forget(cls) -> None:
        """Begin anew, with the waits too."""
        cls.kernels.clear()
        cls.library.clear()
        cls.graphs = Waits.count = 0


class CaptureError(RuntimeError):
    """What CuPy raises where a stream that records is asked for what it can't record."""


def _wait() -> None:
    if Stream.recording is not None:
        raise CaptureError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")
    Waits.count += 1


def _no_capture(what: str) -> None:
    """Only our kernels may be recorded: the library would take memory for its results, and refuses cuBLAS."""
    if Stream.recording is not None:
        raise CaptureError(f"{what} while a stream is capturing")


class Stream:
    """A stream that can record launches and do nothing else."""

    recording: list[Callable[[], None]] | None = None
    refuse = ""  # what begin_capture says if it does not work here

    def __init__(self, non_blocking: bool = False):
        if not non_blocking:
            raise CaptureError("cudaErrorStreamCaptureImplicit: a blocking stream waits for the default one")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        assert Stream.recording is None, "the stream was left while it recorded"

    def begin_capture(self) -> None:
        """From now on launches are recorded, and not run."""
        if Stream.refuse:
            raise CaptureError(Stream.refuse)
        _no_capture("begin_capture")
        Stream.recording = []

    def end_capture(self) -> Graph:
        """What was recorded."""
        assert Stream.recording is not None, "nothing was recorded"
        graph, Stream.recording = Graph(Stream.recording), None
        return graph


class Graph:
    """Recorded launches, with the addresses that they were given."""

    def __init__(self, launches: list[Callable[[], None]]):
        self.launches = launches

    def launch(self) -> None:
        """Run them all."""
        Calls.graphs += 1
        for one in self.launches:
            one()


def unwrap(value: Any) -> Any:
    """NumPy's array behind a device array, also inside lists; TypeError for an array that is not on the device."""
    if isinstance(value, Array):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a NumPy array of shape {value.shape} among device arrays")
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrap, value)) if type(value) in (tuple, list) else value
    if isinstance(value, dict):
        return {k: unwrap(v) for k, v in value.items()}
    return value


def wrap(value: Any) -> Any:
    """NumPy's results as device arrays; numbers too, as CuPy gives arrays without dimensions."""
    if isinstance(value, (np.ndarray, np.generic)):
        return Array(np.asarray(value))
    return tuple(map(wrap, value)) if type(value) in (tuple, list) else value


def _key(key: Any, shape: tuple[int, ...]) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if isinstance(part, Array) and part.dtype == bool:
            _wait()  # the size of the result is known only on the device
    # NumPy arrays may stand among the indices: CuPy copies them to the device.
    host = _wrapped([part.host if isinstance(part, Array) else part for part in parts], shape)
    return tuple(host) if isinstance(key, tuple) else host[0]


def _is_bool(part: Any) -> bool:
    return isinstance(part, (bool, np.bool_)) or (isinstance(part, np.ndarray) and part.dtype == bool)


def _wrapped(parts: list, shape: tuple[int, ...]) -> list:
    """Indices beyond the end count on from the beginning, as on the device, which can't refuse them."""
    taken = [0 if p is None or p is Ellipsis else np.ndim(p) if _is_bool(p) else 1 for p in parts]
    found, axis = [], 0
    for part, axes in zip(parts, taken, strict=True):
        whole = isinstance(part, (np.ndarray, list)) and np.asarray(part).dtype.kind in "iu"
        found.append(np.asarray(part) % max(shape[axis], 1) if whole else part)
        axis += len(shape) - sum(taken) if part is Ellipsis else axes
    return found


class Array:
    """An array on the pretended device."""

    __cuda_array_interface__: dict = {}  # noqa: RUF012 - only its presence counts

    def __init__(self, host: np.ndarray):
        _no_capture("memory for an array")
        self.host = host

    @property
    def data(self) -> Any:
        """Where the numbers lie."""
        return types.SimpleNamespace(ptr=self.host.ctypes.data)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(NOT_NUMPY)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if getattr(np, ufunc.__name__.split(" ")[0], None) is not ufunc:
            raise TypeError(f"CuPy has no function {ufunc.__name__}")
        Calls.library.append(f"{ufunc.__name__}{'' if method == '__call__' else f'.{method}'}")
        return wrap(getattr(ufunc, method)(*map(unwrap, inputs), **unwrap(kwargs)))

    def __array_function__(self, function: Callable, kinds: Any, args: tuple, kwargs: dict) -> Any:
        Calls.library.append(function.__name__)
        return wrap(function(*unwrap(args), **unwrap(kwargs)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.host, name)
        return partial(self._call, name, found) if callable(found) else wrap(found)

    @staticmethod
    def _call(name: str, method: Callable, *args: Any, **kwargs: Any) -> Any:
        Calls.library.append(name)
        return wrap(method(*unwrap(args), **unwrap(kwargs)))

    def __getitem__(self, key: Any) -> Array:
        return wrap(self.host[_key(key, self.host.shape)])

    def __setitem__(self, key: Any, value: Any) -> None:
        Calls.library.append("setitem")
        self.host[_key(key, self.host.shape)] = unwrap(value)

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self) -> Any:
        return (wrap(a) for a in self.host)

    def __repr__(self) -> str:
        return f"device {self.host!r}"

    def get(self) -> np.ndarray:
        """The numbers as NumPy's array."""
        _wait()
        return self.host.copy()

    def item(self) -> Any:
        """The one number."""
        _wait()
        return self.host.item()

    def tolist(self) -> Any:
        """The numbers as lists."""
        _wait()
        return self.host.tolist()

    def __float__(self) -> float:
        _wait()
        return float(self.host)

    def __int__(self) -> int:
        _wait()
        return int(self.host)

    def __bool__(self) -> bool:
        _wait()
        return bool(self.host)

    __index__ = __int__


def _operator(name: str) -> Callable:
    def operate(self: Array, *others: Any) -> Any:
        Calls.library.append(name)
        return wrap(getattr(np.asarray(self.host), name)(*map(unwrap, others)))

    return operate


def _in_place(name: str) -> Callable:
    def operate(self: Array, other: Any) -> Array:
        Calls.library.append(name)
        getattr(self.host, name)(unwrap(other))
        return self

    return operate


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(Array, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(Array, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in ("neg", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))
Array.__hash__ = object.__hash__  # type: ignore[method-assign]


class _Function:
    """A function of the library, and the method `at` where it has one."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        Calls.library.append(self.function.__name__)
        return wrap(self.function(*unwrap(args), **unwrap(kwargs)))

    def at(self, array: Array, key: Any, value: Any) -> None:
        Calls.library.append(f"{self.function.__name__}.at")
        self.function.at(array.host, _key(key, array.host.shape), unwrap(value))  # type: ignore[attr-defined]


class FakeCupy(types.ModuleType):
    """The array library: NumPy's functions for device arrays.

    Args:
        raw_module: what compiles and runs kernels on NumPy arrays, such as the emulator.
    """

    ndarray = Array
    cuda = types.SimpleNamespace(get_current_stream=lambda: types.SimpleNamespace(synchronize=_wait), Stream=Stream)

    def __init__(self, raw_module: Callable[..., Any]):
        super().__init__("fake_cupy")
        self.raw_module = raw_module

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        return found if isinstance(found, type) or not callable(found) else _Function(found)

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """From the host to the device; no wait."""
        host = value.host if isinstance(value, Array) else value
        return value if host is not value and dtype in (None, host.dtype) else Array(np.array(host, dtype))

    array = asarray

    def asnumpy(self, value: Any) -> Any:
        """From the device to the host."""
        return value.get() if isinstance(value, Array) else value

    def take_along_axis(self, a: Array, indices: Array, axis: int) -> Array:
        """The function of the name; indices beyond the end count on from the beginning."""
        return wrap(np.take_along_axis(a.host, indices.host % a.host.shape[axis], axis))

    def RawModule(self, code: str, options: tuple[str, ...] = ()) -> Any:
        """Kernels for device arrays."""
        module = self.raw_module(code, options)
        return types.SimpleNamespace(get_function=lambda name: _Kernel(name, module.get_function(name)))


class _Kernel:
    def __init__(self, name: str, kernel: Any):
        self.name = name
        self.kernel, self.max_dynamic_shared_size_bytes = kernel, kernel.max_dynamic_shared_size_bytes

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        self.kernel.max_dynamic_shared_size_bytes = self.max_dynamic_shared_size_bytes
        host = tuple(map(unwrap, args))
        if Stream.recording is None:
            return self._run(grid, block, host, shared_mem)
        kept = [(a.ctypes.data, a.shape, a.dtype) if isinstance(a, np.ndarray) else a for a in host]
        Stream.recording.append(lambda: self._run(grid, block, tuple(map(_at_address, kept)), shared_mem))

    def _run(self, grid: Any, block: Any, args: tuple, shared_mem: int) -> None:
        Calls.kernels.append(self.name)
        self.kernel(grid, block, args, shared_mem=shared_mem)


def _at_address(kept: Any) -> Any:
    """What lies now where an array lay when it was recorded: a graph keeps no array alive."""
    if not isinstance(kept, tuple):
        return kept
    address, shape, dtype = kept
    memory = (ctypes.c_char * (math.prod(shape) * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)
