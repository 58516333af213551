"""Attention with several heads: slices of one product, each attending by itself, laid side by side and mixed by W_O."""

import math

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import mask, real
from ..engine import grad
from ..nn import MultiHeadAttention
from ..tensor import Tensor
from ._code import softmax

derivation = d = Derivation(
    "multihead",
    "Multi-head self-attention with a mask: D = N E, N heads of E features",
    source="Vaswani et al. 2017, section 3.2.2",
    sizes={"N": 2, "E": 3},
    x=real("B", "T", "N*E"),
    w=real("3*N*E", "N*E"),
    wo=real("N*E", "N*E"),
    m=mask("T", "T"),
    g=real("B", "T", "N*E"),
)
HEADS = 2


def _attend(q, k, m):
    scores = q @ np.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    return softmax(np.where(m, scores, -np.inf))


def _heads(x):
    """(B, T, N E) -> (B, N, T, E)."""
    return x.reshape(*x.shape[:2], HEADS, -1).transpose(0, 2, 1, 3)


def _joined(x):
    """The reverse of `_heads`."""
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


@d.start(
    r"Y = [H_1, \dots, H_N] W_O^\top, \quad H_n = \operatorname{softmax}\Big(\frac{Q_n K_n^\top}{\sqrt E}\Big) V_n, \;"
    r"Q_n = X W_{Q,n}^\top, \dots"
)
def head_by_head(x, w, wo, m):
    e, outputs = x.shape[-1] // HEADS, []
    for n in range(HEADS):
        q, k, v = (x @ part[n * e : (n + 1) * e].T for part in np.split(w, 3))
        outputs.append(_attend(q, k, m) @ v)
    return np.concatenate(outputs, axis=-1) @ wo.T


@d.equal(r"\text{all heads at once: } Q \in \mathbb R^{B \times N \times T \times E}")
def all_heads(x, w, wo, m):
    q, k, v = map(_heads, np.split(x @ w.T, 3, axis=-1))
    return _joined(_attend(q, k, m) @ v) @ wo.T


@d.equal(r"Y = \sum_n H_n W_{O,n}^\top")
def summed_heads(x, w, wo, m):
    q, k, v = map(_heads, np.split(x @ w.T, 3, axis=-1))
    return np.einsum("bnte,fne->btf", _attend(q, k, m) @ v, wo.reshape(len(wo), HEADS, -1))


@d.start(r"L = \langle G, Y \rangle")
def loss(x, w, wo, m, g):
    return (g * all_heads(x, w, wo, m)).sum()


@d.gradient(
    r"dH = G W_O, \; dW_O = G^\top H, \; dS_n = A_n \odot (dA_n - \operatorname{rowsum}(A_n \odot dA_n)), \;"
    r"dX = [dQ, dK, dV] W, \; dW = [dQ, dK, dV]^\top X",
    wrt=("x", "w", "wo"),
)
def backward(x, w, wo, m, g):
    q, k, v = map(_heads, np.split(x @ w.T, 3, axis=-1))
    a, root = _attend(q, k, m), math.sqrt(q.shape[-1])
    dh = _heads(g @ wo)
    da = dh @ np.swapaxes(v, -1, -2)
    ds = a * (da - (a * da).sum(-1, keepdims=True)) / root
    parts = [_joined(p) for p in (ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(a, -1, -2) @ dh)]
    into = np.concatenate(parts, axis=-1)
    dwo = np.einsum("btf,btd->fd", g, _joined(a @ v))
    return into @ w, np.einsum("btk,btd->kd", into, x), dwo


@d.equal(r"\texttt{nn.MultiHeadAttention}\text{, by the engine}")
def code(x, w, wo, m, g):
    layer = MultiHeadAttention(x.shape[-1], HEADS, bias=False, rng=np.random.default_rng(0), dtype="float64")
    layer.in_proj_weight.copy_(w)
    layer.out_proj.weight.copy_(wo)
    leaf = Tensor.wrap(x).requires_grad_()
    y = layer(leaf, mask=m)
    found = grad(y, [leaf, layer.in_proj_weight, layer.out_proj.weight], Tensor.wrap(g))
    return tuple(t._data for t in found if t is not None)
