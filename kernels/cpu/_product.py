"""Products of rows that lie anywhere in memory, at any distance from each other, with the panels of `_gemm.py`."""

from ._gemm import DEPTH, block
from ._jit import inline
from ._tile import ROWS


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
