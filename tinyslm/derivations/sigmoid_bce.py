"""Sigmoid and binary cross-entropy together: again p - y. One number each, so fifty digits are computed, too."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import between, real
from ..ops import binary_cross_entropy_with_logits
from ._code import pulled, sigmoid, value

derivation = d = Derivation(
    "sigmoid_bce", "The gradient of binary cross-entropy with respect to the logit is p - y", x=real(), y=between(0, 1)
)


@d.start(r"p = \sigma(x) = \frac{1}{1 + e^{-x}}")
def p(x):
    return sigmoid(x)


@d.equal(r"1 - p = \sigma(-x) \Rightarrow p = 1 - \sigma(-x)")
def mirrored(x):
    return 1 - sigmoid(-x)


@d.gradient(r"\frac{dp}{dx} = p (1 - p)", of="p", wrt="x")
def p_slope(x):
    return p(x) * (1 - p(x))


@d.start(r"L = -y \ln p - (1 - y) \ln (1 - p)")
def loss(x, y):
    return -y * np.log(p(x)) - (1 - y) * np.log(1 - p(x))


@d.equal(r"L = \ln(1 + e^x) - y x")
def with_logit(x, y):
    return np.log1p(np.exp(x)) - y * x


@d.equal(r"L = \max(x, 0) - y x + \ln(1 + e^{-|x|})")
def stable(x, y):
    return np.maximum(x, 0) - y * x + np.log1p(np.exp(-abs(x)))


@d.equal(r"\texttt{binary\_cross\_entropy\_with\_logits(x, y)}")
def code(x, y):
    return value(binary_cross_entropy_with_logits, x, y)


@d.gradient(r"\frac{dL}{dx} = \Big( -\frac yp + \frac{1 - y}{1 - p} \Big) p (1 - p)", of="loss", wrt="x")
def chain_rule(x, y):
    return (-y / p(x) + (1 - y) / (1 - p(x))) * p_slope(x)


@d.equal(r"\frac{dL}{dx} = -y (1 - p) + (1 - y) p")
def expanded(x, y):
    return -y * (1 - p(x)) + (1 - y) * p(x)


@d.equal(r"\frac{dL}{dx} = p - y")
def difference(x, y):
    return p(x) - y


@d.equal(r"\texttt{binary\_cross\_entropy\_with\_logits.vjp}")
def slope_code(x, y):
    return pulled(binary_cross_entropy_with_logits, 1.0, x, y)[0]
