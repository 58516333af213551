"""Formulas as characters: readable in every terminal, and nothing of LaTeX left in what the commands print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyslm import derivations
from tinyslm.audit import IDS, record, report
from tinyslm.audit.questions import Answer
from tinyslm.audit.verdict import Examined, Result
from tinyslm.check.derivation_report import Line
from tinyslm.unicode_math import SPELLED, in_ascii, in_unicode, to_unicode

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"\frac{\partial P}{\partial a_{tk}} = \gamma_{tk}", "∂P/∂aₜₖ = γₜₖ"),
        (r"\frac{\partial L}{\partial x_{bct}} = \sum_s g_{bs}", "∂L/∂x_bct = ∑ₛ g_bs"),
        (r"\frac1B \sum_b x", "1/B ∑_b x"),
        (r"-\frac{a + b}{2c}", "-(a + b)/2c"),
        (r"x\frac12y", "x 1/2 y"),
        (r"\frac{\frac{a}{b}}{c}", "(a/b)/c"),
        (r"\sqrt{2\pi} + \sqrt{d_k} + \sqrt 2", "√(2π) + √dₖ + √2"),
        (r"\hat m_T, \tilde y', \overline{h}, \vec{v}_{x_i}", "m\u0302_T, y\u0303', h\u0305, v\u20d7_(xᵢ)"),
        (r"\text{for any } s \texttt{cross\_entropy(x)}", "for any s cross_entropy(x)"),
        (r"\operatorname{softmax}_j \ln\alpha, \ln(x), \max_t g_t", "softmaxⱼ ln α, ln(x), maxₜ gₜ"),
        (r"\Big( e^{x_j} \Big), e^{-x}, \beta^{T-t}, s_j^{-3}", "(e^(xⱼ)), e⁻ˣ, βᵀ⁻ᵗ, sⱼ⁻³"),
        (r"W \in \mathbb{R}^{d \times k}, s \in \{1, 2\}", "W ∈ ℝ^(d × k), s ∈ {1, 2}"),
        (r"dW \mathrel{+}= U^\top \delta_t", "dW += Uᵀ δₜ"),
        (r"\unheardof{x} + \frac", "unheardof x + /"),
    ],
)
def test_formulas_as_characters(latex, shown):
    assert to_unicode(latex) == shown


def test_formulas_in_text():
    assert in_unicode("with $x^2$ and $$\\sqrt{a}$$") == "with `x²` and \n\n    √a\n\n"


def test_formulas_in_ascii():
    assert in_ascii("∂P/∂aₜₖ = γₜₖ ≤ √(2π)·βᵀ⁻ᵗ, m̂") == "dP/da_tk = gamma_tk <= sqrt(2pi)*beta^(T-t), mhat"
    assert "αx ≤ 不".encode("ascii", SPELLED) == b"alpha x <= \\u4e0d"
    assert "α·x₁₂".encode("cp1252", SPELLED) == b"alpha\xb7x_12"  # only what the encoding lacks is spelled


@pytest.mark.parametrize("name", derivations.names())
def test_derivations_in_the_terminal_hold_no_latex(name):
    steps = derivations.load(name).steps
    lines = [text for i, step in enumerate(steps) for text in Line(i + 1, step, None).text()]
    assert lines and not any("\\" in line for line in lines), lines
    assert not any("\\" in in_ascii(line) for line in lines)


@pytest.mark.parametrize("id", IDS)
def test_the_audit_in_the_terminal_holds_no_latex(id):
    r = record(id)
    asked = tuple((q, Answer(None, "")) for q in r.questions)  # the words alone; test_verdicts.py asks
    readings = tuple(Examined(x.name, x.excluded, asked) for x in r.readings)
    found = tuple((f, Answer(None, "")) for f in r.findings)
    text = "\n".join(report.story(Result(r, r.expected, readings, None, found, None, 0.0)))
    assert "\\" not in text and "\\" not in in_ascii(text)


def test_a_derivation_on_a_console_that_has_ascii_only():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "tinyslm", "derive", "softmax"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    text = done.stdout.decode("ascii")
    assert done.returncode == 0 and "dL/dx_j = sum_i g_i y_i (delta_ij - y_j)" in text and "\\" not in text
