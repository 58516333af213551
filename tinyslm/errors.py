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


def require_rng(rng: Any, otherwise: str = "") -> np.random.Generator:
    """Return `rng`; an OptionError if it is no generator of NumPy, but a seed, say.

    Args:
        rng: what was given.
        otherwise: what else would do, in the words of the message.
    """
    if not isinstance(rng, np.random.Generator):
        raise OptionError(f"Expected rng as a generator, numpy.random.default_rng(seed){otherwise}. Got {rng!r}.")
    return rng


def require_tensor(value: Any, name: str, dims: str, of: str) -> None:
    """Refuse None, lists and all else that has no shape, as the argument `name` of `of`, whose `dims` are these.

    Arrays are taken, as operations take them.
    """
    if not hasattr(value, "shape"):
        raise DTypeError(
            f"{of}: {name} is no tensor.\n  Expected: a tensor {dims}\n"
            f"  Got: {type(value).__name__}; numbers become one with ts.tensor({name})"
        )


def require_mask(mask: Any, name: str, dims: str, shape: tuple[int, ...], true: str) -> None:
    """Refuse a mask that is not bool, since other numbers don't say what they mean, or of another shape.

    Args:
        mask: an array.
        name: the argument, as the message calls it.
        dims: its dimensions by letter, such as "(B, T)".
        shape: their sizes.
        true: where it is True.
    """
    if mask.shape != shape or (mask.dtype != bool and mask.size):
        kind = DTypeError if mask.shape == shape else ShapeError
        raise kind(
            f"{name}: expected bool {dims} = {shape}, True {true}. Got: {mask.dtype} {mask.shape}"
            + ("" if mask.dtype == bool else f"; numbers become bool with np.asarray({name}) != 0")
        )


def require_lengths(lengths: Any, count: int, most: int | None = None) -> np.ndarray:
    """Return the lengths of `count` sequences as an array; refuse all but whole numbers from 0, to `most` if given."""
    try:
        array = np.asarray(lengths)
    except ValueError:  # lists of unequal length
        array = np.array(str(lengths))
    if array.dtype == object and array.ndim == 1 and all(map(is_whole, array)):  # a column of a table
        array = array.astype(np.int64)
    whole = array.size == 0 or array.dtype.kind in "iu"
    least, largest = (array.min(initial=0), array.max(initial=0)) if whole else (0, 0)
    if not whole or array.shape != (count,) or least < 0 or (most is not None and largest > most):
        kind = ShapeError if whole else DTypeError
        raise kind(
            f"lengths: expected {count} whole numbers from 0{'' if most is None else f' to {most}'}, one per sequence\n"
            f"  Got: {array.tolist()!r:.200}"
        )
    return array


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
