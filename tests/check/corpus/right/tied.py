"""A tiny language model with tied weights: the same table looks words up and scores them."""

import numpy as np

sizes = {"B": 5, "V": 7, "D": 3}


def inputs(rng, sizes):
    B, V, D = sizes["B"], sizes["V"], sizes["D"]
    ids = rng.integers(0, V, size=B)
    ids[-1] = ids[0]
    return {
        "ids": ids,
        "next": rng.integers(0, V, size=B),
        "E": rng.normal(size=(V, D)),
        "W": rng.normal(size=(D, D)),
    }


def forward(p):
    e = p["E"][p["ids"]]
    h = np.tanh(e @ p["W"])
    scores = h @ p["E"].T
    top = scores.max(axis=1, keepdims=True)
    logz = top[:, 0] + np.log(np.exp(scores - top).sum(axis=1))
    loss = np.mean(logz - scores[np.arange(len(h)), p["next"]])
    return {"e": e, "h": h, "scores": scores, "logz": logz, "loss": loss}


def backward(p, cache, g):
    rows = np.arange(len(p["ids"]))
    ds = np.exp(cache["scores"] - cache["logz"][:, None])
    ds[rows, p["next"]] -= 1
    ds = ds * g / len(rows)
    dE = ds.T @ cache["h"]
    dh = ds @ p["E"]
    da = dh * (1 - cache["h"] ** 2)
    dW = cache["e"].T @ da
    de = da @ p["W"].T
    np.add.at(dE, p["ids"], de)
    return {"dscores": ds, "dh": dh, "de": de, "dE": dE, "dW": dW}
