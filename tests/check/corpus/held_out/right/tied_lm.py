"""A small neural language model (two words of context) whose output matrix is the embedding itself."""

import numpy as np

sizes = {"N": 5, "V": 7, "D": 3, "H": 2}


def inputs(rng, sizes):
    N, V, D, H = sizes["N"], sizes["V"], sizes["D"], sizes["H"]
    ctx = rng.integers(0, V, size=(N, 2))
    ctx[1] = ctx[0]
    ctx[2, 0] = ctx[2, 1]
    return {
        "ctx": ctx,
        "nxt": rng.integers(0, V, size=N),
        "E": rng.normal(size=(V, D)),
        "W1": rng.normal(size=(2 * D, H)),
        "b1": rng.normal(size=H),
        "W2": rng.normal(size=(H, D)),
        "bo": rng.normal(size=V),
    }


def forward(p):
    N = len(p["ctx"])
    e = p["E"][p["ctx"]].reshape(N, -1)
    h = np.tanh(e @ p["W1"] + p["b1"])
    r = h @ p["W2"]
    o = r @ p["E"].T + p["bo"]
    o = o - o.max(axis=1)[:, None]
    q = np.exp(o) / np.exp(o).sum(axis=1)[:, None]
    loss = -np.sum(np.log(q[range(N), p["nxt"]])) / N
    return {"e": e, "h": h, "r": r, "q": q, "loss": loss}


def backward(p, cache, g):
    e, h, r, q = (cache[k] for k in ("e", "h", "r", "q"))
    N, V = q.shape
    y = np.zeros((N, V))
    y[range(N), p["nxt"]] = 1
    do = (q - y) * (g / N)
    dbo = do.sum(axis=0)
    dE = do.T @ r
    dr = do @ p["E"]
    dW2 = h.T @ dr
    dh = dr @ p["W2"].T
    dz = dh * (1 - h**2)
    dW1 = e.T @ dz
    db1 = dz.sum(axis=0)
    de = (dz @ p["W1"].T).reshape(N, 2, -1)
    for n in range(N):
        for k in range(2):
            dE[p["ctx"][n, k]] += de[n, k]
    return {"dE": dE, "dW1": dW1, "db1": db1, "dW2": dW2, "dbo": dbo}
