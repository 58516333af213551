"""Batch norm in training mode, step by step over the batch axis, every intermediate."""

import numpy as np

sizes = {"N": 5, "D": 3}
eps = 1e-5


def inputs(rng, sizes):
    N, D = sizes["N"], sizes["D"]
    return {"x": 2 * rng.normal(size=(N, D)) + 1, "gamma": rng.normal(size=D), "beta": rng.normal(size=D)}


def forward(p):
    mean = p["x"].mean(axis=0)
    xmu = p["x"] - mean
    sq = xmu**2
    var = sq.mean(axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1 / sqrtvar
    xhat = xmu * ivar
    out = p["gamma"] * xhat + p["beta"]
    return {"xmu": xmu, "var": var, "sqrtvar": sqrtvar, "ivar": ivar, "xhat": xhat, "out": out}


def backward(p, cache, g):
    N = len(g)
    xmu, ivar, sqrtvar = cache["xmu"], cache["ivar"], cache["sqrtvar"]
    dbeta = np.sum(g, axis=0)
    dgamma = np.sum(g * cache["xhat"], axis=0)
    dxhat = g * p["gamma"]
    divar = np.sum(dxhat * xmu, axis=0)
    dsqrtvar = -divar / sqrtvar**2
    dvar = 0.5 * dsqrtvar / sqrtvar
    dsq = np.ones_like(g) * dvar / N
    dxmu = dxhat * ivar + 2 * xmu * dsq
    dmean = -np.sum(dxmu, axis=0)
    dx = dxmu + dmean / N
    return {
        "dxhat": dxhat,
        "divar": divar,
        "dsqrtvar": dsqrtvar,
        "dvar": dvar,
        "dxmu": dxmu,
        "dx": dx,
        "dgamma": dgamma,
        "dbeta": dbeta,
    }
