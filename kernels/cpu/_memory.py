"""Memory for large results, used again as soon as nobody holds it any more.

Large arrays come from the operating system page by page, each filled with zeros at its first touch, and go back to it
when they are dropped. A training step makes arrays of the same sizes again and again; for an LSTM over 100 steps the
thousands of pages cost as much time as the gates' arithmetic. Here a dropped block stays in a list for the next step.
"""

import math
import weakref
from typing import Any

import numpy as np

SMALLEST = 1 << 16  # bytes; smaller arrays come from NumPy
MOST = 1 << 28  # bytes that may lie unused
ALIGNMENT = 64  # bytes of a cache line, and of the widest vector

Shape = tuple[int, ...]

_unused: dict[int, list[memoryview]] = {}  # the blocks that nobody holds, by size
_held: dict[int, "_Holder"] = {}  # those that somebody holds, by the holder's id


class _Holder(weakref.ref):
    """Notices when the array that stands for all holders of a block is gone."""

    block: memoryview


def empty(shape: Shape, dtype: Any) -> np.ndarray:
    """An array with arbitrary contents, in C order, that begins at a multiple of 64 bytes if it is large."""
    count = math.prod(shape)
    size = count * np.dtype(dtype).itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    block = _take(_rounded(size))
    # Views of `owner` hold it, since its memory belongs to no other array; it dies with the last of them.
    owner = np.frombuffer(block, dtype, count)
    holder = _Holder(owner, _give_back)
    holder.block = block
    _held[id(holder)] = holder
    return owner.reshape(shape)


def zeros(shape: Shape, dtype: Any) -> np.ndarray:
    """An array of zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def unused_bytes() -> int:
    """How much memory lies in the list."""
    return sum(size * len(blocks) for size, blocks in list(_unused.items()))


def _take(size: int) -> memoryview:
    try:
        return _unused[size].pop()
    except (KeyError, IndexError):
        block = np.empty(size + ALIGNMENT, np.uint8)
        start = -block.ctypes.data % ALIGNMENT
        return memoryview(block)[start : start + size]


def _give_back(holder: _Holder) -> None:
    del _held[id(holder)]
    block = holder.block
    if unused_bytes() + len(block) <= MOST:
        _unused.setdefault(len(block), []).append(block)


def _rounded(size: int) -> int:
    """The next larger of eight sizes between a power of two and the next: similar sizes share their blocks."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step
