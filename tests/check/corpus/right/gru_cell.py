"""One GRU step with the reset gate after the product and its inner bias, every intermediate."""

import numpy as np

sizes = {"B": 3, "D": 5, "H": 7}


def inputs(rng, sizes):
    B, D, H = sizes["B"], sizes["D"], sizes["H"]
    return {
        "x": rng.normal(size=(B, D)),
        "h": rng.normal(size=(B, H)),
        "Wr": rng.normal(size=(D, H)) * 0.5,
        "Wz": rng.normal(size=(D, H)) * 0.5,
        "Wn": rng.normal(size=(D, H)) * 0.5,
        "Un": rng.normal(size=(H, H)) * 0.5,
        "bhn": rng.normal(size=H),
    }


def logistic(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    r = logistic(p["x"] @ p["Wr"])
    z = logistic(p["x"] @ p["Wz"])
    s = p["h"] @ p["Un"] + p["bhn"]
    n = np.tanh(p["x"] @ p["Wn"] + r * s)
    out = n + z * (p["h"] - n)
    return {"r": r, "z": z, "s": s, "n": n, "out": out}


def backward(p, cache, g):
    r, z, s, n = cache["r"], cache["z"], cache["s"], cache["n"]
    dz = g * (p["h"] - n)
    dn = g - g * z
    dan = dn * (1 - n * n)
    dr = dan * s
    ds = dan * r
    dar = dr * r * (1 - r)
    daz = dz * z * (1 - z)
    dh = g * z
    dh += ds @ p["Un"].T
    dx = dan @ p["Wn"].T
    dx += dar @ p["Wr"].T
    dx += daz @ p["Wz"].T
    return {
        "dr": dr,
        "dz": dz,
        "ds": ds,
        "dn": dn,
        "dx": dx,
        "dh": dh,
        "dWr": p["x"].T @ dar,
        "dWz": p["x"].T @ daz,
        "dWn": p["x"].T @ dan,
        "dUn": p["h"].T @ ds,
        "dbhn": ds.sum(0),
    }
