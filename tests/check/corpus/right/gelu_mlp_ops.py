"""A SiLU-gated MLP whose forward is written with tinyslm's operations."""

import numpy as np

import tinyslm as ts

sizes = {"B": 3, "D": 5, "F": 7}


def inputs(rng, sizes):
    B, D, F = sizes["B"], sizes["D"], sizes["F"]
    return {
        "x": rng.normal(size=(B, D)),
        "Wg": rng.normal(size=(D, F)) * 0.5,
        "Wu": rng.normal(size=(D, F)) * 0.5,
        "Wd": rng.normal(size=(F, D)) * 0.5,
    }


def forward(p):
    gate = ts.matmul(p["x"], p["Wg"])
    up = ts.matmul(p["x"], p["Wu"])
    s = ts.sigmoid(gate)
    hidden = gate * s * up
    y = ts.matmul(hidden, p["Wd"])
    return {"gate": gate, "up": up, "s": s, "hidden": hidden, "y": y}


def backward(p, cache, g):
    gate, up, s = (np.asarray(cache[k]) for k in ("gate", "up", "s"))
    dhidden = g @ p["Wd"].T
    dWd = np.asarray(cache["hidden"]).T @ g
    dup = dhidden * gate * s
    dgate = dhidden * up * (s + gate * s * (1 - s))
    dWu = p["x"].T @ dup
    dWg = p["x"].T @ dgate
    dx = dup @ p["Wu"].T + dgate @ p["Wg"].T
    return {"dhidden": dhidden, "dup": dup, "dgate": dgate, "dx": dx, "dWg": dWg, "dWu": dWu, "dWd": dWd}
