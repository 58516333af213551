"""Focal loss for yes/no labels on top of a linear layer (alpha-balanced, gamma = 2)."""

import numpy as np

GAMMA = 2.0
ALPHA = 0.25


def inputs(rng, sizes):
    B, D = sizes["B"], sizes["D"]
    return {
        "x": rng.normal(size=(B, D)),
        "w": rng.normal(size=D),
        "b": rng.normal(size=1),
        "t": rng.integers(0, 2, size=B),
    }


def forward(p):
    z = p["x"].dot(p["w"]) + p["b"]
    prob = 1 / (1 + np.exp(-z))
    pt = np.where(p["t"] == 1, prob, 1 - prob)
    alpha = np.where(p["t"] == 1, ALPHA, 1 - ALPHA)
    fl = -alpha * (1 - pt) ** GAMMA * np.log(pt)
    loss = fl.mean()
    return {"z": z, "prob": prob, "pt": pt, "loss": loss}


def backward(p, cache, g):
    prob, pt = cache["prob"], cache["pt"]
    n = len(pt)
    alpha = np.where(p["t"] == 1, ALPHA, 1 - ALPHA)
    d_fl = np.full(n, g / n)
    d_pt = d_fl * alpha * (GAMMA * (1 - pt) ** (GAMMA - 1) * np.log(pt) - (1 - pt) ** GAMMA / pt)
    d_prob = np.where(p["t"] == 1, d_pt, -d_pt)
    d_z = d_prob * prob * (1 - prob)
    d_w = d_z.dot(p["x"])
    d_x = np.outer(d_z, p["w"])
    return {"dx": d_x, "dw": d_w, "db": np.array([d_z.sum()])}
