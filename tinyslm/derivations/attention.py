"""Scaled dot-product attention with a mask: why the scale is the root of d, and the gradients of Q, K and V."""

import math

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import mask, real
from ..ops import attention
from ._code import pulled, value

derivation = d = Derivation(
    "attention",
    "Scaled dot-product attention with a mask (formula A6, repaired)",
    source="Vaswani et al. 2017, eq. 1",
    q=real("T", "d"),
    k=real("S", "d"),
    v=real("S", "E"),
    m=mask("T", "S"),
    g=real("T", "E"),
)


@d.sample(r"s = \langle q, k \rangle, \quad q_i, k_i \text{ independent, mean } 0, \text{ variance } 1")
def one_score(q, rng, draws):
    return (rng.normal(size=(draws, q.shape[1])) * rng.normal(size=(draws, q.shape[1]))).sum(1)


@d.mean(r"E\, s = 0")
def mean_score(q):
    return np.zeros(())


@d.variance(r"\operatorname{Var} s = \sum_i E\, q_i^2 \, E\, k_i^2 = d")
def score_variance(q):
    return np.array(float(q.shape[1]))


def _weights(q, k, m):
    scores = np.where(m, q @ k.T / math.sqrt(q.shape[1]), -np.inf)
    e = np.exp(scores - scores.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@d.start(
    r"Y_t = \sum_s A_{ts} V_s, \quad A_{ts} = \frac{m_{ts} e^{S_{ts}}}{\sum_r m_{tr} e^{S_{tr}}}, \;"
    r"S_{ts} = \frac{\langle Q_t, K_s \rangle}{\sqrt d}"
)
def definition(q, k, v, m):
    y = np.zeros((len(q), v.shape[1]))
    for t in range(len(q)):
        e = [m[t, s] * math.exp(q[t] @ k[s] / math.sqrt(q.shape[1])) for s in range(len(k))]
        for s in range(len(k)):
            y[t] += e[s] / sum(e) * v[s]
    return y


@d.equal(r"Y = \operatorname{softmax}\Big(\frac{Q K^\top}{\sqrt d} + \ln m\Big) V")
def as_matrices(q, k, v, m):
    return _weights(q, k, m) @ v


@d.equal(r"\texttt{attention(q, k, v, mask=m)}")
def code(q, k, v, m):
    return value(lambda q, k, v: attention(q, k, v, mask=m), q, k, v)


@d.at_most(r"Y_{te} \le \max_s V_{se}", of="as_matrices")
def hull_above(q, k, v, m):
    return v.max(0)


@d.at_least(r"Y_{te} \ge \min_s V_{se}", of="as_matrices")
def hull_below(q, k, v, m):
    return v.min(0)


@d.start(r"L = \langle G, A V \rangle")
def loss(q, k, v, m, g):
    return (g * (_weights(q, k, m) @ v)).sum()


@d.gradient(r"\frac{\partial L}{\partial V_s} = \sum_t A_{ts} G_t, \; \frac{\partial L}{\partial A_{ts}} = "
            r"\langle G_t, V_s \rangle, \; \frac{\partial L}{\partial S_{ts}} = \sum_r A_{tr} (\delta_{rs} - A_{ts}) "
            r"\frac{\partial L}{\partial A_{tr}}", wrt=("q", "k", "v"))  # fmt: skip
def by_jacobian(q, k, v, m, g):
    a, root = _weights(q, k, m), math.sqrt(q.shape[1])
    jacobian = a[:, :, None] * (np.eye(len(k)) - a[:, None, :])
    ds = np.einsum("tr,trs->ts", g @ v.T, jacobian)
    return np.einsum("ts,sd->td", ds, k) / root, np.einsum("ts,td->sd", ds, q) / root, np.einsum("ts,te->se", a, g)


@d.equal(
    r"dV = A^\top G, \; dA = G V^\top, \; dS = A \odot (dA - \operatorname{rowsum}(A \odot dA)), \;"
    r"dQ = \frac{dS \, K}{\sqrt d}, \; dK = \frac{dS^\top Q}{\sqrt d}"
)
def products(q, k, v, m, g):
    a, root = _weights(q, k, m), math.sqrt(q.shape[1])
    da = g @ v.T
    ds = a * (da - (a * da).sum(-1, keepdims=True))
    return ds @ k / root, ds.T @ q / root, a.T @ g


@d.equal(r"\operatorname{rowsum}(A \odot dA)_t = \langle G_t, Y_t \rangle")
def from_output(q, k, v, m, g):
    a, root = _weights(q, k, m), math.sqrt(q.shape[1])
    ds = a * (g @ v.T - (g * (a @ v)).sum(-1, keepdims=True))
    return ds @ k / root, ds.T @ q / root, a.T @ g


@d.equal(r"\texttt{attention}\text{, by the engine}")
def slope_code(q, k, v, m, g):
    return pulled(lambda q, k, v: attention(q, k, v, mask=m), g, q, k, v)
