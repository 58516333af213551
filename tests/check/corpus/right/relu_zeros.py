"""A ReLU layer whose inputs often hit zero exactly."""

import numpy as np

sizes = {"B": 5, "d": 7}
KINKS = "relu at 0: 0"


def inputs(rng, sizes):
    x = np.round(rng.normal(size=(sizes["B"], sizes["d"])))
    return {"x": x, "w": rng.normal(size=sizes["d"])}


def forward(p):
    r = np.maximum(p["x"], 0)
    y = r @ p["w"]
    return {"r": r, "y": y}


def backward(p, cache, g):
    dr = np.outer(g, p["w"])
    dx = dr * (p["x"] > 0)
    dw = cache["r"].T @ g
    return {"dr": dr, "dx": dx, "dw": dw}
