"""Checking gradients: `gradcheck` for one function, `power` for how many mistakes a check would catch."""

from .gradcheck import gradcheck, gradgradcheck
from .judge import judge
from .mutate import PowerReport, mutants, power, power_table
from .numeric import complex_step, fourth_order, one_sided, ridders
from .reference import InputReference, reference
from .report import Entry, GradientError, Report, Verdict

__all__ = [
    "Entry",
    "GradientError",
    "InputReference",
    "PowerReport",
    "Report",
    "Verdict",
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
