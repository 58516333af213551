"""混合专家：门控 softmax 给三个专家加权。"""

import numpy as np

sizes = {"B": 2, "D": 5, "M": 3, "O": 7}


def inputs(rng, sizes):
    B, D, M, O = sizes["B"], sizes["D"], sizes["M"], sizes["O"]
    return {
        "x": rng.normal(size=(B, D)),
        "G": rng.normal(size=(D, M)),
        "W": rng.normal(size=(M, D, O)) * 0.5,
        "b": rng.normal(size=(M, O)),
    }


def forward(p):
    s = p["x"] @ p["G"]
    w = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    y = np.tanh(np.einsum("bd,mdo->bmo", p["x"], p["W"]) + p["b"])
    out = (w[:, :, None] * y).sum(axis=1)
    return {"w": w, "y": y, "out": out}


def backward(p, cache, g):
    x, w, y = p["x"], cache["w"], cache["y"]
    B, M = w.shape
    dw = np.einsum("bo,bmo->bm", g, y)
    dy = w[:, :, None] * g[:, None, :]
    dz = dy * (1 - y**2)
    dW = np.einsum("bd,bmo->mdo", x, dz)
    db = dz.sum(axis=0)
    ds = np.zeros((B, M))
    for i in range(B):
        J = np.diag(w[i]) - np.outer(w[i], w[i])  # softmax 的雅可比矩阵
        ds[i] = J @ dw[i]
    dG = x.T @ ds
    dx = ds @ p["G"].T + np.einsum("bmo,mdo->bd", dz, p["W"])
    return {"dx": dx, "dG": dG, "dW": dW, "db": db}
