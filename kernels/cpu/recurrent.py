"""tanh RNN, LSTM and GRU over a whole sequence, each direction one kernel call for all steps.

Operations for S pairs (step, sequence) that count, D inputs, H hidden units and G gates: 2 S G H (D + H) forward and
twice that backward, nearly all of it matrix products; the cells add about 20 for each gate entry. Bytes: the gates of
all steps, S G H entries, are written forward, read backward, and written once more as gradients.

`recurrent_plain.py` is the same without what makes this one fast:
1. One product serves input, state and bias: the row [h | 1 | x] times the weights [W_hh | b | W_ih]^T.
2. The weights are packed once into the panels of `_gemm.py`, and the microkernel reads them at every step.
3. The cell works on the gates while they are still in the cache, in the same compiled loop over time. A gate's rows
   of one step lie together, so each activation is one long loop: a loop over a single row spends as much on its ends.
4. A thread owns some of the sequences and runs through all steps, so the threads never wait for each other.
5. Where a mask is False nothing is computed: only the pairs that count have a row in the buffers.
6. The gradient of the weights is one product over all rows, after the loop.

Letters: B batch, T time, D features, H hidden, P = H rounded up to whole panels. Where a mask is False, the state is
carried over and the output is 0.
"""

from typing import Any, NamedTuple

import numpy as np

from ._arrays import ready
from ._gemm import WORK, gram, multiply, padded, panels_of_columns, panels_of_rows, to_panels
from ._jit import inline, jit
from ._math import sigmoid, tanh
from ._parallel import split

A = np.ndarray


class Saved(NamedTuple):
    """What backward needs. Row i belongs to the i-th pair (step, sequence) that counts, in the order of computing."""

    first: np.ndarray  # (T B + 1,): how many pairs that count come before each pair
    which: np.ndarray  # (S,): the sequence of each pair that counts
    rows: np.ndarray  # (S, H + 1 + D): [h before the step | 1 | x]
    gates: np.ndarray  # (S, blocks P), after their activation, if they have one; see `_planes`
    cells: np.ndarray  # (S, P): LSTM's c before the step


class Cell(NamedTuple):
    """How the gates' blocks of a cell are made of the rows of its weights."""

    states: int  # 2 where there is a c beside h
    blocks: int
    of_x: tuple[int, ...]  # the block that each H rows of W_ih and b belong to
    of_h: tuple[int, ...]  # the same for W_hh
    forward: Any
    backward: Any


def rnn_forward(x: A, h0: A, w_ih: A, w_hh: A, b: A, mask: Any = None, reverse: bool = False) -> tuple[tuple, Saved]:
    """h_t = tanh(x_t W_ih^T + h_(t-1) W_hh^T + b). x (B, T, D) to y (B, T, H) and h_n (B, H)."""
    y, (h,), saved = _forward(RNN, x, (h0,), w_ih, w_hh, b, None, mask, reverse)
    return (y, h), saved


def rnn_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """With a = dh (1 - h^2): dx = a W_ih, dh_(t-1) = a W_hh, dW_ih = a^T x, dW_hh = a^T h_(t-1), db = sum a."""
    return _backward(RNN, g, saved, arrays[:5], needs, reverse)


def lstm_forward(
    x: A, h0: A, c0: A, w_ih: A, w_hh: A, b: A, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """Gates i, f, g, o = x_t W_ih^T + h_(t-1) W_hh^T + b; c_t = s(f) c_(t-1) + s(i) tanh(g); h_t = s(o) tanh(c_t).

    s is the logistic function. x (B, T, D) to y (B, T, H), h_n and c_n (B, H). Hochreiter and Schmidhuber, 1997.
    """
    y, (h, c), saved = _forward(LSTM, x, (h0, c0), w_ih, w_hh, b, None, mask, reverse)
    return (y, h, c), saved


def lstm_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """Backward through time; a stands for the gradients before the activation of the gates, as in `rnn_backward`."""
    return _backward(LSTM, g, saved, arrays[:6], needs, reverse)


def gru_forward(
    x: A, h0: A, w_ih: A, w_hh: A, b: A, b_hn: A, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """r, z = s(x W_ih^T + h W_hh^T + b); n = tanh(x W_in^T + b_n + r (h W_hn^T + b_hn)); h = (1 - z) n + z h.

    The rows of the weights are in the order r, z, n. x (B, T, D) to y (B, T, H), h_n (B, H). The form of cuDNN, after
    Cho and others, 2014.
    """
    y, (h,), saved = _forward(GRU, x, (h0,), w_ih, w_hh, b, b_hn, mask, reverse)
    return (y, h), saved


def gru_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """As in `rnn_backward`; the two products inside n have gradients of their own, which differ by the factor r."""
    return _backward(GRU, g, saved, arrays[:6], needs, reverse)


# What all three share: buffers, weights, threads.


def _forward(
    cell: Cell, x: A, states: tuple, w_ih: A, w_hh: A, b: A, b_hn: Any, mask: Any, reverse: bool
) -> tuple[A, list[A], Saved]:
    (batch, time, features), hidden = x.shape, states[0].shape[1]
    first, which = _pairs(batch, time, mask, reverse)
    count, across = int(first[-1]), padded(hidden, x.dtype)
    room = np.empty if across == hidden else np.zeros  # numbers that are never set take part in the cell's loops
    saved = Saved(
        first,
        which,
        np.empty((count, hidden + 1 + features), x.dtype),
        np.empty((count, cell.blocks * across), x.dtype),
        room((count, across) if cell.states > 1 else (0, across), x.dtype),
    )
    panels = panels_of_rows(_joined(cell, w_ih, w_hh, b, b_hn))
    state, y = [np.array(s, order="C") for s in states], np.empty((batch, time, hidden), x.dtype)
    if mask is not None:
        y.fill(0)
    arrays = (ready(x), panels, *saved, *state, y)
    work = saved.gates.size * saved.rows.shape[1] // WORK
    split(lambda start, stop: cell.forward(*arrays, reverse, start, stop), batch, work)
    return y, state, saved


def _pairs(batch: int, time: int, mask: Any, reverse: bool) -> tuple[A, A]:
    """`first` and `which` of Saved."""
    if mask is None:
        return np.arange(time * batch + 1, dtype=np.int64), np.tile(np.arange(batch, dtype=np.int64), time)
    active = np.asarray(mask, bool).T[:: -1 if reverse else 1]
    return np.concatenate([[0], np.cumsum(active)]).astype(np.int64), ready(np.nonzero(active)[1])


def _backward(cell: Cell, g: tuple, saved: Saved, arrays: tuple, needs: tuple, reverse: bool) -> tuple:
    x, h0, w_ih, w_hh = arrays[0], arrays[1], arrays[1 + cell.states], arrays[2 + cell.states]
    state = [np.zeros_like(h0) if a is None else np.array(a, order="C") for a in g[1:]]
    gy = np.empty((len(x), 0, h0.shape[1]), x.dtype) if g[0] is None else ready(g[0])
    panels, dx = _panels_back(cell, w_ih, w_hh, needs[0]), _room_for(x, saved, needs[0])
    da = np.empty((saved.gates.shape[1] // panels.shape[2], len(saved.rows), panels.shape[2]), x.dtype)
    buffers = (gy, panels, *saved, *state, da, dx)
    work = 2 * saved.rows.size * saved.gates.shape[1] // WORK
    split(lambda start, stop: cell.backward(*buffers, reverse, start, stop), len(x), work)
    trained = any(needs[1 + cell.states : len(arrays)])
    weights = _weight_gradients(cell, saved, da, w_ih, w_hh) if trained else (None,) * 4
    return _wanted(needs, (dx, *state, *weights)[: len(arrays)])


def _joined(cell: Cell, w_ih: A, w_hh: A, b: A, b_hn: Any) -> A:
    """The weights of the row [h | 1 | x] for each block of gates: (blocks, H, H + 1 + D)."""
    hidden = w_hh.shape[1]
    w = np.zeros((cell.blocks, hidden, hidden + 1 + w_ih.shape[1]), w_ih.dtype)
    for i, (of_x, of_h) in enumerate(zip(cell.of_x, cell.of_h, strict=True)):
        rows = slice(i * hidden, (i + 1) * hidden)
        w[of_h, :, :hidden] = w_hh[rows]
        w[of_x, :, hidden] = b[rows]
        w[of_x, :, hidden + 1 :] = w_ih[rows]
    if b_hn is not None:
        w[cell.blocks - 1, :, hidden] = b_hn
    return w


def _panels_back(cell: Cell, w_ih: A, w_hh: A, with_x: bool) -> A:
    """Panels of the weights that carry gradients back from the gates: first those to h, then, if wanted, those to x."""
    hidden = w_hh.shape[1]
    across = padded(hidden, w_hh.dtype)
    w = np.zeros((cell.blocks, across, across + (w_ih.shape[1] if with_x else 0)), w_hh.dtype)
    for i, (of_x, of_h) in enumerate(zip(cell.of_x, cell.of_h, strict=True)):
        rows = slice(i * hidden, (i + 1) * hidden)
        w[of_h, :hidden, :hidden] = w_hh[rows]
        if with_x:
            w[of_x, :hidden, across:] = w_ih[rows]
    return panels_of_columns(w.reshape(cell.blocks * across, w.shape[2]))


def _room_for(x: A, saved: Saved, wanted: bool) -> A:
    dx = np.empty(x.shape if wanted else (0, 0, 0), x.dtype)
    if len(saved.rows) < len(saved.first) - 1:  # some steps don't count
        dx.fill(0)
    return dx


def _weight_gradients(cell: Cell, saved: Saved, da: A, w_ih: A, w_hh: A) -> tuple:
    """dW_ih, dW_hh, db and, for the GRU, db_hn: parts of [h | 1 | x]^T a."""
    hidden, width = w_hh.shape[1], saved.rows.shape[1]
    found = gram(saved.rows, da, [_range(cell, i, hidden, width) for i in range(cell.blocks)])
    blocks = found.transpose(0, 2, 1).reshape(cell.blocks, -1, width)[:, :hidden]  # (blocks, H, H + 1 + D)
    dw_ih, dw_hh, db = np.empty_like(w_ih), np.empty_like(w_hh), np.empty(len(w_hh), w_hh.dtype)
    for i, (of_x, of_h) in enumerate(zip(cell.of_x, cell.of_h, strict=True)):
        rows = slice(i * hidden, (i + 1) * hidden)
        dw_ih[rows], dw_hh[rows] = blocks[of_x, :, hidden + 1 :], blocks[of_h, :, :hidden]
        db[rows] = blocks[of_x, :, hidden]
    return dw_ih, dw_hh, db, blocks[-1, :, hidden].copy()


def _range(cell: Cell, block: int, hidden: int, end: int) -> tuple[int, int]:
    """The part of [h | 1 | x] that a block of gates sees."""
    return (0 if block in cell.of_h else hidden), (end if block in cell.of_x else hidden + 1)


def _wanted(needs: tuple, gradients: tuple) -> tuple:
    """One entry for each input; a mask that came as an input has no gradient."""
    filled = gradients + (None,) * (len(needs) - len(gradients))
    return tuple(d if need else None for d, need in zip(filled, needs, strict=True))


# The loops over time. A step's rows lie together, and within a step those of a thread's sequences start .. stop.


@inline
def _begin(s, first, which, x, t, h, rows, start, stop):
    """Fill in [h | 1 | x] for the sequences that count at step s; returns where these rows begin and end."""
    batch, hidden = h.shape
    begin, end = first[s * batch + start], first[s * batch + stop]
    for i in range(begin, end):
        _copy(h[which[i]], rows[i, :hidden])
        rows[i, hidden] = 1
        _copy(x[which[i], t], rows[i, hidden + 1 :])
    return begin, end


@inline
def _planes(first, s, begin, batch, gates, cells):
    """`gates` as rows of P numbers; where a thread's rows of step s begin; how many rows on the next block is.

    A step with three sequences has the rows
        block 0: sequence 0, 1, 2;  block 1: sequence 0, 1, 2;  ...
    """
    low, high, width = first[s * batch], first[(s + 1) * batch], cells.shape[1]
    return gates.reshape(-1, width), gates.shape[1] // width * low + begin - low, high - low


@inline
def _buffer(rows, cells):
    """The rows of one block at one step. A product that wrote to `gates` itself would wait for memory."""
    return np.empty((rows, cells.shape[1]), cells.dtype)


# A loop per function, on vectors that don't overlap: with more, the compiler no longer finds vector instructions.


@inline
def _copy(source, target):
    for j in range(target.size):
        target[j] = source[j]


@inline
def _add(source, target):
    for j in range(target.size):
        target[j] += source[j]


@inline
def _sigmoids(a, out):
    for j in range(out.size):
        out[j] = sigmoid(a[j])


@inline
def _tanhs(a, out):
    for j in range(out.size):
        out[j] = tanh(a[j])


@inline
def _flat(a, row, rows):
    return a[row : row + rows].reshape(-1)


@inline
def _four(a, at, apart, rows):
    """The rows of each of the four blocks, each as one vector."""
    two, three = at + 2 * apart, at + 3 * apart
    return _flat(a, at, rows), _flat(a, at + apart, rows), _flat(a, two, rows), _flat(a, three, rows)


@jit
def _rnn_loop(x, panels, first, which, rows, gates, cells, h, y, reverse, start, stop):
    time, depth = x.shape[1], rows.shape[1]
    step = _buffer(stop - start, cells)
    for s in range(time):
        t = time - 1 - s if reverse else s
        begin, end = _begin(s, first, which, x, t, h, rows, start, stop)
        multiply(rows, begin, end - begin, 0, depth, panels, 0, panels.shape[0], 0, step, 0, 0, False)
        _tanhs(_flat(step, 0, end - begin), _flat(gates, begin, end - begin))
        for i in range(begin, end):
            _copy(gates[i], h[which[i]])
            _copy(gates[i], y[which[i], t])


@jit
def _lstm_loop(x, panels, first, which, rows, gates, cells, h, c, y, reverse, start, stop):
    (batch, time), depth, across = x.shape[:2], rows.shape[1], panels.shape[0] // 4
    step, new_h, new_c = _buffer(stop - start, cells), _buffer(stop - start, cells), _buffer(stop - start, cells)
    for s in range(time):
        t = time - 1 - s if reverse else s
        begin, end = _begin(s, first, which, x, t, h, rows, start, stop)
        n, (a, at, apart) = end - begin, _planes(first, s, begin, batch, gates, cells)
        for k in range(4):
            multiply(rows, begin, n, 0, depth, panels, k * across, (k + 1) * across, 0, step, 0, 0, False)
            if k == 2:
                _tanhs(_flat(step, 0, n), _flat(a, at + k * apart, n))
            else:
                _sigmoids(_flat(step, 0, n), _flat(a, at + k * apart, n))
        for i in range(begin, end):
            _copy(c[which[i]], cells[i, : c.shape[1]])
        _lstm_state(*_four(a, at, apart, n), _flat(cells, begin, n), _flat(new_c, 0, n), _flat(new_h, 0, n))
        for i in range(n):
            _copy(new_c[i], c[which[begin + i]])
        _keep(new_h, begin, end, which, t, h, y)


@inline
def _lstm_state(i, f, g, o, c, new_c, new_h):
    for j in range(c.size):
        new_c[j] = f[j] * c[j] + i[j] * g[j]
        new_h[j] = o[j] * tanh(new_c[j])


@inline
def _keep(new_h, begin, end, which, t, h, y):
    for i in range(begin, end):
        _copy(new_h[i - begin], h[which[i]])
        _copy(new_h[i - begin], y[which[i], t])


@jit
def _gru_loop(x, panels, first, which, rows, gates, cells, h, y, reverse, start, stop):
    (batch, time), hidden, depth, across = x.shape[:2], h.shape[1], rows.shape[1], panels.shape[0] // 4
    step, of_x = _buffer(stop - start, cells), _buffer(stop - start, cells)
    for s in range(time):
        t = time - 1 - s if reverse else s
        begin, end = _begin(s, first, which, x, t, h, rows, start, stop)
        n, (a, at, apart) = end - begin, _planes(first, s, begin, batch, gates, cells)
        # Blocks: n's part of x, r, z, n's part of h. The first doesn't see h, and the last doesn't see x. The first
        # waits in `of_x` until r is there.
        for k in range(4):
            low, high, out = hidden if k == 0 else 0, hidden + 1 if k == 3 else depth, step if k else of_x
            multiply(rows, begin, n, low, high - low, panels, k * across, (k + 1) * across, low, out, 0, 0, False)
            if k == 3:
                _copy(_flat(step, 0, n), _flat(a, at + k * apart, n))
            elif k:
                _sigmoids(_flat(step, 0, n), _flat(a, at + k * apart, n))
        new, reset, _, u = _four(a, at, apart, n)
        _gru_new(_flat(of_x, 0, n), reset, u, new)
        for i in range(begin, end):
            r, b = at + i - begin, which[i]
            _gru_state(a[r], a[r + 2 * apart], h[b])
            _copy(h[b], y[b, t])


@inline
def _gru_new(a, reset, u, new):
    for j in range(a.size):
        new[j] = tanh(a[j] + reset[j] * u[j])


@inline
def _gru_state(new, keep, h):
    for j in range(h.size):
        h[j] = new[j] + keep[j] * (h[j] - new[j])


# Backward: dh is the gradient of the state after a step. `step` holds the gradients of the gates of one step, `back`
# what they lead to, rows of [dh | dx], and `da` those of all steps, as panels for the product after the loop.


@inline
def _step_back(s, first, which, t, gy, dh, start, stop):
    """Add the gradients of the outputs, if any came, to dh; returns where the rows of step s begin and end."""
    begin, end = first[s * len(dh) + start], first[s * len(dh) + stop]
    if gy.shape[1]:
        for i in range(begin, end):
            _add(gy[which[i], t], dh[which[i]])
    return begin, end


@inline
def _carry(begin, end, which, t, back, p, dh, dx, add):
    """Store the rows of `back` in dh, or add them, and store those of x, for the sequences that count at step s."""
    hidden, features = dh.shape[1], dx.shape[2]
    for i in range(begin, end):
        if add:
            _add(back[i - begin, :hidden], dh[which[i]])
        else:
            _copy(back[i - begin, :hidden], dh[which[i]])
        if features:
            _copy(back[i - begin, p : p + features], dx[which[i], t])


@inline
def _step_buffers(panels, da, start, stop):
    # A few columns more: rows that lie 2048 bytes apart would share two of the 64 sets of the first cache.
    width = panels.shape[2]
    step = np.zeros((stop - start, da.shape[0] * width + 16), da.dtype)  # zeros stay where blocks are filled up
    return step, np.empty((stop - start, panels.shape[0] * width + 16), da.dtype)


@inline
def _time(first, h):
    """T, also where no gradient of the outputs came."""
    return (first.size - 1) // max(1, len(h))


@jit
def _rnn_loop_back(gy, panels, first, which, rows, gates, cells, dh, da, dx, reverse, start, stop):
    time, p = _time(first, dh), gates.shape[1]
    step, back = _step_buffers(panels, da, start, stop)
    for s in range(time - 1, -1, -1):
        t = time - 1 - s if reverse else s
        begin, end = _step_back(s, first, which, t, gy, dh, start, stop)
        for i in range(begin, end):
            _rnn_cell_back(gates[i], dh[which[i]], step[i - begin])
        multiply(step, 0, end - begin, 0, p, panels, 0, panels.shape[0], 0, back, 0, 0, False)
        to_panels(step, end - begin, da, begin)
        _carry(begin, end, which, t, back, p, dh, dx, False)


@inline
def _rnn_cell_back(h, dh, a):
    one = h.dtype.type(1)
    for j in range(dh.size):
        a[j] = dh[j] * (one - h[j] * h[j])


@jit
def _lstm_loop_back(gy, panels, first, which, rows, gates, cells, dh, dc, da, dx, reverse, start, stop):
    time, n, p = _time(first, dh), dh.shape[1], cells.shape[1]
    step, back = _step_buffers(panels, da, start, stop)
    tanhs = _buffer(stop - start, cells)
    for s in range(time - 1, -1, -1):
        t = time - 1 - s if reverse else s
        begin, end = _step_back(s, first, which, t, gy, dh, start, stop)
        a, at, apart = _planes(first, s, begin, len(dh), gates, cells)
        i_, f, g, _ = _four(a, at, apart, end - begin)
        _lstm_tanhs(_flat(cells, begin, end - begin), i_, f, g, _flat(tanhs, 0, end - begin))
        for i in range(begin, end):
            d, b, r = step[i - begin], which[i], at + i - begin
            _lstm_output_back(tanhs[i - begin], a[r + 3 * apart], dh[b], dc[b], d[3 * p : 3 * p + n])
            _lstm_input_back(a[r], a[r + 2 * apart], dc[b], d[:n], d[2 * p : 2 * p + n])
            _lstm_memory_back(cells[i], a[r + apart], dc[b], d[p : p + n])
        multiply(step, 0, end - begin, 0, 4 * p, panels, 0, panels.shape[0], 0, back, 0, 0, False)
        to_panels(step, end - begin, da, begin)
        _carry(begin, end, which, t, back, p, dh, dx, False)


@inline
def _lstm_tanhs(c, i, f, g, t):
    for j in range(c.size):
        t[j] = tanh(f[j] * c[j] + i[j] * g[j])


@inline
def _lstm_output_back(t, o, dh, dc, d_o):
    one = o.dtype.type(1)
    for j in range(dc.size):
        dc[j] += dh[j] * o[j] * (one - t[j] * t[j])
        d_o[j] = dh[j] * t[j] * o[j] * (one - o[j])


@inline
def _lstm_input_back(i, g, dc, d_i, d_g):
    one = i.dtype.type(1)
    for j in range(dc.size):
        d_i[j] = dc[j] * g[j] * i[j] * (one - i[j])
        d_g[j] = dc[j] * i[j] * (one - g[j] * g[j])


@inline
def _lstm_memory_back(c, f, dc, d_f):
    one = f.dtype.type(1)
    for j in range(dc.size):
        d_f[j] = dc[j] * c[j] * f[j] * (one - f[j])
        dc[j] *= f[j]


@jit
def _gru_loop_back(gy, panels, first, which, rows, gates, cells, dh, da, dx, reverse, start, stop):
    time, n, p = _time(first, dh), dh.shape[1], cells.shape[1]
    to_h = p // panels.shape[2]  # panels that lead to h; the others lead to x
    step, back = _step_buffers(panels, da, start, stop)
    for s in range(time - 1, -1, -1):
        t = time - 1 - s if reverse else s
        begin, end = _step_back(s, first, which, t, gy, dh, start, stop)
        a, at, apart = _planes(first, s, begin, len(dh), gates, cells)
        for i in range(begin, end):
            d, r = step[i - begin], at + i - begin
            _gru_keep_back(rows[i], a[r], a[r + 2 * apart], dh[which[i]], d[:n], d[2 * p : 2 * p + n])
            _gru_reset_back(a[r + apart], a[r + 3 * apart], d[:n], d[p : p + n], d[3 * p : 3 * p + n])
        for k in range(2):  # blocks 1 to 3 lead to h, blocks 0 to 2 to x
            left, right, low = (to_h, panels.shape[0], 0) if k else (0, to_h, p)
            multiply(step, 0, end - begin, low, 3 * p, panels, left, right, low, back, 0, k * p, False)
        to_panels(step, end - begin, da, begin)
        _carry(begin, end, which, t, back, p, dh, dx, True)


@inline
def _gru_keep_back(h, new, keep, dh, d_new, d_keep):
    one = dh.dtype.type(1)
    for j in range(dh.size):
        d_new[j] = dh[j] * (one - keep[j]) * (one - new[j] * new[j])
        d_keep[j] = dh[j] * (h[j] - new[j]) * keep[j] * (one - keep[j])
        dh[j] *= keep[j]


@inline
def _gru_reset_back(reset, u, d_new, d_reset, d_u):
    one = reset.dtype.type(1)
    for j in range(d_new.size):
        d_reset[j] = d_new[j] * u[j] * reset[j] * (one - reset[j])
        d_u[j] = d_new[j] * reset[j]


RNN = Cell(1, 1, (0,), (0,), _rnn_loop, _rnn_loop_back)
LSTM = Cell(2, 4, (0, 1, 2, 3), (0, 1, 2, 3), _lstm_loop, _lstm_loop_back)
GRU = Cell(1, 4, (1, 2, 0), (1, 2, 3), _gru_loop, _gru_loop_back)
