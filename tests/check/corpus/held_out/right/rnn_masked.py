"""Vanilla RNN as a labeller: inputs beyond the end of a sentence count nothing. Column convention, h is (H, B)."""

import numpy as np

sizes = {"D": 3, "H": 5, "B": 2, "T": 4}


def inputs(rng, sizes):
    D, H, B, T = sizes["D"], sizes["H"], sizes["B"], sizes["T"]
    live = np.ones((T, B), dtype=int)
    live[-1, 0] = 0
    return {
        "X": rng.normal(size=(T, D, B)),
        "Wx": rng.normal(size=(H, D)),
        "Wh": rng.normal(size=(H, H)) * 0.4,
        "bh": rng.normal(size=(H, 1)),
        "Wy": rng.normal(size=(2, H)),
        "target": rng.normal(size=(T, 2, B)),
        "live": live,
    }


def forward(p):
    T, _, B = p["X"].shape
    H = len(p["Wh"])
    hs = np.zeros((T, H, B))
    ys = np.zeros((T, 2, B))
    loss = 0.0
    for t in range(T):
        prev = hs[t - 1] if t > 0 else np.zeros((H, B))
        hs[t] = np.tanh(p["Wx"] @ p["X"][t] + p["Wh"] @ prev + p["bh"])
        ys[t] = p["Wy"] @ hs[t]
        loss = loss + 0.5 * np.sum(p["live"][t] * (ys[t] - p["target"][t]) ** 2)
    return {"hs": hs, "ys": ys, "loss": loss}


def backward(p, cache, g):
    hs, ys = cache["hs"], cache["ys"]
    T, H, B = hs.shape
    dX, dtarget = np.zeros_like(p["X"]), np.zeros_like(p["target"])
    dWx, dWh, dbh, dWy = (np.zeros_like(p[k]) for k in ("Wx", "Wh", "bh", "Wy"))
    dhnext = np.zeros((H, B))
    for t in range(T)[::-1]:
        dy = g * p["live"][t] * (ys[t] - p["target"][t])
        dtarget[t] = -dy
        dWy += dy @ hs[t].T
        dh = p["Wy"].T @ dy + dhnext
        draw = (1 - hs[t] * hs[t]) * dh
        dbh += draw.sum(axis=1, keepdims=True)
        dWx += draw @ p["X"][t].T
        if t > 0:
            dWh += draw @ hs[t - 1].T
        dX[t] = p["Wx"].T @ draw
        dhnext = p["Wh"].T @ draw
    return {"dX": dX, "dWx": dWx, "dWh": dWh, "dbh": dbh, "dWy": dWy, "dtarget": dtarget}
