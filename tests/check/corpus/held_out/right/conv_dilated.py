"""Conv1d, channels first, with padding, stride and dilation, written with loops over the output."""

import numpy as np

STRIDE, DILATION, PADDING = 2, 2, 2
sizes = {"N": 2, "C": 3, "L": 9, "O": 5}


def inputs(rng, sizes):
    N, C, L, O = sizes["N"], sizes["C"], sizes["L"], sizes["O"]
    return {"x": rng.normal(size=(N, C, L)), "w": rng.normal(size=(O, C, 3)), "b": rng.normal(size=O)}


def out_len(L, K):
    return (L + 2 * PADDING - DILATION * (K - 1) - 1) // STRIDE + 1


def forward(p):
    N, _, L = p["x"].shape
    O, _, K = p["w"].shape
    xp = np.pad(p["x"], ((0, 0), (0, 0), (PADDING, PADDING)))
    M = out_len(L, K)
    y = np.zeros((N, O, M))
    for j in range(M):
        for k in range(K):
            y[:, :, j] += xp[:, :, j * STRIDE + k * DILATION] @ p["w"][:, :, k].T
    y += p["b"][None, :, None]
    a = np.where(y > 0, y, 0.1 * y)
    return {"xp": xp, "y": y, "a": a}


def backward(p, cache, g):
    xp, y = cache["xp"], cache["y"]
    L, K = p["x"].shape[2], p["w"].shape[2]
    dy = np.where(y > 0, g, 0.1 * g)
    db = dy.sum(axis=(0, 2))
    dw = np.zeros_like(p["w"])
    dxp = np.zeros_like(xp)
    for j in range(dy.shape[2]):
        for k in range(K):
            at = j * STRIDE + k * DILATION
            dw[:, :, k] += dy[:, :, j].T @ xp[:, :, at]
            dxp[:, :, at] += dy[:, :, j] @ p["w"][:, :, k]
    return {"dx": dxp[:, :, PADDING : PADDING + L], "dw": dw, "db": db}
