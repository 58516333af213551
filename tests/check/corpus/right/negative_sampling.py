"""Skip-gram with negative sampling for a few centre words: loops; a negative may be drawn twice."""

import numpy as np

sizes = {"B": 3, "K": 5, "V": 7, "D": 3}


def inputs(rng, sizes):
    B, K, V, D = sizes["B"], sizes["K"], sizes["V"], sizes["D"]
    negatives = rng.integers(0, V, size=(B, K))
    negatives[:, 1] = negatives[:, 0]
    return {
        "centre": rng.integers(0, V, size=B),
        "context": rng.integers(0, V, size=B),
        "negatives": negatives,
        "Win": rng.normal(size=(V, D)),
        "Wout": rng.normal(size=(V, D)),
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(p):
    loss = 0.0
    for b in range(len(p["centre"])):
        v = p["Win"][p["centre"][b]]
        u = p["Wout"][p["context"][b]]
        loss = loss - np.log(sigmoid(u @ v))
        for k in p["negatives"][b]:
            loss = loss - np.log(sigmoid(-(p["Wout"][k] @ v)))
    return {"loss": loss}


def backward(p, cache, g):
    dWin, dWout = np.zeros_like(p["Win"]), np.zeros_like(p["Wout"])
    for b in range(len(p["centre"])):
        i, j = p["centre"][b], p["context"][b]
        v, u = p["Win"][i], p["Wout"][j]
        err = g * (sigmoid(u @ v) - 1)
        dWin[i] += err * u
        dWout[j] += err * v
        for k in p["negatives"][b]:
            nerr = g * sigmoid(p["Wout"][k] @ v)
            dWin[i] += nerr * p["Wout"][k]
            dWout[k] += nerr * v
    return {"dWin": dWin, "dWout": dWout}
