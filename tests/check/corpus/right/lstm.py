"""An LSTM over time with one weight per gate acting on [x, h]; the caches are lists."""

import numpy as np

sizes = {"B": 2, "T": 3, "D": 3, "H": 5}


def inputs(rng, sizes):
    B, T, D, H = (sizes[k] for k in ("B", "T", "D", "H"))
    p = {"x": rng.normal(size=(T, B, D)), "h0": rng.normal(size=(B, H)), "c0": rng.normal(size=(B, H))}
    for gate in "ifog":
        p["W" + gate] = rng.normal(size=(D + H, H)) * 0.5
        p["b" + gate] = rng.normal(size=H) * 0.5
    return p


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    h, c = p["h0"], p["c0"]
    zs, gates, cs, hs = [], [], [c], []
    for t in range(len(p["x"])):
        z = np.concatenate([p["x"][t], h], axis=1)
        i = sigmoid(z @ p["Wi"] + p["bi"])
        f = sigmoid(z @ p["Wf"] + p["bf"])
        o = sigmoid(z @ p["Wo"] + p["bo"])
        q = np.tanh(z @ p["Wg"] + p["bg"])
        c = f * c + i * q
        h = o * np.tanh(c)
        zs.append(z)
        gates.append((i, f, o, q))
        cs.append(c)
        hs.append(h)
    return {"zs": zs, "gates": gates, "cs": cs, "out": np.stack(hs)}


def backward(p, cache, g):
    T, _, D = p["x"].shape
    grads = {"d" + k: np.zeros_like(v) for k, v in p.items()}
    dh_next = np.zeros_like(p["h0"])
    dc_next = np.zeros_like(p["c0"])
    for t in reversed(range(T)):
        z = cache["zs"][t]
        i, f, o, q = cache["gates"][t]
        c, c_prev = cache["cs"][t + 1], cache["cs"][t]
        dh = g[t] + dh_next
        do = dh * np.tanh(c)
        dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)
        df = dc * c_prev
        di = dc * q
        dq = dc * i
        dc_next = dc * f
        dai = di * i * (1 - i)
        daf = df * f * (1 - f)
        dao = do * o * (1 - o)
        daq = dq * (1 - q**2)
        grads["dWi"] += z.T @ dai
        grads["dWf"] += z.T @ daf
        grads["dWo"] += z.T @ dao
        grads["dWg"] += z.T @ daq
        grads["dbi"] += dai.sum(axis=0)
        grads["dbf"] += daf.sum(axis=0)
        grads["dbo"] += dao.sum(axis=0)
        grads["dbg"] += daq.sum(axis=0)
        dz = dai @ p["Wi"].T + daf @ p["Wf"].T + dao @ p["Wo"].T + daq @ p["Wg"].T
        grads["dx"][t] = dz[:, :D]
        dh_next = dz[:, D:]
    grads["dh0"] = dh_next
    grads["dc0"] = dc_next
    return grads
