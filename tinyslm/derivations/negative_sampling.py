"""Skip-gram with negative sampling: one true context word against K drawn ones, each a binary decision."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import integers, real, simplex
from ..ops import binary_cross_entropy_with_logits, embedding
from ..tensor import Tensor
from ._code import pulled, sigmoid

derivation = d = Derivation(
    "negative_sampling",
    "The loss of negative sampling, its gradients, and what it is the mean of",
    source="Mikolov et al. 2013b, eq. 4",
    v=real("D"),
    u=real("V", "D"),
    o=integers("V"),
    neg=integers("V", "K"),
    p=simplex("V"),
)


@d.start(r"L = -\ln \sigma(u_o \cdot v) - \sum_{k=1}^K \ln \sigma(-u_{n_k} \cdot v)")
def loss(v, u, o, neg):
    return -np.log(sigmoid(u[o] @ v)) - np.log(sigmoid(-(u[neg] @ v))).sum()


@d.equal(r"L = \ln(1 + e^{-u_o \cdot v}) + \sum_k \ln(1 + e^{u_{n_k} \cdot v})")
def with_logits(v, u, o, neg):
    return np.log1p(np.exp(-(u[o] @ v))) + np.log1p(np.exp(u[neg] @ v)).sum()


@d.gradient(
    r"\frac{\partial L}{\partial v} = (\sigma(u_o \cdot v) - 1) u_o + \sum_k \sigma(u_{n_k} \cdot v) u_{n_k}, \;"
    r"\frac{\partial L}{\partial u_w} = [w = o] (\sigma(u_o \cdot v) - 1) v + \sum_{k : n_k = w} \sigma(u_w \cdot v) v",
    wrt=("v", "u"),
)
def word_by_word(v, u, o, neg):
    true = sigmoid(u[o] @ v) - 1
    dv, du = true * u[o], np.zeros_like(u)
    du[o] += true * v
    for n in neg:
        dv = dv + sigmoid(u[n] @ v) * u[n]
        du[n] += sigmoid(u[n] @ v) * v
    return dv, du


@d.equal(
    r"e = \sigma(U_w v) - y, \; w = (o, n_1, \dots, n_K), \; y = (1, 0, \dots, 0); \quad"
    r"\frac{\partial L}{\partial v} = U_w^\top e, \; \frac{\partial L}{\partial U} = O_w^\top e v^\top"
)
def errors(v, u, o, neg):
    words = np.concatenate([[o], neg])
    e = sigmoid(u[words] @ v) - (np.arange(len(words)) == 0)
    return u[words].T @ e, np.outer(np.eye(len(u))[words].T @ e, v)


@d.equal(r"\texttt{binary\_cross\_entropy\_with\_logits(embedding(w, U) v, y)}\text{, by the engine}")
def code(v, u, o, neg):
    words = np.concatenate([[o], neg])
    labels = Tensor.wrap((np.arange(len(words)) == 0).astype(float))

    def run(v, u):
        return binary_cross_entropy_with_logits(embedding(Tensor.wrap(words), u) @ v, labels, reduction="sum")

    return pulled(run, 1.0, v, u)


@d.sample(r"\sum_{k=1}^K -\ln \sigma(-u_{n_k} \cdot v), \quad n_k \sim P")
def drawn_negatives(v, u, neg, p, rng, draws):
    terms = np.log1p(np.exp(u @ v))
    return terms[rng.choice(len(u), (draws, len(neg)), p=p)].sum(1)


@d.mean(r"-K \sum_w P(w) \ln \sigma(-u_w \cdot v)")
def expected_negatives(v, u, neg, p):
    return len(neg) * (p * np.log1p(np.exp(u @ v))).sum()


@d.start(r"\ell(s) = -P_1 \ln \sigma(s) - K P_2 \ln \sigma(-s)")
def one_pair(v, neg, p):
    s = v[0]
    return p[0] * np.log1p(np.exp(-s)) + len(neg) * p[1] * np.log1p(np.exp(s))


@d.at_least(r"\ell(s) \ge \ell\Big(\ln \frac{P_1}{K P_2}\Big) \text{: the best score is a shifted log-ratio}")
def best_score(neg, p):
    s = np.log(p[0] / (len(neg) * p[1]))
    return p[0] * np.log1p(np.exp(-s)) + len(neg) * p[1] * np.log1p(np.exp(s))
