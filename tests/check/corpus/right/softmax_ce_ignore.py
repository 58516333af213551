"""Token cross-entropy over a padded batch, flattened: labels of -1 don't count."""

import numpy as np

sizes = {"B": 2, "T": 5, "D": 3, "V": 7}


def inputs(rng, sizes):
    B, T, D, V = (sizes[k] for k in "BTDV")
    labels = rng.integers(0, V, size=(B, T))
    labels[0, -2:] = -1
    return {"h": rng.normal(size=(B, T, D)), "E": rng.normal(size=(V, D)), "labels": labels}


def forward(p):
    B, T, D = p["h"].shape
    flat = p["h"].reshape(B * T, D)
    y = p["labels"].reshape(-1)
    keep = y >= 0
    logits = flat @ p["E"].T
    logits = logits - logits.max(-1, keepdims=True)
    lse = np.log(np.exp(logits).sum(-1))
    picked = logits[np.arange(B * T), np.where(keep, y, 0)]
    loss = ((lse - picked) * keep).sum() / keep.sum()
    return {"logits": logits, "loss": loss}


def backward(p, cache, g):
    B, T, D = p["h"].shape
    y = p["labels"].reshape(-1)
    keep = y >= 0
    e = np.exp(cache["logits"])
    delta = e / e.sum(-1, keepdims=True)
    delta[np.arange(B * T), np.where(keep, y, 0)] -= 1.0
    delta = delta * keep[:, None]
    delta = delta * g / keep.sum()
    dE = delta.T @ p["h"].reshape(-1, D)
    dh = (delta @ p["E"]).reshape(B, T, D)
    return {"dh": dh, "dE": dE}
