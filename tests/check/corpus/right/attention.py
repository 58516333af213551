"""Single-head attention of one sequence: square projections, every intermediate."""

import numpy as np

sizes = {"T": 5, "d": 7}


def inputs(rng, sizes):
    T, d = sizes["T"], sizes["d"]
    p = {"x": rng.normal(size=(T, d))}
    for name in ("Wq", "Wk", "Wv"):
        p[name] = rng.normal(size=(d, d)) * 0.5
    return p


def softmax_rows(s):
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(p):
    Q = p["x"] @ p["Wq"]
    K = p["x"] @ p["Wk"]
    V = p["x"] @ p["Wv"]
    S = Q @ K.T / np.sqrt(Q.shape[1])
    A = softmax_rows(S)
    O = A @ V
    return {"Q": Q, "K": K, "V": V, "S": S, "A": A, "O": O}


def backward(p, cache, g):
    x, Q, K, V, A = p["x"], cache["Q"], cache["K"], cache["V"], cache["A"]
    dV = A.T @ g
    dA = g @ V.T
    dS = A * (dA - (dA * A).sum(axis=1, keepdims=True))
    scale = 1 / np.sqrt(Q.shape[1])
    dQ = dS @ K * scale
    dK = dS.T @ Q * scale
    dWq = x.T @ dQ
    dWk = x.T @ dK
    dWv = x.T @ dV
    dx = dQ @ p["Wq"].T + dK @ p["Wk"].T + dV @ p["Wv"].T
    return {"dA": dA, "dS": dS, "dQ": dQ, "dK": dK, "dV": dV, "dx": dx, "dWq": dWq, "dWk": dWk, "dWv": dWv}
