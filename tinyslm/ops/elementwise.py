"""Elementwise operations. Inputs broadcast as in NumPy; the engine sums the cotangents back to each input's shape."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..device import backend, cuda_kernels, on_device
from ..engine import op
from ..errors import OptionError, require_whole
from ..kernels.cpu import _random
from ..tensor import Tensor

SQRT_HALF = math.sqrt(0.5)
INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def mask(condition: Tensor, like: Tensor) -> Tensor:
    """1 where the condition holds, 0 elsewhere, in the number type of `like`; no gradient flows through it."""
    return Tensor.wrap(condition._data.astype(like.dtype))


# -- two inputs -------------------------------------------------------------------------------------------------------


@op(r"y = a + b")
def add(xp, a, b):
    """Sum."""
    return xp.add(a, b)


@add.vjp
def add_vjp(g, y, a, b):
    return g, g


@op(r"y = a - b")
def sub(xp, a, b):
    """Difference."""
    return xp.subtract(a, b)


@sub.vjp
def sub_vjp(g, y, a, b):
    return g, lambda: -g


@op(r"y = a b")
def mul(xp, a, b):
    """Product, element by element."""
    return xp.multiply(a, b)


@mul.vjp
def mul_vjp(g, y, a, b):
    return lambda: g * b, lambda: g * a


@op(r"y = a / b")
def div(xp, a, b):
    """Quotient, element by element."""
    return xp.divide(a, b)


@div.vjp
def div_vjp(g, y, a, b):
    return lambda: g / b, lambda: -g * y / b


@op(r"y = a^b")
def pow(xp, a, b):
    """Power. At a = 0 the derivative with respect to b is taken as 0, and d(a^0)/da as 0 everywhere."""
    return xp.power(a, b)


@pow.vjp
def pow_vjp(g, y, a, b):
    def base():
        corner = on_device((a._data == 0) & (b._data == 0))  # there a^(b-1) is infinite
        # On a GPU the host would have to wait to look whether there is one.
        return g * b * a ** (where(Tensor.wrap(corner), 1.0, b - 1) if backend() == "cuda" or corner.any() else b - 1)

    return base, lambda: g * y * log(where(a.eq(0), 1.0, a))


@op(r"y = \max(a, b)", kinks="where a = b each input gets half", analytic=False)
def maximum(xp, a, b):
    """The larger of two, element by element."""
    return xp.maximum(a, b)


@maximum.vjp
def maximum_vjp(g, y, a, b):
    share = (mask(a > b, g) + mask(a >= b, g)) * 0.5
    return g * share, g * (1 - share)


@op(r"y = \min(a, b)", kinks="where a = b each input gets half", analytic=False)
def minimum(xp, a, b):
    """The smaller of two, element by element."""
    return xp.minimum(a, b)


@minimum.vjp
def minimum_vjp(g, y, a, b):
    share = (mask(a < b, g) + mask(a <= b, g)) * 0.5
    return g * share, g * (1 - share)


@op(r"y = a \text{ where } c, \text{ else } b", conditions=("condition",))
def where(xp, condition, a, b):
    """Elements of a where the condition holds, of b elsewhere. The side not chosen gets gradient 0."""
    return xp.where(condition, a, b)


@where.vjp
def where_vjp(g, y, condition, a, b):
    return None, lambda: g * mask(condition, g), lambda: g * mask(~condition, g)


# -- one input --------------------------------------------------------------------------------------------------------


@op(r"y = -x")
def neg(xp, x):
    """The number with its sign changed."""
    return xp.negative(x)


@neg.vjp
def neg_vjp(g, y, x):
    return -g


@op(r"y = e^x")
def exp(xp, x):
    """Exponential."""
    return xp.exp(x)


@exp.vjp
def exp_vjp(g, y, x):
    return g * y


@op(r"y = \ln x")
def log(xp, x):
    """Natural logarithm; -inf at 0, NaN below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.log(x)


@log.vjp
def log_vjp(g, y, x):
    return g / x


@op(r"y = \ln(1 + x)")
def log1p(xp, x):
    """ln(1 + x), exact for small x."""
    return xp.log1p(x)


@log1p.vjp
def log1p_vjp(g, y, x):
    return g / (1 + x)


@op(r"y = \sqrt x", kinks="at x = 0 the derivative is infinite")
def sqrt(xp, x):
    """Square root. At 0 the gradient is g / 0: infinite, and NaN where g is 0, too, as in PyTorch."""
    return xp.sqrt(x)


@sqrt.vjp
def sqrt_vjp(g, y, x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return g * 0.5 / y


@op(r"y = |x|", kinks="at x = 0 the derivative is taken as 0", analytic=False)
def abs(xp, x):
    """Absolute value."""
    return xp.abs(x)


@abs.vjp
def abs_vjp(g, y, x):
    return g * Tensor.wrap(np.sign(x._data))


@op(r"y = \sin x")
def sin(xp, x):
    """Sine of an angle in radians."""
    return xp.sin(x)


@sin.vjp
def sin_vjp(g, y, x):
    return g * cos(x)


@op(r"y = \cos x")
def cos(xp, x):
    """Cosine of an angle in radians."""
    return xp.cos(x)


@cos.vjp
def cos_vjp(g, y, x):
    return -g * sin(x)


@op(r"y = \tanh x")
def tanh(xp, x):
    """Hyperbolic tangent, in (-1, 1)."""
    return xp.tanh(x)


@tanh.vjp
def tanh_vjp(g, y, x):
    return g * (1 - y * y)


@op(r"y = \sigma(x) = \frac{1}{1 + e^{-x}}")
def sigmoid(xp, x):
    """Logistic function, in (0, 1); written as (1 + tanh(x/2)) / 2, which never overflows."""
    return 0.5 * (1 + xp.tanh(0.5 * x))


@sigmoid.vjp
def sigmoid_vjp(g, y, x):
    return g * y * (1 - y)


@op(r"y = \ln(1 + e^x)", analytic=False)
def softplus(xp, x):
    """A smooth relu; written as max(x, 0) + ln(1 + e^-|x|), which never overflows."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@softplus.vjp
def softplus_vjp(g, y, x):
    return g * sigmoid(x)


@op(r"y = \max(x, 0)", kinks="at x = 0 the derivative is taken as 0", analytic=False)
def relu(xp, x):
    """Rectified linear unit."""
    return xp.maximum(x, 0)


@relu.vjp
def relu_vjp(g, y, x):
    return g * mask(x > 0, g)


relu.kernel("numba", "elementwise:relu")


@op(r"y = x \text{ for } x > 0, \; a x \text{ else}", kinks="at x = 0 the derivative is taken as a", analytic=False)
def leaky_relu(xp, x, negative_slope=0.01):
    """A relu that keeps a slope a = `negative_slope` below 0."""
    return xp.where(x > 0, x, negative_slope * x)


@leaky_relu.vjp
def leaky_relu_vjp(g, y, x, negative_slope):
    up = mask(x > 0, g)
    return g * (up + negative_slope * (1 - up))


@op(r"y = x \text{ for } x > 0, \; \alpha (e^x - 1) \text{ else}", kinks="at x = 0 the slope is alpha", analytic=False)
def elu(xp, x, alpha=1.0):
    """Exponential linear unit (Clevert et al. 2016)."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


@elu.vjp
def elu_vjp(g, y, x, alpha):
    up = mask(x > 0, g)
    return g * (up + (1 - up) * alpha * exp(minimum(x, 0.0)))


@op(r"y = \operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt", analytic=False)
def erf(xp, x):
    """Error function; the reference calls the C library's erf number by number."""
    if xp is not np:  # CuPy has none; gelu comes here with types that no kernel serves
        return cuda_kernels("elementwise").erf_forward(x.astype(np.float64))[0].astype(x.dtype)
    return np.frompyfunc(math.erf, 1, 1)(x).astype(x.dtype) if x.ndim else np.asarray(math.erf(x), x.dtype)


@erf.vjp
def erf_vjp(g, y, x):
    return g * (2 / math.sqrt(math.pi)) * exp(-x * x)


erf.kernel("cuda", "elementwise:erf")


@op(r"y = x \Phi(x), \quad \Phi(x) = \tfrac12 (1 + \operatorname{erf}(x / \sqrt 2))", analytic=False)
def gelu(xp, x, approximate="none"):
    """Gaussian error linear unit (Hendrycks & Gimpel 2016).

    Args:
        approximate: "none" for the exact form, "tanh" for x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + xp.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)))
    return x * 0.5 * (1 + erf.forward(xp, x * SQRT_HALF))


@gelu.shape
def _gelu_options(x, approximate):
    if approximate not in ("none", "tanh"):
        raise OptionError(f"gelu: expected approximate='none' or 'tanh', got {approximate!r}")


@gelu.vjp
def gelu_vjp(g, y, x, approximate):
    if approximate == "tanh":
        t = tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))
        return g * 0.5 * (1 + t + x * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x * x))
    return g * (0.5 * (1 + erf(x * SQRT_HALF)) + x * INV_SQRT_2PI * exp(-0.5 * x * x))


gelu.kernel("numba", "elementwise:gelu", steps=16)


gelu.kernel("cuda", "elementwise:gelu")


@op(r"y = x \, \sigma(x)")
def silu(xp, x):
    """Sigmoid linear unit, also called swish."""
    return x * sigmoid.forward(xp, x)


@silu.vjp
def silu_vjp(g, y, x):
    s = sigmoid(x)
    return g * (s + x * s * (1 - s))


@op(r"y = \min(\max(x, a), b)", kinks="at x = a and x = b the derivative is taken as 1", analytic=False)
def clip(xp, x, min=None, max=None):
    """Values below `min` become `min`, above `max` become `max`; None leaves that side open."""
    return xp.clip(x, min, max)


@clip.vjp
def clip_vjp(g, y, x, min, max):
    inside = mask(y.eq(x), g)
    return g * inside


@op(r"y = x")
def clone(xp, x):
    """A copy that stays in the graph."""
    return x.copy()


@clone.vjp
def clone_vjp(g, y, x):
    return g


@op(r"y = x \text{ in another number type}", analytic=False)
def cast(xp, x, dtype="float32"):
    """The same numbers as float32, float64 or another type; the cotangent is cast back."""
    return x.astype(dtype)


@cast.vjp
def cast_vjp(g, y, x, dtype):
    return cast(g, dtype=x.dtype)


@op(r"y_i = x_i \, m_i / (1 - p), \quad m_i = [u_i \ge p]", floats=True)
def dropout(xp, x, p=0.5, seed=0):
    """Zero each element with probability p and scale the others by 1/(1-p), which keeps the mean (Hinton et al. 2012).

    Args:
        x: any shape.
        p: probability of zeroing, in [0, 1].
        seed: an integer that chooses the mask; element i is decided by a hash of (seed, i), so every backend draws the
            same mask.
    """
    return x * on_device(_kept(x, p, seed))


@dropout.shape
def _dropout_options(x, p, seed):
    if not (isinstance(p, (int, float, np.number)) and 0 <= p <= 1):
        raise OptionError(f"dropout: expected a probability p from 0 to 1, got {p!r}")
    require_whole(seed, "seed", of="dropout")


@dropout.vjp
def dropout_vjp(g, y, x, p, seed):
    return dropout(g, p=p, seed=seed)


def _kept(x: Any, p: float, seed: int) -> Any:
    return _random.dropout_mask(x.shape, p, seed) * x.real.dtype.type(0 if p >= 1 else 1 / (1 - p))


dropout.kernel("numba", "elementwise:dropout")


dropout.kernel("cuda", "elementwise:dropout")


# -- test inputs ------------------------------------------------------------------------------------------------------


def _pairs(rng: np.random.Generator, positive: bool = False) -> Iterator[tuple]:
    draw = (lambda *s: rng.uniform(0.5, 2.0, s)) if positive else (lambda *s: rng.normal(size=s))
    for a, b in [((3, 2), (3, 2)), ((3, 2), (2,)), ((2, 1, 3), (5, 1)), ((), (3,)), ((0, 2), (2,))]:
        yield (draw(*a), draw(*b)), {}


def _singles(rng: np.random.Generator, low: float, high: float, **attrs: Any) -> Iterator[tuple]:
    for shape in [(3, 2), (5,), (), (2, 0), (1, 2, 3)]:
        yield (rng.uniform(low, high, shape),), attrs


for _op in (add, sub, mul, maximum, minimum):
    _op.samples(_pairs)


@div.samples
def _div_samples(rng):
    for (a, b), attrs in _pairs(rng, positive=True):
        yield (a - 1, b), attrs


@pow.samples
def _pow_samples(rng):
    yield from _pairs(rng, positive=True)


@where.samples
def _where_samples(rng):
    yield (rng.random((3, 2)) > 0.5, rng.normal(size=(3, 2)), rng.normal(size=(2,))), {}
    yield (rng.random(2) > 0.5, rng.normal(size=(3, 2)), rng.normal(size=())), {}


for _op in (neg, exp, abs, sin, cos, tanh, sigmoid, softplus, relu, erf, silu, clone):
    _op.samples(lambda rng: _singles(rng, -2, 2))
for _op in (log, sqrt):
    _op.samples(lambda rng: _singles(rng, 0.3, 3))


@log1p.samples
def _log1p_samples(rng):
    yield from _singles(rng, -0.6, 2)


@leaky_relu.samples
def _leaky_samples(rng):
    yield from _singles(rng, -2, 2, negative_slope=0.2)


@elu.samples
def _elu_samples(rng):
    yield from _singles(rng, -2, 2, alpha=1.3)


@gelu.samples
def _gelu_samples(rng):
    yield from _singles(rng, -3, 3, approximate="none")
    yield from _singles(rng, -3, 3, approximate="tanh")


@clip.samples
def _clip_samples(rng):
    yield from _singles(rng, -2, 2, min=-0.7, max=1.1)
    yield from _singles(rng, -2, 2, min=None, max=0.4)


@cast.samples
def _cast_samples(rng):
    yield from _singles(rng, -2, 2, dtype="float64")


@dropout.samples
def _dropout_samples(rng):
    yield from _singles(rng, -2, 2, p=0.3, seed=7)
    yield from _singles(rng, -2, 2, p=0.0, seed=1)
