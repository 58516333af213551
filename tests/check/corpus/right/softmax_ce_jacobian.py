"""Softmax and cross-entropy, one example at a time, with the whole Jacobian diag(q) - q q^T."""

import numpy as np

sizes = {"B": 3, "C": 5}


def inputs(rng, sizes):
    B, C = sizes["B"], sizes["C"]
    target = np.eye(C)[rng.integers(0, C, size=B)]
    return {"z": 2 * rng.normal(size=(B, C)), "target": target.astype(bool)}


def forward(p):
    z, y = p["z"], p["target"]
    q = np.zeros_like(z)
    loss = 0.0
    for i in range(z.shape[0]):
        e = np.exp(z[i] - z[i].max())
        q[i] = e / e.sum()
        loss = loss - np.sum(y[i] * np.log(q[i]))
    loss = loss / z.shape[0]
    return {"q": q, "loss": loss}


def backward(p, cache, g):
    q, y = cache["q"], p["target"]
    n = q.shape[0]
    dz = np.zeros_like(q)
    for i in range(n):
        dq = -g / n * y[i] / q[i]
        jac = np.diag(q[i]) - np.outer(q[i], q[i])
        dz[i] = jac @ dq
    return {"dz": dz}
