"""Layer norm over the last axis of a (B, T, d) array, the backward in one closed formula."""

import numpy as np

sizes = {"B": 2, "T": 3, "d": 5}


def inputs(rng, sizes):
    B, T, d = sizes["B"], sizes["T"], sizes["d"]
    return {
        "x": 2 * rng.normal(size=(B, T, d)),
        "scale": rng.normal(size=d),
        "shift": rng.normal(size=d),
    }


def forward(p):
    x = p["x"]
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    norm = (x - x.mean(-1, keepdims=True)) * rstd
    return {"rstd": rstd, "norm": norm, "out": norm * p["scale"] + p["shift"]}


def backward(p, cache, g):
    n, rstd = cache["norm"], cache["rstd"]
    gn = g * p["scale"]
    dx = rstd * (gn - gn.mean(-1, keepdims=True) - n * (gn * n).mean(-1, keepdims=True))
    return {"dx": dx, "dscale": (g * n).sum((0, 1)), "dshift": g.sum((0, 1))}
