"""A pre-norm residual step: x + RMSNorm(x) W, batch and time flattened, einsum."""

import numpy as np

sizes = {"B": 2, "T": 3, "d": 5}


def inputs(rng, sizes):
    B, T, d = sizes["B"], sizes["T"], sizes["d"]
    return {"x": rng.normal(size=(B, T, d)), "g": rng.normal(size=d), "W": rng.normal(size=(d, d))}


def forward(p):
    d = p["x"].shape[-1]
    x = p["x"].reshape(-1, d)
    inv = (np.einsum("nd,nd->n", x, x) / d + 1e-6) ** -0.5
    unit = np.einsum("nd,n->nd", x, inv)
    normed = unit * p["g"]
    out = x + np.einsum("nd,de->ne", normed, p["W"])
    return {"inv": inv, "unit": unit, "normed": normed, "out": out.reshape(p["x"].shape)}


def backward(p, cache, g):
    d = p["x"].shape[-1]
    up = g.reshape(-1, d)
    unit, inv = cache["unit"], cache["inv"]
    dW = np.einsum("nd,ne->de", cache["normed"], up)
    dnormed = np.einsum("ne,de->nd", up, p["W"])
    dg = np.einsum("nd,nd->d", dnormed, unit)
    dunit = dnormed * p["g"]
    along = np.einsum("nd,nd->n", dunit, unit) / d
    dx = up + inv[:, None] * (dunit - unit * along[:, None])
    return {"dx": dx.reshape(p["x"].shape), "dg": dg, "dW": dW}
