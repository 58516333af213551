"""Indices outside their range: a kernel notes them on the device, and the host says so when it next reads from there.

To refuse such an index at once, as on the CPU, the host would have to wait for the device at each operation. Every
kind of check has a place in one array; a kernel raises the number there to how far outside the worst index lies. The
training loop fetches that array together with the losses.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ._launch import Array, Gpu, array_library, for_entries, gpu, launch, whole_numbers

ROOM = 64  # places to begin with


class _Notes:
    """The array, and what its places stand for."""

    def __init__(self, where: Gpu):
        self.worst = where.xp.zeros(ROOM, np.uint64)
        self.kinds: dict[tuple[str, int, int], int] = {}
        self.unread = False


@functools.lru_cache(maxsize=1)
def _notes(where: Gpu) -> _Notes:
    return _Notes(where)


def place_for(what: str, size: int, least: int = 0) -> Array:
    """Where a kernel notes indices outside least .. size - 1: (1,). `what` says whose: "embedding: expected ids"."""
    notes, xp = _notes(gpu()), array_library()
    place = notes.kinds.setdefault((what, size, least), len(notes.kinds))
    if place == len(notes.worst):
        notes.worst = xp.concatenate([notes.worst, xp.zeros_like(notes.worst)])
    notes.unread = True
    return notes.worst[place : place + 1]


def check_indices(ids: Array, what: str, size: int, least: int = 0) -> None:
    """Note it if one of `ids`, of any shape, lies outside least .. size - 1; one launch, and no wait."""
    flat = whole_numbers(ids)
    arguments = [flat, *map(np.int64, (flat.size, least, size)), place_for(what, size, least)]
    launch("index:check_indices", *for_entries(flat.size), arguments)


def check_key(key: Any, what: str, shape: tuple[int, ...]) -> None:
    """The same for each array of whole numbers in a key to an array of this shape, where negative ones are allowed.

    Raises:
        IndexError: for arrays that lie on the host, at once.
    """
    for part, size in _by_axis(key if isinstance(key, tuple) else (key,), shape):
        if part.dtype.kind not in "iu":
            continue
        if not isinstance(part, np.ndarray):
            check_indices(part, what, size, -size)
        elif part.size and not -size <= part.min() <= part.max() < size:
            raise IndexError(f"expected indices from {-size} to {size - 1}, got {part.min()} to {part.max()}")


def _by_axis(key: tuple, shape: tuple[int, ...]) -> list[tuple[Any, int]]:
    """The arrays of a key, each with the size of the (first) axis that it chooses from."""
    parts = [np.asarray(part) if isinstance(part, (list, bool, np.generic)) else part for part in key]
    taken = [_axes(part) for part in parts]
    found, axis = [], 0
    for part, axes in zip(parts, taken, strict=True):
        if hasattr(part, "dtype") and axis < len(shape):
            found.append((part, shape[axis]))
        axis += len(shape) - sum(taken) if part is Ellipsis else axes
    return found


def _axes(part: Any) -> int:
    """How many axes one part of a key takes."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if hasattr(part, "dtype") and part.dtype == bool else 1


def unread() -> Array | None:
    """The whole array, if something may have been noted since the last reading."""
    return _notes(gpu()).worst if _notes(gpu()).unread else None


def words(found: np.ndarray) -> str:
    """What the array says, once it is on the host; "" if all is well. It is clear afterwards."""
    notes = _notes(gpu())
    notes.unread = False
    for (what, size, least), place in notes.kinds.items():
        if found[place]:
            notes.worst[...] = 0
            outside = int(found[place])  # as report_index in common.cuh counts
            got = least - (outside >> 1) if outside & 1 else size - 1 + (outside >> 1)
            return f"{what} from {least} to {size - 1}, got {got}"
    return ""
