"""Is a mutant a mistake at all? One that gives the function's own results on every input tried is not.

Tried are the inputs of the lesson itself, recorded while it runs, and random ones made from them.
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import Tensor

CLOSE = 1e-11  # relative; as for the mutants of rules
KEPT, EACH = 24, 3  # recorded calls of one function, and of those with the same settings and shapes


class Recorder:
    """Keeps copies of the arguments of the first calls of each function, a few of each kind of call."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[tuple, dict]]] = {}

    def wrap(self, name: str, function: Callable) -> Callable:
        """The function, with its first calls recorded under `name`."""
        kept, kinds = self.calls.setdefault(name, []), Counter[str]()

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            # What is used up by a call, such as a generator, can't be kept for a second one.
            if len(kept) < KEPT and not any(hasattr(a, "__next__") for a in (*args, *kwargs.values())):
                kinds[kind := _kind([args, kwargs])] += 1
                if kinds[kind] <= EACH:
                    kept.append(copied((args, kwargs)))
            return function(*args, **kwargs)

        return wrapped


def _kind(x: Any) -> str:
    """The shapes of arrays, and settings as they are."""
    if isinstance(x, (list, tuple)):
        return f"[{','.join(map(_kind, x[:9]))}]"
    if isinstance(x, dict):
        return str([(str(k), _kind(v)) for k, v in list(x.items())[:9]])
    if isinstance(x, (bool, int, str, type(None))):
        return str(x)[:40]
    return f"{type(x).__name__}{getattr(x, 'shape', '')}{getattr(x, '__name__', '')}"


def copied(x: Any) -> Any:
    """A copy that shares no numbers with x; what can't be copied is shared."""
    if isinstance(x, Tensor):
        return Tensor.wrap(x.numpy().copy())
    if type(x) in (tuple, list):
        return type(x)(map(copied, x))
    if type(x) is dict:
        return {k: copied(v) for k, v in x.items()}
    if callable(x) and not hasattr(x, "__dict__"):
        return x
    try:
        return copy.deepcopy(x)
    except Exception:  # a stranger's object may refuse in any way
        return x


def varied(x: Any, rng: np.random.Generator, kind: str) -> Any:
    """x with other numbers ("scaled" or "fresh"), or in another order ("shuffled")."""
    if isinstance(x, Tensor):
        return Tensor.wrap(varied(x.numpy(), rng, kind))
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        fresh = x * rng.uniform(0.5, 1.5, x.shape) if kind == "scaled" else rng.normal(size=x.shape)
        return np.asarray(fresh, dtype=x.dtype)
    if type(x) is float:
        return x * rng.uniform(0.5, 1.5)
    if isinstance(x, str) and kind == "shuffled":
        return " ".join(rng.permutation(x.split()))
    if type(x) in (list, tuple):
        parts = [varied(y, rng, kind) for y in x]
        return type(x)([parts[i] for i in rng.permutation(len(parts))] if kind == "shuffled" else parts)
    return {k: varied(v, rng, kind) for k, v in x.items()} if type(x) is dict else copied(x)


def same(function: Callable, mutant: Callable, calls: list[tuple[tuple, dict]]) -> bool:
    """Whether both give the same on all recorded calls and on random ones made from them; False if there are none."""
    if not calls or not all(_agree(function, mutant, call, own=True) for call in calls):
        return False
    rng = np.random.default_rng(0)
    random = [
        (tuple(varied(a, rng, kind) for a in args), {k: varied(v, rng, kind) for k, v in kwargs.items()})
        for args, kwargs in calls
        for kind in ("scaled", "fresh", "shuffled")
    ]
    return all(_agree(function, mutant, call, own=False) for call in random)


def _agree(function: Callable, mutant: Callable, call: tuple[tuple, dict], own: bool) -> bool:
    """Same results, same arguments left behind. Random inputs that the function itself refuses say nothing."""
    first, second = _result(function, copied(call)), _result(mutant, copied(call))
    if isinstance(first, Exception) and not own:
        return True
    return alike(first, second)


def _result(function: Callable, call: tuple[tuple, dict]) -> Any:
    args, kwargs = call
    try:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs), args, kwargs
    except Exception as error:  # the mutant's, whatever it is
        return error


def alike(a: Any, b: Any) -> bool:
    """Equal in structure, type and, to rounding, in numbers."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return alike(a.numpy(), b.numpy())
    if type(a) is not type(b) and not (np.isscalar(a) and np.isscalar(b)):
        return False
    if isinstance(a, (np.ndarray, float, complex, np.number)):
        return _close(np.asarray(a), np.asarray(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, Exception):
        return True
    return a is b or (alike(vars(a), vars(b)) if hasattr(a, "__dict__") and not callable(a) else bool(a == b))


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    size = np.max(np.abs(a[np.isfinite(a)]), initial=0)
    return bool(np.allclose(a, b, rtol=CLOSE, atol=CLOSE * size, equal_nan=True))
