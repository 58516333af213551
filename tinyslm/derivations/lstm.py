"""The LSTM through three steps: two gradients are carried backward, dh and dc, and dc passes through f alone."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import real
from ..ops import lstm
from ._code import pulled, sigmoid

derivation = d = Derivation(
    "lstm",
    "Back-propagation through time in an LSTM, T = 3",
    source="Hochreiter & Schmidhuber 1997; Gers et al. 2000",
    sizes={"T": 3},
    x=real("B", "T", "D"),
    h0=real("B", "H"),
    c0=real("B", "H"),
    w=real("4*H", "D"),
    u=real("4*H", "H"),
    b=real("4*H"),
    g=real("B", "T", "H"),
)
ALL = ("x", "h0", "c0", "w", "u", "b")


def _step(x, h, c, w, u, b):
    """The gates i, f, n, o and the new c and h."""
    i, f, n, o = np.split(x @ w.T + h @ u.T + b, 4, axis=-1)
    i, f, n, o = sigmoid(i), sigmoid(f), np.tanh(n), sigmoid(o)
    c = f * c + i * n
    return i, f, n, o, c, o * np.tanh(c)


def _run(x, h, c, w, u, b):
    """One tuple per step: the state before it, and what `_step` gives."""
    steps = []
    for t in range(x.shape[1]):
        steps.append((h, c, *_step(x[:, t], h, c, w, u, b)))
        c, h = steps[-1][-2:]
    return steps


@d.start(
    r"L = \sum_t \langle g_t, h_t \rangle, \quad h_t = o_t \tanh c_t, \; c_t = f_t c_{t-1} + i_t n_t, \;"
    r"(i, f, o)_t = \sigma(W x_t + U h_{t-1} + b), \; n_t = \tanh(W_n x_t + U_n h_{t-1} + b_n)"
)
def loss(x, h0, c0, w, u, b, g):
    return sum((g[:, t] * s[-1]).sum() for t, s in enumerate(_run(x, h0, c0, w, u, b)))


@d.equal(r"c_3 = f_3 f_2 f_1 c_0 + f_3 f_2 i_1 n_1 + f_3 i_2 n_2 + i_3 n_3")
def unrolled(x, h0, c0, w, u, b, g):
    (_, _, i1, f1, n1, _, _, h1), (_, _, i2, f2, n2, _, _, h2), s3 = _run(x, h0, c0, w, u, b)
    i3, f3, n3, o3 = s3[2:6]
    c3 = f3 * f2 * f1 * c0 + f3 * f2 * i1 * n1 + f3 * i2 * n2 + i3 * n3
    return (g[:, 0] * h1).sum() + (g[:, 1] * h2).sum() + (g[:, 2] * o3 * np.tanh(c3)).sum()


@d.gradient(
    r"dh_t = g_t + \textstyle\sum_k U_k^\top \delta_{k,t+1}, \; dc_t = dh_t \, o_t (1 - \tanh^2 c_t) + "
    r"f_{t+1} dc_{t+1}, \; \delta_o = dh \tanh(c) \, o (1 - o), \; \delta_f = dc \, c_{t-1} f (1 - f), \;"
    r"\delta_i = dc \, n \, i (1 - i), \; \delta_n = dc \, i (1 - n^2)",
    wrt=ALL,
)
def gate_by_gate(x, h0, c0, w, u, b, g):
    wi, wf, wn, wo = np.split(w, 4)
    ui, uf, un, uo = np.split(u, 4)
    dh, dc = np.zeros_like(h0), np.zeros_like(c0)
    dx, dw, du, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    for t, (h_old, c_old, i, f, n, o, c, _) in reversed(list(enumerate(_run(x, h0, c0, w, u, b)))):
        dh = dh + g[:, t]
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        d_o, d_f = dh * np.tanh(c) * o * (1 - o), dc * c_old * f * (1 - f)
        d_i, d_n = dc * n * i * (1 - i), dc * i * (1 - n * n)
        dx[:, t] = d_i @ wi + d_f @ wf + d_n @ wn + d_o @ wo
        deltas = (d_i, d_f, d_n, d_o)
        dw += np.concatenate([delta.T @ x[:, t] for delta in deltas])
        du += np.concatenate([delta.T @ h_old for delta in deltas])
        db += np.concatenate([delta.sum(0) for delta in deltas])
        dh, dc = d_i @ ui + d_f @ uf + d_n @ un + d_o @ uo, dc * f
    return dx, dh, dc, dw, du, db


@d.equal(
    r"\delta_t = [\delta_i; \delta_f; \delta_n; \delta_o]_t, \quad dW = \sum_t \delta_t x_t^\top, \;"
    r"dU = \sum_t \delta_t h_{t-1}^\top, \; db = \sum_t \delta_t, \; dx_t = W^\top \delta_t"
)
def stacked(x, h0, c0, w, u, b, g):
    steps = _run(x, h0, c0, w, u, b)
    dh, dc = np.zeros_like(h0), np.zeros_like(c0)
    deltas: list[np.ndarray] = []
    for t, (_, c_old, i, f, n, o, c, _) in reversed(list(enumerate(steps))):
        dh = dh + g[:, t]
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        parts = (dc * n * i * (1 - i), dc * c_old * f * (1 - f), dc * i * (1 - n * n), dh * np.tanh(c) * o * (1 - o))
        deltas.insert(0, np.concatenate(parts, axis=-1))
        dh, dc = deltas[0] @ u, dc * f
    delta, before = np.stack(deltas, axis=1), np.stack([s[0] for s in steps], axis=1)
    dw, du = (np.einsum("btk,btd->kd", delta, inputs) for inputs in (x, before))
    return delta @ w, dh, dc, dw, du, delta.sum((0, 1))


@d.equal(r"\texttt{lstm}\text{, by the engine}")
def code(x, h0, c0, w, u, b, g):
    return pulled(lambda *a: lstm(*a)[0], g, x, h0, c0, w, u, b)
