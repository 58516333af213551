"""Softmax with a temperature, as a layer of its own."""

import numpy as np

sizes = {"B": 3, "V": 5}


def inputs(rng, sizes):
    return {"z": rng.normal(size=(sizes["B"], sizes["V"])), "tau": np.array(1.7)}


def forward(p):
    u = p["z"] / p["tau"]
    e = np.exp(u - u.max(axis=1, keepdims=True))
    s = e / e.sum(axis=1, keepdims=True)
    return {"u": u, "s": s}


def backward(p, cache, g):
    s = cache["s"]
    du = s * (g - (g * s).sum(axis=1, keepdims=True))
    dz = du / p["tau"]
    dtau = -(du * p["z"]).sum() / p["tau"] ** 2
    return {"du": du, "dz": dz, "dtau": dtau}
