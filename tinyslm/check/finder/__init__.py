"""The mistake finder: is a hand-written backward pass right, and if not, which line is to blame?

Read in this order: `learner.py` (the file's protocol, points, traces), `graph.py` and `standin.py` (recording what it
computes), `rules.py` (the right derivative), `questions.py` and `check.py` (the questions in order), `edits.py` (the
catalogue of mistakes), `search.py` and `diagnose.py` (matching), `outcome.py` (the report), `runner.py` and
`child.py` (the process).
"""

import importlib
from typing import TYPE_CHECKING, Any

from .outcome import Finding, Outcome
from .runner import check_file

if TYPE_CHECKING:
    from .adapters import check_jax, check_torch
    from .check import check_derivation

__all__ = ["Finding", "Outcome", "check_derivation", "check_file", "check_jax", "check_torch"]
LATER = {"check_derivation": "check", "check_jax": "adapters", "check_torch": "adapters"}


def __getattr__(name: str) -> Any:
    # The command starts a process that does the work, and itself needs the report only.
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{LATER[name]}", __name__), name)
