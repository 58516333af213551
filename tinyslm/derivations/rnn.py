"""The plain recurrent network through three steps: one gradient is carried backward, those of the weights add up."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import real
from ..ops import rnn
from ._code import pulled

derivation = d = Derivation(
    "rnn",
    "Back-propagation through time in a plain recurrent network, T = 3",
    source="Elman 1990; Werbos 1990",
    sizes={"T": 3},
    x=real("B", "T", "D"),
    h0=real("B", "H"),
    w=real("H", "D"),
    u=real("H", "H"),
    b=real("H"),
    g=real("B", "T", "H"),
)
ALL = ("x", "h0", "w", "u", "b")


def _states(x, h0, w, u, b):
    states = [h0]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ w.T + states[-1] @ u.T + b))
    return states


@d.start(r"L = \sum_t \langle g_t, h_t \rangle, \quad h_t = \tanh(W x_t + U h_{t-1} + b)")
def loss(x, h0, w, u, b, g):
    h = _states(x, h0, w, u, b)
    return sum((g[:, t] * h[t + 1]).sum() for t in range(x.shape[1]))


@d.equal(r"h_3 = \tanh(W x_3 + U \tanh(W x_2 + U \tanh(W x_1 + U h_0 + b) + b) + b)")
def unrolled(x, h0, w, u, b, g):
    h1 = np.tanh(x[:, 0] @ w.T + h0 @ u.T + b)
    h2 = np.tanh(x[:, 1] @ w.T + h1 @ u.T + b)
    h3 = np.tanh(x[:, 2] @ w.T + h2 @ u.T + b)
    return (g[:, 0] * h1).sum() + (g[:, 1] * h2).sum() + (g[:, 2] * h3).sum()


@d.gradient(
    r"\delta_3 = g_3 \odot (1 - h_3^2), \; \delta_2 = (g_2 + U^\top \delta_3) \odot (1 - h_2^2), \;"
    r"\delta_1 = (g_1 + U^\top \delta_2) \odot (1 - h_1^2)",
    wrt=ALL,
)
def three_deltas(x, h0, w, u, b, g):
    _, h1, h2, h3 = h = _states(x, h0, w, u, b)
    d3 = g[:, 2] * (1 - h3**2)
    d2 = (g[:, 1] + d3 @ u) * (1 - h2**2)
    d1 = (g[:, 0] + d2 @ u) * (1 - h1**2)
    dx = np.stack([d1 @ w, d2 @ w, d3 @ w], axis=1)
    dw = d1.T @ x[:, 0] + d2.T @ x[:, 1] + d3.T @ x[:, 2]
    return dx, d1 @ u, dw, d1.T @ h[0] + d2.T @ h1 + d3.T @ h2, (d1 + d2 + d3).sum(0)


@d.equal(
    r"\delta_t = (g_t + dh) \odot (1 - h_t^2), \; dh \leftarrow U^\top \delta_t, \;"
    r"dW \mathrel{+}= \delta_t x_t^\top, \; dU \mathrel{+}= \delta_t h_{t-1}^\top, \; db \mathrel{+}= \delta_t"
)
def carried(x, h0, w, u, b, g):
    h = _states(x, h0, w, u, b)
    dx, dw, du, db, dh = (np.zeros_like(a) for a in (x, w, u, b, h0))
    for t in reversed(range(x.shape[1])):
        delta = (g[:, t] + dh) * (1 - h[t + 1] ** 2)
        dx[:, t], dh = delta @ w, delta @ u
        dw, du, db = dw + delta.T @ x[:, t], du + delta.T @ h[t], db + delta.sum(0)
    return dx, dh, dw, du, db


@d.equal(r"\texttt{rnn}\text{, by the engine}")
def code(x, h0, w, u, b, g):
    return pulled(lambda *a: rnn(*a)[0], g, x, h0, w, u, b)
