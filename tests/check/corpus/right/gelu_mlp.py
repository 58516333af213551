"""Transformer MLP with the tanh form of GELU, written with helper functions."""

import math

import numpy as np

sizes = {"B": 2, "T": 3, "D": 5, "F": 7}
ALPHA = math.sqrt(2 / math.pi)


def inputs(rng, sizes):
    B, T, D, F = (sizes[k] for k in "BTDF")
    return {
        "x": rng.normal(size=(B, T, D)),
        "W1": rng.normal(size=(D, F)) * 0.6,
        "b1": rng.normal(size=F) * 0.2,
        "W2": rng.normal(size=(F, D)) * 0.6,
        "b2": rng.normal(size=D) * 0.2,
    }


def linear(x, W, b):
    return x @ W + b


def linear_back(dy, x, W):
    flat_x = x.reshape(-1, x.shape[-1])
    flat_dy = dy.reshape(-1, dy.shape[-1])
    return dy @ W.T, flat_x.T @ flat_dy, flat_dy.sum(axis=0)


def gelu(v):
    return 0.5 * v * (1 + np.tanh(ALPHA * (v + 0.044715 * v**3)))


def gelu_slope(v):
    t = np.tanh(ALPHA * (v + 0.044715 * v**3))
    inner = ALPHA * (1 + 3 * 0.044715 * v**2)
    return 0.5 * (1 + t) + 0.5 * v * (1 - t**2) * inner


def forward(p):
    u = linear(p["x"], p["W1"], p["b1"])
    act = gelu(u)
    y = linear(act, p["W2"], p["b2"])
    return {"u": u, "act": act, "y": y}


def backward(p, cache, g):
    dact, dW2, db2 = linear_back(g, cache["act"], p["W2"])
    du = dact * gelu_slope(cache["u"])
    dx, dW1, db1 = linear_back(du, p["x"], p["W1"])
    return {"dact": dact, "du": du, "dx": dx, "dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
