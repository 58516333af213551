"""Batch norm in training, with running statistics, between two linear layers."""

import numpy as np

MOMENTUM, EPS = 0.9, 1e-3
sizes = {"N": 5, "D": 3, "H": 7}


def inputs(rng, sizes):
    N, D, H = sizes["N"], sizes["D"], sizes["H"]
    return {
        "x": rng.normal(size=(N, D)),
        "W1": rng.normal(size=(D, H)),
        "gamma": rng.normal(size=H) + 1,
        "beta": rng.normal(size=H),
        "W2": rng.normal(size=(H, 2)),
        "running": {"mean": np.zeros(H), "var": np.ones(H)},
    }


def forward(p):
    z = p["x"] @ p["W1"]
    mean, var = z.mean(0), z.var(0)
    run_mean = MOMENTUM * p["running"]["mean"] + (1 - MOMENTUM) * mean
    run_var = MOMENTUM * p["running"]["var"] + (1 - MOMENTUM) * var
    std = np.sqrt(var + EPS)
    zhat = (z - mean) / std
    y = p["gamma"] * zhat + p["beta"]
    a = np.log1p(np.exp(y))
    out = a @ p["W2"]
    return {"z": z, "std": std, "zhat": zhat, "y": y, "a": a, "run_mean": run_mean, "run_var": run_var, "out": out}


def backward(p, cache, g):
    zhat, std = cache["zhat"], cache["std"]
    N = g.shape[0]
    dW2 = cache["a"].T @ g
    da = g @ p["W2"].T
    dy = da / (1 + np.exp(-cache["y"]))
    dgamma = (dy * zhat).sum(0)
    dbeta = dy.sum(0)
    dzhat = dy * p["gamma"]
    dz = (dzhat - dzhat.sum(0) / N - zhat * (dzhat * zhat).sum(0) / N) / std
    dW1 = p["x"].T @ dz
    dx = dz @ p["W1"].T
    return {"dx": dx, "dW1": dW1, "dgamma": dgamma, "dbeta": dbeta, "dW2": dW2}
