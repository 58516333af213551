"""Softmax and its logarithm."""

from ..engine import op
from .elementwise import exp


@op(r"y_i = \frac{e^{x_i}}{\sum_j e^{x_j}}")
def softmax(xp, x, dim=-1):
    """Positive numbers that add up to 1 along `dim`. The maximum is taken out first; only overflow notices.

    Derivative: dy_i/dx_j = y_i (delta_ij - y_j), so dL/dx = y (g - sum(g y)).
    """
    e = xp.exp(x - x.real.max(axis=dim, keepdims=True)) if x.size else x.copy()
    return e / e.sum(axis=dim, keepdims=True)


@softmax.vjp
def softmax_vjp(g, y, x, dim):
    return y * (g - (g * y).sum(dim, keepdim=True))


softmax.kernel("numba", "softmax:softmax")


softmax.kernel("cuda", "softmax:softmax")


@op(r"y_i = x_i - \ln \sum_j e^{x_j}")
def log_softmax(xp, x, dim=-1):
    """Logarithm of the softmax, exact also where a probability is too small for a float.

    Derivative: dy_i/dx_j = delta_ij - e^{y_j}, so dL/dx = g - e^y sum(g).
    """
    z = x - x.real.max(axis=dim, keepdims=True) if x.size else x.copy()
    return z - xp.log(xp.exp(z).sum(axis=dim, keepdims=True))


@log_softmax.vjp
def log_softmax_vjp(g, y, x, dim):
    return g - exp(y) * g.sum(dim, keepdim=True)


log_softmax.kernel("numba", "softmax:log_softmax")


log_softmax.kernel("cuda", "softmax:log_softmax")


@softmax.samples
@log_softmax.samples
def _samples(rng):
    yield (rng.normal(size=(3, 4)),), {"dim": -1}
    yield (rng.normal(size=(2, 3, 2)) * 3,), {"dim": 1}
    yield (rng.normal(size=(5,)),), {"dim": 0}
    yield (rng.normal(size=(3, 1)),), {"dim": 1}
