"""Dropout: dividing by 1 - p keeps the mean; the variance that it adds; the gradient passes through the same mask."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import between, integers, real
from ..ops import dropout
from ._code import pulled, value

derivation = d = Derivation(
    "dropout",
    "Dropout keeps the mean; its gradient is masked in the same way",
    source="Srivastava et al. 2014",
    x=real("n"),
    g=real("n"),
    p=between(0, 1),
    seed=integers(1000),
)


@d.sample(r"y_i = \frac{m_i x_i}{1 - p}, \quad P(m_i = 0) = p")
def dropped(x, p, rng, draws):
    return x * (rng.random((draws, len(x))) >= p) / (1 - p)


@d.mean(r"E\, y_i = p \cdot 0 + (1 - p) \frac{x_i}{1 - p} = x_i")
def unbiased(x):
    return x


@d.variance(r"\operatorname{Var} y_i = \frac{x_i^2}{1 - p} - x_i^2 = \frac{p}{1 - p} x_i^2", of="dropped")
def added_noise(x, p):
    return p / (1 - p) * x**2


@d.sample(r"\texttt{dropout(x, p, seed)} \text{ for one seed after the other}")
def code_drawn(x, p, rng, draws):
    seeds = rng.integers(2**62, size=draws)
    return np.stack([dropout.forward(np, x, p=float(p), seed=int(s)) for s in seeds])


@d.mean(r"E\, \texttt{dropout(x, p)} = x", draws=4000)
def code_unbiased(x):
    return x


@d.start(r"L = \sum_i g_i \frac{m_i x_i}{1 - p}")
def loss(x, g, p, seed):
    return (g * x * _mask(x, p, seed)).sum() / (1 - p)


@d.gradient(r"\frac{\partial L}{\partial x_i} = \frac{m_i g_i}{1 - p}", wrt="x")
def slope(x, g, p, seed):
    return _mask(x, p, seed) * g / (1 - p)


@d.equal(r"\texttt{dropout.vjp}")
def code(x, g, p, seed):
    return pulled(lambda x: dropout(x, p=float(p), seed=int(seed)), g, x)


def _mask(x, p, seed):
    return value(lambda one: dropout(one, p=float(p), seed=int(seed)), np.ones(len(x))) > 0
