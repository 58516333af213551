"""Post-norm block as a list of steps: x -> norm(x + f(x)), the backward pass walks the list from behind."""

import numpy as np


def inputs(rng, sizes):
    B, D, F = sizes["B"], sizes["D"], sizes["F"]
    return {
        "x": rng.normal(size=(B, D)),
        "W1": rng.normal(size=(D, F)) / D**0.5,
        "b1": rng.normal(size=F),
        "W2": rng.normal(size=(F, D)) / F**0.5,
        "b2": rng.normal(size=D),
        "scale": rng.normal(size=D),
        "shift": rng.normal(size=D),
    }


def norm(x):
    mu = x.mean(1, keepdims=True)
    sd = np.sqrt(((x - mu) ** 2).mean(1, keepdims=True) + 1e-5)
    return (x - mu) / sd, sd


def norm_backward(dn, n, sd):
    D = n.shape[1]
    a = dn.sum(1, keepdims=True)
    b = (dn * n).sum(1, keepdims=True)
    return (D * dn - a - n * b) / (D * sd)


def forward(p):
    u = p["x"] @ p["W1"] + p["b1"]
    r = np.maximum(u, 0) ** 2
    v = r @ p["W2"] + p["b2"]
    n, sd = norm(p["x"] + v)
    out = n * p["scale"] + p["shift"]
    return {"u": u, "r": r, "v": v, "n": n, "sd": sd, "out": out}


def backward(p, cache, g):
    u, r, n, sd = cache["u"], cache["r"], cache["n"], cache["sd"]
    dshift = g.sum(0)
    dscale = (g * n).sum(0)
    dsum = norm_backward(g * p["scale"], n, sd)
    dv = dsum
    dW2, db2 = r.T @ dv, dv.sum(0)
    dr = dv @ p["W2"].T
    du = dr * 2 * np.maximum(u, 0)
    dW1, db1 = p["x"].T @ du, du.sum(0)
    dx = dsum + du @ p["W1"].T
    return {"dx": dx, "dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2, "dscale": dscale, "dshift": dshift}
