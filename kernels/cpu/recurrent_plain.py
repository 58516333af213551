"""tanh RNN, LSTM and GRU, the plain way: NumPy multiplies, and numba runs each step's cell.

This is the second rung of a ladder, kept to be read and compared: (1) `lstm_simple` in `ops/recurrent.py`, one line of
NumPy for each gate; (2) this file, where a compiled loop makes one pass over the gates; (3) and (4) `recurrent.py`,
with packed weights, and everything fused into one loop over time.

Operations for T steps of B sequences, D inputs, H hidden units and G gates: 2 T B G H (D + H) forward and twice that
backward, nearly all of it matrix products; the cells add about 20 for each gate entry. Bytes: the gates of all steps,
T B G H entries, are written forward and read backward. Idea: what does not depend on the previous step is one large
product before the loop (x W_ih^T) or after it (the gradients of x and of the weights); a step keeps only the product
with the state and one pass over the gates. Buffers are time-major, so a step's data lie together, and `reverse` only
flips the time axis on the way in and out.

Letters: B batch, T time, D features, H hidden. Where a mask is False, the state is carried over and the output is 0.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ._arrays import ready
from ._blas import one_thread
from ._jit import jit
from ._math import sigmoid, tanh

A = np.ndarray


class Saved(NamedTuple):
    """What backward needs, all time-major."""

    x: np.ndarray  # (T, B, D)
    mask: np.ndarray  # (T, B)
    h: np.ndarray  # (T + 1, B, H); h[0] is the state before the first step
    gates: np.ndarray  # (T, B, G H), after their activation
    extra: np.ndarray  # LSTM: the cells c, (T + 1, B, H). GRU: h W_hn + b_hn, (T, B, H)


@one_thread
def rnn_forward(x: A, h0: A, w_ih: A, w_hh: A, b: A, mask: Any = None, reverse: bool = False) -> tuple[tuple, Saved]:
    """h_t = tanh(x_t W_ih^T + h_(t-1) W_hh^T + b). x (B, T, D) to y (B, T, H) and h_n (B, H)."""
    s, bias = _start(x, h0, w_ih, mask, reverse), ready(b)
    w, product = _turned(w_hh), np.empty_like(h0, order="C")
    for t in range(len(s.x)):
        np.matmul(s.h[t], w, out=product)
        _rnn_cell(s.gates[t], product, bias, s.mask[t], s.h[t], s.h[t + 1])
    return (_outputs(s.h[1:], mask, reverse), s.h[-1].copy()), s


@one_thread
def rnn_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """With a = dh (1 - h^2): dx = a W_ih, dh_(t-1) = a W_hh, dW_ih = a^T x, dW_hh = a^T h_(t-1), db = sum a."""
    gy, (dh,) = _incoming(g, saved, reverse)
    w, through, da = ready(arrays[3]), np.zeros_like(dh), np.empty_like(saved.gates)
    for t in range(len(da) - 1, -1, -1):
        _rnn_cell_backward(gy[t], through, dh, saved.gates[t], saved.mask[t], da[t])
        np.matmul(da[t], w, out=through)
    dw_hh = _weight_gradient(da, saved.h[:-1])
    return _wanted(needs, (_dx(da, arrays[2], reverse), dh + through, _weight_gradient(da, saved.x), dw_hh, _total(da)))


@one_thread
def lstm_forward(
    x: A, h0: A, c0: A, w_ih: A, w_hh: A, b: A, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """Gates i, f, g, o = x_t W_ih^T + h_(t-1) W_hh^T + b; c_t = s(f) c_(t-1) + s(i) tanh(g); h_t = s(o) tanh(c_t).

    s is the logistic function. x (B, T, D) to y (B, T, H), h_n and c_n (B, H). Hochreiter and Schmidhuber, 1997.
    """
    s, bias = _start(x, h0, w_ih, mask, reverse), ready(b)
    w, product = _turned(w_hh), np.empty((len(h0), 4 * h0.shape[1]), x.dtype)
    c = s.extra
    c[0] = c0
    for t in range(len(s.x)):
        np.matmul(s.h[t], w, out=product)
        _lstm_cell(s.gates[t], product, bias, s.mask[t], c[t], s.h[t], c[t + 1], s.h[t + 1])
    return (_outputs(s.h[1:], mask, reverse), s.h[-1].copy(), c[-1].copy()), s


@one_thread
def lstm_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """Backward through time; da holds the gradients before the activation of the gates, as a in `rnn_backward`."""
    gy, (dh, dc) = _incoming(g, saved, reverse)
    w, through, da, c = ready(arrays[4]), np.zeros_like(dh), np.empty_like(saved.gates), saved.extra
    for t in range(len(da) - 1, -1, -1):
        _lstm_cell_backward(gy[t], through, dh, dc, saved.gates[t], c[t], c[t + 1], saved.mask[t], da[t])
        np.matmul(da[t], w, out=through)
    dw_hh = _weight_gradient(da, saved.h[:-1])
    dw_ih = _weight_gradient(da, saved.x)
    return _wanted(needs, (_dx(da, arrays[3], reverse), dh + through, dc, dw_ih, dw_hh, _total(da)))


@one_thread
def gru_forward(
    x: A, h0: A, w_ih: A, w_hh: A, b: A, b_hn: A, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """r, z = s(x W_ih^T + h W_hh^T + b); n = tanh(x W_in^T + b_n + r (h W_hn^T + b_hn)); h = (1 - z) n + z h.

    The rows of the weights are in the order r, z, n. x (B, T, D) to y (B, T, H), h_n (B, H). The form of cuDNN, after
    Cho and others, 2014.
    """
    s, bias, inner = _start(x, h0, w_ih, mask, reverse), ready(b), ready(b_hn)
    w, product = _turned(w_hh), np.empty((len(h0), 3 * h0.shape[1]), x.dtype)
    for t in range(len(s.x)):
        np.matmul(s.h[t], w, out=product)
        _gru_cell(s.gates[t], product, bias, inner, s.mask[t], s.h[t], s.extra[t], s.h[t + 1])
    return (_outputs(s.h[1:], mask, reverse), s.h[-1].copy()), s


@one_thread
def gru_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """Here da is the gradient of x W_ih^T + b; du, that of h W_hh^T, differs from it by the factor r in the part n."""
    gy, (dh,) = _incoming(g, saved, reverse)
    w, through, hidden = ready(arrays[3]), np.zeros_like(dh), dh.shape[1]
    da, du = np.empty_like(saved.gates), np.empty_like(saved.gates)
    for t in range(len(da) - 1, -1, -1):
        _gru_cell_backward(gy[t], through, dh, saved.gates[t], saved.extra[t], saved.h[t], saved.mask[t], da[t], du[t])
        np.matmul(du[t], w, out=through)
    dw_ih, dw_hh = _weight_gradient(da, saved.x), _weight_gradient(du, saved.h[:-1])
    db_hn = _total(du[:, :, 2 * hidden :])
    return _wanted(needs, (_dx(da, arrays[2], reverse), dh + through, dw_ih, dw_hh, _total(da), db_hn))


# The parts that all three share.


def _start(x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, mask: Any, reverse: bool) -> Saved:
    """Time-major input and mask, the input's product with its weights in `gates`, room for the rest."""
    (batch, time, features), hidden, width = x.shape, h0.shape[1], len(w_ih)
    steps = _flip(x.swapaxes(0, 1), reverse)
    active = np.ones((time, batch), bool) if mask is None else _flip(np.asarray(mask, bool).T, reverse)
    gates = np.empty((time, batch, width), x.dtype)
    np.matmul(steps.reshape(time * batch, features), w_ih.T, out=gates.reshape(time * batch, width))
    h = np.empty((time + 1, batch, hidden), x.dtype)
    h[0] = h0
    return Saved(steps, active, h, gates, np.empty_like(h))


def _flip(a: np.ndarray, reverse: bool) -> np.ndarray:
    return ready(a[::-1] if reverse else a)


def _turned(w: np.ndarray) -> np.ndarray:
    """The transpose, laid out anew: it is used at every step."""
    return np.ascontiguousarray(w.T)


def _outputs(h: np.ndarray, mask: Any, reverse: bool) -> np.ndarray:
    """(T, B, H) back to (B, T, H) in the order of the input, 0 where the mask is False."""
    y = np.array((h[::-1] if reverse else h).swapaxes(0, 1), order="C")  # a copy: `saved` keeps h
    if mask is not None:
        y[~np.asarray(mask, bool)] = 0
    return y


def _incoming(g: tuple, saved: Saved, reverse: bool) -> tuple[np.ndarray, list[np.ndarray]]:
    """The gradients of y, time-major, and of the last states, as buffers to change; None stands for zero."""
    shape, dtype = saved.h[1:].shape, saved.h.dtype
    gy = np.zeros(shape, dtype) if g[0] is None else _flip(g[0].swapaxes(0, 1), reverse)
    return gy, [np.zeros(shape[1:], dtype) if a is None else np.array(a, dtype, order="C") for a in g[1:]]


def _dx(da: np.ndarray, w_ih: np.ndarray, reverse: bool) -> np.ndarray:
    dx = (_flat(da) @ w_ih).reshape(*da.shape[:2], w_ih.shape[1])
    return np.ascontiguousarray((dx[::-1] if reverse else dx).swapaxes(0, 1))


def _weight_gradient(da: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Sum over time and batch of da times inputs: (T, B, G H) and (T, B, D) to (G H, D)."""
    return _flat(da).T @ _flat(inputs)


def _flat(a: np.ndarray) -> np.ndarray:
    return a.reshape(math.prod(a.shape[:2]), a.shape[2])


def _total(da: np.ndarray) -> np.ndarray:
    return da.sum(axis=0).sum(axis=0)


def _wanted(needs: tuple, gradients: tuple) -> tuple:
    """One entry for each input; a mask that came as an input has no gradient."""
    padded = gradients + (None,) * (len(needs) - len(gradients))
    return tuple(d if need else None for d, need in zip(padded, needs, strict=True))


# The cells. `a` comes in as the input's part of the gates and leaves as the activated gates.


@jit
def _rnn_cell(a, product, bias, mask, h_before, h):
    for r in range(a.shape[0]):
        row, u = a[r], product[r]
        for j in range(row.size):
            row[j] = tanh(row[j] + u[j] + bias[j])
        h[r] = row if mask[r] else h_before[r]


@jit
def _rnn_cell_backward(gy, through, dh, h, mask, da):
    one = h.dtype.type(1)
    for r in range(h.shape[0]):
        if not mask[r]:
            dh[r] += through[r]
            da[r] = 0
            continue
        for j in range(h.shape[1]):
            da[r, j] = (gy[r, j] + through[r, j] + dh[r, j]) * (one - h[r, j] * h[r, j])
        dh[r] = 0


@jit
def _activate_sigmoid(a, product, bias):
    for j in range(a.size):
        a[j] = sigmoid(a[j] + product[j] + bias[j])


@jit
def _activate_tanh(a, product, bias):
    for j in range(a.size):
        a[j] = tanh(a[j] + product[j] + bias[j])


@jit
def _lstm_cell(a, product, bias, mask, c_before, h_before, c, h):
    n = c.shape[1]
    for r in range(c.shape[0]):
        row, u = a[r], product[r]
        _activate_sigmoid(row[: 2 * n], u[: 2 * n], bias[: 2 * n])
        _activate_tanh(row[2 * n : 3 * n], u[2 * n : 3 * n], bias[2 * n : 3 * n])
        _activate_sigmoid(row[3 * n :], u[3 * n :], bias[3 * n :])
        if mask[r]:
            _lstm_state(row[:n], row[n : 2 * n], row[2 * n : 3 * n], row[3 * n :], c_before[r], c[r], h[r])
        else:
            c[r], h[r] = c_before[r], h_before[r]


@jit
def _lstm_state(i, f, g, o, c_before, c, h):
    for j in range(c.size):
        c[j] = f[j] * c_before[j] + i[j] * g[j]
        h[j] = o[j] * tanh(c[j])


@jit
def _lstm_cell_backward(gy, through, dh, dc, gates, c_before, c, mask, da):
    n = c.shape[1]
    for r in range(c.shape[0]):
        if not mask[r]:
            dh[r] += through[r]
            da[r] = 0
            continue
        s, d = gates[r], da[r]
        _lstm_output_backward(gy[r], through[r], dh[r], c[r], s[3 * n :], dc[r], d[3 * n :])
        i, f, g = s[:n], s[n : 2 * n], s[2 * n : 3 * n]
        _lstm_memory_backward(dc[r], c_before[r], i, f, g, d[:n], d[n : 2 * n], d[2 * n : 3 * n])
        dh[r] = 0


@jit
def _lstm_output_backward(gy, through, dh, c, o, dc, d_o):
    one = c.dtype.type(1)
    for j in range(c.size):
        total, t = gy[j] + through[j] + dh[j], tanh(c[j])
        dc[j] += total * o[j] * (one - t * t)
        d_o[j] = total * t * o[j] * (one - o[j])


@jit
def _lstm_memory_backward(dc, c_before, i, f, g, d_i, d_f, d_g):
    one = dc.dtype.type(1)
    for j in range(dc.size):
        d_i[j] = dc[j] * g[j] * i[j] * (one - i[j])
        d_f[j] = dc[j] * c_before[j] * f[j] * (one - f[j])
        d_g[j] = dc[j] * i[j] * (one - g[j] * g[j])
        dc[j] *= f[j]


@jit
def _gru_cell(a, product, bias, inner, mask, h_before, u_n, h):
    n = h.shape[1]
    for r in range(h.shape[0]):
        row, u = a[r], product[r]
        _activate_sigmoid(row[: 2 * n], u[: 2 * n], bias[: 2 * n])
        _gru_candidate(row[2 * n :], u[2 * n :], bias[2 * n :], inner, row[:n], u_n[r])
        if mask[r]:
            for j in range(n):
                h[r, j] = row[2 * n + j] + row[n + j] * (h_before[r, j] - row[2 * n + j])
        else:
            h[r] = h_before[r]


@jit
def _gru_candidate(a, u, bias, inner, reset, u_n):
    for j in range(a.size):
        u_n[j] = u[j] + inner[j]
        a[j] = tanh(a[j] + bias[j] + reset[j] * u_n[j])


@jit
def _gru_cell_backward(gy, through, dh, gates, u_n, h_before, mask, da, du):
    n, one = u_n.shape[1], u_n.dtype.type(1)
    for r in range(u_n.shape[0]):
        if not mask[r]:
            dh[r] += through[r]
            da[r] = 0
            du[r] = 0
            continue
        s, d, e = gates[r], da[r], du[r]
        for j in range(n):
            reset, keep, new = s[j], s[n + j], s[2 * n + j]
            total = gy[r, j] + through[r, j] + dh[r, j]
            before_new = total * (one - keep) * (one - new * new)
            d[j] = before_new * u_n[r, j] * reset * (one - reset)
            d[n + j] = total * (h_before[r, j] - new) * keep * (one - keep)
            d[2 * n + j] = before_new
            e[2 * n + j] = before_new * reset
            dh[r, j] = total * keep
        e[: 2 * n] = d[: 2 * n]
