"""Bring arrays into the one form the kernels are compiled for: C order, aligned, writable."""

import math

import numpy as np


def ready(a: np.ndarray) -> np.ndarray:
    """`a` itself where the kernels can take it as it is, else a copy."""
    return a if a.flags.carray else np.require(a, requirements=["C", "A", "W"])


def in_memory(a: np.ndarray) -> list[int]:
    """The dimensions in the order of their steps through memory, the longest first: a transposed view turned back."""
    if a.flags.c_contiguous:
        return list(range(a.ndim))
    return sorted(range(a.ndim), key=lambda d: -a.strides[d])


def as_rows(a: np.ndarray) -> np.ndarray:
    """(..., D) as a matrix (rows, D); also for sizes of 0, where reshape(-1, D) is ambiguous."""
    return ready(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])


def check_indices(name: str, values: np.ndarray, size: int) -> None:
    """Refuse indices outside 0 .. size - 1: NumPy counts from the end, a kernel reads memory that isn't its own.

    The engine puts the operation before these words, and the shapes behind.
    """
    if values.size and (values.min() < 0 or values.max() >= size):
        worst = values.min() if values.min() < 0 else values.max()
        raise IndexError(f"expected {name} from 0 to {size - 1}, got {worst}")
