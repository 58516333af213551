"""Operations that move numbers without changing them, and the two that undo each other: broadcast_to and sum_to."""

from collections.abc import Callable, Iterator

import numpy as np

from ..engine import op
from ..errors import ShapeError


@op(r"y = x \text{ with its elements in another shape}")
def reshape(xp, x, shape=()):
    """The same elements in row-major order in another shape; one size may be -1."""
    return x.reshape(shape)


@reshape.vjp
def reshape_vjp(g, y, x, shape):
    return g.reshape(x.shape)


@op(r"y_{\dots j \dots i \dots} = x_{\dots i \dots j \dots}")
def transpose(xp, x, dim0=-2, dim1=-1):
    """Two dimensions swapped."""
    return x.swapaxes(dim0, dim1)


@transpose.vjp
def transpose_vjp(g, y, x, dim0, dim1):
    return transpose(g, dim0=dim0, dim1=dim1)


@op(r"y_{i_{\pi(1)} \dots i_{\pi(n)}} = x_{i_1 \dots i_n}")
def permute(xp, x, dims=()):
    """Dimensions in another order: dimension k of the result is dimension dims[k] of x."""
    return x.transpose(dims)


@permute.vjp
def permute_vjp(g, y, x, dims):
    return permute(g, dims=tuple(int(i) for i in np.argsort([d % x.ndim for d in dims])))


@op(r"y = x \text{ without dimensions of size 1}")
def squeeze(xp, x, dim=None):
    """Dimensions of size 1 removed: `dim` (one or several), or all."""
    return x.squeeze(axis=dim)


@squeeze.vjp
def squeeze_vjp(g, y, x, dim):
    return g.reshape(x.shape)


@op(r"y = x \text{ with one more dimension}")
def unsqueeze(xp, x, dim=0):
    """A dimension of size 1 inserted at `dim`."""
    return xp.expand_dims(x, dim)


@unsqueeze.vjp
def unsqueeze_vjp(g, y, x, dim):
    return g.reshape(x.shape)


@op(r"y = x \text{ repeated along its dimensions of size 1}")
def broadcast_to(xp, x, shape=()):
    """x repeated to a larger shape by NumPy's rule; -1 keeps a size."""
    lead = len(shape) - x.ndim
    full = tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape))
    return xp.broadcast_to(x, full).copy()


@broadcast_to.vjp
def broadcast_to_vjp(g, y, x, shape):
    return sum_to(g, shape=x.shape)


@op(r"y = \sum x \text{ over the dimensions that broadcasting would repeat}")
def sum_to(xp, x, shape=()):
    """Sum x down to `shape`: what undoes broadcasting. The engine calls it for every input that was repeated."""
    lead = x.ndim - len(shape)
    if lead < 0:
        raise ShapeError(f"sum_to: expected a shape of at most {x.ndim} dimensions, got {shape}")
    ones = tuple(i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1)
    return x.sum(axis=(*range(lead), *ones), keepdims=True).reshape(shape)


@sum_to.vjp
def sum_to_vjp(g, y, x, shape):
    return broadcast_to(g, shape=x.shape)


@op(r"y = [x_1, x_2, \dots] \text{ one after the other}", one_dim=True)
def cat(xp, *xs, dim=0):
    """Tensors joined along an existing dimension: cat([a, b], dim)."""
    return xp.concatenate(xs, axis=dim)


@cat.vjp
def cat_vjp(g, y, *xs, dim):
    ends = np.cumsum([x.shape[dim] for x in xs])
    return tuple(part(g, dim, int(e) - x.shape[dim], int(e)) for x, e in zip(xs, ends, strict=True))


@op(r"y = [x_1, x_2, \dots] \text{ along a new dimension}", one_dim=True)
def stack(xp, *xs, dim=0):
    """Tensors of one shape joined along a new dimension: stack([a, b], dim)."""
    return xp.stack(xs, axis=dim)


@stack.vjp
def stack_vjp(g, y, *xs, dim):
    return tuple(squeeze(part(g, dim, i, i + 1), dim=dim) for i in range(len(xs)))


@op(r"y_{i} = x_{a + i} \text{ along one dimension}", one_dim=True)
def narrow(xp, x, dim=0, start=0, stop=0):
    """The elements from `start` to `stop` (not included) along one dimension."""
    return x[_along(x.ndim, dim, start, stop)]


@narrow.vjp
def narrow_vjp(g, y, x, dim, start, stop):
    width = [(0, 0)] * x.ndim
    width[dim] = (start, x.shape[dim] - stop)
    return pad(g, width=tuple(width))


def part(x, dim, start, stop):
    """The elements from `start` to `stop` along `dim`, by `narrow`."""
    return narrow(x, dim=dim, start=start, stop=stop)


def split(x, sizes, dim=0):
    """Cut along a dimension into a tuple of tensors of these `sizes` (one number: equal ones, the last the rest)."""
    n = x.shape[dim]
    if isinstance(sizes, int):
        sizes = [min(sizes, n - i) for i in range(0, n, sizes)]
    if sum(sizes) != n:
        raise ShapeError(f"split: expected sizes that add up to {n} (dim {dim} of {x.shape}), got {list(sizes)}")
    ends = np.cumsum(sizes)
    return tuple(part(x, dim, int(e) - s, int(e)) for s, e in zip(sizes, ends, strict=True))


def _along(ndim: int, dim: int, start: int, stop: int) -> tuple:
    key = [slice(None)] * ndim
    key[dim] = slice(start, stop)
    return tuple(key)


@op(r"y = x \text{ with a border}")
def pad(xp, x, width=(), value=0.0):
    """A border of `value` around x: `width` holds one pair (before, after) per dimension."""
    return xp.pad(x, width, constant_values=value)


@pad.vjp
def pad_vjp(g, y, x, width, value):
    for dim, (before, _) in enumerate(width):
        g = part(g, dim, before, before + x.shape[dim])
    return g


@op(r"y_i = x_{n-1-i}")
def flip(xp, x, dims=(0,)):
    """Elements in reverse order along `dims`."""
    return xp.flip(x, axis=dims)


@flip.vjp
def flip_vjp(g, y, x, dims):
    return flip(g, dims=dims)


# -- test inputs ------------------------------------------------------------------------------------------------------


def _of(shape: tuple[int, ...], *cases: dict) -> Callable:
    def make(rng: np.random.Generator) -> Iterator[tuple]:
        for attrs in cases:
            yield (rng.normal(size=shape),), attrs

    return make


reshape.samples(_of((2, 3, 2), {"shape": (4, 3)}, {"shape": (-1,)}))
transpose.samples(_of((2, 3, 4), {"dim0": 0, "dim1": 2}, {"dim0": -2, "dim1": -1}))
permute.samples(_of((2, 3, 4), {"dims": (2, 0, 1)}, {"dims": (0, -1, 1)}))
squeeze.samples(_of((1, 3, 1), {"dim": None}, {"dim": 0}, {"dim": (0, 2)}))
unsqueeze.samples(_of((2, 3), {"dim": 0}, {"dim": -1}, {"dim": 1}))
broadcast_to.samples(_of((3, 1), {"shape": (3, 2)}, {"shape": (2, 3, 4)}, {"shape": (-1, 2)}))
sum_to.samples(_of((2, 3, 2), {"shape": (3, 1)}, {"shape": (2, 1, 1)}, {"shape": ()}))
narrow.samples(_of((2, 5), {"dim": 1, "start": 1, "stop": 4}, {"dim": 0, "start": 1, "stop": 2}))
pad.samples(_of((2, 3), {"width": ((1, 0), (2, 1)), "value": 0.5}))
flip.samples(_of((2, 3), {"dims": (0,)}, {"dims": (0, 1)}, {"dims": (-1,)}))


@cat.samples
def _cat_samples(rng):
    yield tuple(rng.normal(size=(2, n)) for n in (1, 3, 2)), {"dim": 1}
    yield tuple(rng.normal(size=(n, 2)) for n in (2, 1)), {"dim": 0}
    yield (rng.normal(size=(3,)),), {"dim": -1}


@stack.samples
def _stack_samples(rng):
    yield tuple(rng.normal(size=(2, 3)) for _ in range(3)), {"dim": 1}
    yield tuple(rng.normal(size=(2,)) for _ in range(2)), {"dim": -1}
