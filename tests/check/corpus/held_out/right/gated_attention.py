"""Self-attention whose output is gated by sigmoid(x Wg), one sequence."""

import numpy as np


def inputs(rng, sizes):
    T, D, H = sizes["T"], sizes["D"], sizes["H"]

    def w(*shape):
        return rng.normal(size=shape) / np.sqrt(shape[0])

    return {"X": rng.normal(size=(T, D)), "Wq": w(D, H), "Wk": w(D, H), "Wv": w(D, H), "Wg": w(D, H), "Wo": w(H, D)}


def forward(p):
    X = p["X"]
    Q, K, V = X @ p["Wq"], X @ p["Wk"], X @ p["Wv"]
    S = (Q @ K.T) / np.sqrt(Q.shape[1])
    P = np.exp(S - np.max(S, axis=1).reshape(-1, 1))
    P = P / np.sum(P, axis=1).reshape(-1, 1)
    Z = P @ V
    G = 1 / (1 + np.exp(-(X @ p["Wg"])))
    M = G * Z
    out = M @ p["Wo"] + X
    return {"Q": Q, "K": K, "V": V, "P": P, "Z": Z, "G": G, "M": M, "out": out}


def backward(p, cache, g):
    X = p["X"]
    Q, K, V, P, Z, G, M = (cache[n] for n in ["Q", "K", "V", "P", "Z", "G", "M"])
    dWo = M.T @ g
    dM = g @ p["Wo"].T
    dG = dM * Z
    dZ = dM * G
    dU = dG * G * (1 - G)
    dP = dZ @ V.T
    dV = P.T @ dZ
    dS = P * dP - P * np.sum(P * dP, axis=1).reshape(-1, 1)
    dS /= np.sqrt(Q.shape[1])
    dQ = dS @ K
    dK = dS.T @ Q
    dX = g + dU @ p["Wg"].T + dQ @ p["Wq"].T + dK @ p["Wk"].T + dV @ p["Wv"].T
    return {"dWo": dWo, "dWg": X.T @ dU, "dWq": X.T @ dQ, "dWk": X.T @ dK, "dWv": X.T @ dV, "dX": dX}
