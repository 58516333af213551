"""Batch norm in training: the statistics run over the batch, so the samples of a batch feel one another."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import positive, real
from ..ops import batch_norm
from ._code import pulled

derivation = d = Derivation(
    "batch_norm",
    "The gradient of batch norm",
    source="Ioffe & Szegedy 2015",
    x=real("B", "D"),
    w=positive("D"),
    b=real("D"),
    g=real("B", "D"),
)
EPS = 1e-5


def _statistics(x):
    mu = x.mean(0)
    return mu, ((x - mu) ** 2).mean(0)


@d.start(r"L = \sum g \odot (w \odot \hat x + b), \quad \hat x_{bj} = \frac{x_{bj} - \mu_j}{\sqrt{v_j + \epsilon}}, \;"
         r"\mu_j = \frac1B \sum_b x_{bj}, \; v_j = \frac1B \sum_b (x_{bj} - \mu_j)^2")  # fmt: skip
def loss(x, w, b, g):
    mu, v = _statistics(x)
    return (g * (w * (x - mu) / np.sqrt(v + EPS) + b)).sum()


@d.gradient(
    r"\frac{\partial L}{\partial x_{bj}} = \frac{h_{bj}}{s_j} + \frac{\partial L}{\partial v_j} "
    r"\frac{2 (x_{bj} - \mu_j)}B + \frac1B \frac{\partial L}{\partial \mu_j}, \; h = g \odot w, \;"
    r"\frac{\partial L}{\partial v_j} = -\frac12 \sum_b h_{bj} (x_{bj} - \mu_j) s_j^{-3}, \;"
    r"\frac{\partial L}{\partial \mu_j} = -\sum_b \frac{h_{bj}}{s_j}",
    wrt=("x", "w", "b"),
)
def three_paths(x, w, b, g):
    mu, v = _statistics(x)
    s, n, h = np.sqrt(v + EPS), len(x), g * w
    dv = -0.5 * (h * (x - mu)).sum(0) / s**3
    dmu = -h.sum(0) / s  # the variance's own dependence on the mean sums to 0
    return h / s + dv * 2 * (x - mu) / n + dmu / n, (g * (x - mu) / s).sum(0), g.sum(0)


@d.equal(
    r"\frac{\partial L}{\partial x} = \frac1s \Big( h - \tfrac1B \sum_b h - \hat x \, \tfrac1B \sum_b h \hat x \Big)"
)
def three_terms(x, w, b, g):
    mu, v = _statistics(x)
    s = np.sqrt(v + EPS)
    x_hat, h = (x - mu) / s, g * w
    return (h - h.mean(0) - x_hat * (h * x_hat).mean(0)) / s, (g * x_hat).sum(0), g.sum(0)


@d.equal(r"\texttt{batch\_norm.vjp}")
def code(x, w, b, g):
    return pulled(batch_norm, g, x, w, b)
