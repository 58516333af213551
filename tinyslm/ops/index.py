"""Operations that choose elements, and those that put them back. Repeated indices add up on the way back."""

from typing import Any

import numpy as np

from ..device import backend, cuda_kernels, to_host
from ..engine import op
from ..errors import DTypeError, ShapeError
from ..kernels.cpu._arrays import check_indices
from ..tensor import Tensor, raw


def _plain(key: Any) -> Any:
    # Indices may be tensors, also inside a tuple.
    return tuple(map(raw, key)) if isinstance(key, tuple) else raw(key)


def _is_basic(key: Any) -> bool:
    return all(
        k is None or k is Ellipsis or isinstance(k, (int, slice)) for k in (key if type(key) is tuple else (key,))
    )


def _note_outside(op: str, key: Any, shape: tuple[int, ...]) -> None:
    """A GPU counts an index outside on from the other end, without a word; NumPy refuses it."""
    if backend() == "cuda" and not _is_basic(key):
        cuda_kernels("_late").check_key(key, f"{op}: expected indices", shape)


def from_0(op: str, name: str, ids: Any, size: int) -> None:
    """Refuse what NumPy would count from the end. The engine names the operation, and the shapes.

    A GPU only notes it: the error comes with the next number that is read from there.
    """
    if backend() == "cuda":
        cuda_kernels("_late").check_indices(ids, f"{op}: expected {name}", size)
    else:
        check_indices(name, ids, size)


def host_from_0(function: str, name: str, ids: np.ndarray, size: int) -> None:
    """The same for arrays of the host in a function that is no operation, so that nobody else names it."""
    try:
        check_indices(name, ids, size)
    except IndexError as error:
        raise ShapeError(f"{function}: {error}") from None


@op(r"y = x[k]")
def getitem(xp, x, key=()):
    """x[key]: integers, slices, None, ..., integer arrays (also with repeats) and bool masks, as in NumPy."""
    key = _plain(key)
    _note_outside("getitem", key, x.shape)
    found = x[key]
    return found.copy() if found.base is not None else found  # never a view: x may change later


@getitem.vjp
def getitem_vjp(g, y, x, key):
    return put(g, shape=x.shape, key=key)


@op(r"y = 0, \quad y[k] \mathrel{+}= x")
def put(xp, x, shape=(), key=()):
    """Zeros of `shape` with x added at `key`; elements that are named twice receive both. Undoes `getitem`."""
    y = xp.zeros(shape, x.dtype)
    if _is_basic(key):
        y[key] = x
    else:
        key = _plain(key)
        _note_outside("put", key, shape)
        xp.add.at(y, key, x)
    return y


@put.vjp
def put_vjp(g, y, x, shape, key):
    return getitem(g, key=key)


@op(r"y_{\dots i \dots} = x_{\dots k_{\dots i \dots} \dots}", indices=("index",), one_dim=True)
def gather(xp, x, index, dim=-1):
    """Elements chosen along `dim`: y has the shape of `index`, whose other sizes are those of x.

    Indices count from 0; negative ones are refused, as in PyTorch.
    """
    from_0("gather", "indices", index, x.shape[dim])
    return xp.take_along_axis(x, index, dim)


@gather.shape
def _gather_shape(x, index, dim):
    others = [d for d in range(len(x)) if d != dim % max(len(x), 1)]
    if len(x) != len(index) or any(x[d] != index[d] for d in others):
        raise ShapeError(f"gather: expected an index of the shape of x {x}, dimension {dim} apart; got {index}")


@gather.vjp
def gather_vjp(g, y, x, index, dim):
    return scatter_add(Tensor.wrap(np.zeros_like(x._data)), index, g, dim=dim), None


@op(r"y = x, \quad y_{\dots k_{\dots i \dots} \dots} \mathrel{+}= s_{\dots i \dots}", indices=("index",), one_dim=True)
def scatter_add(xp, x, index, src, dim=-1):
    """x with `src` added along `dim` at the places named by `index` (of the shape of src); repeats add up.

    Indices count from 0; negative ones are refused, as in PyTorch.
    """
    from_0("scatter_add", "indices", index, x.shape[dim])
    y = x.copy()
    places = list(map(xp.asarray, np.indices(index.shape, sparse=True)))
    places[dim] = index
    xp.add.at(y, tuple(places), src)
    return y


@scatter_add.vjp
def scatter_add_vjp(g, y, x, index, src, dim):
    return g, None, lambda: gather(g, index, dim=dim)


@op(r"y_i = E_{k_i}", indices=("ids",))
def embedding(xp, ids, weight, padding_idx=None):
    """Rows of a table: ids (...) of integers, weight (V, D) -> (..., D).

    The same as a one-hot matrix times the table. The gradient of a row is the sum over all places where its number
    stands; the row `padding_idx` never gets one.
    """
    from_0("embedding", "ids", ids, len(weight))
    return weight[ids]


@embedding.shape
def _embedding_shape(ids, weight, padding_idx):
    if len(weight) != 2:
        raise ShapeError(f"embedding: expected a table (V, D) as weight, got {weight}")


@embedding.vjp
def embedding_vjp(g, y, ids, weight, padding_idx):
    if padding_idx is not None:
        g = g * Tensor.wrap((ids._data != padding_idx)[..., None].astype(g.dtype))
    return None, put(g, shape=weight.shape, key=(ids,))


# A small table may be asked for many rows.
embedding.kernel("numba", "index:embedding", size=lambda ids, weight: max(weight.size, ids.size * weight.shape[1]))


embedding.kernel("cuda", "index:embedding")


def one_hot(ids: Any, num_classes: int, dtype: Any = "float32") -> Tensor:
    """ids (...) -> (..., num_classes) with a 1 at each id's place; no gradient."""
    ids = np.asarray(to_host(raw(ids)))
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: expected integer ids, got {ids.dtype}")
    host_from_0("one_hot", "ids", ids, num_classes)
    return Tensor.wrap((ids[..., None] == np.arange(num_classes)).astype(dtype))


# -- test inputs ------------------------------------------------------------------------------------------------------


@getitem.samples
def _getitem_samples(rng):
    for key in [1, slice(0, 2), (slice(None), slice(None, None, 2)), (None, 0, ...), np.array([2, 0, 2])]:
        yield (rng.normal(size=(3, 4)),), {"key": key}
    yield (rng.normal(size=(3, 4)),), {"key": (np.array([0, 0, 2]), np.array([1, 1, 3]))}
    yield (rng.normal(size=(3, 4)),), {"key": np.arange(12).reshape(3, 4) % 3 == 0}


@put.samples
def _put_samples(rng):
    yield (rng.normal(size=(3, 4)),), {"shape": (5, 4), "key": np.array([4, 1, 4])}
    yield (rng.normal(size=(2,)),), {"shape": (5,), "key": slice(1, 3)}


@gather.samples
def _gather_samples(rng):
    yield (rng.normal(size=(3, 4)), rng.integers(0, 4, (3, 6))), {"dim": 1}
    yield (rng.normal(size=(3, 4)), rng.integers(0, 3, (2, 4))), {"dim": 0}


@scatter_add.samples
def _scatter_samples(rng):
    yield (rng.normal(size=(3, 4)), rng.integers(0, 4, (3, 6)), rng.normal(size=(3, 6))), {"dim": 1}
    yield (rng.normal(size=(3, 4)), rng.integers(0, 3, (2, 4)), rng.normal(size=(2, 4))), {"dim": 0}


@embedding.samples
def _embedding_samples(rng):
    yield (np.array([[1, 4, 1], [0, 0, 2]]), rng.normal(size=(5, 3))), {"padding_idx": None}
    yield (np.array([[1, 4, 1], [0, 0, 2]]), rng.normal(size=(5, 3))), {"padding_idx": 3}
    yield (np.array(3), rng.normal(size=(5, 2))), {}
