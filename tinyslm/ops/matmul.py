"""Matrix products: matmul with batches, einsum, and the affine map of a layer."""

import math
from collections.abc import Callable

import numpy as np

from ..engine import composed, op
from ..errors import ShapeError
from ..tensor import Tensor


@op(r"Y_{ij} = \sum_k A_{ik} B_{kj}")
def matmul(xp, a, b):
    """Matrix product of the last two dimensions; earlier ones are batches and broadcast; vectors as in NumPy.

    A batch of matrices times one matrix is computed as one tall product.
    """
    if b.ndim == 2 and a.ndim > 2:
        return (a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])
    return a @ b


@matmul.shape
def _matmul_shape(a, b):
    if not a or not b:
        raise ShapeError(f"matmul: expected vectors or matrices\n  Got: a {a}, b {b}; use * for single numbers")
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ShapeError(
            f"matmul: the inner sizes differ.\n  Expected: a (..., K) and b (..., K, N)\n  Got: a {a}, b {b}"
        )


@matmul.vjp
def matmul_vjp(g, y, a, b):
    if a.ndim == 1 or b.ndim == 1:
        return _vector_vjp(g, a, b)
    if b.ndim == 2 and a.ndim > 2:
        return lambda: g @ b.mT, lambda: _rows(a).mT @ _rows(g)
    return lambda: g @ b.mT, lambda: a.mT @ g


def _rows(x: Tensor) -> Tensor:
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])  # -1 would be ambiguous for no elements


def _vector_vjp(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    # A vector is a matrix with one row (on the left) or one column (on the right).
    left = a.unsqueeze(0) if a.ndim == 1 else a
    right = b.unsqueeze(1) if b.ndim == 1 else b
    g = g.unsqueeze(-2 if b.ndim > 1 else -1) if a.ndim == 1 or b.ndim == 1 else g
    if a.ndim == 1 and b.ndim == 1:
        g = g.reshape(1, 1)
    ga, gb = g @ right.mT, left.mT @ g
    return (ga.squeeze(-2) if a.ndim == 1 else ga), (gb.squeeze(-1) if b.ndim == 1 else gb)


matmul.kernel("numba", "matmul:matmul")


@op(r"y_{\text{out}} = \sum_{\text{not out}} \prod_k x^{(k)}_{\text{in}_k}")
def einsum(xp, *xs, equation=""):
    """Sum of products over named indices: einsum("bij,bjk->bik", a, b). The output must be written out."""
    return xp.einsum(equation, *xs, optimize=len(xs) > 2)


@einsum.shape
def _einsum_shape(*shapes, equation):
    inputs, arrow, _ = equation.replace(" ", "").partition("->")
    names = inputs.split(",")
    if not arrow or "." in equation or len(names) != len(shapes):
        raise ShapeError(f"einsum: expected an equation like 'ij,jk->ik' for {len(shapes)} tensors, got {equation!r}")
    for name, shape in zip(names, shapes, strict=True):
        if len(name) != len(shape) or len(set(name)) < len(name):
            raise ShapeError(f"einsum: expected one different letter per dimension of {shape}, got {name!r}")


@einsum.vjp
def einsum_vjp(g, y, *xs, equation):
    names, out = equation.replace(" ", "").split("->")
    parts = names.split(",")
    return tuple(_einsum_share(g, xs, parts, out, k) for k in range(len(xs)))


def _einsum_share(g: Tensor, xs: tuple, parts: list[str], out: str, k: int) -> Callable[[], Tensor]:
    others = [(x, n) for i, (x, n) in enumerate(zip(xs, parts, strict=True)) if i != k]
    known = set(out).union(*[n for _, n in others])
    # Indices that only x_k has were summed away on their own: their share is the same for each of them.
    alone = [(c, n) for c, n in zip(parts[k], xs[k].shape, strict=True) if c not in known]
    ones = Tensor.wrap(np.ones([n for _, n in alone], g.dtype))
    operands = [(g, out), *others, *([(ones, "".join(c for c, _ in alone))] if alone else [])]
    return lambda: einsum(",".join(n for _, n in operands) + "->" + parts[k], *[t for t, _ in operands])


@composed
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The affine map y = x Wᵀ + b: x (..., D), weight (H, D), bias (H,) or None -> (..., H)."""
    if bias is not None:
        return affine(x, weight, bias)
    shape = np.shape(x)  # of a list, too
    if weight.ndim != 2 or shape[-1:] != weight.shape[1:]:
        raise ShapeError(
            f"linear: the sizes differ.\n  Expected: x (..., D) and weight (H, D)\n"
            f"  Got: x {shape}, weight {weight.shape}"
        )
    return matmul(x, weight.mT)


@op(r"y = x W^\top + b")
def affine(xp, x, weight, bias):
    """The affine map of a layer: x (..., D), weight (H, D), bias (H,) -> (..., H); `linear` is its public face."""
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return (rows @ weight.T + bias).reshape(*x.shape[:-1], weight.shape[0])


@affine.shape
def _affine_shape(x, weight, bias):
    if len(weight) != 2 or x[-1:] != weight[1:] or bias != weight[:1]:
        raise ShapeError(
            f"linear: the sizes differ.\n  Expected: x (..., D), weight (H, D) and bias (H,)\n"
            f"  Got: x {x}, weight {weight}, bias {bias}"
        )


@affine.vjp
def affine_vjp(g, y, x, weight, bias):
    return lambda: g @ weight, lambda: _rows(g).mT @ _rows(x), lambda: _rows(g).sum(0)


affine.kernel("numba", "matmul:affine", steps=4)
affine.kernel("cuda", "matmul:affine")


# -- test inputs ------------------------------------------------------------------------------------------------------


@matmul.samples
def _matmul_samples(rng):
    for a, b in [
        ((2, 3), (3, 5)),
        ((2, 2, 3), (3, 5)),
        ((2, 2, 3), (2, 3, 5)),
        ((2, 1, 2, 3), (3, 3, 1)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((3,), (2, 3, 2)),
        ((2, 2, 3), (3,)),
    ]:
        yield (rng.normal(size=a) / math.sqrt(a[-1]), rng.normal(size=b)), {}


@affine.samples
def _affine_samples(rng):
    for lead in [(), (3,), (2, 2)]:
        yield tuple(rng.normal(size=n) for n in ((*lead, 3), (4, 3), (4,))), {}


@einsum.samples
def _einsum_samples(rng):
    cases: list[tuple[str, list[tuple[int, ...]]]] = [
        ("ij,jk->ik", [(2, 3), (3, 5)]),
        ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
        ("i,j->ij", [(3,), (2,)]),
        ("ijk->j", [(2, 3, 2)]),
        ("ij,jk,k->i", [(2, 3), (3, 2), (2,)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
    ]
    for equation, shapes in cases:
        yield tuple(rng.normal(size=s) for s in shapes), {"equation": equation}
