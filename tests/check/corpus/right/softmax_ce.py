"""Linear classifier, softmax and mean cross-entropy with integer labels: the p - y form."""

import numpy as np

sizes = {"B": 5, "d": 3, "C": 7}


def inputs(rng, sizes):
    B, d, C = sizes["B"], sizes["d"], sizes["C"]
    return {
        "X": rng.normal(size=(B, d)),
        "W": rng.normal(size=(d, C)),
        "b": rng.normal(size=C),
        "y": rng.integers(0, C, size=B),
    }


def forward(p):
    logits = p["X"] @ p["W"] + p["b"]
    shifted = logits - logits.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -logp[np.arange(len(p["y"])), p["y"]].mean()
    return {"logits": logits, "logp": logp, "loss": loss}


def backward(p, cache, g):
    n = len(p["y"])
    dlogits = np.exp(cache["logp"])
    dlogits[np.arange(n), p["y"]] -= 1
    dlogits *= g / n
    dW = p["X"].T @ dlogits
    db = dlogits.sum(axis=0)
    dX = dlogits @ p["W"].T
    return {"dlogits": dlogits, "dX": dX, "dW": dW, "db": db}
