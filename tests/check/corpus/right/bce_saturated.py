"""Binary cross-entropy on scores of a few hundred, both signs: right only when nothing overflows."""

import numpy as np

sizes = {"B": 7}


def inputs(rng, sizes):
    t = rng.integers(0, 2, size=sizes["B"])
    a = 300 * rng.normal(size=sizes["B"])
    a[0], a[1] = 900.0, -900.0
    return {"a": a, "t": t}


def forward(p):
    losses = np.maximum(p["a"], 0) - p["a"] * p["t"] + np.log1p(np.exp(-np.abs(p["a"])))
    return {"losses": losses}


def backward(p, cache, g):
    a = p["a"]
    e = np.exp(-np.abs(a))
    prob = np.where(a >= 0, 1, e) / (1 + e)
    da = g * (prob - p["t"])
    return {"da": da}
