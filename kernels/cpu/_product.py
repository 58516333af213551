"""Rows that lie anywhere in memory, at any distance from each other: their products, and how they come to panels."""

from ._gemm import DEPTH, block
from ._jit import inline
from ._tile import ROWS, copy_row, lanes, turn


@inline
def strips_of(n, width):
    """How many panels of `width` columns hold n columns."""
    return (n + width - 1) // width


@inline
def product(rows, a, a_start, a_row, depth, panels, first, last, panel_row, c, c_start, c_row, add):
    """C (+)= A B: row r of A begins at number a_start + r a_row of a, and row r of C at c_start + r c_row of c.

    B: the panels first .. last, their rows from panel_row on. C's columns are all those of the panels.
    """
    width, count = panels.shape[2], (rows + ROWS - 1) // ROWS
    for d in range(0, max(1, depth), DEPTH):
        n = min(DEPTH, depth - d)
        for p in range(first, last):
            b_start = (p * panels.shape[1] + panel_row + d) * width
            for i in range(count):
                top, end = rows * i // count, rows * (i + 1) // count
                at, to = a_start + top * a_row + d, c_start + top * c_row + (p - first) * width
                block(end - top, a, at, a_row, panels, b_start, n, c, to, c_row, add or d > 0)


@inline
def store(source, rows, size, a, start, step):
    """Copy the first rows and columns of a matrix to a, row r to start + r step."""
    for r in range(rows):
        for j in range(size):
            a[start + r * step + j] = source[r, j]


# Panels of such rows. Behind the last column there are zeros.


@inline
def pack_columns(a, start, step, rows, columns, panels):
    """B = A: panels (strips, rows or more, width)."""
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
    """B = factor A^T: panels (strips, depth, width), a row of a in each column. First squares of vectors."""
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
