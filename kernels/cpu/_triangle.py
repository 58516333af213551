"""Products of tiles of which only the part below an edge counts: row r of a tile sees its columns j <= r + edge.

In causal attention that edge is the diagonal. A tile (R queries, C keys) beside it is cut into blocks of BLOCK rows;
each block multiplies as many columns as its last row sees, and none of those behind:

    below      C = A B        (R, D) by (D, C): the scores; panels of B that a block doesn't see are left out
    sums       C += A B       (R, C) by (C, D): a block adds up over the columns it sees
    turned     C += A^T B     (C, R) by (R, D): a block of columns adds up over the rows that see it

Blocks are computed whole. So the numbers that a row of A doesn't see, up to BLOCK - 1 of them behind its edge, must be
zeros in the last two products, and C has room for whole blocks.
"""

from ._gemm import DEPTH, block, strips_of
from ._jit import inline
from ._tile import ROWS as BLOCK
from ._tile import make_tile

_tile, _turned_tile = make_tile(BLOCK), make_tile(BLOCK, turned=True)


@inline
def seen(r, edge, columns):
    """How many of a tile's columns its row r sees."""
    return max(0, min(columns, r + 1 + edge))


@inline
def below(rows, a, a_start, a_row, depth, panels, columns, edge, c):
    """The first `columns` columns of C = A B; row r of A begins at number a_start + r a_row of a."""
    width, c_row = panels.shape[2], c.shape[1]
    for d in range(0, max(1, depth), DEPTH):
        n = min(DEPTH, depth - d)
        for p in range(strips_of(columns, width)):
            b_start = (p * panels.shape[1] + d) * width
            for r in range(max(0, p * width - edge) // BLOCK * BLOCK, rows, BLOCK):
                at, to = a_start + r * a_row + d, r * c_row + p * width
                if rows - r >= BLOCK:
                    _tile(a, at, a_row, panels, b_start, n, c, to, c_row, d > 0)
                else:
                    block(rows - r, a, at, a_row, panels, b_start, n, c, to, c_row, d > 0)


@inline
def sums(rows, a, columns, edge, panels, c, c_first, add):
    """C (+)= A B for rows of C from c_first on."""
    width, a_row, c_row = panels.shape[2], a.shape[1], c.shape[1]
    for d in range(0, max(1, columns), DEPTH):
        for p in range(panels.shape[0]):
            b_start = (p * panels.shape[1] + d) * width
            for r in range(0, rows, BLOCK):
                n = min(DEPTH, seen(r + BLOCK - 1, edge, columns) - d)
                to = (c_first + r) * c_row + p * width
                if n > 0 or d == 0:
                    _tile(a, r * a_row + d, a_row, panels, b_start, n, c, to, c_row, add or d > 0)


@inline
def turned(rows, a, columns, edge, panels, panel_row, c):
    """C += A^T B for the rows of B from panel_row on."""
    width, a_row, c_row = panels.shape[2], a.shape[1], c.shape[1]
    for j in range(0, columns, BLOCK):
        r = max(0, j - edge)
        for p in range(panels.shape[0]):
            b_start = (p * panels.shape[1] + panel_row + r) * width
            _turned_tile(a, r * a_row + j, a_row, panels, b_start, rows - r, c, j * c_row + p * width, c_row, True)
