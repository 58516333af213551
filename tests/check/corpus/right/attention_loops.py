"""Attention over encoder states for one decoder state at a time: loops over queries, dot-product score."""

import numpy as np

sizes = {"S": 5, "Q": 2, "d": 3}


def inputs(rng, sizes):
    S, Q, d = sizes["S"], sizes["Q"], sizes["d"]
    return {"query": rng.normal(size=(Q, d)), "states": rng.normal(size=(S, d)), "M": rng.normal(size=(d, d))}


def forward(p):
    keys = p["states"] @ p["M"]
    alphas = np.zeros((len(p["query"]), len(keys)))
    context = np.zeros_like(p["query"])
    for i, q in enumerate(p["query"]):
        score = keys @ q
        e = np.exp(score - np.max(score))
        alphas[i] = e / np.sum(e)
        context[i] = alphas[i] @ p["states"]
    return {"keys": keys, "alphas": alphas, "context": context}


def backward(p, cache, g):
    keys, alphas, states = cache["keys"], cache["alphas"], p["states"]
    dquery = np.zeros_like(p["query"])
    dkeys = np.zeros_like(keys)
    dstates = np.zeros_like(states)
    for i, q in enumerate(p["query"]):
        dalpha = states @ g[i]
        dstates += np.outer(alphas[i], g[i])
        dscore = alphas[i] * dalpha - alphas[i] * np.dot(alphas[i], dalpha)
        dkeys += np.outer(dscore, q)
        dquery[i] = keys.T @ dscore
    dstates += dkeys @ p["M"].T
    dM = states.T @ dkeys
    return {"dkeys": dkeys, "dquery": dquery, "dstates": dstates, "dM": dM}
