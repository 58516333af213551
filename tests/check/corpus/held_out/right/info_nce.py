"""Contrastive loss: cosine similarities of two batches of sentence vectors, the matching pair is the label."""

import numpy as np

TAU = 0.5


def inputs(rng, sizes):
    N, D = sizes["N"], sizes["D"]
    return {"u": rng.normal(size=(N, D)), "v": rng.normal(size=(N, D))}


def unit(a):
    return a / np.linalg.norm(a, axis=1, keepdims=True)


def unit_back(d, a):
    r = np.linalg.norm(a, axis=1, keepdims=True)
    return d / r - a * (d * a).sum(1, keepdims=True) / r**3


def forward(p):
    un = unit(p["u"])
    vn = unit(p["v"])
    sim = un @ vn.T / TAU
    lse = np.log(np.exp(sim).sum(axis=1))
    loss = np.mean(lse - np.diag(sim))
    return {"un": un, "vn": vn, "sim": sim, "lse": lse, "loss": loss}


def backward(p, cache, g):
    un, vn = cache["un"], cache["vn"]
    n = un.shape[0]
    dsim = np.exp(cache["sim"] - cache["lse"][:, None])
    dsim -= np.eye(n)
    dsim *= g / n
    dun = dsim @ vn / TAU
    dvn = dsim.T @ un / TAU
    return {"du": unit_back(dun, p["u"]), "dv": unit_back(dvn, p["v"])}
