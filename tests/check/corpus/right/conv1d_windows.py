"""A padded 1-d convolution as one product over windows (im2col), channels last, stride 2."""

import numpy as np

sizes = {"T": 7, "I": 3, "O": 5}
K, PAD, STRIDE = 3, 1, 2


def inputs(rng, sizes):
    T, I, O = sizes["T"], sizes["I"], sizes["O"]
    return {"signal": rng.normal(size=(T, I)), "filt": rng.normal(size=(K * I, O)), "bias": rng.normal(size=O)}


def window_index(T):
    starts = np.arange(0, T + 2 * PAD - K + 1, STRIDE)
    return starts[:, None] + np.arange(K)[None, :]


def forward(p):
    T, I = p["signal"].shape
    padded = np.concatenate([np.zeros((PAD, I)), p["signal"], np.zeros((PAD, I))])
    idx = window_index(T)
    cols = padded[idx].reshape(len(idx), K * I)
    out = cols @ p["filt"] + p["bias"]
    return {"cols": cols, "out": out}


def backward(p, cache, g):
    T, I = p["signal"].shape
    idx = window_index(T)
    dfilt = cache["cols"].T @ g
    dbias = g.sum(axis=0)
    dcols = (g @ p["filt"].T).reshape(len(idx), K, I)
    dpadded = np.zeros((T + 2 * PAD, I))
    np.add.at(dpadded, idx, dcols)
    return {"dsignal": dpadded[PAD : PAD + T], "dfilt": dfilt, "dbias": dbias}
