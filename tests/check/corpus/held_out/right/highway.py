"""Two highway layers: y = t * h + (1 - t) * x with the same weights twice."""

import numpy as np


def inputs(rng, sizes):
    B, D = sizes["B"], sizes["D"]
    p = {"x": rng.normal(size=(B, D))}
    for k in ["Wh", "Wt"]:
        p[k] = rng.normal(size=(D, D)) / D**0.5
    p["bh"], p["bt"] = rng.normal(size=D), rng.normal(size=D) - 1
    return p


def sigm(v):
    return 0.5 * (1 + np.tanh(v / 2))


def layer(x, p):
    h = np.tanh(x @ p["Wh"] + p["bh"])
    t = sigm(x @ p["Wt"] + p["bt"])
    return t * h + (1 - t) * x, h, t


def layer_back(dy, x, h, t, p, grads):
    dt = dy * (h - x)
    dh = dy * t
    dx = dy * (1 - t)
    dzh = dh * (1 - h * h)
    dzt = dt * t * (1 - t)
    grads["dWh"] += x.T @ dzh
    grads["dWt"] += x.T @ dzt
    grads["dbh"] += dzh.sum(axis=0)
    grads["dbt"] += dzt.sum(axis=0)
    dx = dx + dzh @ p["Wh"].T
    dx = dx + dzt @ p["Wt"].T
    return dx


def forward(p):
    y1, h1, t1 = layer(p["x"], p)
    y2, h2, t2 = layer(y1, p)
    return {"y1": y1, "h1": h1, "t1": t1, "h2": h2, "t2": t2, "y2": y2}


def backward(p, cache, g):
    grads = {k: np.zeros_like(p[k[1:]]) for k in ("dWh", "dWt", "dbh", "dbt")}
    dy1 = layer_back(g, cache["y1"], cache["h2"], cache["t2"], p, grads)
    dx = layer_back(dy1, p["x"], cache["h1"], cache["t1"], p, grads)
    grads["dx"] = dx
    return grads
