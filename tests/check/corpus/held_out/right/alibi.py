"""Causal multi-head self-attention with ALiBi: each head subtracts slope * distance from the scores."""

import numpy as np

sizes = {"B": 2, "T": 5, "N": 3, "d": 2}


def inputs(rng, sizes):
    B, T, N, d = sizes["B"], sizes["T"], sizes["N"], sizes["d"]
    D = N * d
    return {
        "x": rng.normal(size=(B, T, D)),
        "Wqkv": rng.normal(size=(D, 3 * D)) / np.sqrt(D),
        "Wo": rng.normal(size=(D, D)) / np.sqrt(D),
        "slope": rng.uniform(0.1, 1, size=N),
    }


def split(a, N):
    B, T, D = a.shape
    return a.reshape(B, T, N, D // N).transpose(0, 2, 1, 3)


def join(a):
    B, N, T, d = a.shape
    return a.transpose(0, 2, 1, 3).reshape(B, T, N * d)


def forward(p):
    N = p["slope"].size
    _, T, D = p["x"].shape
    q, k, v = [split(a, N) for a in np.split(p["x"] @ p["Wqkv"], 3, axis=-1)]
    dist = np.arange(T)[:, None] - np.arange(T)[None, :]
    s = q @ k.transpose(0, 1, 3, 2) / np.sqrt(D // N) - p["slope"][:, None, None] * dist
    s = np.where(dist >= 0, s, -np.inf)
    w = np.exp(s - s.max(-1, keepdims=True))
    w = w / w.sum(-1, keepdims=True)
    o = join(w @ v)
    out = o @ p["Wo"]
    return {"q": q, "k": k, "v": v, "w": w, "o": o, "out": out}


def backward(p, cache, g):
    q, k, v, w, o = cache["q"], cache["k"], cache["v"], cache["w"], cache["o"]
    N = p["slope"].size
    _, T, D = p["x"].shape
    dist = np.arange(T)[:, None] - np.arange(T)[None, :]
    grad_Wo = o.reshape(-1, D).T @ g.reshape(-1, D)
    grad_o = split(g @ p["Wo"].T, N)
    grad_w = grad_o @ v.swapaxes(-1, -2)
    grad_v = w.swapaxes(-1, -2) @ grad_o
    grad_s = w * (grad_w - (w * grad_w).sum(-1, keepdims=True))
    grad_slope = -(grad_s * dist).sum(axis=(0, 2, 3))
    grad_s = grad_s / np.sqrt(D // N)
    grad_q = grad_s @ k
    grad_k = grad_s.swapaxes(-1, -2) @ q
    grad_qkv = np.concatenate([join(grad_q), join(grad_k), join(grad_v)], axis=-1)
    grad_Wqkv = p["x"].reshape(-1, D).T @ grad_qkv.reshape(-1, 3 * D)
    grad_x = grad_qkv @ p["Wqkv"].T
    return {"dx": grad_x, "dWqkv": grad_Wqkv, "dWo": grad_Wo, "dslope": grad_slope}
