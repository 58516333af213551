"""An affine layer: index by index, then as matrix products, and why the bias gets a sum over the batch."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import real
from ..ops import linear
from ._code import pulled

derivation = d = Derivation(
    "matmul",
    "The gradients of Y = X Wᵀ + b",
    x=real("B", "D"),
    w=real("H", "D"),
    b=real("H"),
    g=real("B", "H"),
)


@d.start(r"L = \sum_{ij} G_{ij} Y_{ij}, \quad Y_{ij} = \sum_k X_{ik} W_{jk} + b_j")
def definition(x, w, b, g):
    y = np.array(
        [[sum(x[i, k] * w[j, k] for k in range(x.shape[1])) + b[j] for j in range(len(b))] for i in range(len(x))]
    )
    return (g * y).sum()


@d.equal(r"L = \langle G, X W^\top + \mathbf 1 b^\top \rangle")
def as_matrices(x, w, b, g):
    return (g * (x @ w.T + b)).sum()


@d.gradient(
    r"\frac{\partial L}{\partial X_{ik}} = \sum_j G_{ij} W_{jk}, \;"
    r"\frac{\partial L}{\partial W_{jk}} = \sum_i G_{ij} X_{ik}, \;"
    r"\frac{\partial L}{\partial b_j} = \sum_i G_{ij}",
    wrt=("x", "w", "b"),
)
def index_by_index(x, w, b, g):
    return np.einsum("ij,jk->ik", g, w), np.einsum("ij,ik->jk", g, x), np.einsum("ij->j", g)


@d.equal(r"\frac{\partial L}{\partial X} = G W, \; \frac{\partial L}{\partial W} = G^\top X, \;"
         r"\frac{\partial L}{\partial b} = G^\top \mathbf 1")  # fmt: skip
def products(x, w, b, g):
    return g @ w, g.T @ x, g.sum(0)


@d.equal(r"\texttt{linear}\text{, by the engine}")
def code(x, w, b, g):
    return pulled(linear, g, x, w, b)
