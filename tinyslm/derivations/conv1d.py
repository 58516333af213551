"""Convolution over time: sliding windows, one matrix product, and windows added back."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import real
from ..ops import conv1d
from ._code import pulled

derivation = d = Derivation(
    "conv1d",
    "The gradients of a one-dimensional convolution",
    x=real("B", "C", "L+K"),
    w=real("O", "C", "K"),
    b=real("O"),
    g=real("B", "O", "L+1"),
)


def _windows(x, k):
    return np.stack([x[:, :, l : l + k] for l in range(x.shape[2] - k + 1)], axis=1)  # (B, L+1, C, K)


@d.start(r"L = \sum_{bol} g_{bol} y_{bol}, \quad y_{bol} = b_o + \sum_{ck} w_{ock} x_{b,c,l+k}")
def definition(x, w, b, g):
    total = 0.0
    for l in range(g.shape[2]):
        window = x[:, :, l : l + w.shape[2]]
        total = total + (g[:, :, l] * (np.einsum("bck,ock->bo", window, w) + b)).sum()
    return total


@d.equal(r"y = \operatorname{unfold}(x) \, W^\top + b, \quad W \in \mathbb R^{O \times CK}")
def unfolded(x, w, b, g):
    windows = _windows(x, w.shape[2])
    y = windows.reshape(*windows.shape[:2], -1) @ w.reshape(len(w), -1).T + b
    return (g * y.transpose(0, 2, 1)).sum()


@d.gradient(
    r"\frac{\partial L}{\partial x_{bct}} = \sum_{o,k} w_{ock} \, g_{b,o,t-k}, \;"
    r"\frac{\partial L}{\partial w_{ock}} = \sum_{bl} g_{bol} x_{b,c,l+k}, \;"
    r"\frac{\partial L}{\partial b_o} = \sum_{bl} g_{bol}",
    wrt=("x", "w", "b"),
)
def index_by_index(x, w, b, g):
    k = w.shape[2]
    padded = np.pad(g, ((0, 0), (0, 0), (k - 1, k - 1)))
    dx = sum(np.einsum("oc,bot->bct", w[:, :, j], padded[:, :, k - 1 - j :][:, :, : x.shape[2]]) for j in range(k))
    return dx, np.einsum("bol,blck->ock", g, _windows(x, k)), g.sum((0, 2))


@d.equal(r"\frac{\partial L}{\partial x} = \operatorname{fold}(g^\top W), \;"
         r"\frac{\partial L}{\partial W} = g \operatorname{unfold}(x)")  # fmt: skip
def folded(x, w, b, g):
    o, c, k = w.shape
    dwindows = (g.transpose(0, 2, 1) @ w.reshape(o, -1)).reshape(len(x), -1, c, k)
    dx = np.zeros_like(x)
    for l in range(dwindows.shape[1]):
        dx[:, :, l : l + k] += dwindows[:, l]
    windows = _windows(x, k)
    dw = np.tensordot(g, windows.reshape(*windows.shape[:2], -1), axes=([0, 2], [0, 1])).reshape(w.shape)
    return dx, dw, g.sum((0, 2))


@d.equal(r"\texttt{conv1d}\text{, by the engine}")
def code(x, w, b, g):
    return pulled(conv1d, g, x, w, b)
