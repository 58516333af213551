"""Bag of embeddings: the mean over the words that are no padding (id 0), a linear layer and a sigmoid loss."""

import numpy as np

PAD = 0
sizes = {"B": 3, "T": 5, "V": 7, "D": 2, "C": 11}


def inputs(rng, sizes):
    B, T, V, D, C = [sizes[k] for k in "BTVDC"]
    ids = rng.integers(1, V, size=(B, T))
    ids[0, 3:] = PAD
    ids[1, 0] = ids[1, 1]
    ids[2, -1] = PAD
    return {
        "ids": ids,
        "emb": rng.normal(size=(V, D)),
        "w": rng.normal(size=(C, D)),
        "bias": rng.normal(size=C),
        "target": rng.integers(0, 2, size=(B, C)).astype(np.int64),
    }


def forward(p):
    mask = (p["ids"] != PAD)[:, :, None]
    words = p["emb"][p["ids"]]
    n = mask.sum(axis=1)
    mean = (words * mask).sum(axis=1) / n
    logit = mean @ p["w"].T + p["bias"]
    loss = np.sum(np.maximum(logit, 0) - logit * p["target"] + np.log(1 + np.exp(-np.abs(logit)))) / logit.size
    return {"mean": mean, "logit": logit, "loss": loss}


def backward(p, cache, g):
    ids = p["ids"]
    mask = ids != PAD
    logit = cache["logit"]
    prob = 1 / (1 + np.exp(-logit))
    dlogit = g * (prob - p["target"]) / logit.size
    dw = dlogit.T @ cache["mean"]
    dbias = dlogit.sum(axis=0)
    dmean = dlogit @ p["w"]
    demb = np.zeros_like(p["emb"])
    for b in range(ids.shape[0]):
        n = mask[b].sum()
        for t in range(ids.shape[1]):
            if ids[b, t] == PAD:
                continue
            demb[ids[b, t]] += dmean[b] / n
    return {"demb": demb, "dw": dw, "dbias": dbias}
