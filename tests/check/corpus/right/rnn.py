"""A tanh RNN over time; the states are collected in a list and the last one is the output."""

import numpy as np

sizes = {"B": 2, "T": 5, "d": 3, "H": 7}


def inputs(rng, sizes):
    B, T, d, H = (sizes[k] for k in ("B", "T", "d", "H"))
    return {
        "x": rng.normal(size=(T, B, d)),
        "h0": rng.normal(size=(B, H)) * 0.5,
        "Wx": rng.normal(size=(d, H)) * 0.5,
        "Wh": rng.normal(size=(H, H)) * 0.4,
        "b": rng.normal(size=H) * 0.1,
    }


def forward(p):
    h = p["h0"]
    hs = [h]
    for t in range(len(p["x"])):
        h = np.tanh(p["x"][t] @ p["Wx"] + h @ p["Wh"] + p["b"])
        hs.append(h)
    return {"hs": hs, "out": h}


def backward(p, cache, g):
    hs = cache["hs"]
    dx = np.zeros_like(p["x"])
    dWx, dWh, db = np.zeros_like(p["Wx"]), np.zeros_like(p["Wh"]), np.zeros_like(p["b"])
    dh = g
    for t in reversed(range(len(p["x"]))):
        da = dh * (1 - hs[t + 1] ** 2)
        dWx += p["x"][t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(axis=0)
        dx[t] = da @ p["Wx"].T
        dh = da @ p["Wh"].T
    return {"dx": dx, "dh0": dh, "dWx": dWx, "dWh": dWh, "db": db}
