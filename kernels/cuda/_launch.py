"""From a family's .cu file to a running kernel: compiling, checking and passing arguments, choosing launch shapes.

All of it is written against two things, an array library `xp` and a factory of modules. On a GPU they are CuPy and its
`RawModule`, which compiles with NVRTC at first use and keeps the result. In the tests they are NumPy and the emulator.
"""

from __future__ import annotations

import functools
import importlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = Any  # an array of `xp`

HERE = Path(__file__).parent
OPTIONS = ("-std=c++17",)
THREADS = 256  # in a block, unless a kernel says otherwise
STATIC_SHARED = 48 * 1024  # bytes of shared memory that a block has without asking
MOST_BLOCKS = 4096  # for kernels whose threads take several entries each; fills any GPU
SHORT_ROW = 1024  # rows up to this length get a warp each, longer ones a block
ROWS_PER_BLOCK = 8


class Gpu(NamedTuple):
    """Where kernels run."""

    xp: Any  # the array library
    raw_module: Callable[..., Any]  # raw_module(code=..., options=...).get_function(name)
    shared_limit: int  # bytes of shared memory that one block may ask for
    processors: int  # how many blocks run at the same time at least
    addresses: Callable[[list], Any] = list  # what a kernel gets for a list of arrays: a table of their addresses
    architecture: int = 90  # 80 for sm_80
    graphs: bool = False  # whether loops of launches may be recorded (_steps.py)
    name: str = ""


class _Chosen:
    """The device in use; tests put the emulator here."""

    gpu: Gpu | None = None


def gpu() -> Gpu:
    """The device in use: CuPy's current one, unless a test has chosen another."""
    if _Chosen.gpu is None:
        cupy = importlib.import_module("cupy")
        found = cupy.cuda.Device().attributes
        limits = int(found["MaxSharedMemoryPerBlockOptin"]), int(found["MultiProcessorCount"])
        architecture = int(cupy.cuda.Device().compute_capability)
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        _Chosen.gpu = Gpu(cupy, cupy.RawModule, *limits, _addresses, architecture, graphs=True, name=name)
    return _Chosen.gpu


def _addresses(arrays: list) -> Array:
    return gpu().xp.asarray(np.array([a.data.ptr for a in arrays], np.uint64))


def choose_gpu(new: Gpu | None) -> Gpu | None:
    """Use another device, or CuPy's again for None; returns what was chosen before."""
    before, _Chosen.gpu = _Chosen.gpu, new
    _function.cache_clear()
    return before


def array_library() -> Any:
    """CuPy, or what stands in for it."""
    return gpu().xp


def source(family: str) -> str:
    """The text of a family's .cu file with its own headers written into it, so that the compiler needs no folders."""
    text = (HERE / f"{family}.cu").read_text(encoding="utf-8")
    return re.sub(r'^#include "(\w+\.cuh)"$', lambda m: _header(m[1], family), text, flags=re.MULTILINE)


def _header(name: str, family: str) -> str:
    body = (HERE / name).read_text(encoding="utf-8").replace("#pragma once\n", "\n")
    before = (HERE / f"{family}.cu").read_text(encoding="utf-8").split(f'#include "{name}"')[0].count("\n")
    return f'#line 1 "{name}"\n{body}#line {before + 2} "{family}.cu"'


@functools.cache
def _function(family: str, name: str, defines: tuple[str, ...]) -> Any:
    return gpu().raw_module(code=source(family), options=(*OPTIONS, *defines)).get_function(name)


def launch(
    kernel: str,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[Any],
    shared: int = 0,
    **constants: Any,
) -> None:
    """Start a kernel; an empty grid starts nothing.

    Args:
        kernel: "family:name".
        grid, block: numbers of blocks and of threads.
        arguments: arrays; lists of arrays, of which the kernel gets the addresses; Python integers become 32-bit ones,
            Python floats take the number type of the arrays; NumPy scalars keep theirs.
        shared: bytes of dynamic shared memory.
        constants: values for -D; REAL comes from the arrays.
    """
    start = prepare(kernel, grid, block, arguments, shared, **constants)
    if start is not None:
        start()


def prepare(
    kernel: str,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[Any],
    shared: int = 0,
    **constants: Any,
) -> Callable[..., None] | None:
    """What starts a kernel as `launch` does, with further arguments behind the others; None for an empty grid."""
    if 0 in grid:
        return None
    family, name = kernel.split(":")
    floats = (a.dtype for a in arguments if hasattr(a, "shape") and a.ndim and a.dtype.kind == "f")
    dtype = next(floats, np.dtype(np.float32))
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"Expected float32 or float64 arrays for {kernel}. Got {dtype}.")
    defines = [f"-DREAL={'float' if dtype == np.float32 else 'double'}", *(f"-D{k}={v}" for k, v in constants.items())]
    function = _function(family, name, tuple(defines))
    if shared > max(gpu().shared_limit, STATIC_SHARED):
        raise RuntimeError(
            f"{kernel} needs {shared:,} bytes of shared memory a block; this GPU has {gpu().shared_limit:,}."
        )
    if shared > STATIC_SHARED and function.max_dynamic_shared_size_bytes < shared:
        function.max_dynamic_shared_size_bytes = shared
    shape, cells = (tuple(grid), tuple(block)), tuple(_argument(a, dtype) for a in arguments)
    return lambda *more: function(*shape, cells + more, shared_mem=shared)


def _argument(a: Any, dtype: np.dtype) -> Any:
    if isinstance(a, (bool, int)):
        return np.int32(a)
    if isinstance(a, list):
        return gpu().addresses(a)
    return dtype.type(a) if isinstance(a, float) else a


# -- launch shapes ----------------------------------------------------------------------------------------------------


def for_entries(n: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block for kernels that walk over n entries in strides of the whole grid."""
    return (min(-(-n // THREADS), MOST_BLOCKS),), (THREADS,)


def for_rows(rows: int, cols: int) -> tuple[tuple[int], tuple[int, int]]:
    """Grid and block for kernels that give each row to a warp (short rows) or to a block (long rows)."""
    if cols <= SHORT_ROW:
        return (-(-rows // ROWS_PER_BLOCK),), (32, ROWS_PER_BLOCK)
    return (rows,), (THREADS, 1)


# -- arrays -----------------------------------------------------------------------------------------------------------


def ready(a: Array) -> Array:
    """`a` itself where it lies in one piece in C order, else a copy that does."""
    return a if a.flags.c_contiguous else a.copy(order="C")


def as_rows(a: Array) -> Array:
    """(..., D) as a matrix (rows, D); also for sizes of 0, where reshape(-1, D) is ambiguous."""
    return ready(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])


def device_array(value: Any, dtype: Any = None) -> Array:
    """A constant such as a mask, given as an array of any kind or a tensor, as an array on the device."""
    return array_library().asarray(getattr(value, "_data", value), dtype)


def whole_numbers(a: Array) -> Array:
    """Integer ids or targets, flat, as 64-bit integers."""
    return ready(a.astype(np.int64, copy=False)).reshape(-1)
