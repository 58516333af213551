"""GELU: x times the probability that a standard normal number is smaller than x; and its tanh approximation."""

import math

import numpy as np

from ..check.derivation import Derivation
from ..check.digits import PI, erf, like
from ..check.domains import real
from ..ops import gelu
from ._code import pulled, value

derivation = d = Derivation(
    "gelu", "GELU, its derivative, and how far its tanh form is off", source="Hendrycks & Gimpel 2016", x=real()
)
C = math.sqrt(2 / math.pi)


def _normal_cdf(x):
    return (1 + erf(x / np.sqrt(like(x, 2)))) / 2


def _normal_density(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * like(x, PI))


@d.sample(r"x \, [Z \le x], \quad Z \sim N(0, 1)")
def gated(x, rng, draws):
    return x * (rng.normal(size=draws) <= x)


@d.mean(r"y = x \Phi(x) = \frac x2 \Big( 1 + \operatorname{erf} \frac{x}{\sqrt 2} \Big)")
def definition(x):
    return x * _normal_cdf(x)


@d.equal(r"y = x - x \Phi(-x)")
def mirrored(x):
    return x - x * _normal_cdf(-x)


@d.equal(r"\texttt{gelu(x)}")
def code(x):
    return value(gelu, x)


@d.gradient(r"y' = \Phi(x) + x \phi(x), \quad \phi(x) = \frac{e^{-x^2/2}}{\sqrt{2\pi}}", of="definition", wrt="x")
def slope(x):
    return _normal_cdf(x) + x * _normal_density(x)


@d.equal(r"\texttt{gelu.vjp}")
def slope_code(x):
    return pulled(gelu, 1.0, x)


@d.start(r"\tilde y = \frac x2 \Big( 1 + \tanh \sqrt{2/\pi} \, (x + 0.044715 x^3) \Big)")
def tanh_form(x):
    return x / 2 * (1 + np.tanh(C * (x + 0.044715 * x**3)))


@d.equal(r"\texttt{gelu(x, approximate='tanh')}")
def tanh_code(x):
    return value(lambda x: gelu(x, approximate="tanh"), x)


@d.gradient(r"\tilde y' = \frac{1 + t}2 + \frac x2 (1 - t^2) \sqrt{2/\pi} \, (1 + 3 \cdot 0.044715 x^2), \;"
            r"t = \tanh(\cdot)",
            of="tanh_form", wrt="x")  # fmt: skip
def tanh_slope(x):
    t = np.tanh(C * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * C * (1 + 3 * 0.044715 * x * x)


@d.equal(r"\texttt{gelu.vjp}")
def tanh_slope_code(x):
    return pulled(lambda x: gelu(x, approximate="tanh"), 1.0, x)


@d.start(r"|\tilde y - y|")
def distance(x):
    return np.abs(tanh_form(x) - definition(x))


@d.at_most(r"|\tilde y - y| \le 0.0005 \text{ (in the tail, where } y \text{ is small, that is no small share of it)}")
def bound():
    return np.array(5e-4)
