"""The GloVe loss over all pairs with a count: matrix form."""

import numpy as np

sizes = {"V": 5, "D": 3}


def inputs(rng, sizes):
    V, D = sizes["V"], sizes["D"]
    return {
        "W": rng.normal(size=(V, D)) * 0.5,
        "C": rng.normal(size=(V, D)) * 0.5,
        "b": rng.normal(size=V) * 0.3,
        "c": rng.normal(size=V) * 0.3,
        "X": rng.integers(0, 30, size=(V, V)),
    }


def forward(p):
    X = p["X"]
    weight = np.minimum(1.0, (X / 20.0) ** 0.75)
    logX = np.log(np.where(X > 0, X, 1))
    diff = p["W"] @ p["C"].T + p["b"][:, None] + p["c"][None, :] - logX
    loss = np.sum(weight * diff**2)
    return {"weight": weight, "diff": diff, "loss": loss}


def backward(p, cache, g):
    ddiff = 2 * g * cache["weight"] * cache["diff"]
    dW = ddiff @ p["C"]
    dC = ddiff.T @ p["W"]
    db = ddiff.sum(axis=1)
    dc = ddiff.sum(axis=0)
    return {"ddiff": ddiff, "dW": dW, "dC": dC, "db": db, "dc": dc}
