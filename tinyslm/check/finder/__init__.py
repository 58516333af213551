"""The mistake finder: is a hand-written backward pass right, and if not, which line is to blame?

Read in this order: `learner.py` (the file's protocol, points, traces), `graph.py` and `standin.py` (recording what it
computes), `rules.py` (the right derivative), `questions.py` and `check.py` (the questions in order), `edits.py` (the
catalogue of mistakes), `search.py` and `diagnose.py` (matching), `outcome.py` (the report), `runner.py` and
`child.py` (the process).
"""

from .adapters import check_jax, check_torch
from .check import check_derivation
from .outcome import Finding, Outcome
from .runner import check_file

__all__ = ["Finding", "Outcome", "check_derivation", "check_file", "check_jax", "check_torch"]
