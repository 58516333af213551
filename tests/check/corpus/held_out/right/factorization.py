"""Factorization machine with a squared loss, column vectors and one-letter names."""

import numpy as np


def inputs(rng, sizes):
    n, d, k = sizes["n"], sizes["d"], sizes["k"]
    return {
        "X": rng.normal(size=(n, d)),
        "w": rng.normal(size=(d, 1)),
        "b": rng.normal(size=(1, 1)),
        "V": rng.normal(size=(d, k)),
        "y": rng.normal(size=(n, 1)),
    }


def forward(p):
    X, w, b, V, y = p["X"], p["w"], p["b"], p["V"], p["y"]
    S = X @ V
    Q = (X**2) @ (V**2)
    I = 0.5 * np.sum(S**2 - Q, axis=1, keepdims=True)
    f = X @ w + b + I
    r = f - y
    L = (r.T @ r)[0, 0] / (2 * len(X))
    return {"S": S, "f": f, "r": r, "L": L}


def backward(p, cache, g):
    X, w, V = p["X"], p["w"], p["V"]
    S, r = cache["S"], cache["r"]
    n = X.shape[0]
    R = g * r / n
    dw = X.T @ R
    db = R.sum(axis=0, keepdims=True)
    dy = -R
    dV = X.T @ (R * S) - ((X**2).T @ R) * V
    dX = R @ w.T + R * (S @ V.T) - R * X * np.sum(V**2, axis=1)
    return {"dX": dX, "dw": dw, "db": db, "dV": dV, "dy": dy}
