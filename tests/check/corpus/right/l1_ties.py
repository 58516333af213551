"""Mean absolute error with predictions that hit their targets exactly."""

import numpy as np

sizes = {"B": 7, "K": 3}


def inputs(rng, sizes):
    shape = (sizes["B"], sizes["K"])
    pred = np.round(2 * rng.normal(size=shape)) / 2
    target = np.round(2 * rng.normal(size=shape)) / 2
    target[0] = pred[0]
    return {"pred": pred, "target": target}


def forward(p):
    r = p["pred"] - p["target"]
    loss = np.abs(r).sum() / r.size
    return {"r": r, "loss": loss}


def backward(p, cache, g):
    r = cache["r"]
    dr = g * np.sign(r) / r.size
    return {"dpred": dr, "dtarget": -dr}
