"""GloVe: a weighted least-squares fit of the logarithms of co-occurrence counts (formula B3, repaired)."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import integers, real
from ..tensor import Tensor
from ._code import pulled

derivation = d = Derivation(
    "glove",
    "The loss of GloVe and its gradients",
    source="Pennington et al. 2014, eq. 8 and 9",
    w=real("V", "D"),
    c=real("V", "D"),
    b=real("V"),
    a=real("V"),
    counts=integers(150, "V", "V"),
)
X_MAX, ALPHA = 100.0, 0.75


def _weight(counts):
    """f(x): 0 for pairs that never met, at most 1."""
    return np.minimum(counts / X_MAX, 1) ** ALPHA


def _log(counts):
    return np.log(np.maximum(counts, 1))  # where the count is 0 the weight is, too


def _error(w, c, b, a, counts):
    return w @ c.T + b[:, None] + a - _log(counts)


@d.start(r"J = \sum_{ij} f(X_{ij}) (w_i \cdot \tilde w_j + b_i + \tilde b_j - \ln X_{ij})^2, \;"
         r"f(x) = \min\big(1, (x / x_{\max})^{3/4}\big)")  # fmt: skip
def definition(w, c, b, a, counts):
    total = 0.0
    for i, j in np.argwhere(counts > 0):
        weight = min(1.0, (counts[i, j] / X_MAX) ** ALPHA)
        total = total + weight * (w[i] @ c[j] + b[i] + a[j] - np.log(counts[i, j])) ** 2
    return total


@d.equal(
    r"J = \langle F, R \odot R \rangle, \quad R = W \tilde W^\top + b \mathbf 1^\top + \mathbf 1 \tilde b^\top - \ln X"
)
def as_matrices(w, c, b, a, counts):
    return (_weight(counts) * _error(w, c, b, a, counts) ** 2).sum()


@d.gradient(
    r"\frac{\partial J}{\partial w_i} = \sum_j 2 f_{ij} R_{ij} \tilde w_j, \;"
    r"\frac{\partial J}{\partial \tilde w_j} = \sum_i 2 f_{ij} R_{ij} w_i, \;"
    r"\frac{\partial J}{\partial b_i} = \sum_j 2 f_{ij} R_{ij}, \;"
    r"\frac{\partial J}{\partial \tilde b_j} = \sum_i 2 f_{ij} R_{ij}",
    wrt=("w", "c", "b", "a"),
)
def pair_by_pair(w, c, b, a, counts):
    dw, dc, db, da = (np.zeros_like(t) for t in (w, c, b, a))
    e = 2 * _weight(counts) * _error(w, c, b, a, counts)
    for i, j in np.argwhere(counts > 0):
        dw[i] += e[i, j] * c[j]
        dc[j] += e[i, j] * w[i]
        db[i] += e[i, j]
        da[j] += e[i, j]
    return dw, dc, db, da


@d.equal(r"E = 2 F \odot R: \quad E \tilde W, \; E^\top W, \; E \mathbf 1, \; E^\top \mathbf 1")
def products(w, c, b, a, counts):
    e = 2 * _weight(counts) * _error(w, c, b, a, counts)
    return e @ c, e.T @ w, e.sum(1), e.sum(0)


@d.equal(r"\texttt{(F * (w @ c.mT + b[:, None] + a - log X)**2).sum()}\text{, by the engine}")
def code(w, c, b, a, counts):
    weight, logs = Tensor.wrap(_weight(counts)), Tensor.wrap(_log(counts))

    def run(w, c, b, a):
        return (weight * (w @ c.mT + b.unsqueeze(1) + a - logs) ** 2).sum()

    return pulled(run, 1.0, w, c, b, a)
