"""Compile the CUDA kernels with NVRTC, which needs no GPU and no driver, and read what each of them uses.

    pip install nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cuda-nvrtc==13.0.88
    python tests/cuda/nvrtc.py          # a table of registers, shared memory and spills

CuPy compiles with NVRTC too, and nvcc is no substitute for it: nvcc finds headers and macros that NVRTC lacks.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tinyslm.kernels.cuda import _launch
from tinyslm.kernels.cuda._precision import OLDEST
from tinyslm.kernels.cuda.attention import constants
from tinyslm.kernels.cuda.recurrent import kept_weights

SHARED_LIMITS = {75: 65_536, 80: 166_912, 90: 232_448, 100: 232_448}  # bytes for a block, by architecture
ARCHITECTURES = tuple(SHARED_LIMITS)
STATIC_SHARED = 48 * 1024  # what a kernel may have without asking
WIDTHS = [(64, True), (64, False), (128, False)]  # of a head; whether there is a mask
TENSOR_CORES = ("attention_mma",)  # families that are there for them alone
TENSOR_WIDTHS = [(64, True), (128, True)]
FORMATS = (1, 2)
PLANS = [(4, 32, 1), (4, 128, 1), (3, 128, 1), (4, 128, 2), (3, 128, 2)]  # gates, H, sequences in a block
PLACES = {12: ("cuda_nvrtc", "libnvrtc.so.12"), 13: ("cu13", "libnvrtc.so.13")}


class Usage(NamedTuple):
    """What one kernel takes on one architecture."""

    kernel: str
    registers: int
    shared: int  # bytes, without the dynamic part
    spilled: int  # bytes


class Nvrtc:
    """The compiler of one CUDA version."""

    def __init__(self, path: Path):
        for builtins in sorted(path.parent.glob("libnvrtc-builtins.so.*")):
            ctypes.CDLL(str(builtins))  # NVRTC looks for it by its bare name, so it has to be there first
        self.library = ctypes.CDLL(str(path))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def compile(self, text: str, name: str, options: list[str], result: str = "CUBIN") -> tuple[bytes, str]:
        """The compiled text ("CUBIN" or "PTX") and the compiler's log; RuntimeError with the log if it refuses."""
        program = ctypes.c_void_p()
        self._call("CreateProgram", ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
        try:
            encoded = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
            failed = self.library.nvrtcCompileProgram(program, len(options), encoded)
            log = self._text(program, "ProgramLog").rstrip(b"\0").decode()
            if failed:
                raise RuntimeError(f"{name} {' '.join(options)}\n{log}")
            return self._text(program, result), log
        finally:
            self._call("DestroyProgram", ctypes.byref(program))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, buffer)
        return buffer.raw

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self.library, f"nvrtc{name}")(*arguments)
        if code:
            raise RuntimeError(f"nvrtc{name}: {self.library.nvrtcGetErrorString(code).decode()}")


def find(major: int) -> Path | None:
    """The NVRTC of this CUDA version, from its pip package."""
    folder, name = PLACES[major]
    spec = importlib.util.find_spec("nvidia")
    found = [Path(place, folder, "lib", name) for place in (spec.submodule_search_locations or ())] if spec else []
    return next((path for path in found if path.is_file()), None)


def families() -> list[str]:
    """The families that have a .cu file."""
    return sorted(path.stem for path in _launch.HERE.glob("*.cu"))


def variants(family: str) -> list[tuple[dict[str, object], tuple[int, ...]]]:
    """Typical sets of constants with which a family is compiled, as the host side chooses them, and for which GPUs."""
    found: dict[str, tuple[dict[str, object], tuple[int, ...]]] = {}
    for a, limit in SHARED_LIMITS.items():
        for chosen in _chosen(family, limit):
            if a in architectures(chosen):
                found[label(chosen)] = chosen, (*found.get(label(chosen), (chosen, ()))[1], a)
    return list(found.values())


def _chosen(family: str, limit: int) -> list[dict[str, object]]:
    if family in TENSOR_CORES:
        wanted = [constants(w, w, 4, limit, mask, f) for f in FORMATS for w, mask in TENSOR_WIDTHS]
        return [{"REAL": "float", **more} for more in wanted]
    numbers = (("float", 4), ("double", 8))
    return [{"REAL": real, **more} for real, size in numbers for more in _constants(family, size, limit)]


def _constants(family: str, size: int, limit: int) -> list[dict[str, int]]:
    if family == "recurrent":
        return [{}, *(_persistent(size, *plan) for plan in (PLANS if size == 4 else PLANS[-2:]))]
    if family == "attention":
        return [constants(w, w, size, limit, mask) for w, mask in (WIDTHS if size == 4 else WIDTHS[:1])]
    return [{}]


def _persistent(size: int, gates: int, hidden: int, sequences: int) -> dict[str, int]:
    return {"GATES": gates, "H": hidden, "SEQ": sequences, "KEPT": kept_weights(gates, hidden, size)}


def architectures(constants: dict[str, object]) -> tuple[int, ...]:
    """All for float; one for double, which is there to check gradients with; those from sm_80 on for tensor cores."""
    if constants["REAL"] == "double":
        return ARCHITECTURES[-2:-1]
    return tuple(a for a in ARCHITECTURES if a >= OLDEST or "FORMAT" not in constants)


def usage(nvrtc: Nvrtc, family: str, constants: dict[str, object], architecture: int) -> list[Usage]:
    """What each kernel of a family takes."""
    options = [*_launch.OPTIONS, f"--gpu-architecture=sm_{architecture}", "-Xptxas=-v"]
    options += [f"-D{key}={value}" for key, value in constants.items()]
    return parse(nvrtc.compile(_launch.source(family), f"{family}.cu", options)[1])


def parse(log: str) -> list[Usage]:
    """The assembler's report, one entry for each kernel."""
    found = []
    for part in log.split("Compiling entry function '")[1:]:
        spills = sum(map(int, re.findall(r"(\d+) bytes spill", part)))
        registers, shared = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes smem", part)
        found.append(
            Usage(part.split("'")[0], int(registers[1]) if registers else -1, int(shared[1]) if shared else 0, spills)
        )
    return found


def label(constants: dict[str, object]) -> str:
    """Constants in words, for the table."""
    return ", ".join(f"{key} {value}" if key != "REAL" else str(value) for key, value in constants.items())


def main() -> int:
    """Print the table for every CUDA version; 1 if a kernel spills or takes too much, 2 if a compiler is missing."""
    here = [major for major in PLACES if find(major)]
    cases = [(major, family, *variant) for major in here for family in families() for variant in variants(family)]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(every_architecture, *zip(*cases, strict=True))) if cases else []
    for major in PLACES:
        print(f"CUDA {major}: {'registers / shared bytes / bytes spilled' if major in here else 'not installed'}")
        for (version, family, chosen, chips), columns in zip(cases, found, strict=True):
            if version == major:
                print_table(family, chosen, dict(zip(chips, columns, strict=True)))
    faulty = any(faults(u) for columns in found for column in columns for u in column)
    return 1 if faulty else 2 if len(here) < len(PLACES) else 0


def every_architecture(major: int, family: str, chosen: dict[str, object], chips: tuple[int, ...]) -> list[list[Usage]]:
    """What each kernel of a family takes, for each of these architectures."""
    path = find(major)
    assert path is not None
    compiler = Nvrtc(path)
    return [usage(compiler, family, chosen, a) for a in chips]


def faults(u: Usage) -> bool:
    """Whether a kernel spills, or takes more than a block can have."""
    return u.spilled > 0 or not 0 < u.registers <= 255 or u.shared > STATIC_SHARED


def print_table(family: str, chosen: dict[str, object], columns: dict[int, list[Usage]]) -> None:
    """One family with one set of constants: a line for each kernel, a column for each architecture."""
    print(f"{f'{family}.cu ({label(chosen)})':72}" + "".join(f"{f'sm_{a}':>18}" for a in columns))
    for row in zip(*columns.values(), strict=True):
        cells = "".join(f"{f'{u.registers} / {u.shared} / {u.spilled}' + ' !' * faults(u):>18}" for u in row)
        print(f"  {row[0].kernel:70}{cells}")


if __name__ == "__main__":
    sys.exit(main())
