"""Weighted Huber loss of a two-layer network, an elastic penalty on the weights."""

import numpy as np

DELTA = 0.8
L1, L2 = 0.01, 0.02


def inputs(rng, sizes):
    n, d, k = sizes["n"], sizes["d"], sizes["k"]
    return {
        "x": rng.normal(size=(n, d)),
        "t": rng.normal(size=n) * 2,
        "sw": rng.uniform(0.2, 2, size=n),
        "A": rng.normal(size=(k, d)),
        "v": rng.normal(size=k),
    }


def forward(p):
    hid = np.sin(p["x"] @ p["A"].T)
    pred = hid @ p["v"]
    e = pred - p["t"]
    small = np.abs(e) <= DELTA
    each = np.where(small, 0.5 * e**2, DELTA * (np.abs(e) - 0.5 * DELTA))
    fit = (p["sw"] * each).sum() / p["sw"].sum()
    loss = fit + L1 * np.abs(p["A"]).sum() + L2 * (p["A"] ** 2).sum()
    return {"hid": hid, "e": e, "each": each, "fit": fit, "loss": loss}


def backward(p, cache, g):
    e, sw, A = cache["e"], p["sw"], p["A"]
    total = sw.sum()
    dsw = g * (cache["each"] - cache["fit"]) / total
    de = g * sw / total * np.where(np.abs(e) <= DELTA, e, DELTA * np.sign(e))
    dv = cache["hid"].T @ de
    dhid = de[:, None] * p["v"][None, :]
    dpre = dhid * np.cos(p["x"] @ A.T)
    dA = dpre.T @ p["x"] + g * (L1 * np.sign(A) + 2 * L2 * A)
    return {"dx": dpre @ A, "dA": dA, "dv": dv, "dt": -de, "dsw": dsw}
