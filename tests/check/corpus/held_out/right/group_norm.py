"""Group norm on (N, C, L): the channels of a group share mean and variance."""

import numpy as np

sizes = {"N": 2, "G": 3, "K": 2, "L": 5}


def inputs(rng, sizes):
    N, G, K, L = (sizes[k] for k in "NGKL")
    C = G * K
    return {"x": rng.normal(size=(N, C, L)) + 0.5, "w": rng.normal(size=C), "b": rng.normal(size=C)}


def forward(p):
    N, C, L = p["x"].shape
    G = 3
    xg = p["x"].reshape(N, G, -1)
    mu = xg.mean(axis=2).reshape(N, G, 1)
    var = ((xg - mu) ** 2).mean(axis=2).reshape(N, G, 1)
    istd = (var + 1e-5) ** -0.5
    xn = ((xg - mu) * istd).reshape(N, C, L)
    y = xn * p["w"].reshape(1, C, 1) + p["b"].reshape(1, C, 1)
    return {"mu": mu, "istd": istd, "xn": xn, "y": y}


def backward(p, cache, g):
    x, xn, istd, mu = p["x"], cache["xn"], cache["istd"], cache["mu"]
    N, C, L = x.shape
    G = istd.shape[1]
    m = C * L // G
    db = np.sum(g, axis=(0, 2))
    dw = np.sum(g * xn, axis=(0, 2))
    dxn = (g * p["w"].reshape(1, C, 1)).reshape(N, G, -1)
    xc = x.reshape(N, G, -1) - mu
    dvar = np.sum(dxn * xc, axis=2, keepdims=True) * -0.5 * istd**3
    dmu = -np.sum(dxn * istd, axis=2, keepdims=True)
    dx = dxn * istd + dvar * 2 * xc / m + dmu / m
    return {"dx": dx.reshape(N, C, L), "dw": dw, "db": db}
