"""Checking gradients: `gradcheck` for one function, `power` for how many mistakes a check would catch.

Checking hand-written backward passes: `check_derivation`, `check_file`; finder/ looks for the line that is wrong.

Checking derivations: `Derivation`, a chain of formulas; its inputs come from the domains in domains.py.
"""

import importlib
from typing import TYPE_CHECKING, Any

# These have the names of their modules, and so can't wait: loading a module puts it in its function's place.
from .gradcheck import gradcheck, gradgradcheck
from .judge import judge
from .reference import InputReference, reference

if TYPE_CHECKING:
    from .derivation import Derivation
    from .derivation_report import DerivationError, DerivationReport
    from .finder import check_derivation, check_file
    from .mutate import PowerReport, mutants, power, power_table
    from .numeric import complex_step, fourth_order, one_sided, ridders
    from .outcome import LinkVerdict
    from .report import Entry, GradientError, Report, Verdict

__all__ = [
    "Derivation",
    "DerivationError",
    "DerivationReport",
    "Entry",
    "GradientError",
    "InputReference",
    "LinkVerdict",
    "PowerReport",
    "Report",
    "Verdict",
    "check_derivation",
    "check_file",
    "complex_step",
    "fourth_order",
    "gradcheck",
    "gradgradcheck",
    "judge",
    "mutants",
    "one_sided",
    "power",
    "power_table",
    "reference",
    "ridders",
]
LATER = {
    "Derivation": "derivation",
    "DerivationError": "derivation_report",
    "DerivationReport": "derivation_report",
    "Entry": "report",
    "GradientError": "report",
    "LinkVerdict": "outcome",
    "PowerReport": "mutate",
    "Report": "report",
    "Verdict": "report",
    "check_derivation": "finder",
    "check_file": "finder",
    "complex_step": "numeric",
    "fourth_order": "numeric",
    "mutants": "mutate",
    "one_sided": "numeric",
    "power": "mutate",
    "power_table": "mutate",
    "ridders": "numeric",
}


def __getattr__(name: str) -> Any:
    # The mistake finder starts a process for each file, and shall not load the derivations there.
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{LATER[name]}", __name__), name)
