"""Distillation: KL(teacher || student) at a temperature, plus cross-entropy with the labels."""

import numpy as np

TEMP = 3.0
MIX = 0.7


def inputs(rng, sizes):
    B, D, C = sizes["B"], sizes["D"], sizes["C"]
    return {
        "x": rng.normal(size=(B, D)),
        "W": rng.normal(size=(D, C)),
        "teacher": rng.normal(size=(B, C)) * 2,
        "y": rng.integers(0, C, size=B),
    }


def softmax(z, axis=-1):
    z = z - np.max(z, axis=axis, keepdims=True)
    return np.exp(z) / np.sum(np.exp(z), axis=axis, keepdims=True)


def forward(p):
    z = p["x"] @ p["W"]
    qs = softmax(z / TEMP)
    qt = softmax(p["teacher"] / TEMP)
    kl = np.sum(qt * (np.log(qt) - np.log(qs)), axis=1)
    hard = softmax(z)
    ce = -np.log(hard[np.arange(len(z)), p["y"]])
    loss = np.mean(MIX * TEMP**2 * kl + (1 - MIX) * ce)
    return {"qs": qs, "qt": qt, "kl": kl, "hard": hard, "loss": loss}


def backward(p, cache, g):
    qs, qt, kl, hard = cache["qs"], cache["qt"], cache["kl"], cache["hard"]
    B = len(qs)
    onehot = np.zeros_like(hard)
    onehot[np.arange(B), p["y"]] = 1
    soft_grad = MIX * TEMP**2 * (qs - qt) / TEMP
    hard_grad = (1 - MIX) * (hard - onehot)
    dz = g / B * (soft_grad + hard_grad)
    u = np.log(qt) - np.log(qs)
    dteacher = g / B * MIX * TEMP**2 * qt * (u - kl[:, None]) / TEMP
    return {"dx": dz @ p["W"].T, "dW": p["x"].T @ dz, "dteacher": dteacher}
