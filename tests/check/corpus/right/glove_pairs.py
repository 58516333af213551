"""The GloVe loss with the factor one half, pair by pair over a list of co-occurrences; words repeat."""

import numpy as np

sizes = {"V": 5, "D": 3, "P": 7}


def inputs(rng, sizes):
    V, D, P = sizes["V"], sizes["D"], sizes["P"]
    rows = rng.integers(0, V, size=P)
    cols = rng.integers(0, V, size=P)
    rows[1], cols[1] = rows[0], cols[0]
    return {
        "rows": rows,
        "cols": cols,
        "counts": rng.integers(1, 40, size=P),
        "main": rng.normal(size=(V, D)),
        "ctx": rng.normal(size=(V, D)),
        "bm": rng.normal(size=V),
        "bc": rng.normal(size=V),
    }


def f(x, xmax=25, a=0.75):
    return min(1.0, (x / xmax) ** a)


def forward(p):
    loss = 0.0
    err = np.zeros(len(p["rows"]))
    for n in range(len(p["rows"])):
        i, j = p["rows"][n], p["cols"][n]
        err[n] = p["main"][i] @ p["ctx"][j] + p["bm"][i] + p["bc"][j] - np.log(p["counts"][n])
        loss += 0.5 * f(p["counts"][n]) * err[n] ** 2
    return {"err": err, "loss": loss}


def backward(p, cache, g):
    out = {"d" + k: np.zeros_like(p[k]) for k in ("main", "ctx", "bm", "bc")}
    for n in range(len(p["rows"])):
        i, j = p["rows"][n], p["cols"][n]
        e = g * f(p["counts"][n]) * cache["err"][n]
        out["dmain"][i] += e * p["ctx"][j]
        out["dctx"][j] += e * p["main"][i]
        out["dbm"][i] += e
        out["dbc"][j] += e
    return out
