"""Linear regression, mean squared error over all elements, with a weight penalty."""

import numpy as np

sizes = {"B": 5, "d": 3, "K": 2}
LAMBDA = 0.1


def inputs(rng, sizes):
    B, d, K = sizes["B"], sizes["d"], sizes["K"]
    return {
        "X": rng.normal(size=(B, d)),
        "Y": rng.normal(size=(B, K)),
        "W": rng.normal(size=(d, K)),
        "b": rng.normal(size=K),
    }


def forward(p):
    pred = p["X"] @ p["W"] + p["b"]
    err = pred - p["Y"]
    fit = np.mean(err**2)
    penalty = LAMBDA * np.sum(p["W"] ** 2)
    loss = fit + penalty
    return {"pred": pred, "err": err, "fit": fit, "penalty": penalty, "loss": loss}


def backward(p, cache, g):
    err = cache["err"]
    derr = g * 2 * err / err.size
    dW = p["X"].T @ derr + g * 2 * LAMBDA * p["W"]
    db = np.sum(derr, axis=0)
    dX = derr @ p["W"].T
    return {"derr": derr, "dX": dX, "dY": -derr, "dW": dW, "db": db}
