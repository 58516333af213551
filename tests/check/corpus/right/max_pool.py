"""Max over time of small whole numbers, so that ties are frequent; the first maximum takes the gradient."""

import numpy as np

sizes = {"B": 3, "T": 5, "D": 2}


def inputs(rng, sizes):
    B, T, D = sizes["B"], sizes["T"], sizes["D"]
    x = rng.integers(0, 3, size=(B, T, D)).astype(float)
    x[:, 1] = x[:, 0]
    return {"x": x, "v": rng.normal(size=D)}


def forward(p):
    m = p["x"].max(axis=1)
    score = m @ p["v"]
    return {"m": m, "score": score}


def backward(p, cache, g):
    B, T, D = p["x"].shape
    dm = np.outer(g, p["v"])
    where = p["x"].argmax(axis=1)
    dx = np.zeros((B, T, D))
    for b in range(B):
        for j in range(D):
            dx[b, where[b, j], j] = dm[b, j]
    return {"dm": dm, "dx": dx, "dv": cache["m"].T @ g}
