"""Batch norm over (batch, time) of a sequence, closed formula on the flattened array."""

sizes = {"B": 2, "T": 5, "D": 3}


def inputs(rng, sizes):
    B, T, D = sizes["B"], sizes["T"], sizes["D"]
    return {"x": rng.normal(size=(B, T, D)), "a": rng.normal(size=D), "c": rng.normal(size=D)}


def forward(p):
    flat = p["x"].reshape(-1, p["x"].shape[-1])
    istd = (flat.var(axis=0) + 1e-5) ** (-1 / 2)
    hat = (flat - flat.mean(axis=0)) * istd
    out = (p["a"] * hat + p["c"]).reshape(p["x"].shape)
    return {"istd": istd, "hat": hat, "out": out}


def backward(p, cache, g):
    hat, istd = cache["hat"], cache["istd"]
    up = g.reshape(hat.shape)
    M = len(hat)
    da = (up * hat).sum(0)
    dc = up.sum(0)
    dx = p["a"] * istd / M * (M * up - dc - hat * da)
    return {"dx": dx.reshape(g.shape), "da": da, "dc": dc}
