"""A GRU over time, h = (1 - z) n + z h_prev with the reset gate before the product; sum of all states."""

import numpy as np

sizes = {"B": 2, "T": 3, "D": 3, "H": 5}


def inputs(rng, sizes):
    B, T, D, H = (sizes[k] for k in ("B", "T", "D", "H"))
    p = {"x": rng.normal(size=(T, B, D)), "h0": rng.normal(size=(B, H))}
    for k in "zrn":
        p["W" + k] = rng.normal(size=(D, H)) * 0.6
        p["U" + k] = rng.normal(size=(H, H)) * 0.5
        p["b" + k] = rng.normal(size=H) * 0.3
    return p


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    h = p["h0"]
    steps = []
    total = np.zeros_like(h)
    for x in p["x"]:
        z = sigmoid(x @ p["Wz"] + h @ p["Uz"] + p["bz"])
        r = sigmoid(x @ p["Wr"] + h @ p["Ur"] + p["br"])
        n = np.tanh(x @ p["Wn"] + (r * h) @ p["Un"] + p["bn"])
        steps.append((h, z, r, n))
        h = (1 - z) * n + z * h
        total = total + h
    return {"steps": steps, "out": total}


def backward(p, cache, g):
    grads = {"d" + k: np.zeros_like(v) for k, v in p.items()}
    dh = np.zeros_like(g)
    for t in range(len(p["x"]) - 1, -1, -1):
        x = p["x"][t]
        h, z, r, n = cache["steps"][t]
        dh = dh + g
        dz = dh * (h - n)
        dn = dh * (1 - z)
        dh_prev = dh * z
        dan = dn * (1 - n**2)
        drh = dan @ p["Un"].T
        dr = drh * h
        dh_prev = dh_prev + drh * r
        dar = dr * r * (1 - r)
        daz = dz * z * (1 - z)
        grads["dx"][t] = dan @ p["Wn"].T + dar @ p["Wr"].T + daz @ p["Wz"].T
        dh_prev = dh_prev + dar @ p["Ur"].T + daz @ p["Uz"].T
        for k, da in (("z", daz), ("r", dar), ("n", dan)):
            grads["dW" + k] += x.T @ da
            grads["db" + k] += da.sum(0)
        grads["dUz"] += h.T @ daz
        grads["dUr"] += h.T @ dar
        grads["dUn"] += (r * h).T @ dan
        dh = dh_prev
    grads["dh0"] = dh
    return grads
