"""The article's own six attention steps (A7 to A12): each as printed beside what it has to be.

A printed step is held against the repaired one before it. "·" is read as a dot product, as a product element by element
and as a matrix product; "/" as division element by element. A step is refuted only if each of these readings fails.
"""

import math

import numpy as np

from ..check.derivation import Derivation, LinkVerdict
from ..check.domains import integers, positive, real
from ..ops import attention
from ._code import softmax, value

REFUTED, SPECIAL = LinkVerdict.REFUTED, LinkVerdict.SPECIAL
derivation = d = Derivation(
    "article_attention",
    "The six attention steps of article A, section 4.2, as printed",
    source="article A, section 4.2; repaired: Vaswani et al. 2017",
    ids=integers("V", "n"),
    table=real("V", "d"),
    pos=real("n", "d"),
    w=real("d", "k"),
    u=real("d", "k"),
    wv=positive("d", "e"),
)


def _embedded(ids, table, pos):
    return table[ids] + pos


def _projected(ids, table, pos, w, u, wv):
    x = _embedded(ids, table, pos)
    return x @ w, x @ u, x @ wv


def _scores(q, k):
    return q @ k.T / math.sqrt(q.shape[1])


# -- step 1 (A7) ------------------------------------------------------------------------------------------------------


@d.start(r"x_i = E_{k_i} + p_i \quad \text{(A7 repaired)}")
def a7_repaired(ids, table, pos):
    return _embedded(ids, table, pos)


@d.equal(r"x_i = v_{x_i} \cdot w_i \quad \text{(A7 printed, a dot product)}", expect=REFUTED)
def a7_dot(ids, table, pos):
    return (table[ids] * pos).sum(-1)


@d.equal(r"x_i = v_{x_i} \odot w_i \quad \text{(A7 printed, element by element)}", of="a7_repaired", expect=REFUTED)
def a7_elementwise(ids, table, pos):
    return table[ids] * pos


@d.start(r"Q_i = v_{x_i} \cdot w_Q \quad \text{(A8 printed: step 1's } x_i \text{ is not used)}")
def a7_result_unused(ids, table, pos, w):
    return table[ids] @ w


@d.gradient(r"\frac{\partial Q}{\partial w_i} = 0 \text{: the position weights of step 1 are never learned}", wrt="pos")
def a7_gradient(ids, pos, w):
    return np.zeros((len(ids), w.shape[1], *pos.shape))


# -- step 2 (A8) ------------------------------------------------------------------------------------------------------


@d.start(r"Q = X W_Q, \; W_Q \in \mathbb R^{d \times k} \quad \text{(A8 repaired)}")
def a8_repaired(ids, table, pos, w):
    return _embedded(ids, table, pos) @ w


@d.equal(r"Q_i = x_i^\top W_Q \quad \text{(A8 printed, } W_Q \text{ a matrix)}")
def a8_matrix(ids, table, pos, w):
    return np.stack([x @ w for x in _embedded(ids, table, pos)])


@d.equal(r"Q_i = x_i \cdot w_Q \quad \text{(A8 printed, } w_Q \text{ a vector, as said)}", of="a8_repaired",
         expect=SPECIAL)  # fmt: skip
def a8_vector(ids, table, pos, w):
    return (_embedded(ids, table, pos) * w[:, 0]).sum(-1)[:, None]


# -- step 3 (A9) ------------------------------------------------------------------------------------------------------


@d.start(r"S_{ij} = \frac{\langle Q_i, K_j \rangle}{\sqrt k} \quad \text{(A9 repaired: every pair)}")
def a9_repaired(ids, table, pos, w, u):
    x = _embedded(ids, table, pos)
    return _scores(x @ w, x @ u)


@d.equal(r"S_i = \frac{Q_i K_i^\top}{\sqrt k} \quad \text{(A9 printed: each token with itself)}", expect=SPECIAL)
def a9_printed(ids, table, pos, w, u):
    x = _embedded(ids, table, pos)
    return np.array([[q @ k / math.sqrt(len(q))] for q, k in zip(x @ w, x @ u, strict=True)])


# -- step 4 (A10) -----------------------------------------------------------------------------------------------------


@d.start(r"A_{ij} = \operatorname{softmax}_j S_{ij} \quad \text{(A10 repaired)}")
def a10_repaired(ids, table, pos, w, u):
    return softmax(a9_repaired(ids, table, pos, w, u))


@d.equal(r"A_i = \operatorname{softmax}(S_i) / V_i \quad \text{(A10 printed)}", expect=REFUTED)
def a10_printed(ids, table, pos, w, u, wv):
    v = _embedded(ids, table, pos) @ wv
    return softmax(a9_printed(ids, table, pos, w, u)) / v


@d.equal(r"\operatorname{softmax}(S_i) / V_i = 1 / V_i \text{: the softmax of one number is 1}")
def a10_constant(ids, table, pos, wv):
    return 1 / (_embedded(ids, table, pos) @ wv)


@d.equal(
    r"A_i = \operatorname{softmax}(S_i) \quad \text{(A10 without the division)}", of="a10_repaired", expect=SPECIAL
)
def a10_undivided(ids, table, pos, w, u):
    return softmax(a9_printed(ids, table, pos, w, u))


# -- step 5 (A11) -----------------------------------------------------------------------------------------------------


@d.start(r"Y_i = \sum_j A_{ij} V_j \quad \text{(A11 repaired)}")
def a11_repaired(ids, table, pos, w, u, wv):
    q, k, v = _projected(ids, table, pos, w, u, wv)
    return softmax(_scores(q, k)) @ v


@d.equal(r"\texttt{attention(Q, K, V)}")
def a11_code(ids, table, pos, w, u, wv):
    return value(attention, *_projected(ids, table, pos, w, u, wv))


@d.equal(r"Y_i = \operatorname{Attention}_i \cdot V_i \quad \text{(A11 printed, element by element)}",
         of="a11_repaired", expect=REFUTED)  # fmt: skip
def a11_printed(ids, table, pos, w, u, wv):
    return a10_printed(ids, table, pos, w, u, wv) * (_embedded(ids, table, pos) @ wv)


@d.equal(r"Y_i = 1 \text{ whatever the input}")
def a11_constant(ids, wv):
    return np.ones((len(ids), wv.shape[1]))


@d.equal(r"Y_i = \operatorname{Attention}_i \cdot V_i \quad \text{(A11 printed, a dot product)}", of="a11_repaired",
         expect=REFUTED)  # fmt: skip
def a11_dot(ids, table, pos, w, u, wv):
    return a11_printed(ids, table, pos, w, u, wv).sum(-1)


# -- step 6 (A12) -----------------------------------------------------------------------------------------------------


@d.start(r"Y \in \mathbb R^{n \times e} \text{, one output per position} \quad \text{(A12 repaired)}")
def a12_repaired(ids, table, pos, w, u, wv):
    return a11_repaired(ids, table, pos, w, u, wv)


@d.equal(r"Y = \sum_i Y_i \quad \text{(A12 printed)}", expect=REFUTED)
def a12_printed(ids, table, pos, w, u, wv):
    return a11_printed(ids, table, pos, w, u, wv).sum(0)


@d.equal(r"\sum_i Y_i = n \text{: all six steps together are a constant}")
def a12_constant(ids, wv):
    return np.full(wv.shape[1], float(len(ids)))


@d.gradient(r"\frac{\partial}{\partial w} \sum_i Y_i = 0 \text{: nothing can be learned}", of="a12_printed", wrt="w")
def a12_gradient(w, wv):
    return np.zeros((wv.shape[1], *w.shape))


@d.equal(r"\sum_i Y_i \quad \text{(A12 printed, with a right attention)}", of="a12_repaired", expect=SPECIAL)
def a12_right_attention(ids, table, pos, w, u, wv):
    return a11_repaired(ids, table, pos, w, u, wv).sum(0, keepdims=True)


# -- the prose beside steps 4 to 6: attention weights, no division -----------------------------------------------------


@d.start(r"Y_1 \text{, the repaired output of the first query}")
def first_query(ids, table, pos, w, u, wv):
    return a11_repaired(ids, table, pos, w, u, wv)[0]


@d.equal(
    r"\sum_i \operatorname{softmax}_i \Big( \frac{Q_1 K_i^\top}{\sqrt k} \Big) V_i \text{: with } i"
    r"\text{ over the keys, steps 4 to 6 are right for one query}"
)
def prose_reading(ids, table, pos, w, u, wv):
    q, k, v = _projected(ids, table, pos, w, u, wv)
    return sum(a * row for a, row in zip(softmax(_scores(q[:1], k))[0], v, strict=True))
