"""A dense layer with a sigmoid, written with loops that fill arrays; the weights are square, stored (out, in)."""

import numpy as np

sizes = {"B": 3, "d": 5}


def inputs(rng, sizes):
    n, d = sizes["B"], sizes["d"]
    return {"x": rng.normal(size=(n, d)), "W": rng.normal(size=(d, d)), "b": rng.normal(size=d)}


def forward(p):
    x, W, b = p["x"], p["W"], p["b"]
    n, d = x.shape
    a = np.zeros((n, d))
    for i in range(n):
        a[i] = W @ x[i] + b
    out = 1 / (1 + np.exp(-a))
    return {"a": a, "out": out}


def backward(p, cache, g):
    x, W = p["x"], p["W"]
    s = cache["out"]
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    db = np.zeros_like(p["b"])
    for i in range(len(x)):
        da = g[i] * s[i] * (1 - s[i])
        dx[i] = W.T @ da
        dW += np.outer(da, x[i])
        db += da
    return {"dx": dx, "dW": dW, "db": db}
