"""Embedding: rows of a table picked by number.

Bytes for n ids and rows of D entries: read and write n D forward; backward writes the whole table of gradients once
and reads and adds n D. Operations: none forward, n D additions backward. Idea: a copy of each row. Backward, every
thread owns a range of rows of the table and looks through all ids for them, so no two threads add to the same row.
"""

from typing import Any

import numpy as np

from ._arrays import as_rows, check_indices, ready
from ._jit import jit
from ._parallel import split

WRITES_PER_ADDITION = 8  # zeros that are written in the time of one addition


def embedding_forward(ids: np.ndarray, weight: np.ndarray, padding_idx: int | None = None) -> tuple[np.ndarray, None]:
    """Rows of weight (V, D) at ids (...): (..., D). IndexError for an id outside 0 .. V - 1."""
    check_indices("ids", ids, len(weight))
    flat, w = _flat_ids(ids), ready(weight)
    out = np.empty((flat.size, w.shape[1]), w.dtype)
    split(lambda start, stop: _gather(flat, w, out, start, stop), flat.size, out.size)
    return out.reshape(*ids.shape, w.shape[1]), None


def embedding_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, padding_idx: int | None = None
) -> tuple:
    """dweight_v = sum of g over the places where id = v; 0 for `padding_idx`."""
    if not needs[1]:
        return None, None
    flat, gs = _flat_ids(arrays[0]), as_rows(g)
    dweight = np.empty(arrays[1].shape, arrays[1].dtype)
    padding = -1 if padding_idx is None else padding_idx
    work = gs.size + dweight.size // WRITES_PER_ADDITION
    split(lambda start, stop: _scatter_add(flat, gs, padding, dweight, start, stop), len(dweight), work)
    return None, dweight


def _flat_ids(ids: np.ndarray) -> np.ndarray:
    return ready(ids.astype(np.int64, copy=False)).reshape(-1)


@jit
def _gather(ids, weight, out, start, stop):
    for r in range(start, stop):
        row = weight[ids[r]]
        for j in range(row.size):
            out[r, j] = row[j]


@jit
def _scatter_add(ids, g, padding, dweight, start, stop):
    dweight[start:stop] = 0
    for r in range(ids.size):
        v = ids[r]
        if start <= v < stop and v != padding:
            row = dweight[v]
            for j in range(row.size):
                row[j] += g[r, j]
