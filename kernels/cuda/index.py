"""Host side of `index.cu`: embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._late import place_for
from ._launch import ROWS_PER_BLOCK, Array, array_library, as_rows, launch, ready, whole_numbers


def embedding_forward(ids: Array, weight: Array, padding_idx: int | None = None) -> tuple[Array, None]:
    """Rows of weight (V, D) at ids (...): (..., D). An id outside 0 .. V - 1 gives NaN and is noted."""
    flat, w = whole_numbers(ids), ready(weight)
    out = array_library().empty((flat.size, w.shape[1]), w.dtype)
    arguments = [flat, w, out, place_for("embedding: expected ids", len(w)), np.int64(flat.size), *w.shape]
    launch("index:embedding_forward", *_warps(flat.size), arguments)
    return out.reshape(*ids.shape, w.shape[1]), None


def embedding_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, padding_idx: int | None = None
) -> tuple:
    """dweight_v = sum of g over the places where id = v; 0 for `padding_idx`."""
    if not needs[1]:
        return None, None
    flat, xp = whole_numbers(arrays[0]), array_library()
    dweight = xp.zeros(arrays[1].shape, arrays[1].dtype)
    places = xp.argsort(flat, kind="stable")
    padding = np.int64(-1 if padding_idx is None else padding_idx)
    arguments = [flat[places], places, as_rows(g), dweight, np.int64(flat.size), *dweight.shape, padding]
    launch("index:embedding_backward", *_warps(flat.size), arguments)
    return None, dweight


def _warps(n: int) -> tuple[tuple[int], tuple[int, int]]:
    return (-(-n // ROWS_PER_BLOCK),), (32, ROWS_PER_BLOCK)
