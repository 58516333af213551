"""SwiGLU feed-forward after an RMS norm, with a residual; the cache is a tuple."""

import numpy as np

EPS = 1e-6


def inputs(rng, sizes):
    B, T, D, F = sizes["B"], sizes["T"], sizes["D"], sizes["F"]
    return {
        "x": rng.normal(size=(B, T, D)),
        "gain": 1 + 0.3 * rng.normal(size=D),
        "w1": rng.normal(size=(D, F)) * 0.5,
        "w3": rng.normal(size=(D, F)) * 0.5,
        "w2": rng.normal(size=(F, D)) * 0.5,
    }


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(p):
    x = p["x"]
    inv = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + EPS)
    n = x * inv * p["gain"]
    a = n @ p["w1"]
    b = n @ p["w3"]
    sw = a * sigmoid(a)
    y = (sw * b) @ p["w2"] + x
    return {"tape": (inv, n, a, b, sw), "out": y}


def backward(p, cache, g):
    inv, n, a, b, sw = cache["tape"]
    x = p["x"]
    D, F = p["w1"].shape
    m = sw * b
    dw2 = m.reshape(-1, F).T @ g.reshape(-1, D)
    dm = g @ p["w2"].T
    dsw = dm * b
    db = dm * sw
    sig = sigmoid(a)
    da = dsw * (sig + a * sig * (1 - sig))
    dw1 = n.reshape(-1, D).T @ da.reshape(-1, F)
    dw3 = n.reshape(-1, D).T @ db.reshape(-1, F)
    dn = da @ p["w1"].T + db @ p["w3"].T
    dgain = (dn * x * inv).sum((0, 1))
    dxh = dn * p["gain"]
    dx = g + inv * dxh - x * inv**3 * (dxh * x).mean(-1, keepdims=True)
    return {"dx": dx, "dgain": dgain, "dw1": dw1, "dw2": dw2, "dw3": dw3}
