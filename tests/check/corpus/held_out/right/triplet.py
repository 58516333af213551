"""Triplet loss: one encoder for anchor, positive and negative, squared distances, soft margin."""

import numpy as np


def inputs(rng, sizes):
    B, D, H = sizes["B"], sizes["D"], sizes["H"]
    p = {k: rng.normal(size=(B, D)) for k in ("a", "p", "n")}
    p["W"] = rng.normal(size=(D, H)) / D
    p["c"] = rng.normal(size=H)
    return p


def encode(v, W, c):
    return np.tanh(v @ W + c)


def forward(p):
    ea = encode(p["a"], p["W"], p["c"])
    ep = encode(p["p"], p["W"], p["c"])
    en = encode(p["n"], p["W"], p["c"])
    dp = ((ea - ep) ** 2).sum(axis=1)
    dn = ((ea - en) ** 2).sum(axis=1)
    loss = np.log1p(np.exp(dp - dn)).mean()
    return {"ea": ea, "ep": ep, "en": en, "dp": dp, "dn": dn, "loss": loss}


def backward(p, cache, g):
    ea, ep, en = cache["ea"], cache["ep"], cache["en"]
    r = g / (1 + np.exp(cache["dn"] - cache["dp"])) / len(ea)
    r = r[:, np.newaxis]
    g_a = 2 * r * (ea - ep) - 2 * r * (ea - en)
    g_p = -2 * r * (ea - ep)
    g_n = 2 * r * (ea - en)
    z_a = g_a * (1 - ea**2)
    z_p = g_p * (1 - ep**2)
    z_n = g_n * (1 - en**2)
    dW = p["a"].T @ z_a + p["p"].T @ z_p + p["n"].T @ z_n
    dc = (z_a + z_p + z_n).sum(0)
    return {"da": z_a @ p["W"].T, "dp": z_p @ p["W"].T, "dn": z_n @ p["W"].T, "dW": dW, "dc": dc}
