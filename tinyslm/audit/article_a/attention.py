"""A6: attention as printed in 4.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...ops import attention, softmax
from ...tensor import Tensor
from ..questions import Answer, asks, gradient, homogeneous, influences, shapes, symmetric, value
from ..record import Finding, Formula, Reading, Record

SOURCE = "A. Vaswani et al., Attention is all you need, NIPS 2017, equation 1"
_rng = np.random.default_rng(0)
Q, K, V = (_rng.normal(size=(5, d)) for d in (2, 2, 3))  # n = 5, d_k = 2, d_v = 3: no size equals another
SQUARE = tuple(_rng.normal(size=(4, d)) for d in (2, 2, 4))  # n = d_v, where more readings are defined


def weights(q: Tensor, k: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d_k)) over the keys, (n, n)."""
    return softmax(q @ k.mT * q.shape[-1] ** -0.5)


def elementwise(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The fraction bar as division element by element."""
    return weights(q, k) / v


def by_inverse(q: Tensor, k: Tensor, v: Tensor) -> np.ndarray:
    """A division by a matrix as its inverse."""
    return weights(q, k).numpy() @ np.linalg.inv(v.numpy())


def by_pseudo_inverse(q: Tensor, k: Tensor, v: Tensor) -> np.ndarray:
    """The same with the pseudo-inverse, which exists for every V."""
    return weights(q, k).numpy() @ np.linalg.pinv(v.numpy())


def from_the_left(q: Tensor, k: Tensor, v: Tensor) -> np.ndarray:
    """The pseudo-inverse on the other side."""
    return np.linalg.pinv(v.numpy()) @ weights(q, k).numpy()


def transposed(q: Tensor, k: Tensor, v: Tensor) -> np.ndarray:
    """The pseudo-inverse transposed: the only reading of a division with the right shape for every n and d_v."""
    return weights(q, k).numpy() @ np.linalg.pinv(v.numpy()).T


def single_vectors(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The legend's reading: Q, K, V are vectors, one of each per token; softmax of one number."""
    return softmax((q * k).sum(-1, keepdim=True) * q.shape[-1] ** -0.5) / v


@asks("range", "Does every feature of the result stay between its smallest and largest value in V?")
def in_hull(formula: Formula) -> Answer:
    """A weighted mean can't leave the range of what is averaged, however large or small V is."""
    q, k, v = SQUARE
    out = []
    for c in (0.1, 1.0, 10.0):
        y = value(formula, q, k, c * v)
        out.append(float(np.maximum(y - c * v.max(0), c * v.min(0) - y).max() / c))
    return Answer(max(out) < 1e-9, f"at worst {max(max(out), 0):.3g} outside, in units of V", {"outside": max(out)})


QUESTIONS = (
    shapes((Q, K, V), (5, 3), "(n, d_v), one row per token, for n = 5, d_v = 3"),
    homogeneous(SQUARE, (2,), 1, "Do values c times as large give a result c times as large? (n = d_v = 4)"),
    in_hull,
    symmetric(
        SQUARE,
        lambda q, k, v: (q, k[[2, 3, 1, 0]], v[[2, 3, 1, 0]]),
        "Is the order of the pairs of keys and values of no importance? (n = d_v = 4)",
    ),
    influences(SQUARE, 0, "Does the result depend on Q?"),
    influences(SQUARE, 1, "Does the result depend on K?"),
    gradient((Q, K, V)),
)


def defined_sizes() -> Answer:
    """For which sizes up to 6 the elementwise division runs at all."""

    def runs(n: int, d: int) -> bool:
        try:
            return bool(np.ones((n, n)).__truediv__(np.ones((n, d))).size)
        except ValueError:
            return False

    defined = {(n, d) for n in range(1, 7) for d in range(1, 7) if runs(n, d)}
    ok = defined == {(n, d) for n in range(1, 7) for d in range(1, 7) if n == d or d == 1 or n == 1}
    return Answer(ok, f"{len(defined)} of 36: n = d_v, d_v = 1, n = 1", {"defined": sorted(defined)})


def powers() -> Answer:
    """With which power of V each reading of the division scales."""
    q, k, v = SQUARE
    found = {}
    for formula in (elementwise, by_inverse, by_pseudo_inverse, from_the_left, transposed):
        ratio = np.abs(value(formula, q, k, 100 * v)).max() / np.abs(value(formula, q, k, v)).max()
        found[formula.__name__] = round(float(np.log(ratio) / np.log(100)), 6)
    return Answer(set(found.values()) == {-1.0}, "all scale as V to the power -1", found)


def near_zero() -> Answer:
    """The size of the result when one value is nearly 0."""
    q, k, v = (x.copy() for x in SQUARE)
    v[1, 2] = 1e-9
    largest = float(np.abs(value(elementwise, q, k, v)).max())
    return Answer(largest > 1e6, f"largest output {largest:.1e}", {"largest": largest})


def picture(numbers: Mapping[str, Any]) -> Any:
    """How the result grows with V, for two readings and the repair."""
    from matplotlib.figure import Figure

    q, k, v = SQUARE
    factors = 10.0 ** np.arange(-3, 4)
    figure = Figure(figsize=(7.2, 4), layout="constrained")
    axes = figure.subplots()
    shown: dict[str, tuple[Callable[..., Any], str, str]] = {
        "A / V, element by element": (elementwise, "#D55E00", "s:"),
        "A times inverse of V": (by_inverse, "#E69F00", "^--"),
        "A V (repaired)": (attention, "#0072B2", "o-"),
    }
    for name, (formula, colour, style) in shown.items():
        sizes = [np.abs(value(formula, q, k, c * v)).max() for c in factors]
        axes.loglog(factors, sizes, style, color=colour, label=name, markersize=5)
    axes.set(xlabel="factor by which V is multiplied", ylabel="largest output", title="Larger values, smaller output?")
    axes.legend(fontsize=9, loc="lower center")
    return figure


RECORDS = (
    Record(
        "A6",
        "4.1, Transformer model",
        "attention",
        "wrong: shape",
        "Q, K, V are called query, key and value vectors; the softmax turns weights into a probability distribution.",
        r"\mathrm{Attention}(Q, K, V) = \frac{\mathrm{softmax}(\frac{QK^T}{\sqrt{d_k}})}{V}",
        (
            Reading("A / V elementwise", elementwise),
            Reading("A times inverse of V", by_inverse),
            Reading("A times pseudo-inverse of V", by_pseudo_inverse),
            Reading("pseudo-inverse of V times A", from_the_left),
            Reading("A times transposed pseudo-inverse", transposed, "no transpose of V is printed"),
            Reading(
                "one vector each, as the legend says",
                single_vectors,
                "a distribution over a single number can't weigh anything, as the legend wants",
            ),
        ),
        QUESTIONS,
        r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}(\frac{QK^\top}{\sqrt{d_k}}) \, V",
        attention,
        (
            Finding("sizes up to 6 for which A / V is defined", defined_sizes),
            Finding("power of V in every reading of the division", powers),
            Finding("one value of 1e-9", near_zero),
        ),
        SOURCE,
        picture=picture,
    ),
)
