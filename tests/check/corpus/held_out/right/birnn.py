"""Bidirectional tanh RNN; the states of both directions are joined and go through one output layer."""

import numpy as np


def inputs(rng, sizes):
    T, B, D, H, K = sizes["T"], sizes["B"], sizes["D"], sizes["H"], sizes["K"]
    p = {"x": rng.normal(size=(T, B, D))}
    for side in ("f", "b"):
        p["W" + side] = rng.normal(size=(D, H)) * 0.5
        p["U" + side] = rng.normal(size=(H, H)) * 0.4
        p["c" + side] = rng.normal(size=H)
    p["V"] = rng.normal(size=(2 * H, K))
    return p


def run(x, W, U, c):
    h = np.zeros((x.shape[1], U.shape[0]))
    states = []
    for xt in x:
        h = np.tanh(xt @ W + h @ U + c)
        states.append(h)
    return np.stack(states)


def run_back(ds, x, s, W, U):
    dx, dW, dU, dc = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(U.shape[0])
    carry = np.zeros_like(s[0])
    for t in range(len(x) - 1, -1, -1):
        dz = (ds[t] + carry) * (1 - s[t] ** 2)
        before = s[t - 1] if t else np.zeros_like(s[0])
        dW += x[t].T @ dz
        dU += before.T @ dz
        dc += dz.sum(0)
        dx[t] = dz @ W.T
        carry = dz @ U.T
    return dx, dW, dU, dc


def forward(p):
    sf = run(p["x"], p["Wf"], p["Uf"], p["cf"])
    sb = run(p["x"][::-1], p["Wb"], p["Ub"], p["cb"])
    both = np.concatenate([sf, sb[::-1]], axis=2)
    out = both @ p["V"]
    return {"sf": sf, "sb": sb, "both": both, "out": out}


def backward(p, cache, g):
    H = p["Uf"].shape[0]
    dV = np.tensordot(cache["both"], g, axes=([0, 1], [0, 1]))
    dboth = g @ p["V"].T
    dsf = dboth[..., :H]
    dsb = dboth[::-1, :, H:]
    dx1, dWf, dUf, dcf = run_back(dsf, p["x"], cache["sf"], p["Wf"], p["Uf"])
    dx2, dWb, dUb, dcb = run_back(dsb, p["x"][::-1], cache["sb"], p["Wb"], p["Ub"])
    dx = dx1 + dx2[::-1]
    return {"dx": dx, "dWf": dWf, "dUf": dUf, "dcf": dcf, "dWb": dWb, "dUb": dUb, "dcb": dcb, "dV": dV}
