"""Bilinear (Luong general) attention in einsum: score[b,i,j] = q[b,i] W k[b,j], padded keys are masked."""

import numpy as np

sizes = {"B": 2, "I": 3, "J": 5, "D": 7, "E": 11}


def inputs(rng, sizes):
    B, I, J, D, E = [sizes[n] for n in "BIJDE"]
    valid = np.ones((B, J), dtype=bool)
    valid[0, J - 2 :] = False
    return {
        "q": rng.normal(size=(B, I, D)),
        "k": rng.normal(size=(B, J, E)),
        "W": rng.normal(size=(D, E)) * 0.3,
        "valid": valid,
    }


def forward(p):
    qW = np.einsum("bid,de->bie", p["q"], p["W"])
    s = np.einsum("bie,bje->bij", qW, p["k"])
    s = np.where(p["valid"][:, None, :], s, -1e9)
    e = np.exp(s - s.max(-1, keepdims=True))
    a = e / e.sum(-1, keepdims=True)
    ctx = np.einsum("bij,bje->bie", a, p["k"])
    return {"qW": qW, "a": a, "ctx": ctx}


def backward(p, cache, g):
    a = cache["a"]
    grad_a = np.einsum("bie,bje->bij", g, p["k"])
    grad_k = np.einsum("bij,bie->bje", a, g)
    grad_s = a * (grad_a - np.einsum("bij,bij->bi", a, grad_a)[..., None])
    grad_s = grad_s * p["valid"][:, None, :]
    grad_qW = np.einsum("bij,bje->bie", grad_s, p["k"])
    grad_k += np.einsum("bij,bie->bje", grad_s, cache["qW"])
    grad_q = np.einsum("bie,de->bid", grad_qW, p["W"])
    grad_W = np.einsum("bid,bie->de", p["q"], grad_qW)
    return {"dq": grad_q, "dk": grad_k, "dW": grad_W}
