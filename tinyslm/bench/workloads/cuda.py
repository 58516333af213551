"""The rows of `tinyslm bench --backend cuda`: workloads of the other files, at a GPU's sizes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import device, precision
from ...errors import OptionError, did_you_mean
from ..commands import Run, finish, script
from ..measure import Settings
from ..workload import Arrays, Session, Work, Workload
from .w1_lstm import LstmClassifier
from .w3_transformer import CharacterTransformer
from .w5_attention import CausalAttention
from .w6_adam import AdamStep
from .w7_ops import CrossEntropy, EmbeddingRows, LayerNorm
from .w11_command import EPOCHS, WholeCommand, train, write_csv

TORCH_DEVICE = "cuda"
CPU_BACKEND = "numba"
NOTHING = Workload("", "")


@dataclass(frozen=True)
class OnGpu(Workload):
    """A workload on the GPU, in tinyslm and in PyTorch with cuDNN and its fused attention; and ours on the CPU.

    precision: "highest"; "high", where both may use TF32 in all products; "medium", attention's products in bfloat16.
    """

    inner: Workload = NOTHING
    precision: str = "highest"

    @property
    def tolerances(self) -> tuple[float, float]:
        """Of the first step, and of later ones: bfloat16 has 8 bits, and the two round at different places."""
        return (self.first_tolerance, self.later_tolerance) if self.precision == "highest" else (0.03, 0.03)

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Those of the workload."""
        return self.inner.arrays(rng)

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours, by CUDA kernels."""
        if self.precision == "high":
            os.environ["CUPY_TF32"] = "1"  # CuPy reads it at its first product in a process
        device.use("cuda")
        precision.matmul_precision(self.precision)
        return self.inner.tinyslm(arrays)

    def torch(self, arrays: Arrays) -> Session:
        """PyTorch's, with float32 products in float32 or TF32, as ours are."""
        import torch

        torch.set_default_device(TORCH_DEVICE)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision == "high"
        return self.inner.torch(arrays)  # type: ignore[attr-defined]

    def cpu(self, arrays: Arrays) -> Session:
        """Ours, by the CPU's kernels, with all its cores."""
        device.use(CPU_BACKEND)
        return self.inner.tinyslm(arrays)

    def work(self) -> Work:
        """That of the workload."""
        return self.inner.work()


@dataclass(frozen=True)
class CommandOnGpu(WholeCommand):
    """`tinyslm train classifier` on the GPU and on the CPU, and the script with PyTorch on the GPU."""

    others: ClassVar[tuple[str, ...]] = ("torch",)

    def runs(self, folder: Path, threads: int, settings: Settings) -> Mapping[str, Run]:
        """How each contender is run once."""
        data, out = write_csv(folder / "data.csv", settings.folder), folder / "theirs"
        out.mkdir()
        theirs = partial(
            finish, script("w11_classifier.py", "torch", data, out, EPOCHS), threads, W11_DEVICE=TORCH_DEVICE
        )
        ours = {
            name: partial(train, data, folder / name, threads, TINYSLM_BACKEND=backend)
            for name, backend in (("tinyslm", "cuda"), ("cpu", CPU_BACKEND))
        }
        return {**ours, "torch": theirs}


def _row(name: str, title: str, least: float, inner: Workload, precision: str = "highest") -> OnGpu:
    return OnGpu(name, title, least, inner=inner, precision=precision)


_ATTENTION = CausalAttention("", "", time=1024, batch=8, heads=12)
_TRANSFORMER = CharacterTransformer("", "", batch=64, time=256, width=384, heads=6, layers=6)
ROWS: list[Workload] = [
    _row("lstm", "LSTM classifier, training step at W1's sizes", 1.0, LstmClassifier("", "")),
    _row("lstm-512", "the same, hidden 512, batch 128", 0.6, LstmClassifier("", "", hidden=512, batch=128)),
    _row("attention", "causal attention 8 x 12 heads, T 1024, forward and backward, float32", 1.0, _ATTENTION),
    _row(
        "attention-bf16", "the same, products in bfloat16", 0.6,
        CausalAttention("", "", time=1024, batch=8, heads=12, torch_type="bfloat16"), "medium",
    ),
    _row("adam-10m", "Adam over 10 million parameters", 1.0, AdamStep("", "")),
    _row("adam-100m", "Adam over 100 million parameters", 1.0, AdamStep("", "", size=2000, matrices=25)),
    _row("norm", "layer norm 65536 x 384, forward and backward", 1.0, LayerNorm("", "", batch=65_536)),
    _row("loss", "softmax cross-entropy 16384 x 10000", 1.0, CrossEntropy("", "", batch=16_384)),
    _row("embedding", "word vectors 10000 x 384 for 64 x 256 words", 1.0,
         EmbeddingRows("", "", features=384, batch=64, time=256)),
    _row("transformer", "Transformer, 6 layers of 384, batch 64, block 256, training step", 0.8, _TRANSFORMER),
    _row("transformer-tf32", "the same, products in TF32", 0.8, _TRANSFORMER, "high"),
    CommandOnGpu("classifier", "the articles' classifier, 10 epochs, from CSV to saved model", 1.0),
]  # fmt: skip


def choose_for_gpu(wanted: list[str]) -> list[Any]:
    """The rows with these names, all of them if there are none; OptionError for a name that no row has."""
    known = {row.name: row for row in ROWS}
    for name in wanted:
        if name not in known:
            meant = did_you_mean(name, known)
            raise OptionError(
                f"workload: expected some of {', '.join(known)} with --backend cuda; got {name!r}.{meant}"
            )
    return [known[name] for name in wanted or known]
