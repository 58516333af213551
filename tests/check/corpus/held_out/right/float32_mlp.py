"""A regression MLP in single precision, the way it runs on a graphics card."""

import numpy as np


def inputs(rng, sizes):
    B, D, H = sizes["B"], sizes["D"], sizes["H"]

    def f(*s):
        return rng.normal(size=s).astype(np.float32)

    return {"x": f(B, D), "W1": f(D, H), "b1": f(H), "w2": f(H), "t": f(B)}


def forward(p):
    h = np.tanh(p["x"] @ p["W1"] + p["b1"])
    y = h @ p["w2"]
    loss = np.mean((y - p["t"]) ** 2)
    return {"h": h, "y": y, "loss": loss}


def backward(p, cache, g):
    h, y = cache["h"], cache["y"]
    dy = g * 2 * (y - p["t"]) / len(y)
    dw2 = h.T @ dy
    dz = np.outer(dy, p["w2"]) * (1 - h * h)
    return {"dx": dz @ p["W1"].T, "dW1": p["x"].T @ dz, "db1": dz.sum(0), "dw2": dw2, "dt": -dy}
