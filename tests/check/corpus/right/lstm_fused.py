"""An LSTM whose four gates share one weight matrix, gate order i, f, g, o; arrays over time filled in place."""

import numpy as np

sizes = {"B": 2, "T": 3, "D": 5, "H": 3}


def inputs(rng, sizes):
    B, T, D, H = (sizes[k] for k in ("B", "T", "D", "H"))
    return {
        "X": rng.normal(size=(B, T, D)),
        "W": rng.normal(size=(D, 4 * H)) * 0.5,
        "U": rng.normal(size=(H, 4 * H)) * 0.5,
        "b": rng.normal(size=4 * H) * 0.3,
    }


def expit(v):
    return 1.0 / (1.0 + np.exp(-v))


def forward(p):
    B, T, _ = p["X"].shape
    H = p["U"].shape[0]
    acts = np.zeros((T, B, 4 * H))
    C = np.zeros((T + 1, B, H))
    Hs = np.zeros((T + 1, B, H))
    for t in range(T):
        pre = p["X"][:, t] @ p["W"] + Hs[t] @ p["U"] + p["b"]
        acts[t] = expit(pre)
        acts[t, :, 2 * H : 3 * H] = np.tanh(pre[:, 2 * H : 3 * H])
        i, f, q, o = np.split(acts[t], 4, axis=1)
        C[t + 1] = f * C[t] + i * q
        Hs[t + 1] = o * np.tanh(C[t + 1])
    return {"acts": acts, "C": C, "Hs": Hs, "out": Hs[-1]}


def backward(p, cache, g):
    T = p["X"].shape[1]
    acts, C, Hs = cache["acts"], cache["C"], cache["Hs"]
    dX, dW, dU = np.zeros_like(p["X"]), np.zeros_like(p["W"]), np.zeros_like(p["U"])
    db = np.zeros_like(p["b"])
    dh, dc = g, np.zeros_like(g)
    for t in range(T - 1, -1, -1):
        i, f, q, o = np.split(acts[t], 4, axis=1)
        tc = np.tanh(C[t + 1])
        dc = dc + dh * o * (1 - tc**2)
        dpre = np.concatenate(
            [
                dc * q * i * (1 - i),
                dc * C[t] * f * (1 - f),
                dc * i * (1 - q**2),
                dh * tc * o * (1 - o),
            ],
            axis=1,
        )
        dW += p["X"][:, t].T @ dpre
        dU += Hs[t].T @ dpre
        db += dpre.sum(0)
        dX[:, t] = dpre @ p["W"].T
        dh = dpre @ p["U"].T
        dc = dc * f
    return {"dX": dX, "dW": dW, "dU": dU, "db": db}
