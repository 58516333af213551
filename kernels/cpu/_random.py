"""The random numbers of dropout: entry i depends on the seed and on i alone, so they need no state and no order.

This is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): a counter that
moves in steps of an odd constant, and a function that mixes the bits of the counter. `dropout_mask` needs only NumPy
and agrees with the numba kernel bit for bit.
"""

import math

import numpy as np

STEP = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
WORD = (1 << 64) - 1


def dropout_mask(shape: tuple[int, ...] | int, p: float, seed: int) -> np.ndarray:
    """True where an entry is kept: u_i >= p, with u_i uniform in [0, 1) from seed and flat index i (C order)."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    index = np.arange(math.prod(shape), dtype=np.uint64)
    return (random_53_bits(index, seed) >= np.uint64(threshold(p))).reshape(shape)


def random_53_bits(index: np.ndarray, seed: int) -> np.ndarray:
    """Whole numbers in [0, 2^53): the top bits of mix(seed + (index + 1) * STEP), everything modulo 2^64."""
    z = np.uint64((int(seed) + STEP) & WORD) + index * np.uint64(STEP)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(11)


def threshold(p: float) -> int:
    """The whole number k with: u >= p exactly when u * 2^53 >= k."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"Expected a dropout probability p between 0 and 1. Got {p}.")
    return math.ceil(p * 2.0**53)
