"""One LSTM step from given pre-activations, every intermediate."""

import numpy as np

sizes = {"B": 3, "H": 5}


def inputs(rng, sizes):
    shape = (sizes["B"], sizes["H"])
    return {name: rng.normal(size=shape) for name in ("ai", "af", "ag", "ao", "c_prev")}


def sig(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    i = sig(p["ai"])
    f = sig(p["af"])
    u = np.tanh(p["ag"])
    o = sig(p["ao"])
    c = f * p["c_prev"] + i * u
    m = np.tanh(c)
    h = o * m
    return {"i": i, "f": f, "u": u, "o": o, "c": c, "m": m, "h": h}


def backward(p, cache, g):
    i, f, u, o, m = (cache[k] for k in ("i", "f", "u", "o", "m"))
    do = g * m
    dm = g * o
    dc = dm * (1 - m**2)
    df = dc * p["c_prev"]
    dc_prev = dc * f
    di = dc * u
    du = dc * i
    dai = di * i * (1 - i)
    daf = df * f * (1 - f)
    dag = du * (1 - u**2)
    dao = do * o * (1 - o)
    return {
        "do": do,
        "dm": dm,
        "dc": dc,
        "df": df,
        "dc_prev": dc_prev,
        "di": di,
        "du": du,
        "dai": dai,
        "daf": daf,
        "dag": dag,
        "dao": dao,
    }
