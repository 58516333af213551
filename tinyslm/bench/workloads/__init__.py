"""The workloads, one file each; each has a list `ROWS`."""

from __future__ import annotations

import importlib

from ...errors import OptionError, did_you_mean
from ..workload import Workload

FILES = (
    "w1_lstm", "w3_transformer", "w5_attention", "w6_adam", "w7_ops", "w8_skipgram", "w9_generate", "w10_start",
    "w11_command", "w12_recurrent", "w12_cnn", "w13_small",
)  # fmt: skip


def all_workloads() -> dict[str, Workload]:
    """Every workload by name, in the order of their numbers."""
    rows = [row for file in FILES for row in importlib.import_module(f"{__name__}.{file}").ROWS]
    return {row.name: row for row in sorted(rows, key=lambda row: int(row.name[1:].split("-")[0]))}


def choose(wanted: list[str]) -> list[Workload]:
    """The workloads with these names; "W7" stands for all of W7-...; none named: all.

    Raises:
        OptionError: no workload has such a name.
    """
    known = all_workloads()
    chosen = []
    for name in wanted:
        found = [w for n, w in known.items() if n.lower() == name.lower() or n.lower().startswith(f"{name.lower()}-")]
        if not found:
            meant = did_you_mean(name, known)
            raise OptionError(f"workload: expected some of {', '.join(known)}; got {name!r}.{meant}")
        chosen += found
    return list(dict.fromkeys(chosen)) if wanted else list(known.values())
