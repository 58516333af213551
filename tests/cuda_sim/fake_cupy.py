"""An array library as strict as CuPy: its arrays never turn into NumPy's by themselves, and each wait is counted.

CuPy refuses to mix its arrays with NumPy's, and makes the host wait for the device when a number is asked for
(`float(x)`, `if x`, `x.item()`, a selection by a bool mask). Code that runs on these arrays will do neither unseen.
It is a part of CuPy, not all of it: what is missing here has to be looked up there.
"""

from __future__ import annotations

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

    @classmethod
    def forget(cls) -> None:
        """Begin anew, with the waits too."""
        cls.kernels.clear()
        cls.library.clear()
        Waits.count = 0


def _wait() -> None:
    Waits.count += 1


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


def _key(key: Any) -> Any:
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, Array) and part.dtype == bool:
            _wait()  # the size of the result is known only on the device
    # NumPy arrays may stand among the indices: CuPy copies them to the device.
    host = [part.host if isinstance(part, Array) else part for part in (key if isinstance(key, tuple) else (key,))]
    return tuple(host) if isinstance(key, tuple) else host[0]


class Array:
    """An array on the pretended device."""

    __cuda_array_interface__: dict = {}  # noqa: RUF012 - only its presence counts

    def __init__(self, host: np.ndarray):
        self.host = host

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
        return wrap(self.host[_key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        Calls.library.append("setitem")
        self.host[_key(key)] = unwrap(value)

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
        self.function.at(array.host, _wrapped(_key(key), array.host.shape), unwrap(value))  # type: ignore[attr-defined]


def _wrapped(key: Any, shape: tuple[int, ...]) -> Any:
    """Indices beyond the end count on from the beginning, as on the device, which can't refuse them."""
    if not isinstance(key, tuple):
        return _wrapped((key,), shape)[0]
    return tuple(
        k % n if isinstance(k, np.ndarray) and k.dtype != bool else k for k, n in zip(key, shape, strict=False)
    )


class FakeCupy(types.ModuleType):
    """The array library: NumPy's functions for device arrays.

    Args:
        raw_module: what compiles and runs kernels on NumPy arrays, such as the emulator.
    """

    ndarray = Array
    cuda = types.SimpleNamespace(get_current_stream=lambda: types.SimpleNamespace(synchronize=_wait))

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
        Calls.kernels.append(self.name)
        self.kernel.max_dynamic_shared_size_bytes = self.max_dynamic_shared_size_bytes
        self.kernel(grid, block, tuple(map(unwrap, args)), shared_mem=shared_mem)
