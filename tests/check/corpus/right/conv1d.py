"""A 1-d convolution without padding, loops over output positions, then tanh."""

import numpy as np

sizes = {"B": 2, "T": 7, "I": 3, "O": 5, "K": 3}


def inputs(rng, sizes):
    B, I, O = sizes["B"], sizes["I"], sizes["O"]
    K = 3
    return {
        "x": rng.normal(size=(B, sizes["T"] + K, I)),
        "w": rng.normal(size=(K, I, O)) * 0.4,
        "b": rng.normal(size=O) * 0.2,
    }


def forward(p):
    x, w, b = p["x"], p["w"], p["b"]
    K = w.shape[0]
    L = x.shape[1] - K + 1
    a = np.zeros((x.shape[0], L, w.shape[2]))
    for t in range(L):
        for k in range(K):
            a[:, t] += x[:, t + k] @ w[k]
        a[:, t] += b
    y = np.tanh(a)
    return {"a": a, "y": y}


def backward(p, cache, g):
    x, w = p["x"], p["w"]
    K = w.shape[0]
    da = g * (1 - cache["y"] ** 2)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for t in range(da.shape[1]):
        for k in range(K):
            dw[k] += x[:, t + k].T @ da[:, t]
            dx[:, t + k] += da[:, t] @ w[k].T
    db = da.sum(axis=(0, 1))
    return {"da": da, "dx": dx, "dw": dw, "db": db}
