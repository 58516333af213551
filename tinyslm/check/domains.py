"""Where the inputs of a derivation come from: domains, each with its shape in letters, and the sizes of the letters.

Sizes are distinct primes, so that no two letters are equal by accident and no product of some equals another. A link
that holds only if, say, T = d or B = 1 fails at such sizes and is then tried again under each of these settings.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
Sizes = dict[str, int]
Setting = dict[str, "str | int"]  # a letter -> the letter it equals, or 1
Sample = Callable[[np.random.Generator, tuple[int, ...], Sizes, float], Any]


@dataclass(frozen=True)
class Domain:
    """A set of arrays to draw from.

    Attributes:
        words: what it is, for the report.
        dims: one entry per dimension: a number, a letter, or an expression such as "4*H" or "T+1".
        sample: (rng, shape, sizes, spread) -> an array.
        more: further expressions whose letters matter, such as the number of classes.
    """

    words: str
    dims: tuple[str | int, ...]
    sample: Sample
    more: tuple[str | int, ...] = ()

    @property
    def letters(self) -> list[str]:
        """The letters in its dimensions, in order."""
        return [x for e in (*self.dims, *self.more) for x in re.findall(r"[A-Za-z]\w*", str(e))]

    def draw(self, rng: np.random.Generator, sizes: Sizes, spread: float = 1.0) -> np.ndarray:
        """One array; `spread` widens what is unbounded."""
        shape = tuple(size_of(e, sizes) for e in self.dims)
        return np.asarray(self.sample(rng, shape, sizes, spread))


def size_of(expression: str | int, sizes: Sizes) -> int:
    """The number that "4*H" or "T+1" stands for."""
    total = 0
    for term in str(expression).split("+"):
        product = 1
        for factor in (f.strip() for f in term.split("*")):
            if not factor.isdigit() and factor not in sizes:
                raise OptionError(f"size {expression!r}: expected numbers and letters joined by * and +")
            product *= int(factor) if factor.isdigit() else sizes[factor]
        total += product
    return total


# -- the domains ------------------------------------------------------------------------------------------------------


def real(*dims: str | int) -> Domain:
    """Any real numbers, about 1 in size."""
    return Domain("real", dims, lambda rng, shape, sizes, spread: spread * rng.normal(size=shape))


def positive(*dims: str | int) -> Domain:
    """Numbers above 0."""
    return Domain("positive", dims, lambda rng, shape, sizes, spread: rng.uniform(0.5, 2.0, shape))


def between(low: float, high: float, *dims: str | int) -> Domain:
    """Numbers between two bounds; their middle four fifths, so that small steps stay inside."""
    edge = 0.1 * (high - low)
    return Domain(
        f"between {low:g} and {high:g}", dims, lambda rng, shape, *_: rng.uniform(low + edge, high - edge, shape)
    )


def simplex(*dims: str | int) -> Domain:
    """Positive numbers that add up to 1 along the last dimension."""
    return Domain("on the simplex", dims, lambda rng, shape, *_: _scaled(rng.uniform(0.2, 1.0, shape), 1))


def unit_norm(*dims: str | int) -> Domain:
    """Vectors of length 1 along the last dimension."""
    return Domain("of unit norm", dims, lambda rng, shape, *_: _scaled(rng.normal(size=shape), 2))


def positive_definite(*dims: str | int) -> Domain:
    """Symmetric matrices with eigenvalues above 0; the last two dimensions are equal."""

    def sample(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> np.ndarray:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise OptionError(f"positive_definite: expected two equal last dimensions, got {dims}")
        a = rng.normal(size=shape)
        return np.asarray(a @ a.swapaxes(-1, -2) / shape[-1] + 0.5 * np.eye(shape[-1]))

    return Domain("positive definite", dims, sample)


def one_hot(*dims: str | int) -> Domain:
    """A single 1 among zeros along the last dimension."""

    def sample(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> np.ndarray:
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]

    return Domain("one-hot", dims, sample)


def integers(high: str | int, *dims: str | int, low: int = 0) -> Domain:
    """Whole numbers from `low` up to but not including `high`, which may be a letter."""

    def sample(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes, spread: float) -> Any:
        return rng.integers(low, max(low + 1, size_of(high, sizes)), shape)

    return Domain(f"integers from {low} below {high}", dims, sample, (high,))


def mask(*dims: str | int) -> Domain:
    """True and False, at least one True along the last dimension."""

    def sample(rng: np.random.Generator, shape: tuple[int, ...], *_: Any) -> np.ndarray:
        drawn = rng.random(shape) < 0.6
        return drawn | (np.arange(shape[-1]) == rng.integers(0, shape[-1], (*shape[:-1], 1)))

    return Domain("a mask", dims, sample)


def _scaled(x: np.ndarray, order: int) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, order, axis=-1, keepdims=True))


# -- sizes ------------------------------------------------------------------------------------------------------------


def draw_sizes(letters: Iterable[str], fixed: Sizes, setting: Setting, rng: np.random.Generator | None) -> Sizes:
    """Distinct primes for the letters, the smallest in order without an rng; then `fixed` and `setting` are applied."""
    free = [x for x in letters if x not in fixed]
    if len(free) > len(PRIMES):
        raise OptionError(f"sizes: expected at most {len(PRIMES)} letters without a fixed size, got {', '.join(free)}")
    pool = list(PRIMES[: len(free) + 1])
    if rng is not None:
        rng.shuffle(pool)
    sizes = {**dict(zip(free, pool, strict=False)), **fixed}
    for letter, value in setting.items():
        sizes[letter] = sizes[value] if isinstance(value, str) else value
    return sizes


def special_settings(letters: Iterable[str]) -> list[Setting]:
    """Each letter 1, each two letters equal; then any two of those at once."""
    listed = list(letters)
    single: list[Setting] = [{x: 1} for x in listed]
    single += [{a: b} for a, b in itertools.combinations(listed, 2)]
    pairs = [{**p, **q} for p, q in itertools.combinations(single, 2) if not _letters(p) & _letters(q)]
    return single + pairs


def _letters(setting: Setting) -> set[str]:
    return {str(x) for pair in setting.items() for x in pair if x != 1}


def in_words(setting: Setting) -> str:
    """A setting as text, such as "T = d, B = 1"."""
    return ", ".join(f"{k} = {v}" for k, v in setting.items())


def parse_setting(text: str, letters: Iterable[str]) -> Setting:
    """The reverse of `in_words`: "T = d, B = 1" -> {"T": "d", "B": 1}."""
    known, setting = set(letters), Setting()
    for part in filter(None, (p.strip() for p in text.split(","))):
        left, _, right = (x.strip() for x in part.partition("="))
        if left not in known or not (right in known or right.isdigit()):
            raise OptionError(f"given={text!r}: expected letters such as 'T = d' or 'B = 1'; known: {sorted(known)}")
        setting[left] = int(right) if right.isdigit() else right
    return setting
