"""Multi-class SVM with an L2 penalty, vectorised as in a course's first assignment."""

import numpy as np

reg = 0.05


def inputs(rng, sizes):
    N, D, C = sizes["N"], sizes["D"], sizes["C"]
    return {"X": rng.normal(size=(N, D)), "W": rng.normal(size=(D, C)), "y": rng.integers(0, C, size=N)}


def forward(p):
    X, W, y = p["X"], p["W"], p["y"]
    num_train = X.shape[0]
    scores = X.dot(W)
    correct = scores[np.arange(num_train), y].reshape(-1, 1)
    margins = np.maximum(0, scores - correct + 1.0)
    margins[np.arange(num_train), y] = 0
    loss = margins.sum() / num_train + reg * np.sum(W * W)
    return {"scores": scores, "margins": margins, "loss": loss}


def backward(p, cache, g):
    X, W, y = p["X"], p["W"], p["y"]
    num_train = X.shape[0]
    mask = (cache["margins"] > 0).astype(float)
    count = mask.sum(axis=1)
    mask[np.arange(num_train), y] = -count
    dscores = mask / num_train
    dW = X.T.dot(dscores)
    dW += 2 * reg * W
    dX = dscores.dot(W.T)
    return {"dW": g * dW, "dX": g * dX}
