"""Logistic regression: sigmoid and binary cross-entropy in its stable form, mean over the batch."""

import numpy as np

sizes = {"B": 7, "d": 3}


def inputs(rng, sizes):
    B, d = sizes["B"], sizes["d"]
    return {
        "x": rng.normal(size=(B, d)),
        "w": rng.normal(size=d),
        "b": np.array(rng.normal()),
        "t": rng.integers(0, 2, size=B),
    }


def sigma(a):
    return 0.5 * (1 + np.tanh(a / 2))


def forward(p):
    a = p["x"] @ p["w"] + p["b"]
    prob = sigma(a)
    loss = np.mean(np.logaddexp(0, a) - p["t"] * a)
    return {"a": a, "prob": prob, "loss": loss}


def backward(p, cache, g):
    m = len(p["t"])
    da = (sigma(cache["a"]) - p["t"]) * g / m
    dw = p["x"].T @ da
    db = da.sum()
    dx = np.outer(da, p["w"])
    return {"dx": dx, "dw": dw, "db": db}
