"""Log-sum-exp: a smooth maximum. It never overflows once the maximum is taken out; its gradient is the softmax."""

import math

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import positive, real
from ..ops import logsumexp
from ._code import pulled, value

derivation = d = Derivation(
    "logsumexp", "Log-sum-exp, its bounds, its limit and its gradient", x=real("n"), beta=positive()
)


@d.start(r"f(x) = \ln \sum_j e^{x_j}")
def definition(x):
    return np.log(np.exp(x).sum())


@d.equal(r"f(x) = m + \ln \sum_j e^{x_j - m}, \quad m = \max_j x_j")
def shifted(x):
    m = x.real.max()
    return m + np.log(np.exp(x - m).sum())


@d.equal(r"\texttt{logsumexp(x)}")
def code(x):
    return value(logsumexp, x)


@d.at_least(r"f(x) \ge \max_j x_j", of="shifted")
def from_below(x):
    return x.max()


@d.at_most(r"f(x) \le \max_j x_j + \ln n", of="shifted")
def from_above(x):
    return x.max() + math.log(len(x))


@d.start(r"f_\beta(x) = \frac1\beta \ln \sum_j e^{\beta x_j}")
def sharpened(x, beta):
    m = x.max()
    return m + np.log(np.exp(beta * (x - m)).sum()) / beta


@d.limit(r"\lim_{\beta \to \infty} f_\beta(x) = \max_j x_j", "beta", math.inf)
def maximum(x):
    return x.max()


@d.gradient(r"\frac{\partial f}{\partial x_i} = \frac{e^{x_i}}{\sum_j e^{x_j}}", of="definition", wrt="x")
def slope(x):
    return np.exp(x) / np.exp(x).sum()


@d.equal(r"\frac{\partial f}{\partial x_i} = e^{x_i - f(x)}")
def slope_of_logs(x):
    return np.exp(x - shifted(x))


@d.equal(r"\texttt{logsumexp.vjp}")
def slope_code(x):
    return pulled(logsumexp, 1.0, x)
