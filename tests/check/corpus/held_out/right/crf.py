"""Linear-chain CRF of one sentence: log partition by the forward recursion, gradient through the same recursion."""

import numpy as np

sizes = {"T": 5, "K": 3}


def inputs(rng, sizes):
    T, K = sizes["T"], sizes["K"]
    tags = rng.integers(0, K, size=T)
    tags[2:4] = tags[:2]
    return {"emit": rng.normal(size=(T, K)), "trans": rng.normal(size=(K, K)), "tags": tags}


def lse(a, axis):
    top = a.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(a - top).sum(axis=axis))


def forward(p):
    emit, trans, tags = p["emit"], p["trans"], p["tags"]
    T, K = emit.shape
    alpha = np.zeros((T, K))
    alpha[0] = emit[0]
    for t in range(1, T):
        alpha[t] = emit[t] + lse(alpha[t - 1][:, None] + trans, axis=0)
    logZ = lse(alpha[T - 1], axis=0)
    score = emit[np.arange(T), tags].sum() + trans[tags[:-1], tags[1:]].sum()
    return {"alpha": alpha, "logZ": logZ, "loss": logZ - score}


def backward(p, cache, g):
    emit, trans, tags = p["emit"], p["trans"], p["tags"]
    alpha, T = cache["alpha"], len(p["emit"])
    demit = np.zeros_like(emit)
    dtrans = np.zeros_like(trans)
    dalpha = g * np.exp(alpha[-1] - cache["logZ"])
    for t in range(T - 1, 0, -1):
        demit[t] += dalpha
        a = alpha[t - 1][:, None] + trans
        w = np.exp(a - lse(a, axis=0)[None, :])
        dtrans += w * dalpha
        dalpha = w @ dalpha
    demit[0] += dalpha
    for t in range(T):
        demit[t, tags[t]] -= g
    for t in range(1, T):
        dtrans[tags[t - 1], tags[t]] -= g
    return {"demit": demit, "dtrans": dtrans}
