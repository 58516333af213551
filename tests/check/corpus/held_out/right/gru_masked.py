"""GRU with the reset gate after the matrix product; finished sequences keep their state (mask)."""

import numpy as np

sizes = {"T": 5, "B": 3, "D": 2, "H": 3}


def inputs(rng, sizes):
    T, B, D, H = sizes["T"], sizes["B"], sizes["D"], sizes["H"]
    lengths = np.array([T, T - 2, T - 1])
    p = {"x": rng.normal(size=(T, B, D)), "h0": rng.normal(size=(B, H))}
    p["m"] = (np.arange(T)[:, None] < lengths).astype(int)
    for k in "rzn":
        p["W" + k], p["R" + k] = rng.normal(size=(H, D)), rng.normal(size=(H, H)) * 0.6
        p["b" + k] = rng.normal(size=H)
    p["c"] = rng.normal(size=H)
    return p


def sig(x):
    return 1 / (1 + np.exp(-x))


def forward(p):
    T = p["x"].shape[0]
    h = p["h0"]
    steps, hs = [], []
    for t in range(T):
        xt, m = p["x"][t], p["m"][t].reshape(-1, 1)
        r = sig(xt @ p["Wr"].T + h @ p["Rr"].T + p["br"])
        z = sig(xt @ p["Wz"].T + h @ p["Rz"].T + p["bz"])
        q = h @ p["Rn"].T + p["c"]
        n = np.tanh(xt @ p["Wn"].T + p["bn"] + r * q)
        h_new = (1 - z) * n + z * h
        steps.append({"h": h, "r": r, "z": z, "q": q, "n": n})
        h = m * h_new + (1 - m) * h
        hs.append(h)
    return {"steps": steps, "hs": np.array(hs)}


def backward(p, cache, g):
    d = {"d" + k: np.zeros(np.shape(v)) for k, v in p.items() if k != "m"}
    dh_next = 0
    for t in reversed(range(len(g))):
        s = cache["steps"][t]
        h, r, z, q, n = s["h"], s["r"], s["z"], s["q"], s["n"]
        xt, m = p["x"][t], p["m"][t].reshape(-1, 1)
        dh = g[t] + dh_next
        dnew = m * dh
        dprev = (1 - m) * dh
        dz = dnew * (h - n)
        dn = dnew * (1 - z)
        dprev = dprev + dnew * z
        da_n = dn * (1 - n**2)
        dr = da_n * q
        dq = da_n * r
        da_r = dr * r * (1 - r)
        da_z = dz * z * (1 - z)
        d["dWn"] += da_n.T @ xt
        d["dbn"] += da_n.sum(0)
        d["dRn"] += dq.T @ h
        d["dc"] += dq.sum(0)
        d["dWr"] += da_r.T @ xt
        d["dRr"] += da_r.T @ h
        d["dbr"] += da_r.sum(0)
        d["dWz"] += da_z.T @ xt
        d["dRz"] += da_z.T @ h
        d["dbz"] += da_z.sum(0)
        d["dx"][t] = da_n @ p["Wn"] + da_r @ p["Wr"] + da_z @ p["Wz"]
        dh_next = dprev + dq @ p["Rn"] + da_r @ p["Rr"] + da_z @ p["Rz"]
    d["dh0"] = dh_next
    return d
