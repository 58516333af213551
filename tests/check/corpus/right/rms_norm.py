"""RMS norm, every intermediate."""

import numpy as np

sizes = {"B": 3, "d": 7}


def inputs(rng, sizes):
    return {"x": rng.normal(size=(sizes["B"], sizes["d"])), "gain": rng.normal(size=sizes["d"])}


def forward(p):
    ms = np.mean(p["x"] ** 2, axis=-1, keepdims=True)
    r = np.sqrt(ms + 1e-6)
    n = p["x"] / r
    y = n * p["gain"]
    return {"ms": ms, "r": r, "n": n, "y": y}


def backward(p, cache, g):
    x, r = p["x"], cache["r"]
    d = x.shape[-1]
    dgain = np.sum(g * cache["n"], axis=0)
    dn = g * p["gain"]
    dr = -np.sum(dn * x, axis=-1, keepdims=True) / r**2
    dms = dr * 0.5 / r
    dx = dn / r
    dx += dms * 2 * x / d
    return {"dn": dn, "dr": dr, "dms": dms, "dx": dx, "dgain": dgain}
