"""A dense layer with tanh: matrix form, every intermediate."""

import numpy as np

sizes = {"B": 3, "d": 7, "H": 5}


def inputs(rng, sizes):
    B, d, H = sizes["B"], sizes["d"], sizes["H"]
    return {"x": rng.normal(size=(B, d)), "W": rng.normal(size=(d, H)) * 0.4, "b": rng.normal(size=H) * 0.1}


def forward(p):
    z = p["x"] @ p["W"] + p["b"]
    y = np.tanh(z)
    return {"z": z, "y": y}


def backward(p, cache, g):
    dz = g * (1 - cache["y"] ** 2)
    dx = dz @ p["W"].T
    dW = p["x"].T @ dz
    db = dz.sum(axis=0)
    return {"dz": dz, "dx": dx, "dW": dW, "db": db}
