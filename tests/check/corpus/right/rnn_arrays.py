"""A tanh RNN with a readout at every step and a squared error: arrays filled in place, one sequence."""

import numpy as np

sizes = {"T": 5, "d": 3, "H": 5, "K": 2}


def inputs(rng, sizes):
    T, d, H, K = sizes["T"], sizes["d"], sizes["H"], sizes["K"]
    return {
        "x": rng.normal(size=(T, d)),
        "target": rng.normal(size=(T, K)),
        "U": rng.normal(size=(H, d)) * 0.5,
        "W": rng.normal(size=(H, H)) * 0.4,
        "V": rng.normal(size=(K, H)),
        "b": rng.normal(size=H) * 0.1,
        "c": rng.normal(size=K) * 0.1,
    }


def forward(p):
    T, H = len(p["x"]), len(p["b"])
    a = np.zeros((T, H))
    h = np.zeros((T + 1, H))
    o = np.zeros((T, len(p["c"])))
    for t in range(T):
        a[t] = p["U"] @ p["x"][t] + p["W"] @ h[t] + p["b"]
        h[t + 1] = np.tanh(a[t])
        o[t] = p["V"] @ h[t + 1] + p["c"]
    err = o - p["target"]
    loss = 0.5 * np.sum(err**2)
    return {"a": a, "h": h, "o": o, "err": err, "loss": loss}


def backward(p, cache, g):
    x, h, err = p["x"], cache["h"], cache["err"]
    T = len(x)
    dU, dW, dV = np.zeros_like(p["U"]), np.zeros_like(p["W"]), np.zeros_like(p["V"])
    db, dc = np.zeros_like(p["b"]), np.zeros_like(p["c"])
    dx = np.zeros_like(x)
    da_next = np.zeros_like(p["b"])
    for t in range(T - 1, -1, -1):
        do = g * err[t]
        dV += np.outer(do, h[t + 1])
        dc += do
        dh = p["V"].T @ do + p["W"].T @ da_next
        da = (1 - h[t + 1] ** 2) * dh
        dU += np.outer(da, x[t])
        dW += np.outer(da, h[t])
        db += da
        dx[t] = p["U"].T @ da
        da_next = da
    return {"dx": dx, "dtarget": -g * err, "dU": dU, "dW": dW, "dV": dV, "db": db, "dc": dc}
