"""The GRU through three steps, in the form with the reset gate after the matrix product (cuDNN's, PyTorch's)."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import real
from ..ops import gru
from ._code import pulled, sigmoid

derivation = d = Derivation(
    "gru",
    "Back-propagation through time in a GRU, T = 3",
    source="Cho et al. 2014; the form of cuDNN",
    sizes={"T": 3},
    x=real("B", "T", "D"),
    h0=real("B", "H"),
    w=real("3*H", "D"),
    u=real("3*H", "H"),
    b=real("3*H"),
    b_hn=real("H"),
    g=real("B", "T", "H"),
)
ALL = ("x", "h0", "w", "u", "b", "b_hn")


def _run(x, h, w, u, b, b_hn):
    """One tuple per step: the state before it, r, z, n, what r scales, and the state after it."""
    steps = []
    for t in range(x.shape[1]):
        x_r, x_z, x_n = np.split(x[:, t] @ w.T + b, 3, axis=-1)
        h_r, h_z, h_n = np.split(h @ u.T, 3, axis=-1)
        r, z, q = sigmoid(x_r + h_r), sigmoid(x_z + h_z), h_n + b_hn
        n = np.tanh(x_n + r * q)
        steps.append((h, r, z, n, q, (1 - z) * n + z * h))
        h = steps[-1][-1]
    return steps


@d.start(
    r"L = \sum_t \langle g_t, h_t \rangle, \quad h_t = (1 - z) n + z h_{t-1}, \; n = \tanh(W_n x_t + b_n + r q), \;"
    r"q = U_n h_{t-1} + b_{hn}, \; (r, z) = \sigma(W x_t + U h_{t-1} + b)"
)
def loss(x, h0, w, u, b, b_hn, g):
    return sum((g[:, t] * s[-1]).sum() for t, s in enumerate(_run(x, h0, w, u, b, b_hn)))


@d.equal(r"h_t = n + z (h_{t-1} - n)")
def interpolated(x, h0, w, u, b, b_hn, g):
    return sum((g[:, t] * (n + z * (h - n))).sum() for t, (h, _, z, n, _, _) in enumerate(_run(x, h0, w, u, b, b_hn)))


@d.gradient(
    r"\delta_z = dh (h_{t-1} - n) z (1 - z), \; \delta_n = dh (1 - z)(1 - n^2), \; \delta_r = \delta_n q \, r (1 - r),"
    r"\; dh_{t-1} = dh \, z + U_r^\top \delta_r + U_z^\top \delta_z + U_n^\top (r \delta_n)",
    wrt=ALL,
)
def gate_by_gate(x, h0, w, u, b, b_hn, g):
    (wr, wz, wn), (ur, uz, un) = np.split(w, 3), np.split(u, 3)
    dx, dw, du, db, db_hn, dh = (np.zeros_like(a) for a in (x, w, u, b, b_hn, h0))
    for t, (h, r, z, n, q, _) in reversed(list(enumerate(_run(x, h0, w, u, b, b_hn)))):
        dh = dh + g[:, t]
        d_z, d_n = dh * (h - n) * z * (1 - z), dh * (1 - z) * (1 - n * n)
        d_r = d_n * q * r * (1 - r)
        dx[:, t] = d_r @ wr + d_z @ wz + d_n @ wn
        dw += np.concatenate([k.T @ x[:, t] for k in (d_r, d_z, d_n)])
        du += np.concatenate([k.T @ h for k in (d_r, d_z, r * d_n)])
        db += np.concatenate([k.sum(0) for k in (d_r, d_z, d_n)])
        db_hn += (r * d_n).sum(0)
        dh = dh * z + d_r @ ur + d_z @ uz + (r * d_n) @ un
    return dx, dh, dw, du, db, db_hn


@d.equal(
    r"\delta_x = [\delta_r; \delta_z; \delta_n], \; \delta_h = [\delta_r; \delta_z; r \delta_n], \quad "
    r"dW = \sum_t \delta_x x_t^\top, \; dU = \sum_t \delta_h h_{t-1}^\top, \; dx_t = W^\top \delta_x"
)
def stacked(x, h0, w, u, b, b_hn, g):
    steps, dh = _run(x, h0, w, u, b, b_hn), np.zeros_like(h0)
    into_x: list[np.ndarray] = []
    into_h: list[np.ndarray] = []
    for t, (h, r, z, n, q, _) in reversed(list(enumerate(steps))):
        dh = dh + g[:, t]
        d_n = dh * (1 - z) * (1 - n * n)
        gates = [d_n * q * r * (1 - r), dh * (h - n) * z * (1 - z)]
        into_x.insert(0, np.concatenate([*gates, d_n], axis=-1))
        into_h.insert(0, np.concatenate([*gates, r * d_n], axis=-1))
        dh = dh * z + into_h[0] @ u
    dx, dq, before = np.stack(into_x, axis=1), np.stack(into_h, axis=1), np.stack([s[0] for s in steps], axis=1)
    dw, du = np.einsum("btk,btd->kd", dx, x), np.einsum("btk,bth->kh", dq, before)
    return dx @ w, dh, dw, du, dx.sum((0, 1)), dq.sum((0, 1))[-h0.shape[-1] :]


@d.equal(r"\texttt{gru}\text{, by the engine}")
def code(x, h0, w, u, b, b_hn, g):
    return pulled(lambda *a: gru(*a)[0], g, x, h0, w, u, b, b_hn)
