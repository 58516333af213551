"""Two dense layers on a sequence with a ReLU between them, by einsum; gradients of the inputs only."""

import numpy as np

sizes = {"B": 2, "T": 3, "d": 5, "H": 7}


def inputs(rng, sizes):
    B, T, d, H = sizes["B"], sizes["T"], sizes["d"], sizes["H"]
    return {
        "x": rng.normal(size=(B, T, d)),
        "w1": rng.normal(size=(d, H)),
        "b1": rng.normal(size=(H,)),
        "w2": rng.normal(size=(H, d)),
        "b2": rng.normal(size=(d,)),
    }


def forward(p):
    pre = np.einsum("btd,dh->bth", p["x"], p["w1"]) + p["b1"]
    act = np.maximum(pre, 0)
    out = np.einsum("bth,hd->btd", act, p["w2"]) + p["b2"]
    return {"pre": pre, "act": act, "out": out}


def backward(p, cache, g):
    grad_act = np.einsum("btd,hd->bth", g, p["w2"])
    grad_pre = grad_act * (cache["pre"] > 0)
    return {
        "dx": np.einsum("bth,dh->btd", grad_pre, p["w1"]),
        "dw1": np.einsum("btd,bth->dh", p["x"], grad_pre),
        "db1": np.einsum("bth->h", grad_pre),
        "dw2": np.einsum("bth,btd->hd", cache["act"], g),
        "db2": np.einsum("btd->d", g),
    }
