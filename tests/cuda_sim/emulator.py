"""Run CUDA kernels on the CPU: `RawModule` and its kernels have the face of CuPy's, as far as tinyslm uses it.

A .cu file is compiled by g++ behind `cudasim.h`, once for each mode and each set of options; the result is kept in the
cache folder. Modes: "fast" computes; "check" also watches every access to memory. Both see shared memory full of NaN
at the start of each block, and both find barriers and warp operations that not all threads reach.

It says nothing about time, and it can't see warps that run in lock step, overflow from one part of dynamic shared
memory into the next, or the rounding of a GPU's fused multiply-add and of the sums in its tensor cores (`mma.cpp`).
Inline assembler needs a function beside it that stands in for it, under `#ifdef CUDASIM`, as in `mma.cuh`. Linux only
(ucontext, ELF sections).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs

HERE = Path(__file__).parent
COMMON = ["g++", "-std=gnu++17", "-fPIC", "-fvisibility=hidden", "-w", "-U_FORTIFY_SOURCE", "-ffp-contract=off"]
MODES = {"fast": ["-O1"], "check": ["-O1", "-gdwarf-4", "-fsanitize=thread,alignment,bounds"]}
STATIC_SHARED_LIMIT = 48 * 1024  # what every GPU gives without being asked

KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\(([^)]*)\)\s*)?(\w+)\s*\(')
DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")


class EmulatorError(RuntimeError):
    """The kernel does not compile, or it did something that a GPU forbids or leaves undefined."""


def missing() -> str:
    """Why the emulator can't run here; "" where it can."""
    if sys.platform != "linux":
        return "the CUDA emulator needs Linux"
    absent = [tool for tool in ("g++", "nm", "addr2line") if shutil.which(tool) is None]
    return f"the CUDA emulator needs {', '.join(absent)}" if absent else ""


class Setting(NamedTuple):
    """How kernels run: the mode, and the seed of the schedule (0 ascending, 1 descending, others shuffled)."""

    mode: str = "fast"
    seed: int = 0


class RawModule:
    """The kernels of one source text.

    Args:
        code: CUDA C++; the kernels are `extern "C" __global__ void`.
        options: compiler options, of which the emulator looks at those that begin with -D.
        setting: mode and seed.
    """

    def __init__(self, code: str, options: Sequence[str] = (), setting: Setting = Setting()):  # noqa: B008
        self.setting = setting
        self.path = _build(code, [o for o in options if o.startswith("-D")], setting.mode)
        self.library = ctypes.CDLL(str(self.path))
        self.library.cudasim_error.restype = ctypes.c_char_p
        if setting.mode == "check":
            for offset, size in _shared_arrays(self.path):
                self.library.cudasim_shared_array(ctypes.c_size_t(offset), ctypes.c_size_t(size))

    def get_function(self, name: str) -> Kernel:
        """The kernel `name`; AttributeError where there is none."""
        if not hasattr(self.library, f"cudasim_run_{name}"):
            raise AttributeError(f"Expected the name of a kernel. Got {name!r}.")
        return Kernel(self, name)


class Kernel:
    """One kernel: `kernel(grid, block, arguments, shared_mem=bytes)`, with NumPy arrays as device memory.

    A list of arrays becomes a table of their addresses, and the arrays are watched too.
    """

    def __init__(self, module: RawModule, name: str):
        self.module, self.name = module, name
        self.max_dynamic_shared_size_bytes = STATIC_SHARED_LIMIT
        letters = getattr(module.library, f"cudasim_letters_{name}")
        letters.restype = ctypes.c_char_p
        self.letters = letters().decode()
        self.run = getattr(module.library, f"cudasim_run_{name}")

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0) -> None:
        """Run the kernel to its end. TypeError for arguments that a GPU would misread, EmulatorError for its faults."""
        library, setting = self.module.library, self.module.setting
        tables = [self._table(i, a) if isinstance(a, list) else a for i, a in enumerate(args)]
        cells, kept = self._cells(tables)
        library.cudasim_seed(ctypes.c_uint64(setting.seed))
        library.cudasim_watch(int(setting.mode == "check"))
        for a in {a.ctypes.data: a for a in [*tables, *_listed(args)] if isinstance(a, np.ndarray)}.values():
            if setting.mode == "check":
                library.cudasim_global_array(ctypes.c_void_p(a.ctypes.data), ctypes.c_size_t(a.nbytes))
        shape = [
            *_three(grid),
            *_three(block),
            shared_mem,
            max(self.max_dynamic_shared_size_bytes, STATIC_SHARED_LIMIT),
        ]
        if self.run(cells, (ctypes.c_uint * 8)(*shape)):
            raise EmulatorError(f"{self.name}: {_with_lines(library.cudasim_error().decode(), self.module.path)}")
        del kept, tables

    def _table(self, i: int, arrays: list) -> np.ndarray:
        """The addresses of arrays, as a kernel gets them for a list."""
        return np.array([int(self._argument(i, a, "P")) for a in arrays], np.uintp)

    def _cells(self, args: Sequence[Any]) -> tuple[Any, list]:
        """The arguments as the array of pointers that a CUDA driver expects, and what has to stay alive."""
        if len(args) != len(self.letters):
            raise TypeError(f"{self.name}: expected {len(self.letters)} arguments. Got {len(args)}.")
        kept = [self._argument(i, a, letter) for i, (a, letter) in enumerate(zip(args, self.letters, strict=True))]
        return (ctypes.c_void_p * max(1, len(kept)))(*(k.ctypes.data for k in kept)), kept

    def _argument(self, i: int, a: Any, letter: str) -> np.ndarray:
        if letter == "P":
            if not isinstance(a, np.ndarray) or not a.flags.c_contiguous:
                raise TypeError(f"{self.name}: expected a contiguous array as argument {i}. Got {type(a).__name__}.")
            return np.array(a.ctypes.data, np.uintp)
        if not isinstance(a, np.generic) or a.dtype != np.dtype(letter):
            got = getattr(a, "dtype", type(a).__name__)
            raise TypeError(f"{self.name}: expected numpy.{np.dtype(letter)} as argument {i}. Got {got}.")
        return np.array(a)


def _listed(args: Sequence[Any]) -> list:
    return [a for arrays in args if isinstance(arrays, list) for a in arrays]


def _three(sizes: Sequence[int]) -> list[int]:
    return [*sizes, 1, 1][:3]


# -- building ---------------------------------------------------------------------------------------------------------


def translate(code: str, defines: Sequence[str] = ()) -> str:
    """The C++ that g++ gets for a .cu text: an entry behind each kernel, and dynamic shared memory by its address."""
    parts, at = [], 0
    for kernel in KERNEL.finditer(code):
        end = _end_of_body(code, kernel.end())
        most_threads = (kernel[1] or "0").split(",")[0]
        parts += [code[at:end], f" CUDASIM_EXPORT({kernel[2]}, {most_threads})"]
        at = end
    body = DYNAMIC.sub(r"CUDASIM_DYNAMIC_SHARED(\1, \2);", "".join([*parts, code[at:]]))
    # The constants stand behind the header, which has names of its own.
    constants = "".join(f"#define {d[2:].replace('=', ' ', 1)}\n" for d in defines)
    return f'#include "cudasim.h"\n{constants}#line 1 "kernel.cu"\n{body}\n'


def _end_of_body(code: str, at: int) -> int:
    """The place behind the } that closes the next {."""
    depth = 0
    for brace in re.finditer("[{}]", code[at:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return at + brace.end()
    raise EmulatorError("Expected a closing } for each { of a kernel.")


def _build(code: str, defines: list[str], mode: str) -> Path:
    text = translate(code, defines)
    runtime = [_object(name) for name in ("scheduler.cpp", "checker.cpp", "mma.cpp")]
    flags = [*COMMON, *MODES[mode]]
    library = cache_folder() / f"{_key(text, flags, *(r.name for r in runtime))}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            source = Path(folder) / "kernel.cpp"
            source.write_text(text, encoding="utf-8")
            _run([*flags, f"-I{_read_header(flags)}", f"-I{HERE}", "-c", str(source), "-o", f"{folder}/kernel.o"])
            link = ["-shared", "-Wl,-Bsymbolic", f"{folder}/kernel.o", *map(str, runtime), "-ldl", "-o"]
            _run(["g++", *link, f"{folder}/kernel.so"])
            Path(folder, "kernel.so").replace(library)
    return library


def _read_header(flags: list[str]) -> Path:
    """A folder with the emulator's header as the compiler has read it: for a small kernel that is most of its work."""
    text = (HERE / "cudasim.h").read_text(encoding="utf-8")
    path = cache_folder() / _key(text, flags) / "cudasim.h.gch"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            _run([*flags, "-x", "c++-header", str(HERE / "cudasim.h"), "-o", f"{folder}/header.gch"])
            Path(folder, "header.gch").replace(path)
    return path.parent


def _object(name: str) -> Path:
    """One file of the emulator itself, compiled; without the hooks, so that it does not watch itself."""
    headers = (HERE / "cudasim.h").read_text(encoding="utf-8") + (HERE / "internal.h").read_text(encoding="utf-8")
    text = (HERE / name).read_text(encoding="utf-8")
    path = cache_folder() / f"{_key(headers, text, COMMON)}.o"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            _run([*COMMON, "-O2", "-c", str(HERE / name), "-o", f"{folder}/part.o"])
            Path(folder, "part.o").replace(path)
    return path


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmulatorError(f"{' '.join(command[:1])} failed:\n{done.stderr}")


def _key(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def cache_folder() -> Path:
    """Where compiled kernels are kept: below TINYSLM_CACHE, or below the user's cache."""
    base = os.environ.get("TINYSLM_CACHE") or platformdirs.user_cache_dir("tinyslm", appauthor=False)
    folder = Path(base).expanduser().absolute() / "cuda_sim"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# -- reading what was built -------------------------------------------------------------------------------------------


def _shared_arrays(path: Path) -> list[tuple[int, int]]:
    """Offset and size of each __shared__ array in its section, from the symbol table."""
    rows = [line.split() for line in _output("nm", "-S", str(path)).splitlines()]
    marks = {row[-1]: int(row[0], 16) for row in rows if row[-1].endswith("_cudasim_shared") and row[0] != "w"}
    begin, end = marks.get("__start_cudasim_shared", 0), marks.get("__stop_cudasim_shared", 0)
    sized = [(int(row[0], 16), int(row[1], 16)) for row in rows if len(row) == 4]
    return [(at - begin, size) for at, size in sized if begin <= at < end]


def _with_lines(message: str, path: Path) -> str:
    """Addresses, as @0x1234, replaced by file and line."""

    def line(match: re.Match) -> str:
        found = _output("addr2line", "-e", str(path), match[1]).split(" ")[0].strip()
        return match[0] if not found or "?" in found else Path(found).name

    return re.sub(r"@(0x[0-9a-f]+)", line, message)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
