"""Matrix products of numba kernels: panels, and the loops that lay the blocks of `_tile.py` side by side.

`panels`: a matrix B (K, N) cut into strips of PANEL columns, each strip stored by itself, row after row, with zeros
behind the last column: (strips, K, PANEL). The microkernel then reads B in the order in which it lies in memory. 256
rows of a panel, 16 KB with AVX2 and NEON, 64 KB with AVX-512, stay in a fast cache while all rows of A pass by. `gram`
and convolutions cut longer panels there; a recurrent layer, with few rows of A at each step, is faster without.

Operations: 2 M K N for (M, K) by (K, N). Bytes: packing reads and writes B once; M K N / 6 numbers of B and M K N /
PANEL of A come from the caches.
"""

from typing import Any

import numpy as np

from ._arrays import ready
from ._jit import inline, jit
from ._parallel import split
from ._tile import ROWS, copy_row, lanes, make_tile, panel_width, turn

DEPTH = 256  # rows of a panel that are used before the next ones are loaded
WORK = 16  # multiply-adds in the time of one element operation of other kernels

_tile1, _tile2, _tile3, _tile4, _tile5, _tile6 = (make_tile(rows) for rows in range(1, ROWS + 1))


def padded(n: int, dtype: Any) -> int:
    """The next multiple of the panels' width."""
    width = panel_width(np.dtype(dtype).itemsize)
    return -(-n // width) * width


@inline
def block(rows, a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add):
    """One block of 1 to 6 rows: the microkernel exists once for each number."""
    if rows == 6:
        _tile6(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add)
    elif rows == 5:
        _tile5(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add)
    elif rows == 4:
        _tile4(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add)
    elif rows == 3:
        _tile3(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add)
    elif rows == 2:
        _tile2(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add)
    elif rows == 1:
        _tile1(a, a_start, a_row, b, b_start, depth, c, c_start, c_row, add)


@inline
def multiply(a, row, rows, column, depth, panels, panel_from, panel_to, panel_row, c, c_row_from, c_column, add):
    """C (+)= A B for `rows` rows of a from `row` on and `depth` columns from `column` on.

    B: the panels from panel_from to panel_to, their rows from panel_row on. C: the rows of c from c_row_from on, its
    columns from c_column on. a and c are matrices in C order.
    """
    width, count = panels.shape[2], (rows + ROWS - 1) // ROWS
    for p in range(panel_from, panel_to):
        b_start = (p * panels.shape[1] + panel_row) * width
        for i in range(count):
            first, last = rows * i // count, rows * (i + 1) // count  # as equal as can be: small blocks are slow
            a_start = (row + first) * a.shape[1] + column
            c_start = (c_row_from + first) * c.shape[1] + c_column + (p - panel_from) * width
            if last - first == ROWS:  # most blocks; the way through `block` costs 2 to 3 %
                _tile6(a, a_start, a.shape[1], panels, b_start, depth, c, c_start, c.shape[1], add)
            else:
                block(last - first, a, a_start, a.shape[1], panels, b_start, depth, c, c_start, c.shape[1], add)


@inline
def to_panels(source, rows, panels, row):
    """Copy the first rows of a matrix to the panels' rows from `row` on; it is as wide as all panels, or wider."""
    width = panels.shape[2]
    for p in range(panels.shape[0]):
        for i in range(rows):
            copy_row(source, i * source.shape[1] + p * width, panels, (p * panels.shape[1] + row + i) * width)


@inline
def turned_copy(a, row, rows, out):
    """out[m, k] = a[row + k, m] for k < rows: squares as wide as a vector, then what is left, number by number."""
    size, columns, wide = lanes(a), a.shape[1], out.shape[1]
    whole_k, whole_m = rows // size * size, columns // size * size
    for m in range(0, whole_m, size):
        for k in range(0, whole_k, size):
            turn(a, (row + k) * columns + m, columns, out, m * wide + k, wide)
    for m in range(columns):
        for k in range(whole_k if m < whole_m else 0, rows):
            out[m, k] = a[row + k, m]


@inline
def strips_of(n, width):
    """How many panels of `width` columns hold n columns."""
    return (n + width - 1) // width


@inline
def pack_columns(a, start, step, rows, columns, panels):
    """B = A: panels (strips, rows or more, width). Row r begins at number start + r step of a, wherever that is."""
    width = panels.shape[2]
    for p in range(panels.shape[0]):
        count, at = min(width, columns - p * width), start + p * width
        for r in range(rows):
            if count == width:
                copy_row(a, at + r * step, panels, (p * panels.shape[1] + r) * width)
            else:
                for j in range(width):
                    panels[p, r, j] = a[at + r * step + j] if j < count else 0


@inline
def pack_rows(a, start, step, rows, factor, panels):
    """B = factor A^T: panels (strips, depth, width) with a row of A in each column; squares of vectors first."""
    (_, depth, width), size = panels.shape, lanes(a)
    whole_rows, whole_depth = rows // size * size, depth // size * size
    for r in range(0, whole_rows, size):
        for d in range(0, whole_depth, size):
            turn(a, start + r * step + d, step, panels, (r // width * depth + d) * width + r % width, width)
    for r in range(strips_of(rows, width) * width):
        for d in range(whole_depth if r < whole_rows else 0, depth):
            panels[r // width, d, r % width] = a[start + r * step + d] if r < rows else 0
    if factor != 1:
        for p in range(strips_of(rows, width)):
            _scale(panels[p], factor)


@inline
def _scale(panel, factor):
    for d in range(panel.shape[0]):
        for j in range(panel.shape[1]):
            panel[d, j] *= factor


def panels_of_rows(w: np.ndarray) -> np.ndarray:
    """B = W^T for the rows of w (G, H, K): panels with K rows; each of the G parts begins with a panel of its own."""
    parts, columns, depth = w.shape
    width = panel_width(w.itemsize)
    panels = np.empty((parts * padded(columns, w.dtype) // width, depth, width), w.dtype)
    _pack_parts(ready(w).reshape(-1), parts, columns, panels)
    return panels


@jit
def _pack_parts(w, parts, columns, panels):
    across, depth = panels.shape[0] // parts, panels.shape[1]
    for i in range(parts):
        here = panels[i * across : (i + 1) * across]
        pack_rows(w, i * columns * depth, depth, columns, w.dtype.type(1), here)


def panels_of_columns(w: np.ndarray) -> np.ndarray:
    """B = W for w (R, N): panels with R rows."""
    width = panel_width(w.itemsize)
    panels = np.empty((padded(w.shape[1], w.dtype) // width, len(w), width), w.dtype)
    _pack_all(ready(w).reshape(-1), *w.shape, panels)
    return panels


@jit
def _pack_all(w, rows, columns, panels):
    pack_columns(w, 0, columns, rows, columns, panels)


def gram(a: np.ndarray, panels: np.ndarray, ranges: Any) -> np.ndarray:
    """A^T B for a (R, M) and the panels of B (R, N): its panels (strips, M, PANEL), sums over all R rows.

    `ranges` (blocks, 2): B's columns consist of equally wide blocks; in the product's column block i only the rows from
    ranges[i, 0] to ranges[i, 1] are computed, the others are 0.
    """
    count, _, width = panels.shape
    c = np.zeros((count, a.shape[1], width), a.dtype)
    limits = np.array(ranges, np.int64).reshape(-1, 2)
    work = a.shape[1] * panels.size // WORK
    split(lambda start, stop: _gram(a, panels, limits, c, start, stop), count, work)
    return c


@jit
def _gram(a, panels, ranges, c, start, stop):
    turned, rows = np.empty((a.shape[1], DEPTH), a.dtype), a.shape[0]
    across = panels.shape[0] // ranges.shape[0]  # panels in a block
    for r in range(0, rows, DEPTH):
        depth = min(DEPTH, rows - r)
        turned_copy(a, r, depth, turned)
        for p in range(start, stop):
            low, high = ranges[p // across]
            multiply(turned, low, high - low, 0, depth, panels, p, p + 1, r, c[p], low, 0, True)
