"""Layer norm, one small step per line, every intermediate."""

import numpy as np

sizes = {"B": 3, "d": 7}
EPS = 1e-5


def inputs(rng, sizes):
    B, d = sizes["B"], sizes["d"]
    return {"x": rng.normal(size=(B, d)) + 0.5, "gamma": rng.normal(size=d), "beta": rng.normal(size=d)}


def forward(p):
    mu = p["x"].mean(axis=1, keepdims=True)
    xc = p["x"] - mu
    var = (xc**2).mean(axis=1, keepdims=True)
    std = np.sqrt(var + EPS)
    xhat = xc / std
    y = p["gamma"] * xhat + p["beta"]
    return {"mu": mu, "xc": xc, "var": var, "std": std, "xhat": xhat, "y": y}


def backward(p, cache, g):
    d = p["x"].shape[1]
    xc, std = cache["xc"], cache["std"]
    dgamma = (g * cache["xhat"]).sum(axis=0)
    dbeta = g.sum(axis=0)
    dxhat = g * p["gamma"]
    dstd = -(dxhat * xc).sum(axis=1, keepdims=True) / std**2
    dvar = dstd / (2 * std)
    dxc = dxhat / std
    dxc = dxc + dvar * 2 * xc / d
    dmu = -dxc.sum(axis=1, keepdims=True)
    dx = dxc + dmu / d
    return {
        "dxhat": dxhat,
        "dstd": dstd,
        "dvar": dvar,
        "dxc": dxc,
        "dmu": dmu,
        "dx": dx,
        "dgamma": dgamma,
        "dbeta": dbeta,
    }
