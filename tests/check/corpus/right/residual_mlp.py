"""Two residual blocks that share nothing, x + V tanh(U x), in a loop over lists of weights."""

import numpy as np

sizes = {"B": 3, "d": 5, "H": 7}


def inputs(rng, sizes):
    B, d, H = sizes["B"], sizes["d"], sizes["H"]
    p = {"x": rng.normal(size=(B, d))}
    for layer in (1, 2):
        p[f"U{layer}"] = rng.normal(size=(d, H)) * 0.5
        p[f"V{layer}"] = rng.normal(size=(H, d)) * 0.5
    return p


def forward(p):
    x = p["x"]
    xs, hs = [x], []
    for layer in (1, 2):
        h = np.tanh(x @ p[f"U{layer}"])
        x = x + h @ p[f"V{layer}"]
        hs.append(h)
        xs.append(x)
    return {"xs": xs, "hs": hs, "out": x}


def backward(p, cache, g):
    grads = {}
    dx = g.copy()
    for layer in (2, 1):
        h, x = cache["hs"][layer - 1], cache["xs"][layer - 1]
        grads[f"dV{layer}"] = h.T @ dx
        dh = dx @ p[f"V{layer}"].T
        da = dh * (1 - h * h)
        grads[f"dU{layer}"] = x.T @ da
        dx += da @ p[f"U{layer}"].T
    grads["dx"] = dx
    return grads
