"""CTC: the probability of a label sequence sums over all its alignments; two recursions share the work.

Class 0 is the blank. A path over T frames becomes a label sequence by merging repeats and then dropping blanks. There
is no operation for it here yet: the last step is the plain NumPy loop in logarithms that such code runs.
"""

import itertools

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import integers, real
from ._code import softmax

derivation = d = Derivation(
    "ctc",
    "CTC: the gradient of the log-likelihood is made of posteriors",
    source="Graves et al. 2006",
    sizes={"T": 5, "V": 3, "N": 2},
    x=real("T", "V"),
    labels=integers("V", "N", low=1),
)


def _collapsed(path):
    merged = [k for i, k in enumerate(path) if i == 0 or k != path[i - 1]]
    return tuple(k for k in merged if k != 0)


def _paths(x, labels):
    """All alignments of the labels, (number, T)."""
    every = itertools.product(range(x.shape[1]), repeat=len(x))
    return np.array([p for p in every if _collapsed(p) == tuple(labels)])


def _extended(labels):
    """A blank before, between and after the labels."""
    found = np.zeros(2 * len(labels) + 1, int)
    found[1::2] = labels
    return found


def _may_skip(z, s):
    return s >= 2 and z[s] != 0 and z[s] != z[s - 2]


def _forward(y, z):
    """alpha[t, s]: the probability of all ways to have written z up to place s by frame t."""
    alpha = np.zeros((len(y), len(z)), y.dtype)
    alpha[0, :2] = y[0, z[:2]]
    for t in range(1, len(y)):
        for s in range(len(z)):
            before = alpha[t - 1, s] + (alpha[t - 1, s - 1] if s else 0)
            before = before + (alpha[t - 1, s - 2] if _may_skip(z, s) else 0)
            alpha[t, s] = before * y[t, z[s]]
    return alpha


def _backward(y, z):
    """beta[t, s]: the probability of all ways to finish z after frame t from place s; frame t is not in it."""
    beta = np.zeros((len(y), len(z)), y.dtype)
    beta[-1, -2:] = 1
    for t in range(len(y) - 2, -1, -1):
        for s in range(len(z)):
            for r in (s, s + 1, s + 2):
                if r < len(z) and (r < s + 2 or _may_skip(z, r)):
                    beta[t, s] += beta[t + 1, r] * y[t + 1, z[r]]
    return beta


@d.start(
    r"\ln P(l \mid x) = \ln \sum_{\pi : \mathcal B(\pi) = l} \prod_t y_{t \pi_t}, \quad "
    r"y_t = \operatorname{softmax}(x_t)"
)
def all_paths(x, labels):
    y = softmax(x)
    return np.log(sum(np.prod(y[np.arange(len(y)), p]) for p in _paths(x, labels)))


@d.equal(r"\alpha_{ts} = y_{t z_s} (\alpha_{t-1,s} + \alpha_{t-1,s-1} + [z_s \ne \varnothing, z_s \ne z_{s-2}] "
         r"\alpha_{t-1,s-2}), \; P = \alpha_{TS} + \alpha_{T,S-1}")  # fmt: skip
def forward(x, labels):
    return np.log(_forward(softmax(x), _extended(labels))[-1, -2:].sum())


@d.equal(r"P = \sum_s y_{1 z_s} \beta_{1 s}, \; s \in \{1, 2\}, \quad \beta_{ts} = \sum_r \beta_{t+1,r} \, y_{t+1,z_r}")
def backward(x, labels):
    y, z = softmax(x), _extended(labels)
    return np.log((y[0, z[:2]] * _backward(y, z)[0, :2]).sum())


@d.equal(r"P = \sum_s \alpha_{ts} \beta_{ts} \text{ at every } t \text{ (here their mean)}")
def both(x, labels):
    y, z = softmax(x), _extended(labels)
    return np.log((_forward(y, z) * _backward(y, z)).sum(1).mean())


@d.start(r"\gamma_{tk} = P(\pi_t = k \mid l, x) = \frac{\sum_{\pi} [\pi_t = k] \prod_u y_{u \pi_u}}{P}")
def posteriors(x, labels):
    y, frames = softmax(x), np.arange(len(x))
    found = np.zeros_like(y)
    for path in _paths(x, labels):
        found[frames, path] += np.prod(y[frames, path])
    return found / found.sum(1, keepdims=True)


@d.equal(r"\gamma_{tk} = \frac1P \sum_{s : z_s = k} \alpha_{ts} \beta_{ts}")
def from_variables(x, labels):
    y, z = softmax(x), _extended(labels)
    joint = _forward(y, z) * _backward(y, z)
    return joint @ (z[:, None] == np.arange(x.shape[1])) / joint.sum(1, keepdims=True)


@d.start(r"\ln P \text{ as a function of any numbers } a_{tk} = \ln y_{tk}")
def log_score(x, labels):
    return np.log(sum(np.exp(x[np.arange(len(x)), p].sum()) for p in _paths(x, labels)))


@d.gradient(r"\frac{\partial \ln P}{\partial a_{tk}} = \gamma_{tk} \text{: the posteriors}", wrt="x")
def log_score_slope(x, labels):
    frames, found = np.arange(len(x)), np.zeros_like(x)
    for path in _paths(x, labels):
        found[frames, path] += np.exp(x[frames, path].sum())
    return found / found.sum(1, keepdims=True)


@d.gradient(
    r"\frac{\partial \ln P}{\partial x_{tk}} = \sum_j \gamma_{tj} (\delta_{jk} - y_{tk})", of="all_paths", wrt="x"
)
def chain_rule(x, labels):
    y, gamma = softmax(x), posteriors(x, labels)
    jacobian = np.eye(x.shape[1]) - y[:, None, :]
    return np.einsum("tj,tjk->tk", gamma, np.broadcast_to(jacobian, (*x.shape, x.shape[1])))


@d.equal(r"\frac{\partial \ln P}{\partial x} = \gamma - y \text{, as } \sum_k \gamma_{tk} = 1")
def difference(x, labels):
    return from_variables(x, labels) - softmax(x)


@d.equal(r"\text{the same in logarithms, as code runs it: } \ln \alpha, \ln \beta \text{ by log-sum-exp}")
def code(x, labels):
    y, z = np.log(softmax(x)), _extended(labels)
    joint = _log_forward(y, z) + _log_forward(y[::-1], z[::-1])[::-1, ::-1] - y[:, z]
    gamma = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
    return gamma @ (z[:, None] == np.arange(x.shape[1])) - np.exp(y)


def _log_forward(y, z):
    """ln alpha; run over reversed frames and labels it gives ln beta, with frame t in it."""
    alpha = np.full((len(y), len(z)), -np.inf)
    alpha[0, :2] = y[0, z[:2]]
    for t in range(1, len(y)):
        for s in range(len(z)):
            first = s - 2 if _may_skip(z, s) else max(s - 1, 0)
            alpha[t, s] = np.logaddexp.reduce(alpha[t - 1, first : s + 1]) + y[t, z[s]]
    return alpha
