"""Host side of `optim.cu`: Adam and AdamW, and the length of the gradients, over many arrays in one launch."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from ._launch import THREADS, Array, Gpu, array_library, gpu, launch, ready

STRETCH = 4 * THREADS  # entries of one array that a block serves, as in optim.cu


def adam(
    p: list[Array],
    g: list[Array],
    m: list[Array],
    v: list[Array],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    decoupled: bool,
    grad_scale: Any,
) -> None:
    """Step number `step` (1 is the first) on lists of arrays of one number type, in place on p, m and v.

    The formulas are those of `kernels/cpu/optim.py`. No two of the arrays that are changed may share memory.
    `grad_scale` is a number, or an array of one number on the device, which is read there.
    """
    in_place = [_in_place(name, arrays) for name, arrays in (("p", p), ("m", m), ("v", v))]
    coupled, shrink = (0.0, 1.0 - lr * weight_decay) if decoupled else (float(weight_decay), 1.0)
    root = 1.0 / math.sqrt(1.0 - beta2**step)
    numbers = [coupled, shrink, 1.0 - beta1, beta2, 1.0 - beta2, root, eps, lr / (1.0 - beta1**step)]
    scale = _on_device(grad_scale, p[0].dtype)
    _launch_all("adam", [*in_place, list(map(ready, g))], [scale, *map(float, numbers)])


def clip(g: list[Array], max_norm: float) -> tuple[Array, Array]:
    """The Euclidean length of all arrays as one vector, (), and max_norm / (length + 1e-6), at most 1, (1,)."""
    xp, g = array_library(), list(map(ready, g))
    blocks = _blocks(tuple(a.size for a in g))
    tops, sums, result = (xp.empty(n, g[0].dtype) for n in (blocks, blocks, 2))
    _launch_all("square_sums", [g], [tops, sums])
    launch("optim:clip_factor", (1,), (THREADS,), [tops, sums, blocks, float(max_norm), result])
    return result[:1].reshape(()), result[1:]


def scaled(g: list[Array], factor: Array) -> list[Array]:
    """All arrays times a factor (1,) that lies on the device, as new arrays."""
    xp, g = array_library(), list(map(ready, g))
    out = [xp.empty(a.shape, a.dtype) for a in g]
    _launch_all("scale_all", [g, out], [_on_device(factor, g[0].dtype)])
    return out


def _launch_all(name: str, lists: list[list[Array]], rest: list[Any]) -> None:
    """Start kernel(*tables of addresses, layout, count, *rest) with a block for each stretch of each array."""
    sizes = tuple(a.size for a in lists[0])
    launch(f"optim:{name}", (_blocks(sizes),), (THREADS,), [*lists, _layout(gpu(), sizes), len(sizes), *rest])


def _blocks(sizes: tuple[int, ...]) -> int:
    return sum(-(-n // STRETCH) for n in sizes)


@functools.lru_cache(maxsize=32)  # a model has one, or a few
def _layout(where: Gpu, sizes: tuple[int, ...]) -> Array:
    """The number of each array's first block, then the sizes."""
    first = itertools.accumulate((-(-n // STRETCH) for n in sizes[:-1]), initial=0)
    return where.xp.asarray(np.array([*first, *sizes], np.int64))


@functools.lru_cache(maxsize=8)
def _constant(where: Gpu, value: float, dtype: np.dtype) -> Array:
    return where.xp.asarray(np.array([value], dtype))


def _on_device(number: Any, dtype: np.dtype) -> Array:
    """A number, or an array of one number that lies on the device, as an array (1,) there."""
    if hasattr(number, "dtype") and number.shape:
        return number.astype(dtype, copy=False)
    return _constant(gpu(), float(number), dtype)


def _in_place(name: str, arrays: list[Array]) -> list[Array]:
    for a in arrays:
        if not a.flags.c_contiguous:
            raise ValueError(f"Expected `{name}` contiguous, since Adam changes it in place. Got strides {a.strides}.")
    return arrays
