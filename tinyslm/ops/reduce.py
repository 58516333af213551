"""Operations that reduce dimensions. `dim` is one dimension, several, or None for all; `keepdim` keeps size 1."""

import builtins
import math
import operator
from collections.abc import Iterator

import numpy as np

from ..engine import composed, op
from ..tensor import Dims, Tensor
from .elementwise import exp, mask, sqrt, where
from .shape import broadcast_to, flip


def dims_of(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The reduced dimensions as non-negative numbers; none for a single number, where 0 and -1 may be asked for."""
    if dim is None:
        return tuple(range(ndim))
    try:
        found = [operator.index(d) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    except TypeError:
        raise TypeError(f"expected dim as a whole number, or a tuple or list of them, got {dim!r}") from None
    return tuple(d % ndim for d in found) if ndim else ()


def count(x: Tensor, dim: Dims) -> int:
    """How many elements fall into one result."""
    return math.prod(x.shape[d] for d in dims_of(dim, x.ndim))


def kept(t: Tensor, x: Tensor, dim: Dims) -> Tensor:
    """A result of reducing x, with the reduced dimensions back as size 1."""
    reduced = dims_of(dim, x.ndim)
    return t.reshape(tuple(1 if d in reduced else n for d, n in enumerate(x.shape)))


def spread(t: Tensor, x: Tensor, dim: Dims) -> Tensor:
    """A result of reducing x, repeated to the shape of x."""
    return broadcast_to(kept(t, x, dim), shape=x.shape)


@op(r"y = \sum_i x_i")
def sum_(xp, x, dim=None, keepdim=False):
    """Sum."""
    return x.sum(axis=dim, keepdims=keepdim)


@sum_.vjp
def sum_vjp(g, y, x, dim, keepdim):
    return spread(g, x, dim)


@op(r"y = \frac1n \sum_i x_i")
def mean(xp, x, dim=None, keepdim=False):
    """Arithmetic mean; NaN over no elements."""
    n = math.prod(x.shape[d] for d in dims_of(dim, x.ndim))
    return x.sum(axis=dim, keepdims=keepdim) / x.dtype.type(n) if n else x.sum(axis=dim, keepdims=keepdim) * np.nan


@mean.vjp
def mean_vjp(g, y, x, dim, keepdim):
    return spread(g, x, dim) / builtins.max(count(x, dim), 1)


@op(r"y = \frac{1}{n - c} \sum_i (x_i - \bar x)^2")
def var(xp, x, dim=None, correction=1, keepdim=False):
    """Variance; `correction` c = 1 gives the unbiased estimate, 0 the mean square deviation. For n = c NaN or inf."""
    dims = dims_of(dim, x.ndim)
    n, deviation = math.prod(x.shape[d] for d in dims), x - x.mean(axis=dims, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (deviation * deviation).sum(axis=dim, keepdims=keepdim) / x.dtype.type(n - correction)


@var.vjp
def var_vjp(g, y, x, dim, correction, keepdim):
    n = count(x, dim) - correction
    return spread(g, x, dim) * (x - mean(x, dim, True)) * (2 / n if n else math.nan)


@composed
def std(x, dim=None, correction=1, keepdim=False):
    """Standard deviation, the square root of `var`."""
    return sqrt(var(x, dim=dim, correction=correction, keepdim=keepdim))


def _ties(y: Tensor, x: Tensor, dim: Dims) -> Tensor:
    hits = mask(x.eq(kept(y, x, dim)), x)
    return hits / hits.sum(dim, True)


@op(r"y = \max_i x_i", kinks="elements that tie for the maximum share the gradient equally", analytic=False)
def max(xp, x, dim=None, keepdim=False):
    """Largest element (values only; `argmax` gives the index)."""
    return x.max(axis=dim, keepdims=keepdim)


@max.vjp
def max_vjp(g, y, x, dim, keepdim):
    return spread(g, x, dim) * _ties(y, x, dim)


max.kernel("numba", "reduce:max")


@op(r"y = \min_i x_i", kinks="elements that tie for the minimum share the gradient equally", analytic=False)
def min(xp, x, dim=None, keepdim=False):
    """Smallest element."""
    return x.min(axis=dim, keepdims=keepdim)


@min.vjp
def min_vjp(g, y, x, dim, keepdim):
    return spread(g, x, dim) * _ties(y, x, dim)


@op(r"y = \prod_i x_i")
def prod(xp, x, dim=None, keepdim=False):
    """Product."""
    return x.prod(axis=dim, keepdims=keepdim)


@prod.vjp
def prod_vjp(g, y, x, dim, keepdim):
    # The share of x_i is the product of all others. y / x_i would fail at zeros, so the others are multiplied anew.
    reduced = dims_of(dim, x.ndim)
    order = [d for d in range(x.ndim) if d not in reduced] + list(reduced)
    flat = x.permute(order).reshape(*[x.shape[d] for d in order if d not in reduced], -1)
    n = flat.shape[-1]
    others = where(Tensor.wrap(np.eye(n, dtype=bool)), 1.0, flat.unsqueeze(-2))
    share = prod(others, dim=-1).reshape(*[x.shape[d] for d in order]).permute([int(i) for i in np.argsort(order)])
    return spread(g, x, dim) * share


@op(r"y = \ln \sum_i e^{x_i}")
def logsumexp(xp, x, dim=-1, keepdim=False):
    """Logarithm of a sum of exponentials, with the maximum taken out so that nothing overflows."""
    top = x.real.max(axis=dim, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        y = xp.log(xp.exp(x - top).sum(axis=dim, keepdims=True)) + top
    return y if keepdim else xp.squeeze(y, axis=dim if dim is not None else tuple(range(x.ndim)))


@logsumexp.vjp
def logsumexp_vjp(g, y, x, dim, keepdim):
    return spread(g, x, dim) * exp(x - kept(y, x, dim))


@op(r"y_i = \sum_{j \le i} x_j", one_dim=True)
def cumsum(xp, x, dim=0):
    """Running sum along `dim`."""
    return x.cumsum(axis=dim)


@cumsum.vjp
def cumsum_vjp(g, y, x, dim):
    return flip(cumsum(flip(g, dims=(dim,)), dim=dim), dims=(dim,))


@op(r"y = \sqrt{\sum_i x_i^2}", kinks="at x = 0 the gradient is taken as 0")
def norm(xp, x, dim=None, keepdim=False):
    """Euclidean length."""
    return xp.sqrt((x * x).sum(axis=dim, keepdims=keepdim))


@norm.vjp
def norm_vjp(g, y, x, dim, keepdim):
    return spread(g / where(y.eq(0), 1.0, y), x, dim) * x


# -- test inputs ------------------------------------------------------------------------------------------------------


def _cases(rng: np.random.Generator) -> Iterator[tuple]:
    for shape, dim, keepdim in [
        ((3, 4), None, False),
        ((3, 4), 1, False),
        ((2, 3, 2), (0, 2), True),
        ((2, 3, 2), -2, True),
        ((5,), 0, False),
    ]:
        yield (rng.normal(size=shape),), {"dim": dim, "keepdim": keepdim}


for _op in (sum_, mean, max, min, prod, logsumexp, norm):
    _op.samples(_cases)


@var.samples
def _var_samples(rng):
    for i, (inputs, attrs) in enumerate(_cases(rng)):
        yield inputs, {**attrs, "correction": i % 2}


@cumsum.samples
def _cumsum_samples(rng):
    yield (rng.normal(size=(3, 4)),), {"dim": 1}
    yield (rng.normal(size=(3, 4)),), {"dim": 0}
