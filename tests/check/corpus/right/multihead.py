"""Multi-head self-attention with a padding mask: heads split off by reshape and transpose."""

import numpy as np

sizes = {"B": 2, "T": 5, "N": 2, "dh": 3}


def inputs(rng, sizes):
    B, T, N, dh = sizes["B"], sizes["T"], sizes["N"], sizes["dh"]
    D = N * dh
    mask = np.ones((B, T), dtype=bool)
    mask[0, -1] = False
    p = {"x": rng.normal(size=(B, T, D)), "mask": mask, "heads": N}
    for name in ("Wq", "Wk", "Wv", "Wo"):
        p[name] = rng.normal(size=(D, D)) * 0.5
    return p


def split(a, N):
    B, T, D = a.shape
    return a.reshape(B, T, N, D // N).transpose(0, 2, 1, 3)


def merge(a):
    B, N, T, dh = a.shape
    return a.transpose(0, 2, 1, 3).reshape(B, T, N * dh)


def forward(p):
    N = p["heads"]
    q = split(p["x"] @ p["Wq"], N)
    k = split(p["x"] @ p["Wk"], N)
    v = split(p["x"] @ p["Wv"], N)
    s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    s = np.where(p["mask"][:, None, None, :], s, -1e9)
    e = np.exp(s - s.max(-1, keepdims=True))
    a = e / e.sum(-1, keepdims=True)
    ctx = merge(a @ v)
    out = ctx @ p["Wo"]
    return {"q": q, "k": k, "v": v, "a": a, "ctx": ctx, "out": out}


def backward(p, cache, g):
    N = p["heads"]
    D = g.shape[-1]
    q, k, v, a = cache["q"], cache["k"], cache["v"], cache["a"]
    dWo = cache["ctx"].reshape(-1, D).T @ g.reshape(-1, D)
    dctx = g @ p["Wo"].T
    dh = split(dctx, N)
    da = dh @ v.swapaxes(-1, -2)
    dv = a.swapaxes(-1, -2) @ dh
    ds = a * (da - np.sum(da * a, axis=-1, keepdims=True))
    ds = ds / np.sqrt(q.shape[-1])
    dq = ds @ k
    dk = ds.swapaxes(-1, -2) @ q
    fq, fk, fv = (merge(t).reshape(-1, D) for t in (dq, dk, dv))
    flat = p["x"].reshape(-1, D)
    dx = fq @ p["Wq"].T + fk @ p["Wk"].T + fv @ p["Wv"].T
    return {
        "dctx": dctx,
        "dq": dq,
        "dk": dk,
        "dv": dv,
        "dx": dx.reshape(p["x"].shape),
        "dWq": flat.T @ fq,
        "dWk": flat.T @ fk,
        "dWv": flat.T @ fv,
        "dWo": dWo,
    }
