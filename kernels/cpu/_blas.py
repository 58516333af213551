"""The matrix products of NumPy's library, on our own threads.

OpenBLAS, which comes inside NumPy, shares a product out among its own threads. After it they wait for the next product
by spinning, for tens of milliseconds, and for that time every other kernel has one core less. In the loops over time of
a recurrent layer, with products of some 60 microseconds, they mostly wait for each other; on cores that others use too,
each wait becomes milliseconds. So OpenBLAS is asked for one thread: for large products piece by piece from our own
threads (`multiply_all`), for the small ones of a step as they are (`one_thread`). The setting is put back after. Where
NumPy uses another library (Accelerate, MKL) nothing is changed.
"""

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import _parallel
from ._parallel import get_num_threads, split

F = TypeVar("F", bound=Callable[..., Any])
PREFIXES = ("scipy_openblas", "openblas")
SUFFIXES = ("64_", "")
NOTHING = ((lambda: 1), (lambda n: None))  # what reads and sets the threads of a library that is left alone
WORK = 32  # multiply-adds in the time of one element operation of other kernels
ALONE = 1 << 18  # multiply-adds: so few are done by OpenBLAS on one thread anyway
GRAIN = 48  # pieces begin at multiples of it: whole blocks of the library's innermost loop


Product = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]  # A, B, C, bias


def multiply(a: np.ndarray, b: np.ndarray, c: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """C = A B, plus `bias` in each row, for matrices."""
    multiply_all([(a, b, c, bias)])
    return c


def ones_for(rows: np.ndarray) -> np.ndarray:
    """Ones (1, R): times the rows (R, N) they give the sum over the rows, faster than NumPy's `sum`."""
    return np.ones((1, len(rows)), rows.dtype)


def multiply_all(products: Sequence[Product]) -> None:
    """Several products at once: each thread computes its share of every one of them, so they meet only once."""
    count = sum([a.size * b.shape[1] for a, b, _, _ in products])  # of multiply-adds
    if count <= ALONE:
        _multiply(products)
        return
    shares = min(get_num_threads(), count // WORK // _parallel.WORK_PER_THREAD)
    if shares > 1 and _controls() is not NOTHING:
        _split(lambda start, stop: _multiply_shares(products, start, stop, shares), shares, count // WORK)
    else:
        _multiply_alone(products)


def _multiply(products: Sequence[Product]) -> None:
    for a, b, c, bias in products:
        np.matmul(a, b, out=c)
        if bias is not None:
            c += bias


def _multiply_shares(products: Sequence[Product], start: int, stop: int, shares: int) -> None:
    _multiply([_share(product, i, shares) for i in range(start, stop) for product in products])


def _share(product: Product, i: int, shares: int) -> Product:
    """Share number i of a product, C being cut across its longer side."""
    a, b, c, bias = product
    longer = max(c.shape)
    part = slice(*(min(longer, -(-longer * j // (shares * GRAIN)) * GRAIN) for j in (i, i + 1)))
    if c.shape[0] == longer:
        return a[part], b, c[part], bias
    return a, b[:, part], c[:, part], None if bias is None else bias[part]


class _Users:
    """How many calls want one thread at the moment, in all Python threads, and what the first of them found."""

    lock = threading.Lock()
    count = 0
    before = 1


def one_thread(function: F) -> F:
    """Decorator: while `function` runs, NumPy's OpenBLAS uses one thread."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        _enter()
        try:
            return function(*args, **kwargs)
        finally:
            _leave()

    return run  # type: ignore[return-value]


_split, _multiply_alone = one_thread(split), one_thread(_multiply)


def _enter() -> None:
    get, put = _controls()
    with _Users.lock:
        if _Users.count == 0:
            _Users.before = get()
            try:
                put(1)
            except BaseException:  # Ctrl-C: nobody would put it back
                put(_Users.before)
                raise
        _Users.count += 1


def _leave() -> None:
    with _Users.lock:
        _Users.count = max(0, _Users.count - 1)
        if _Users.count == 0:
            _controls()[1](_Users.before)


def _after_fork() -> None:
    # The threads that held the lock, or counted, did not come along into the child.
    if _Users.count > 0:
        _controls()[1](_Users.before)
    _Users.lock, _Users.count = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _controls() -> tuple[Callable[[], int], Callable[[int], object]]:
    """The two functions that read and set OpenBLAS' number of threads; harmless ones where there is no OpenBLAS."""
    for library in _libraries():
        for prefix in PREFIXES:
            for suffix in SUFFIXES:
                get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                if get and put:
                    return get, put
    return NOTHING


def _libraries() -> list[ctypes.CDLL]:
    # Wheels carry the library beside NumPy (Linux, Windows) or inside it (macOS); it is already loaded.
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*openblas*"))]
    libraries = []
    for path in found:
        try:
            libraries.append(ctypes.CDLL(str(path)))
        except OSError:  # not a library of this machine: the products keep their threads
            continue
    return libraries
