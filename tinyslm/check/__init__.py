"""Checking gradients: `gradcheck` for one function, `power` for how many mistakes a check would catch.

Checking hand-written backward passes: `check_derivation`, `check_file`; finder/ looks for the line that is wrong.

Checking derivations: `Derivation`, a chain of formulas; its inputs come from the domains in domains.py.
"""

from .derivation import Derivation
from .derivation_report import DerivationError, DerivationReport
from .finder import check_derivation, check_file
from .gradcheck import gradcheck, gradgradcheck
from .judge import judge
from .mutate import PowerReport, mutants, power, power_table
from .numeric import complex_step, fourth_order, one_sided, ridders
from .outcome import LinkVerdict
from .reference import InputReference, reference
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
