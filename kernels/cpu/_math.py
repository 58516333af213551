"""exp, tanh, the logistic function and the tail of the normal distribution, written so that loops over them vectorise.

The C library works on one number at a time. The float32 versions below have no branches and call nothing, so the
compiler can work on 8 or 16 numbers at once. Their relative error stays below 1e-6 for exp from -87.3 to 88, for the
logistic function from -87.3 on (below, both are 0) and for tanh everywhere; below 5e-6 for the tail up to 13.2, where
it nears the smallest normal number. float64 goes to the C library. Beside them stand the largest number of a row and
the product of two rows, which several kernels need.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ._jit import OPTIONS, inline, jit

F, I = np.float32, np.int32
LOG2_E = F(1.4426950408889634)
# log 2 in two parts: a multiple of the first, which has few digits, is exact.
LOG_2_HIGH, LOG_2_LOW = F(0.693359375), F(-2.12194440054690583e-4)
# Adding and taking away 1.5 * 2^23 rounds to a whole number k, which then lies in the last bits of the sum. With 127
# more, these bits hold k + 127: the exponent of 2^k.
ROUND = F(12582912.0 + 127.0)
LOWEST = F(-87.3)  # below, exp is treated as 0: the tiny numbers that would follow are slow to compute with
MINUS_INFINITY = I(-0x800000)  # its bits
SQRT_HALF = math.sqrt(0.5)


@inline
def log_probability(x, top, log_total):
    """(x - top) - log_total in this order: x - (top + log_total), as a kernel might reorder it, loses digits."""
    return (x - top) - log_total


@inline
def _power_parts(x):
    """With x = k log 2 + r, k whole, |r| <= log(2) / 2: the pair s = 2^k and p = e^r - 1, so that e^x = s + s p."""
    shifted = F(x * LOG2_E + ROUND)
    k = shifted - ROUND
    r = x - k * LOG_2_HIGH - k * LOG_2_LOW
    two_to_k = I(shifted.view(I) << I(23)).view(F)  # k + 127 goes into the exponent bits of a float
    # (e^r - 1 - r) / r^2, fitted: the relative error of p is below 4.6e-7, that of e^r below 1.9e-7.
    q = F(0.00833808072)
    q = q * r + F(0.0418729745)
    q = q * r + F(0.166668311)
    q = q * r + F(0.49999401)
    return two_to_k, q * (r * r) + r


@inline
def _exp32(x):
    scale, rest = _power_parts(x)
    return F(0) if x < LOWEST else scale * rest + scale


@inline
def _tanh32(x):
    """With m = e^(-2|x|) - 1, tanh |x| = -m / (m + 2); m keeps all its digits near x = 0."""
    y = F(-2) * abs(x)
    scale, rest = _power_parts(LOWEST if y < LOWEST else y)
    m = scale * rest + (scale - F(1))
    t = m / (m + F(2))
    return -t if x >= F(0) else t


@inline
def _sigmoid32(x):
    e = _exp32(-abs(x))
    s = F(1) / (F(1) + e)
    return s if x >= F(0) else e * s


@inline
def _normal_tail32(a, e):
    """The product of e and a polynomial in t = 1 / (1 + 0.3 a), fitted for a from 0 to 14.5 (relative error 6e-8)."""
    t = F(1) / (F(1) + F(0.3) * a)
    p = F(0.03840868556)
    p = p * t + F(-0.1693126172)
    p = p * t + F(0.2289602253)
    p = p * t + F(-0.07684697611)
    p = p * t + F(0.1427688434)
    p = p * t + F(0.09458491184)
    p = p * t + F(0.1219453782)
    p = p * t + F(0.1194842065)
    p = p * t + F(7.371679631e-6)
    return e * p


@inline
def _start_max32(row):
    return I(-1), MINUS_INFINITY


@inline
def _step_max32(x, most, least):
    """Bits seen as whole numbers grow with the float where it is positive, and fall where it is negative."""
    bits = F(x).view(I)
    return bits if bits > most else most, bits if bits < least else least


@inline
def _end_max32(row, most, least):
    return I(most if most >= 0 else least).view(F)


# What kernels call. The bodies are the float64 versions; `overload` tells numba which one serves which type.


def exp(x):
    """e^x for x <= 88; exactly 0 below -87.3 in float32.

    Above 88 float32 gives nonsense, not infinity. No caller comes there: all subtract a maximum first, or negate a
    square, so that x <= 0, or NaN, which stays NaN. A guard would cost all of them.
    """
    return math.exp(x)


def tanh(x):
    """(e^x - e^-x) / (e^x + e^-x)."""
    return math.tanh(x)


def sigmoid(x):
    """1 / (1 + e^-x), without overflow on either side."""
    e = math.exp(-abs(x))
    return 1.0 / (1.0 + e) if x >= 0.0 else e / (1.0 + e)


def normal_tail(a, e):
    """The probability that a standard normal variable exceeds a >= 0; the caller has e = exp(-a^2 / 2) anyway."""
    return 0.5 * math.erfc(a * SQRT_HALF)


# A maximum in three parts, for loops that do more than look for it.


def start_max(row):
    """What `step_max` begins with, for entries of the type of `row`."""
    return -np.inf, -np.inf


def step_max(x, most, least):
    """The pair after one more entry."""
    return x if x > most else most, least


def end_max(row, most, least):
    """The largest entry, -inf if there was none."""
    return most


def _serve(function: Callable, single: Callable) -> None:
    options: Any = {"fastmath": {"contract"}, **OPTIONS}

    @overload(function, jit_options=options, strict=False)
    def choose(x, *rest):
        return getattr(single, "py_func", single) if getattr(x, "dtype", x) == types.float32 else function


_serve(exp, _exp32)
_serve(tanh, _tanh32)
_serve(sigmoid, _sigmoid32)
_serve(normal_tail, _normal_tail32)
_serve(start_max, _start_max32)
_serve(step_max, _step_max32)
_serve(end_max, _end_max32)


@inline
def row_max(row):
    """The largest entry of a vector, -inf if it is empty."""
    most, least = start_max(row)
    for j in range(row.size):
        most, least = step_max(row[j], most, least)
    return end_max(row, most, least)


@jit
def dot(a, b):
    """The sum of the products of two vectors' entries, in whatever order is fast."""
    total = a.dtype.type(0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total
