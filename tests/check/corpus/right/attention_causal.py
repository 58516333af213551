"""Causal attention on a batch with given queries, keys and values, by einsum."""

import numpy as np

sizes = {"B": 2, "T": 5, "d": 3}


def inputs(rng, sizes):
    shape = (sizes["B"], sizes["T"], sizes["d"])
    return {"q": rng.normal(size=shape), "k": rng.normal(size=shape), "v": rng.normal(size=shape)}


def forward(p):
    T, d = p["q"].shape[1:]
    allowed = np.tril(np.ones((T, T), dtype=bool))
    raw = np.einsum("bid,bjd->bij", p["q"], p["k"]) / d**0.5
    scores = np.where(allowed, raw, -1e9)
    w = np.exp(scores - scores.max(-1, keepdims=True))
    att = w / w.sum(-1, keepdims=True)
    ctx = np.einsum("bij,bjd->bid", att, p["v"])
    return {"raw": raw, "att": att, "ctx": ctx}


def backward(p, cache, g):
    T, d = p["q"].shape[1:]
    allowed = np.tril(np.ones((T, T), dtype=bool))
    att = cache["att"]
    datt = np.einsum("bid,bjd->bij", g, p["v"])
    dscores = att * (datt - np.einsum("bij,bij->bi", datt, att)[..., None])
    draw = np.where(allowed, dscores, 0)
    return {
        "draw": draw,
        "dq": np.einsum("bij,bjd->bid", draw, p["k"]) / d**0.5,
        "dk": np.einsum("bij,bid->bjd", draw, p["q"]) / d**0.5,
        "dv": np.einsum("bij,bid->bjd", att, g),
    }
