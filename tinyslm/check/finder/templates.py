"""Right derivations to begin with, written by `tinyslm check --new NAME FILE.py`."""

HEAD = '''"""A derivation to check: inputs, forward, backward. Run: tinyslm check THIS_FILE

sizes[...] gives a different prime for each name. forward returns its intermediates by name, the output last (or "out",
or "loss"). backward gets the inputs p, what forward returned, and the cotangent g of the output; it returns dx for x.
"""

import numpy as np


'''

TEMPLATES = {
    "dense": HEAD
    + """\
def inputs(rng, sizes):
    B, D, H = sizes["B"], sizes["D"], sizes["H"]
    return {"x": rng.normal(size=(B, D)), "W": rng.normal(size=(D, H)), "b": rng.normal(size=H)}


def forward(p):
    a = p["x"] @ p["W"] + p["b"]
    y = np.tanh(a)
    return {"a": a, "y": y}


def backward(p, cache, g):
    da = g * (1 - cache["y"] ** 2)
    return {"da": da, "dx": da @ p["W"].T, "dW": p["x"].T @ da, "db": da.sum(axis=0)}
""",
    "softmax_ce": HEAD
    + """\
def inputs(rng, sizes):
    B, V = sizes["B"], sizes["V"]
    return {"z": rng.normal(size=(B, V)), "labels": rng.integers(0, V, size=B)}


def forward(p):
    z = p["z"] - p["z"].max(axis=1, keepdims=True)
    e = np.exp(z)
    q = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(p["labels"]))
    loss = -np.log(q[rows, p["labels"]]).mean()
    return {"q": q, "loss": loss}


def backward(p, cache, g):
    dz = cache["q"].copy()
    rows = np.arange(len(p["labels"]))
    dz[rows, p["labels"]] -= 1
    return {"dz": g * dz / len(p["labels"])}
""",
    "layer_norm": HEAD
    + """\
EPS = 1e-5


def inputs(rng, sizes):
    B, D = sizes["B"], sizes["D"]
    return {"x": rng.normal(size=(B, D)), "gamma": rng.normal(size=D), "beta": rng.normal(size=D)}


def forward(p):
    x = p["x"]
    centred = x - x.mean(axis=1, keepdims=True)
    var = (centred**2).mean(axis=1, keepdims=True)
    inv = 1 / np.sqrt(var + EPS)
    xhat = centred * inv
    return {"inv": inv, "xhat": xhat, "y": xhat * p["gamma"] + p["beta"]}


def backward(p, cache, g):
    xhat, inv = cache["xhat"], cache["inv"]
    dxhat = g * p["gamma"]
    mean = dxhat.mean(axis=1, keepdims=True)
    along = (dxhat * xhat).mean(axis=1, keepdims=True)
    dx = inv * (dxhat - mean - xhat * along)
    return {"dxhat": dxhat, "dx": dx, "dgamma": (g * xhat).sum(axis=0), "dbeta": g.sum(axis=0)}
""",
    "rnn": HEAD
    + """\
def inputs(rng, sizes):
    T, B, D, H = sizes["T"], sizes["B"], sizes["D"], sizes["H"]
    p = {"x": rng.normal(size=(T, B, D)), "h0": rng.normal(size=(B, H)), "b": rng.normal(size=H)}
    return {**p, "W": rng.normal(size=(D, H)), "U": rng.normal(size=(H, H)) / np.sqrt(H)}


def forward(p):
    T, B, _ = p["x"].shape
    h = np.zeros((T + 1, B, len(p["b"])))
    h[0] = p["h0"]
    for t in range(T):
        h[t + 1] = np.tanh(p["x"][t] @ p["W"] + h[t] @ p["U"] + p["b"])
    return {"h": h, "out": h[1:]}


def backward(p, cache, g):
    x, h = p["x"], cache["h"]
    dx, dW = np.zeros_like(x), np.zeros_like(p["W"])
    dU, db = np.zeros_like(p["U"]), np.zeros_like(p["b"])
    dh_next = np.zeros_like(p["h0"])
    for t in reversed(range(len(x))):
        dh = g[t] + dh_next
        da = dh * (1 - h[t + 1] ** 2)
        dW += x[t].T @ da
        dU += h[t].T @ da
        db += da.sum(axis=0)
        dx[t] = da @ p["W"].T
        dh_next = da @ p["U"].T
    return {"dx": dx, "dh0": dh_next, "dW": dW, "dU": dU, "db": db}
""",
    "lstm": HEAD
    + """\
GATES = "ifog"  # input, forget, output, candidate


def inputs(rng, sizes):
    T, B, D, H = sizes["T"], sizes["B"], sizes["D"], sizes["H"]
    p = {"x": rng.normal(size=(T, B, D)), "h0": rng.normal(size=(B, H)), "c0": rng.normal(size=(B, H))}
    for k in GATES:
        p["W" + k] = rng.normal(size=(D, H)) / np.sqrt(D)
        p["U" + k] = rng.normal(size=(H, H)) / np.sqrt(H)
        p["b" + k] = rng.normal(size=H)
    return p


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    T, B, _ = p["x"].shape
    H = p["h0"].shape[1]
    h, c = np.zeros((T + 1, B, H)), np.zeros((T + 1, B, H))
    i, f, o, n = (np.zeros((T, B, H)) for _ in GATES)
    h[0], c[0] = p["h0"], p["c0"]
    for t in range(T):
        x = p["x"][t]
        i[t] = sigmoid(x @ p["Wi"] + h[t] @ p["Ui"] + p["bi"])
        f[t] = sigmoid(x @ p["Wf"] + h[t] @ p["Uf"] + p["bf"])
        o[t] = sigmoid(x @ p["Wo"] + h[t] @ p["Uo"] + p["bo"])
        n[t] = np.tanh(x @ p["Wg"] + h[t] @ p["Ug"] + p["bg"])
        c[t + 1] = f[t] * c[t] + i[t] * n[t]
        h[t + 1] = o[t] * np.tanh(c[t + 1])
    return {"i": i, "f": f, "o": o, "n": n, "c": c, "h": h, "out": h[1:]}


def backward(p, cache, g):
    h, c = cache["h"], cache["c"]
    d = {"d" + k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = np.zeros_like(p["h0"]), np.zeros_like(p["c0"])
    for t in reversed(range(len(g))):
        i, f, o, n = cache["i"][t], cache["f"][t], cache["o"][t], cache["n"][t]
        dh = dh + g[t]
        tanh_c = np.tanh(c[t + 1])
        dc = dc + dh * o * (1 - tanh_c**2)
        da = {}
        da["i"] = dc * n * i * (1 - i)
        da["f"] = dc * c[t] * f * (1 - f)
        da["o"] = dh * tanh_c * o * (1 - o)
        da["g"] = dc * i * (1 - n**2)
        dc = dc * f
        dh = np.zeros_like(dh)
        for k in GATES:
            d["dW" + k] += p["x"][t].T @ da[k]
            d["dU" + k] += h[t].T @ da[k]
            d["db" + k] += da[k].sum(axis=0)
            d["dx"][t] += da[k] @ p["W" + k].T
            dh = dh + da[k] @ p["U" + k].T
    d["dh0"], d["dc0"] = dh, dc
    return d
""",
    "gru": HEAD
    + """\
GATES = "zrn"  # update, reset, candidate


def inputs(rng, sizes):
    T, B, D, H = sizes["T"], sizes["B"], sizes["D"], sizes["H"]
    p = {"x": rng.normal(size=(T, B, D)), "h0": rng.normal(size=(B, H))}
    for k in GATES:
        p["W" + k] = rng.normal(size=(D, H)) / np.sqrt(D)
        p["U" + k] = rng.normal(size=(H, H)) / np.sqrt(H)
        p["b" + k] = rng.normal(size=H)
    return p


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    h, steps = p["h0"], []
    for x in p["x"]:
        before = h
        z = sigmoid(x @ p["Wz"] + before @ p["Uz"] + p["bz"])
        r = sigmoid(x @ p["Wr"] + before @ p["Ur"] + p["br"])
        n = np.tanh(x @ p["Wn"] + (r * before) @ p["Un"] + p["bn"])
        h = (1 - z) * n + z * before
        steps.append((before, z, r, n, h))
    names = ("before", "z", "r", "n", "out")
    return {k: np.stack([s[j] for s in steps]) for j, k in enumerate(names)}


def backward(p, cache, g):
    d = {"d" + k: np.zeros_like(v) for k, v in p.items()}
    dh = np.zeros_like(p["h0"])
    for t in reversed(range(len(g))):
        before, z, r, n = (cache[k][t] for k in ("before", "z", "r", "n"))
        dh = dh + g[t]
        da = {}
        da["n"] = dh * (1 - z) * (1 - n**2)
        dgated = da["n"] @ p["Un"].T
        da["r"] = dgated * before * r * (1 - r)
        da["z"] = dh * (before - n) * z * (1 - z)
        seen = {"z": before, "r": before, "n": r * before}
        for k in GATES:
            d["dW" + k] += p["x"][t].T @ da[k]
            d["dU" + k] += seen[k].T @ da[k]
            d["db" + k] += da[k].sum(axis=0)
            d["dx"][t] += da[k] @ p["W" + k].T
        dh = dh * z + dgated * r + da["z"] @ p["Uz"].T + da["r"] @ p["Ur"].T
    d["dh0"] = dh
    return d
""",
    "attention": HEAD
    + """\
def inputs(rng, sizes):
    B, T, S, D, E = (sizes[k] for k in ("B", "T", "S", "D", "E"))
    allowed = rng.random((T, S)) < 0.7
    allowed[:, 0] = True  # every query may see something
    arrays = {"q": (B, T, D), "k": (B, S, D), "v": (B, S, E)}
    return {**{name: rng.normal(size=shape) for name, shape in arrays.items()}, "allowed": allowed}


def forward(p):
    q, k, v = p["q"], p["k"], p["v"]
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    scores = np.where(p["allowed"], scores, -1e30)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = e / e.sum(axis=-1, keepdims=True)
    return {"weights": weights, "out": weights @ v}


def backward(p, cache, g):
    q, k, v, w = p["q"], p["k"], p["v"], cache["weights"]
    dv = w.transpose(0, 2, 1) @ g
    dw = g @ v.transpose(0, 2, 1)
    dscores = w * (dw - (dw * w).sum(axis=-1, keepdims=True))
    dscores = dscores / np.sqrt(q.shape[-1])
    return {"dq": dscores @ k, "dk": dscores.transpose(0, 2, 1) @ q, "dv": dv}
""",
    "embedding": HEAD
    + """\
def inputs(rng, sizes):
    B, T, V, D = sizes["B"], sizes["T"], sizes["V"], sizes["D"]
    ids = rng.integers(0, V, size=(B, T))
    ids[0, 0] = ids[-1, -1]  # a token that repeats
    return {"ids": ids, "E": rng.normal(size=(V, D))}


def forward(p):
    return {"out": p["E"][p["ids"]]}


def backward(p, cache, g):
    dE = np.zeros_like(p["E"])
    np.add.at(dE, p["ids"], g)
    return {"dE": dE}
""",
}
