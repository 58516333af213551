"""带窥视孔的 LSTM：门可以看到细胞状态。"""

import numpy as np

sizes = {"T": 3, "B": 2, "D": 3, "H": 5}


def inputs(rng, sizes):
    T, B, D, H = sizes["T"], sizes["B"], sizes["D"], sizes["H"]
    p = {"x": rng.normal(size=(T, B, D)), "W": rng.normal(size=(D, 4 * H)) * 0.6}
    p["U"] = rng.normal(size=(H, 4 * H)) * 0.5
    p["b"] = rng.normal(size=4 * H) * 0.3
    for k in ("pi", "pf", "po"):
        p[k] = rng.normal(size=H)
    return p


def s(a):
    return 1.0 / (1.0 + np.exp(-a))


def forward(p):
    x = p["x"]
    T, B, _ = x.shape
    H = p["pi"].size
    i, f, u, o = np.zeros((T, B, H)), np.zeros((T, B, H)), np.zeros((T, B, H)), np.zeros((T, B, H))
    c = np.zeros((T + 1, B, H))
    h = np.zeros((T + 1, B, H))
    for t in range(T):
        a = x[t] @ p["W"] + h[t] @ p["U"] + p["b"]
        i[t] = s(a[:, :H] + p["pi"] * c[t])  # 输入门
        f[t] = s(a[:, H : 2 * H] + p["pf"] * c[t])  # 遗忘门
        u[t] = np.tanh(a[:, 2 * H : 3 * H])
        c[t + 1] = f[t] * c[t] + i[t] * u[t]
        o[t] = s(a[:, 3 * H :] + p["po"] * c[t + 1])  # 输出门看的是新的 c
        h[t + 1] = o[t] * np.tanh(c[t + 1])
    return {"i": i, "f": f, "u": u, "o": o, "c": c, "h": h, "out": h[1:]}


def backward(p, cache, g):
    i, f, u, o = cache["i"], cache["f"], cache["u"], cache["o"]
    c, h, x = cache["c"], cache["h"], p["x"]
    d = {"d" + k: np.zeros(p[k].shape) for k in p}
    dh_next = np.zeros_like(h[0])
    dc_next = np.zeros_like(c[0])
    for t in range(len(x) - 1, -1, -1):
        dh = g[t] + dh_next
        tc = np.tanh(c[t + 1])
        zo = dh * tc * o[t] * (1 - o[t])
        dc = dc_next + dh * o[t] * (1 - tc * tc) + zo * p["po"]
        zi = dc * u[t] * i[t] * (1 - i[t])
        zf = dc * c[t] * f[t] * (1 - f[t])
        zu = dc * i[t] * (1 - u[t] ** 2)
        z = np.hstack([zi, zf, zu, zo])
        d["dW"] += x[t].T @ z
        d["dU"] += h[t].T @ z
        d["db"] += z.sum(0)
        d["dpi"] += (zi * c[t]).sum(0)
        d["dpf"] += (zf * c[t]).sum(0)
        d["dpo"] += (zo * c[t + 1]).sum(0)
        d["dx"][t] = z @ p["W"].T
        dh_next = z @ p["U"].T
        dc_next = dc * f[t] + zi * p["pi"] + zf * p["pf"]
    return d
