"""Embedding: picking rows is a product with one-hot rows, so a repeated word's gradients add up."""

import numpy as np

from ..check.derivation import Derivation
from ..check.domains import integers, real
from ..ops import embedding
from ..tensor import Tensor
from ._code import pulled

derivation = d = Derivation(
    "embedding",
    "The gradient of an embedding: repeated words add up",
    ids=integers("V", "T"),
    table=real("V", "D"),
    g=real("T", "D"),
)


def _one_hot(ids, table):
    return np.eye(len(table))[ids]


@d.start(r"L = \sum_t \langle g_t, E_{k_t} \rangle")
def loss(ids, table, g):
    return (g * table[ids]).sum()


@d.equal(r"L = \langle G, O E \rangle, \quad O_{tv} = [k_t = v]")
def as_product(ids, table, g):
    return (g * (_one_hot(ids, table) @ table)).sum()


@d.gradient(r"\frac{\partial L}{\partial E} = O^\top G", wrt="table")
def transposed(ids, table, g):
    return _one_hot(ids, table).T @ g


@d.equal(r"\frac{\partial L}{\partial E_v} = \sum_{t : k_t = v} g_t")
def added_up(ids, table, g):
    found = np.zeros_like(table)
    for t, k in enumerate(ids):
        found[k] += g[t]
    return found


@d.equal(r"\texttt{embedding.vjp}")
def code(ids, table, g):
    return pulled(lambda table: embedding(Tensor.wrap(ids), table), g, table)
