"""A linear layer behind a clip to [-1, 1]; inputs lie on a grid that contains the borders."""

import numpy as np

sizes = {"B": 5, "d": 7, "H": 3}


def inputs(rng, sizes):
    x = rng.integers(-4, 5, size=(sizes["B"], sizes["d"])) / 2
    return {"x": x, "W": rng.normal(size=(sizes["d"], sizes["H"]))}


def forward(p):
    c = np.clip(p["x"], -1, 1)
    y = c @ p["W"]
    return {"c": c, "y": y}


def backward(p, cache, g):
    inside = (p["x"] > -1) & (p["x"] < 1)
    dc = g @ p["W"].T
    return {"dc": dc, "dx": dc * inside, "dW": cache["c"].T @ g}
