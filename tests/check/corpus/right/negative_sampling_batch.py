"""Skip-gram with negative sampling, vectorised over the batch, mean loss."""

import numpy as np

sizes = {"B": 3, "K": 5, "V": 7, "D": 3}


def inputs(rng, sizes):
    B, K, V, D = sizes["B"], sizes["K"], sizes["V"], sizes["D"]
    c = rng.integers(0, V, size=B)
    c[-1] = c[0]
    return {
        "c": c,
        "o": rng.integers(0, V, size=B),
        "n": rng.integers(0, V, size=(B, K)),
        "A": rng.normal(size=(V, D)),
        "Z": rng.normal(size=(V, D)),
    }


def forward(p):
    vc = p["A"][p["c"]]
    uo = p["Z"][p["o"]]
    un = p["Z"][p["n"]]
    pos = (vc * uo).sum(axis=1)
    neg = np.einsum("bkd,bd->bk", un, vc)
    loss = np.mean(np.log1p(np.exp(-pos)) + np.log1p(np.exp(neg)).sum(axis=1))
    return {"vc": vc, "uo": uo, "un": un, "pos": pos, "neg": neg, "loss": loss}


def backward(p, cache, g):
    vc, uo, un = cache["vc"], cache["uo"], cache["un"]
    B = len(vc)
    dpos = -g / B / (1 + np.exp(cache["pos"]))
    dneg = g / B / (1 + np.exp(-cache["neg"]))
    dvc = dpos[:, None] * uo + np.einsum("bk,bkd->bd", dneg, un)
    duo = dpos[:, None] * vc
    dun = dneg[:, :, None] * vc[:, None, :]
    dA = np.zeros_like(p["A"])
    dZ = np.zeros_like(p["Z"])
    np.add.at(dA, p["c"], dvc)
    np.add.at(dZ, p["o"], duo)
    np.add.at(dZ, p["n"], dun)
    return {"dpos": dpos, "dneg": dneg, "dvc": dvc, "duo": duo, "dun": dun, "dA": dA, "dZ": dZ}
