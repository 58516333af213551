"""Mean and log-variance heads on a leaky-relu layer, dropout with a given mask, Gaussian likelihood."""

import numpy as np

KEEP = 0.8


def inputs(rng, sizes):
    B, D, H = sizes["B"], sizes["D"], sizes["H"]
    return {
        "x": rng.normal(size=(B, D)),
        "t": rng.normal(size=B),
        "W": rng.normal(size=(D, H)),
        "wm": rng.normal(size=H) * 0.5,
        "ws": rng.normal(size=H) * 0.2,
        "keep": rng.random((B, H)) < KEEP,
    }


def forward(p):
    z = p["x"] @ p["W"]
    h = np.maximum(z, 0.2 * z)
    hd = h * p["keep"] / KEEP
    mu = hd @ p["wm"]
    logvar = hd @ p["ws"]
    nll = 0.5 * (logvar + (p["t"] - mu) ** 2 / np.exp(logvar) + np.log(2 * np.pi))
    loss = nll.mean()
    return {"z": z, "hd": hd, "mu": mu, "logvar": logvar, "loss": loss}


def backward(p, cache, g):
    z, hd, mu, logvar = cache["z"], cache["hd"], cache["mu"], cache["logvar"]
    n = mu.shape[0]
    resid = p["t"] - mu
    prec = np.exp(-logvar)
    d_mu = -g / n * resid * prec
    d_logvar = g / n * 0.5 * (1 - resid**2 * prec)
    d_t = -d_mu
    grad_wm = hd.T @ d_mu
    grad_ws = hd.T @ d_logvar
    d_hd = np.outer(d_mu, p["wm"]) + np.outer(d_logvar, p["ws"])
    d_h = d_hd * p["keep"] / KEEP
    d_z = d_h * np.where(z > 0, 1, 0.2)
    return {"dx": d_z @ p["W"].T, "dt": d_t, "dW": p["x"].T @ d_z, "dwm": grad_wm, "dws": grad_ws}
