"""Softmax and cross-entropy together: the gradient is p - y, one of the shortest in the subject (formula A1)."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import integers, real
from ..ops import cross_entropy
from ..tensor import Tensor
from ._code import pulled, softmax, value

derivation = d = Derivation(
    "softmax_cross_entropy",
    "The gradient of cross-entropy with respect to the logits is p - y",
    source="Bishop 2006, section 4.3",
    x=real("B", "V"),
    t=integers("V", "B"),
)


def _one_hot(x, t):
    return np.eye(x.shape[-1])[t]


@d.start(r"L = -\frac1B \sum_b \sum_i y_{bi} \ln p_{bi}, \quad p = \operatorname{softmax}(x)")
def loss(x, t):
    return -(_one_hot(x, t) * np.log(softmax(x))).sum() / len(x)


@d.equal(r"L = \frac1B \sum_b \Big( \ln \sum_j e^{x_{bj}} - \sum_i y_{bi} x_{bi} \Big) \text{ as } \sum_i y_{bi} = 1")
def with_logits(x, t):
    return (np.log(np.exp(x).sum(-1)) - (_one_hot(x, t) * x).sum(-1)).mean()


@d.equal(r"L = \frac1B \sum_b \Big( \ln \sum_j e^{x_{bj}} - x_{b t_b} \Big)")
def picked(x, t):
    return (np.log(np.exp(x).sum(-1)) - x[np.arange(len(x)), t]).mean()


@d.equal(r"\texttt{cross\_entropy(x, t)}")
def code(x, t):
    return value(lambda x: cross_entropy(x, Tensor.wrap(t)), x)


@d.gradient(r"\frac{\partial L}{\partial x_{bi}} = \frac1B \Big( -\frac{y_{bt}}{p_{bt}} \, p_{bt} "
            r"(\delta_{it} - p_{bi}) \Big), \; t = t_b", of="loss", wrt="x")  # fmt: skip
def chain_rule(x, t):
    p, rows = softmax(x), np.arange(len(x))
    into_p = np.zeros_like(x)
    into_p[rows, t] = -1 / p[rows, t]
    return p * (into_p - (into_p * p).sum(-1, keepdims=True)) / len(x)


@d.equal(r"\frac{\partial L}{\partial x} = \frac{p - y}{B}")
def difference(x, t):
    return (softmax(x) - _one_hot(x, t)) / len(x)


@d.equal(r"\texttt{cross\_entropy.vjp}")
def slope_code(x, t):
    return pulled(lambda x: cross_entropy(x, Tensor.wrap(t)), 1.0, x)
