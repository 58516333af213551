"""Indices outside their range: a kernel notes them on the device, and the host says so when it next reads from there.

To refuse such an index at once, as on the CPU, the host would have to wait for the device at each operation. Every
kind of check has a place in one array; a kernel raises the number there to how far outside the worst index lies. The
training loop fetches that array together with the losses.
"""

from __future__ import annotations

import functools

import numpy as np

from ._launch import Array, Gpu, array_library, for_entries, gpu, launch, whole_numbers

ROOM = 64  # places to begin with


class _Notes:
    """The array, and what its places stand for."""

    def __init__(self, where: Gpu):
        self.worst = where.xp.zeros(ROOM, np.uint64)
        self.kinds: dict[tuple[str, int], int] = {}
        self.unread = False


@functools.lru_cache(maxsize=1)
def _notes(where: Gpu) -> _Notes:
    return _Notes(where)


def place_for(what: str, size: int) -> Array:
    """Where a kernel notes indices outside 0 .. size - 1: (1,). `what` says whose: "embedding: expected ids"."""
    notes, xp = _notes(gpu()), array_library()
    place = notes.kinds.setdefault((what, size), len(notes.kinds))
    if place == len(notes.worst):
        notes.worst = xp.concatenate([notes.worst, xp.zeros_like(notes.worst)])
    notes.unread = True
    return notes.worst[place : place + 1]


def check_indices(ids: Array, what: str, size: int) -> None:
    """Note it if one of `ids`, of any shape, lies outside 0 .. size - 1; one launch, and no wait."""
    flat = whole_numbers(ids)
    arguments = [flat, np.int64(flat.size), np.int64(size), place_for(what, size)]
    launch("index:check_indices", *for_entries(flat.size), arguments)


def unread() -> Array | None:
    """The whole array, if something may have been noted since the last reading."""
    return _notes(gpu()).worst if _notes(gpu()).unread else None


def words(found: np.ndarray) -> str:
    """What the array says, once it is on the host; "" if all is well. It is clear afterwards."""
    notes = _notes(gpu())
    notes.unread = False
    for (what, size), place in notes.kinds.items():
        if found[place]:
            notes.worst[...] = 0
            outside = int(found[place])  # as report_index in common.cuh counts
            got = -(outside >> 1) if outside & 1 else size - 1 + (outside >> 1)
            return f"{what} from 0 to {size - 1}, got {got}"
    return ""
