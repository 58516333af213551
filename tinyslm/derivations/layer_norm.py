"""Layer norm: mean and variance depend on every element, which gives the gradient its two correction terms."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import positive, real
from ..ops import layer_norm
from ._code import pulled

derivation = d = Derivation(
    "layer_norm",
    "The gradient of layer norm",
    source="Ba et al. 2016",
    x=real("B", "D"),
    w=positive("D"),
    b=real("D"),
    g=real("B", "D"),
)
EPS = 1e-5


def _parts(x):
    centred = x - x.mean(-1, keepdims=True)
    s = np.sqrt((centred * centred).mean(-1, keepdims=True) + EPS)
    return centred / s, s


@d.start(r"L = \sum g \odot (w \odot \hat x + b), \quad \hat x = \frac{x - \mu}{s}, \;"
         r"\mu = \frac1D \sum_i x_i, \; s = \sqrt{\tfrac1D \sum_i (x_i - \mu)^2 + \epsilon}")  # fmt: skip
def loss(x, w, b, g):
    return (g * (w * _parts(x)[0] + b)).sum()


@d.equal(r"s = \sqrt{\tfrac1D \sum_i x_i^2 - \mu^2 + \epsilon}")
def two_moments(x, w, b, g):
    mu = x.mean(-1, keepdims=True)
    s = np.sqrt((x * x).mean(-1, keepdims=True) - mu * mu + EPS)
    return (g * (w * (x - mu) / s + b)).sum()


@d.gradient(
    r"\frac{\partial L}{\partial x_j} = \sum_i h_i \Big( \frac{\delta_{ij} - 1/D}{s} - \frac{(x_i - \mu)(x_j - \mu)}"
    r"{D s^3} \Big), \; h = g \odot w; \quad \frac{\partial L}{\partial w} = \sum_B g \odot \hat x, \;"
    r"\frac{\partial L}{\partial b} = \sum_B g",
    wrt=("x", "w", "b"),
    of="loss",
)
def by_jacobian(x, w, b, g):
    x_hat, s = _parts(x)
    n = x.shape[-1]
    centred = x_hat * s
    jacobian = (np.eye(n) - 1 / n) / s[..., None] - centred[:, :, None] * centred[:, None, :] / (n * s[..., None] ** 3)
    return np.einsum("bi,bij->bj", g * w, jacobian), (g * x_hat).sum(0), g.sum(0)


@d.equal(r"\frac{\partial L}{\partial x} = \frac1s \Big( h - \overline{h} - \hat x \, \overline{h \hat x} \Big)")
def three_terms(x, w, b, g):
    x_hat, s = _parts(x)
    h = g * w
    dx = (h - h.mean(-1, keepdims=True) - x_hat * (h * x_hat).mean(-1, keepdims=True)) / s
    return dx, (g * x_hat).sum(0), g.sum(0)


@d.equal(r"\texttt{layer\_norm.vjp}")
def code(x, w, b, g):
    return pulled(layer_norm, g, x, w, b)
