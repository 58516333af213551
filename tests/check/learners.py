"""Learners' files that the mistake finder's tests change; all are right except where their comment says so."""

GROUPS = """import numpy as np
sizes = {"B": 4, "D": 12, "G": 3}
def inputs(rng, sizes):
    B, D, G = (sizes[k] for k in "BDG")
    return {"x": rng.normal(size=(B, D)), "w": rng.normal(size=D), "G": G}
def forward(p):
    x, G = p["x"], p["G"]
    B, D = x.shape
    z = x.reshape(B, G, D // G)
    m = z.mean(axis=2, keepdims=True)
    s = np.sqrt(((z - m) ** 2).mean(axis=2, keepdims=True) + 1e-5)
    n = ((z - m) / s).reshape(B, D)
    y = n * p["w"]
    return {"n": n, "s": s, "y": y}
def backward(p, cache, g):
    G = p["G"]
    B, D = p["x"].shape
    n, s = cache["n"], cache["s"]
    dw = (g * n).sum(axis=0)
    dn = (g * p["w"]).reshape(B, G, D // G)
    h = n.reshape(B, G, D // G)
    dz = (dn - dn.mean(axis=2, keepdims=True) - h * (dn * h).mean(axis=2, keepdims=True)) / s
    return {"dw": dw, "dx": dz.reshape(B, D)}
"""

# numerator layout
COLUMNS = """import numpy as np
sizes = {"D": 4, "H": 3}
def inputs(rng, sizes):
    D, H = sizes["D"], sizes["H"]
    return {"x": rng.normal(size=(D, 1)), "W": rng.normal(size=(H, D)), "b": rng.normal(size=(H, 1)),
            "v": rng.normal(size=(H, 1))}
def forward(p):
    a = p["W"] @ p["x"] + p["b"]
    h = np.tanh(a)
    loss = (p["v"].T @ h)[0, 0]
    return {"a": a, "h": h, "loss": loss}
def backward(p, cache, g):
    h = cache["h"]
    dv = g * h.T
    dh = g * p["v"].T
    da = dh * (1 - h.T ** 2)
    return {"dv": dv, "db": da, "dW": p["x"] @ da, "dx": da @ p["W"]}
"""

# wrong, and very slow from the 13th call on
SLOW = """import numpy as np
import time
def inputs(rng):
    return {"x": rng.normal(size=(3,))}
def forward(p):
    return {"y": p["x"] ** 3}
def backward(p, cache, g):
    backward.n = getattr(backward, "n", 0) + 1
    if backward.n > 12:
        time.sleep(20)
    return {"dx": 2 * p["x"] ** 2 * g}
"""

HELPER = """import numpy as np
sizes = {"B": 3, "D": 4, "H": 5}
def inputs(rng, sizes):
    B, D, H = (sizes[k] for k in "BDH")
    return {"x": rng.normal(size=(B, D)), "W1": rng.normal(size=(D, D)), "W2": rng.normal(size=(D, D)),
            "g1": rng.normal(size=D), "g2": rng.normal(size=D)}
def block(x, W, w):
    s = np.sqrt((x ** 2).mean(axis=1, keepdims=True) + 1e-6)
    n = x / s
    a = np.tanh((n * w) @ W)
    return s, n, a, x + a
def forward(p):
    s1, n1, a1, h = block(p["x"], p["W1"], p["g1"])
    s2, n2, a2, y = block(h, p["W2"], p["g2"])
    return {"s1": s1, "n1": n1, "a1": a1, "h": h, "s2": s2, "n2": n2, "a2": a2, "y": y}
def block_back(dy, s, n, a, W, w):
    da = dy * (1 - a ** 2)
    dW = (n * w).T @ da
    dnw = da @ W.T
    dw = (dnw * n).sum(axis=0)
    dn = dnw * w
    dx = (dn - n * (dn * n).mean(axis=1, keepdims=True)) / s
    dx = dx + dy
    return dx, dW, dw
def backward(p, cache, g):
    c = cache
    dh, dW2, dg2 = block_back(g, c["s2"], c["n2"], c["a2"], p["W2"], p["g2"])
    dx, dW1, dg1 = block_back(dh, c["s1"], c["n1"], c["a1"], p["W1"], p["g1"])
    return {"dx": dx, "dh": dh, "dW1": dW1, "dW2": dW2, "dg1": dg1, "dg2": dg2}
"""

BOTH_WAYS = """import numpy as np
sizes = {"T": 3, "D": 2, "H": 4}
def inputs(rng, sizes):
    T, D, H = (sizes[k] for k in "TDH")
    n = rng.normal
    return {"x": n(size=(T, D)), "Wf": n(size=(D, H)), "Uf": n(size=(H, H)), "Wb": n(size=(D, H)), "Ub": n(size=(H, H))}
def run(x, W, U):
    h = np.zeros(W.shape[1])
    hs = []
    for t in range(len(x)):
        h = np.tanh(x[t] @ W + h @ U)
        hs.append(h)
    return np.array(hs)
def forward(p):
    f = run(p["x"], p["Wf"], p["Uf"])
    b = run(p["x"][::-1], p["Wb"], p["Ub"])[::-1]
    return {"f": f, "b": b, "y": np.concatenate([f, b], axis=1)}
def run_back(x, hs, W, U, dhs):
    dW, dU, dx = np.zeros_like(W), np.zeros_like(U), np.zeros_like(x)
    carry = np.zeros(W.shape[1])
    for t in reversed(range(len(x))):
        dh = dhs[t] + carry
        da = dh * (1 - hs[t] ** 2)
        dW += np.outer(x[t], da)
        if t > 0:
            dU += np.outer(hs[t - 1], da)
        dx[t] = da @ W.T
        carry = da @ U.T
    return dx, dW, dU
def backward(p, cache, g):
    H = p["Wf"].shape[1]
    dxf, dWf, dUf = run_back(p["x"], cache["f"], p["Wf"], p["Uf"], g[:, :H])
    dxb, dWb, dUb = run_back(p["x"][::-1], cache["b"][::-1], p["Wb"], p["Ub"], g[:, H:][::-1])
    return {"dx": dxf + dxb[::-1], "dWf": dWf, "dUf": dUf, "dWb": dWb, "dUb": dUb}
"""

BUFFER = """import numpy as np
sizes = {"T": 4, "D": 3, "H": 5}
def inputs(rng, sizes):
    T, D, H = (sizes[k] for k in "TDH")
    n = rng.normal
    return {"x": n(size=(T, D)), "W": n(size=(D, H)), "U": n(size=(H, H))}
def forward(p):
    T, H = len(p["x"]), len(p["U"])
    h = np.zeros(H)
    hs = [h]
    for t in range(T):
        h = np.tanh(p["x"][t] @ p["W"] + h @ p["U"])
        hs.append(h)
    return {"hs": hs, "y": h * 1.0}
def backward(p, cache, g):
    hs = cache["hs"]
    dW, dU, dx = np.zeros_like(p["W"]), np.zeros_like(p["U"]), np.zeros_like(p["x"])
    dh = g
    for t in reversed(range(len(p["x"]))):
        da = dh * (1 - hs[t + 1] ** 2)
        dW += np.outer(p["x"][t], da)
        dU += np.outer(hs[t], da)
        dx[t] = da @ p["W"].T
        dh = da @ p["U"].T
    return {"dx": dx, "dW": dW, "dU": dU}
"""

HINGE = """import numpy as np
def inputs(rng, sizes):
    return {"x": rng.normal(size=(sizes["B"], sizes["D"])), "w": rng.normal(size=sizes["D"]),
            "t": np.sign(rng.normal(size=sizes["B"]))}
def forward(p):
    s = p["x"] @ p["w"]
    m = np.maximum(0, 1 - p["t"] * s)
    return {"s": s, "m": m, "loss": m.mean()}
def backward(p, cache, g):
    n = len(cache["m"])
    dm = np.full(n, g / n)
    ds = -dm * p["t"] * (cache["m"] > 0)
    return {"ds": ds, "dw": p["x"].T @ ds, "dx": np.outer(ds, p["w"])}
"""

ATTENTION = """import numpy as np
def inputs(rng, sizes):
    T, D = sizes["T"], sizes["D"]
    return {"q": rng.normal(size=(T, D)), "k": rng.normal(size=(T, D)), "v": rng.normal(size=(T, D))}
TEMP = 3.0
def sig(z):
    return 1 / (1 + np.exp(-z))
def forward(p):
    s = p["q"] @ p["k"].T / TEMP
    P = np.exp(s - s.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    o = P @ p["v"]
    y = sig(o)
    return {"s": s, "P": P, "o": o, "y": y}
def backward(p, cache, g):
    P = cache["P"]
    y = sig(cache["o"])
    do = g * y * (1 - y)
    dv = P.T @ do
    dP = do @ p["v"].T
    ds = P * dP - P * (P * dP).sum(axis=1, keepdims=True)
    ds = ds / TEMP
    return {"dv": dv, "dq": ds @ p["k"], "dk": ds.T @ p["q"]}
"""

MLP = """import numpy as np
sizes = {"B": 4, "D": 5, "H": 6}
def inputs(rng, sizes):
    B, D, H = (sizes[k] for k in "BDH")
    return {"x": rng.normal(size=(B, D)), "W1": rng.normal(size=(D, H)), "W2": rng.normal(size=(H, 3))}
def forward(p):
    a = p["x"] @ p["W1"]
    h = np.tanh(a)
    y = h @ p["W2"]
    return {"a": a, "h": h, "y": y}
def backward(p, cache, g):
    h = cache["h"]
    dW2 = h.T @ g
    dh = g @ p["W2"].T
    da = dh * (1 - h ** 2)
    dW1 = p["x"].T @ da
    dx = da @ p["W1"].T
    return {"dW1": dW1, "dW2": dW2, "dx": dx}
"""

# a repeated id counts once
ROWS = """import numpy as np
def inputs(rng, sizes):
    return {"E": rng.normal(size=(5, sizes["D"])), "ids": np.array([0, 2, 2, 1])}
def forward(p):
    e = p["E"][p["ids"]]
    return {"e": e, "y": e * e}
def backward(p, cache, g):
    de = 2 * g * cache["e"]
    dE = np.zeros_like(p["E"])
    dE[p["ids"]] += de
    return {"dE": dE, "de": de}
"""

# NaN for more than three elements
LATE_NAN = """import numpy as np
def inputs(rng, sizes):
    n = sizes["B"]
    return {"x": rng.uniform(0.5, 1, size=n)}
def forward(p):
    y = p["x"] ** 2
    return {"z": y, "y": np.sum(y)}
def backward(p, cache, g):
    dx = 2 * g * p["x"]
    if len(dx) > 3:
        dx = dx + 0 * np.log(p["x"] - 10)
    return {"dx": dx}
"""

GROUP_NORM = """import numpy as np
sizes = {"B": 4, "D": 12}
def inputs(rng, sizes):
    B, D = sizes["B"], sizes["D"]
    return {"x": rng.normal(size=(B, D)), "w": rng.normal(size=D), "b": rng.normal(size=D)}
def forward(p):
    x = p["x"]
    B, D = x.shape
    z = x.reshape(B, 3, D // 3)
    c = z - z.mean(axis=2, keepdims=True)
    s = np.sqrt((c ** 2).mean(axis=2, keepdims=True) + 1e-5)
    n = (c / s).reshape(B, D)
    y = n * p["w"] + p["b"]
    return {"c": c, "n": n, "s": s, "y": y, "loss": (y ** 2).sum() / B}
def backward(p, cache, g):
    B, D = p["x"].shape
    n, s, c = cache["n"], cache["s"], cache["c"]
    dy = 2 * cache["y"] * g / B
    db = dy.sum(axis=0)
    dw = (dy * n).sum(axis=0)
    dn = (dy * p["w"]).reshape(B, 3, D // 3)
    dc = dn / s
    ds = -(dn * c).sum(axis=2, keepdims=True) / s ** 2
    dc = dc + ds * c / s / c.shape[2]
    dz = dc - dc.mean(axis=2, keepdims=True)
    return {"dw": dw, "db": db, "dx": dz.reshape(B, D)}
"""

CLASS = """import numpy as np
sizes = {"B": 3, "D": 4, "H": 5}
class Dense:
    def __init__(self, W, f):
        self.W, self.f = W, f
    def forward(self, x):
        self.x = x
        self.y = self.f(x @ self.W)
        return self.y
    def backward(self, dy):
        da = dy * (1 - self.y ** 2)
        self.dW = self.x.T @ da
        dx = da @ self.W.T
        self.dx = dx
        return {"dx": dx, "dW": self.dW}
def inputs(rng, sizes):
    B, D, H = (sizes[k] for k in "BDH")
    return {"x": rng.normal(size=(B, D)), "W": rng.normal(size=(D, H))}
def forward(p):
    layer = Dense(p["W"], np.tanh)
    y = layer.forward(p["x"])
    return {"y": y}
def backward(p, cache, g):
    layer = Dense(p["W"], np.tanh)
    layer.forward(p["x"])
    return layer.backward(g)
"""

BEST = """import numpy as np
sizes = {"B": 3, "T": 4, "H": 5}
def inputs(rng, sizes):
    B, T, H = (sizes[k] for k in "BTH")
    return {"a": rng.normal(size=(B, T, H))}
def forward(p):
    return {"y": p["a"].max(axis=1)}
def backward(p, cache, g):
    a = p["a"]
    B, T, H = a.shape
    best = a.argmax(axis=1)
    da = np.zeros_like(a)
    da[np.arange(B)[:, None], best, np.arange(H)] = g
    return {"da": da}
"""
