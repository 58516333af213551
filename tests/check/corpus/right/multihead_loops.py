"""Multi-head attention, one head after the other by slices of the columns; a causal mask is added to the scores."""

import numpy as np

sizes = {"T": 3, "N": 2, "dh": 3}


def inputs(rng, sizes):
    T, N, dh = sizes["T"], sizes["N"], sizes["dh"]
    D = N * dh
    return {
        "x": rng.normal(size=(T, D)),
        "Wqkv": rng.normal(size=(D, 3 * D)) * 0.5,
        "Wo": rng.normal(size=(D, D)) * 0.5,
        "mask": np.triu(np.ones((T, T), dtype=bool), 1),
        "N": N,
    }


def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def forward(p):
    T, D = p["x"].shape
    N = p["N"]
    dh = D // N
    qkv = p["x"] @ p["Wqkv"]
    probs = np.zeros((N, T, T))
    joined = np.zeros((T, D))
    for n in range(N):
        cols = slice(n * dh, (n + 1) * dh)
        q, k, v = qkv[:, :D][:, cols], qkv[:, D : 2 * D][:, cols], qkv[:, 2 * D :][:, cols]
        scores = q @ k.T / np.sqrt(dh)
        scores = np.where(p["mask"], -1e30, scores)
        probs[n] = softmax(scores)
        joined[:, cols] = probs[n] @ v
    y = joined @ p["Wo"]
    return {"qkv": qkv, "probs": probs, "joined": joined, "y": y}


def backward(p, cache, g):
    D = p["x"].shape[1]
    N = p["N"]
    dh = D // N
    qkv, probs = cache["qkv"], cache["probs"]
    djoined = g @ p["Wo"].T
    dqkv = np.zeros_like(qkv)
    for n in range(N):
        lo, hi = n * dh, (n + 1) * dh
        q, k, v = qkv[:, lo:hi], qkv[:, D + lo : D + hi], qkv[:, 2 * D + lo : 2 * D + hi]
        up = djoined[:, lo:hi]
        dprobs = up @ v.T
        dscores = probs[n] * (dprobs - (dprobs * probs[n]).sum(-1, keepdims=True)) / np.sqrt(dh)
        dqkv[:, lo:hi] = dscores @ k
        dqkv[:, D + lo : D + hi] = dscores.T @ q
        dqkv[:, 2 * D + lo : 2 * D + hi] = probs[n].T @ up
    return {
        "djoined": djoined,
        "dqkv": dqkv,
        "dx": dqkv @ p["Wqkv"].T,
        "dWqkv": p["x"].T @ dqkv,
        "dWo": cache["joined"].T @ g,
    }
