"""A layer with inverted dropout; the mask is an input."""

import numpy as np

sizes = {"B": 5, "d": 7, "H": 3}
KEEP = 0.6


def inputs(rng, sizes):
    B, d, H = sizes["B"], sizes["d"], sizes["H"]
    return {
        "x": rng.normal(size=(B, d)),
        "W": rng.normal(size=(d, H)),
        "mask": rng.random(size=(B, H)) < KEEP,
    }


def forward(p):
    a = p["x"] @ p["W"]
    h = np.tanh(a)
    dropped = h * p["mask"] / KEEP
    return {"a": a, "h": h, "dropped": dropped}


def backward(p, cache, g):
    dh = g * p["mask"] / KEEP
    da = dh * (1 - cache["h"] ** 2)
    return {"dh": dh, "da": da, "dx": da @ p["W"].T, "dW": p["x"].T @ da}
