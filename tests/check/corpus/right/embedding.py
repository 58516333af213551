"""Embedding lookup with repeated ids, mean over time, then a linear readout."""

import numpy as np

sizes = {"B": 3, "T": 5, "V": 7, "D": 3, "C": 2}


def inputs(rng, sizes):
    B, T, V, D, C = (sizes[k] for k in "BTVDC")
    ids = rng.integers(0, V, size=(B, T))
    ids[:, 1] = ids[:, 0]
    return {"ids": ids, "E": rng.normal(size=(V, D)), "W": rng.normal(size=(D, C))}


def forward(p):
    emb = p["E"][p["ids"]]
    pooled = emb.mean(axis=1)
    out = pooled @ p["W"]
    return {"emb": emb, "pooled": pooled, "out": out}


def backward(p, cache, g):
    T = p["ids"].shape[1]
    dW = cache["pooled"].T @ g
    dpooled = g @ p["W"].T
    demb = np.repeat(dpooled[:, None, :], T, axis=1) / T
    dE = np.zeros_like(p["E"])
    np.add.at(dE, p["ids"], demb)
    return {"dpooled": dpooled, "demb": demb, "dE": dE, "dW": dW}
