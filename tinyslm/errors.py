"""What can go wrong, by kind. Every message names the argument, what was expected, what came, and what to do."""

import sys
import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python or NumPy, also as an array without dimensions; True and False are none."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, Real) and not isinstance(value, bool)


class TinyslmError(Exception):
    """The base of all errors that tinyslm raises on purpose."""


class TinyslmWarning(RuntimeWarning):
    """What tinyslm warns of; the command line shows it without the line of code."""


def warn(message: str) -> None:
    """Warn, naming the line outside tinyslm that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tinyslm":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, TinyslmWarning, stacklevel=level)


class ShapeError(TinyslmError, ValueError):
    """Arrays whose shapes do not fit the operation."""


class DTypeError(TinyslmError, TypeError):
    """Mixed or unsuitable number types."""


class GraphError(TinyslmError, RuntimeError):
    """A graph that was freed, changed in place, or never recorded."""


class AnomalyError(TinyslmError, FloatingPointError):
    """Anomaly mode met the first NaN or Inf."""


class BackendError(TinyslmError, RuntimeError):
    """A backend that is not available here."""


class DataError(TinyslmError, ValueError):
    """A file or text that cannot be used as data."""


class CheckpointError(TinyslmError, RuntimeError):
    """A model folder or checkpoint that cannot be read."""


class OptionError(TinyslmError, ValueError):
    """A setting outside its range."""


def require_whole(value: Any, name: str, least: int | None = None, of: str = "") -> int:
    """Return `value` as an int; an OptionError if it is no whole number, or below `least`.

    Whole numbers are Python's and NumPy's; True and False are none. Nor are arrays and tensors without dimensions: a
    setting is passed on, and kernels would compute with them as with arrays.

    Args:
        value: what was given.
        name: the argument, as the message calls it.
        least: the smallest that is allowed; None for any.
        of: the operation, layer or function whose argument it is, if the message is to begin with it.
    """
    if not is_whole(value) or (least is not None and value < least):
        wanted = f"{name} as a whole number" + ("" if least is None else f" of at least {least}")
        raise OptionError(f"{of}: expected {wanted}, got {value!r}" if of else f"Expected {wanted}. Got {value!r}.")
    return int(value)


def nearest(name: object, known: Iterable[str]) -> list[str]:
    """At most three of the known names that `name` may have been meant to be, the nearest first; none for no text."""
    from difflib import get_close_matches

    plain = {_plain(word): word for word in known} if isinstance(name, str) else {}
    return [plain[word] for word in get_close_matches(_plain(str(name)), plain, n=3, cutoff=0.5)]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message, such as " Did you mean lstm or gru?"; empty where no known name is near."""
    near = nearest(name, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""
