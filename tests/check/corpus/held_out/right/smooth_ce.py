"""Cross-entropy with label smoothing, a learned temperature and ignored positions (-100)."""

import numpy as np

EPS = 0.1
IGNORE = -100


def inputs(rng, sizes):
    B, T, V = sizes["B"], sizes["T"], sizes["V"]
    labels = rng.integers(0, V, size=(B, T))
    labels[0, -1] = IGNORE
    labels[1, 0] = IGNORE
    return {"logits": rng.normal(size=(B, T, V)), "log_tau": rng.normal(size=()) * 0.3, "labels": labels}


def forward(p):
    labels = p["labels"]
    V = p["logits"].shape[-1]
    keep = labels != IGNORE
    z = p["logits"] * np.exp(-p["log_tau"])
    z = z - z.max(axis=-1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    safe = np.where(keep, labels, 0)
    onehot = np.eye(V)[safe]
    target = (1 - EPS) * onehot + EPS / V
    nll = -(target * logp).sum(axis=-1)
    loss = (nll * keep).sum() / keep.sum()
    return {"z": z, "logp": logp, "target": target, "nll": nll, "loss": loss}


def backward(p, cache, g):
    keep = p["labels"] != IGNORE
    probs = np.exp(cache["logp"])
    d_z = probs - cache["target"]
    d_z *= keep[..., None]
    d_z *= g / keep.sum()
    d_logits = d_z * np.exp(-p["log_tau"])
    d_log_tau = -(d_z * p["logits"] * np.exp(-p["log_tau"])).sum()
    return {"dlogits": d_logits, "dlog_tau": d_log_tau}
