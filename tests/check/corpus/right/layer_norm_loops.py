"""Layer norm row by row, with the Jacobian of the normalised row written out."""

import numpy as np

sizes = {"B": 3, "d": 5}


def inputs(rng, sizes):
    B, d = sizes["B"], sizes["d"]
    return {"x": rng.normal(size=(B, d)), "w": rng.normal(size=d), "c": rng.normal(size=d)}


def forward(p):
    x = p["x"]
    out = np.empty_like(x)
    hat = np.empty_like(x)
    sigma = np.empty(len(x))
    for r in range(len(x)):
        centred = x[r] - np.mean(x[r])
        sigma[r] = np.sqrt(np.mean(centred * centred) + 1e-5)
        hat[r] = centred / sigma[r]
        out[r] = p["w"] * hat[r] + p["c"]
    return {"hat": hat, "sigma": sigma, "out": out}


def backward(p, cache, g):
    x = p["x"]
    d = x.shape[1]
    grads = {"dx": np.zeros_like(x), "dw": np.zeros(d), "dc": np.zeros(d)}
    for r in range(len(x)):
        h = cache["hat"][r]
        J = (np.eye(d) - np.ones((d, d)) / d - np.outer(h, h) / d) / cache["sigma"][r]
        grads["dx"][r] = J.T @ (g[r] * p["w"])
        grads["dw"] += g[r] * h
        grads["dc"] += g[r]
    return grads
