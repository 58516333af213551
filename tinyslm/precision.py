"""How exactly attention multiplies on a GPU: in float32, or on tensor cores in TF32 or bfloat16."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import OptionError

NAMES = ("highest", "high", "medium")


def current() -> str:
    """The precision in force: "highest", "high" or "medium"."""
    return _state().name


class matmul_precision:
    """Choose it: `ts.matmul_precision("high")` from now on, or `with ts.matmul_precision("high"):` for a block.

    It serves attention's CUDA kernels on float32 arrays: the two factors of each matrix product are rounded, results
    and sums stay float32. Backward takes what forward took. What does not have tensor cores for it stays in float32:
    the CPU, GPUs before sm_80 (a warning says so once), heads wider than 128. Float64 is never rounded. Other matrix
    products are CuPy's; CUPY_TF32=1 in the environment, before Python starts, lets those use TF32.
    PyTorch: `torch.set_float32_matmul_precision`, of which it has the names.

    Args:
        name: "highest" (float32, 24 bits of significand), "high" (TF32, 11 bits), "medium" (bfloat16, 8 bits).

    Raises:
        OptionError: the name is none of these.
    """

    def __init__(self, name: str):
        if name not in NAMES:
            raise OptionError(f"matmul_precision: expected one of {', '.join(NAMES)}. Got {name!r}.")
        self.name, self._before, self._entered = name, [current()], False
        _state().name = name

    def __enter__(self) -> matmul_precision:
        if self._entered or current() != self.name:  # chosen earlier, and something else since
            self._before.append(current())
            _state().name = self.name
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        _state().name = self._before.pop()


def describe_gpu() -> str:
    """The GPU in use in words, and whether attention can use its tensor cores."""
    gpu = importlib.import_module("tinyslm.kernels.cuda._launch").gpu()
    oldest = importlib.import_module("tinyslm.kernels.cuda._precision").OLDEST
    able = gpu.architecture >= oldest
    cores = "tensor cores for TF32 and bfloat16" if able else f"no TF32 or bfloat16 (these need sm_{oldest})"
    return f"{gpu.name or 'GPU'}, sm_{gpu.architecture}, {gpu.processors} processors, {cores}"


def _state() -> Any:
    return importlib.import_module("tinyslm.kernels.cuda._precision").Precision
