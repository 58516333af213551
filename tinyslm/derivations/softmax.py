"""Softmax: its Jacobian, and what the backward pass makes of it without ever building that matrix."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import real
from ..ops import softmax
from ._code import pulled

derivation = d = Derivation("softmax", "The Jacobian of softmax and its product with a cotangent", x=real("n"),
                            g=real("n"), s=real())  # fmt: skip


@d.start(r"y_i = \frac{e^{x_i}}{\sum_j e^{x_j}}")
def definition(x):
    return np.exp(x) / np.exp(x).sum()


@d.equal(r"y_i = \frac{e^{x_i - s}}{\sum_j e^{x_j - s}} \text{ for any } s")
def shifted(x, s):
    return np.exp(x - s) / np.exp(x - s).sum()


@d.gradient(r"\frac{\partial y_i}{\partial x_j} = y_i (\delta_{ij} - y_j)", of="definition", wrt="x")
def jacobian(x):
    y = definition(x)
    return np.array([[y[i] * ((i == j) - y[j]) for j in range(len(x))] for i in range(len(x))])


@d.equal(r"J = \operatorname{diag}(y) - y y^\top")
def as_matrix(x):
    y = definition(x)
    return np.diag(y) - np.outer(y, y)


@d.start(r"L = \sum_i g_i y_i")
def loss(x, g):
    return (g * definition(x)).sum()


@d.gradient(r"\frac{\partial L}{\partial x_j} = \sum_i g_i \, y_i (\delta_{ij} - y_j)", wrt="x")
def chain_rule(x, g):
    return g @ as_matrix(x)


@d.equal(r"\frac{\partial L}{\partial x_j} = g_j y_j - y_j \sum_i g_i y_i")
def summed(x, g):
    y = definition(x)
    return g * y - y * (g * y).sum()


@d.equal(r"\frac{\partial L}{\partial x} = y \odot (g - \langle g, y \rangle)")
def factored(x, g):
    y = definition(x)
    return y * (g - g @ y)


@d.equal(r"\texttt{softmax.vjp}")
def code(x, g):
    return pulled(softmax, g, x)
