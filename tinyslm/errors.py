"""What can go wrong, by kind. Every message names the argument, what was expected, what came, and what to do."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python or NumPy, also as an array without dimensions; True and False are none."""
    if hasattr(value, "dtype"):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, Real) and not isinstance(value, bool)


class TinyslmError(Exception):
    """The base of all errors that tinyslm raises on purpose."""


class TinyslmWarning(RuntimeWarning):
    """What tinyslm warns of; the command line shows it without the line of code."""


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
