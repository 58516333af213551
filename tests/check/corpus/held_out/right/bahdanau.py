"""Additive attention of one decoder state over the encoder's states, as layers with forward and backward."""

import numpy as np


def inputs(rng, sizes):
    T, D, S, A = sizes["T"], sizes["D"], sizes["S"], sizes["A"]
    return {
        "enc": rng.normal(size=(T, D)),
        "state": rng.normal(size=S),
        "We": rng.normal(size=(D, A)) * 0.5,
        "Ws": rng.normal(size=(S, A)) * 0.5,
        "v": rng.normal(size=A),
    }


class Softmax:
    def forward(self, u):
        e = np.exp(u - u.max())
        self.y = e / e.sum()
        return self.y

    def backward(self, dy):
        return self.y * (dy - self.y @ dy)


class Tanh:
    def forward(self, u):
        self.y = np.tanh(u)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


def forward(p):
    tanh, softmax = Tanh(), Softmax()
    proj = p["enc"] @ p["We"] + p["state"] @ p["Ws"]
    hidden = tanh.forward(proj)
    score = hidden @ p["v"]
    alpha = softmax.forward(score)
    context = alpha @ p["enc"]
    return {"layers": (tanh, softmax), "hidden": hidden, "alpha": alpha, "context": context}


def backward(p, cache, g):
    tanh, softmax = cache["layers"]
    dalpha = p["enc"] @ g
    denc = np.outer(cache["alpha"], g)
    dscore = softmax.backward(dalpha)
    dv = cache["hidden"].T @ dscore
    dproj = tanh.backward(np.outer(dscore, p["v"]))
    dWe = p["enc"].T @ dproj
    denc += dproj @ p["We"].T
    dsum = dproj.sum(axis=0)
    dWs = np.outer(p["state"], dsum)
    dstate = p["Ws"] @ dsum
    return {"denc": denc, "dstate": dstate, "dWe": dWe, "dWs": dWs, "dv": dv}
