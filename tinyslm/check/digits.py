"""Fifty digits: a number that goes through the same step functions as a float does.

NumPy's functions call a method of that name on objects they don't know (np.exp(x) calls x.exp()), so a scalar step
written with NumPy runs on `Exact` as it stands. Numbers with a point in a step, such as 0.5, are taken as written. What
would lose digits on the way (float(x), math.erf) is refused, and the step is then compared in float64 only.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

DIGITS = 50
CONTEXT = decimal.Context(prec=DIGITS + 15, Emin=-(10**6), Emax=10**6)
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


class Exact:
    """A decimal number with 65 digits, 50 of which are to be trusted after a few operations."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any):
        self.value: Decimal = _decimal(value)

    def __repr__(self) -> str:
        return f"{self.value:.20g}"

    def __float__(self) -> float:
        raise TypeError("a number with 50 digits does not fit into a float")

    def __add__(self, other: Any) -> Any:
        return _joined(CONTEXT.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _joined(CONTEXT.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _joined(CONTEXT.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _joined(CONTEXT.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return _joined(CONTEXT.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _joined(CONTEXT.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _joined(CONTEXT.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _joined(CONTEXT.divide, other, self)

    def __pow__(self, other: Any) -> Any:
        return _joined(CONTEXT.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _joined(CONTEXT.power, other, self)

    def __lt__(self, other: Any) -> bool:
        return self.value < _decimal(other)

    def __le__(self, other: Any) -> bool:
        return self.value <= _decimal(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > _decimal(other)

    def __ge__(self, other: Any) -> bool:
        return self.value >= _decimal(other)

    def __eq__(self, other: Any) -> bool:
        return self.value == _decimal(other)

    def __neg__(self) -> Exact:
        return Exact(self.value.copy_negate())  # -value would round to the thread's 28 digits

    def __abs__(self) -> Exact:
        return Exact(self.value.copy_abs())

    def __bool__(self) -> bool:
        return bool(self.value)

    def exp(self) -> Exact:
        """e to this power."""
        return Exact(CONTEXT.exp(self.value))

    def log(self) -> Exact:
        """Natural logarithm."""
        return Exact(CONTEXT.ln(self.value))

    def sqrt(self) -> Exact:
        """Square root."""
        return Exact(CONTEXT.sqrt(self.value))

    def log1p(self) -> Exact:
        """ln(1 + x)."""
        return Exact(1 + self).log()

    def expm1(self) -> Exact:
        """e^x - 1."""
        return Exact(self.exp() - 1)

    def tanh(self) -> Exact:
        """Hyperbolic tangent."""
        e = Exact(2 * self).exp()
        return Exact((e - 1) / (e + 1))

    def erf(self) -> Exact:
        """Error function, by its series; for arguments up to about 5."""
        term, total, n = self, self, 0
        while abs(term) > Exact(Decimal(10) ** -(DIGITS + 10)):
            n += 1
            term = -term * self * self / n
            total = total + term / (2 * n + 1)
        return Exact(2 * total / Exact(PI).sqrt())


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Exact):
        return value.value
    if isinstance(value, Decimal):
        return value
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return Decimal(int(value))
    if isinstance(value, (float, np.floating)):
        return Decimal(repr(float(value)))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return _decimal(value.item())
    raise TypeError(f"expected a number, got {type(value).__name__}")


def _joined(function: Callable[[Decimal, Decimal], Decimal], a: Any, b: Any) -> Any:
    try:
        return Exact(function(_decimal(a), _decimal(b)))
    except TypeError:
        return NotImplemented


def erf(x: Any) -> Any:
    """The error function of a float array or of an `Exact`."""
    if isinstance(x, Exact):
        return x.erf()
    from ..ops import erf as operation

    return operation.forward(np, np.asarray(x, np.float64))


def like(x: Any, value: Any) -> Any:
    """A constant with as many digits as x has: `np.sqrt(like(x, 2))`, `like(x, PI)`."""
    return Exact(value) if isinstance(x, Exact) else float(value)


def relative_error(a: Any, b: Any) -> float:
    """|a - b| as a share of the larger one, with 50 digits kept until here."""
    x, y = Exact(a).value, Exact(b).value
    scale = max(abs(x), abs(y))
    return float(CONTEXT.divide(abs(CONTEXT.subtract(x, y)), scale)) if scale else 0.0
