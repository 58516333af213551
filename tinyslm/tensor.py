"""Tensor: an array with a place in the graph.

A tensor holds a NumPy (or CuPy) array, says whether it wants a gradient, and remembers the node of the graph that made
it. It computes nothing itself: each method looks its operation up by name when it is called, in `METHODS`, which the
files in `ops/` fill. So this file imports no operation, and an editor still sees every method with its types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Union

import numpy as np

from .device import on_device, to_host
from .errors import DTypeError, GraphError, ShapeError, is_whole

METHODS: dict[str, Callable[..., Any]] = {}

Array = Any  # numpy.ndarray, or cupy.ndarray on a GPU
Node = Any  # engine.Node; not imported, because imports run one way
Operand = Union["Tensor", np.ndarray, float, int]
Dims = Union[int, Sequence[int], None]

FLOATS = (np.dtype("float32"), np.dtype("float64"))


class Clock:
    """Counts the changes made to tensors in place, so that a graph notices that an array it recorded has changed."""

    now = 0


class GuardedArray(np.ndarray):
    """A read-only view of a tensor's array: a graph may have recorded it.

    `x.data -= step` still works: the augmented operators make a new array, and assigning it to `x.data` is noted.
    Writing to single elements is refused with the remedies.
    """

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GraphError(
            "This array belongs to a tensor that a graph may have recorded; writing into it would falsify gradients.\n"
            "  Expected: a new array (x.data = new, x.data -= step), or ts.where and ts.stack in a formula\n"
            "  Got: an assignment to some of its elements"
        )

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    __iadd__ = np.ndarray.__add__  # type: ignore[assignment]
    __isub__ = np.ndarray.__sub__  # type: ignore[assignment]
    __imul__ = np.ndarray.__mul__  # type: ignore[assignment]
    __itruediv__ = np.ndarray.__truediv__  # type: ignore[assignment]


class Tensor:
    """An array with a place in the graph.

    Args:
        data: numbers, nested lists, or an array. Arrays are copied. Python floats become `dtype` (float32 unless said).
        requires_grad: whether gradients with respect to this tensor are wanted; float tensors only.
        dtype: "float32", "float64", an integer type or "bool"; None keeps an array's own.

    Raises:
        DTypeError: for text, objects or complex numbers, and for integers with requires_grad.
    """

    __array_ufunc__ = None  # so that `array * tensor` comes to Tensor.__rmul__

    # Most tensors never change these, so they stand here and not in each of them: that halves the cost of making one.
    _data: Array
    requires_grad: bool = False
    grad: Tensor | None = None
    node: Node | None = None
    index: int = 0
    name: str | None = None
    _hooks: list[Callable[[Tensor], Tensor | None]] | None = None
    _changed: int = 0
    _shared: list[int] | None = None  # in place of _changed, for tensors that share one array

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None, name: str | None = None):
        self._data = _own_array(data, dtype)
        if name is not None:
            self.name = name
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def wrap(cls, array: Array, node: Node | None = None, index: int = 0) -> Tensor:
        """A tensor around `array` itself, without copying or checking (for the engine)."""
        self = cls.__new__(cls)
        self._data = array
        if node is not None:
            self.requires_grad = True
            self.node = node
            if index:
                self.index = index
        return self

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array as a read-only view; assign a new array to change it. On a GPU, which has no such views, a copy."""
        if type(self._data) is not np.ndarray:
            return self._data.copy()
        view = self._data.view(GuardedArray)
        view.flags.writeable = False
        return view

    @data.setter
    def data(self, value: Any) -> None:
        self.copy_(value)

    def copy_(self, value: Any) -> Tensor:
        """Replace the numbers by `value` (same shape). A graph that recorded the old ones refuses to go backward."""
        new = value._data if isinstance(value, Tensor) else on_device(value)
        if new.shape != self.shape:
            raise ShapeError(f"A tensor keeps its shape.\n  Expected: data of shape {self.shape}\n  Got: {new.shape}")
        return self.hold(new.astype(self._data.dtype, copy=True))

    def hold(self, array: Array) -> Tensor:
        """Take `array` itself in place of the old one; tensors that shared the old one keep it."""
        self._data, self._shared = array, None
        return self.touch()

    def touch(self) -> Tensor:
        """Note that the array has been changed in place (optimizers call this after writing into it)."""
        Clock.now += 1
        if self._shared is None:
            self._changed = Clock.now
        else:
            self._shared[0] = Clock.now
        return self

    @property
    def changed(self) -> int:
        """When the array was last changed in place, through this tensor or a detached one, by the Clock."""
        return self._changed if self._shared is None else self._shared[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, one per dimension."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        """The number type, as NumPy names it."""
        return self._data.dtype

    @property
    def is_leaf(self) -> bool:
        """True for tensors that no recorded operation made."""
        return self.node is None

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a tensor without dimensions: it holds one number; use .item()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                "Several numbers are neither true nor false together.\n"
                f"  Expected: 1 element\n  Got: shape {self.shape}; use x.numpy().all() or x.numpy().any()"
            )
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self._data.__index__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __repr__(self) -> str:
        return describe(self)

    def item(self) -> Any:
        """The number of a one-element tensor as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item() takes one number out.\n  Expected: 1 element\n  Got: shape {self.shape}")
        return to_host(self._data).item()

    def numpy(self) -> np.ndarray:
        """A copy as a NumPy array (from whatever device)."""
        return np.array(to_host(self._data))

    def tolist(self) -> Any:
        """Nested Python lists of numbers."""
        return to_host(self._data).tolist()

    # -- its place in the graph ---------------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients with respect to this tensor (leaves only), in place."""
        if requires_grad and self.dtype.kind not in "fc":
            raise DTypeError(
                f"Only float tensors have gradients; integers are indices.\n"
                f"  Expected: float32 or float64\n  Got: {self.dtype}; convert with .to('float32')"
            )
        if self.node is not None and not requires_grad:
            raise GraphError("This tensor is a result. Expected: a leaf. Use .detach() to cut it from the graph")
        self.requires_grad = requires_grad
        return self

    def backward(self, gradient: Operand | None = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add d(self)/d(leaf), contracted with `gradient`, to `.grad` of every leaf that asked for it.

        Args:
            gradient: the cotangent, of this tensor's shape; may be left out for one number (then it is 1).
            retain_graph: keep the graph for another pass.
            create_graph: record the backward pass itself, for second derivatives.
        """
        METHODS["backward"](self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same array outside the graph (shared: an optimizer that changes one changes both, and a graph notices).

        `copy_` and `.data = ` give a tensor an array of its own.
        """
        if self._shared is None:
            self._shared = [self._changed]
        found = Tensor.wrap(self._data)
        found._shared = self._shared
        return found

    def clone(self) -> Tensor:
        """A copy that stays in the graph."""
        return METHODS["clone"](self)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call `hook(gradient)` when this tensor's gradient is complete; a tensor it returns takes its place.

        Returns a function that removes the hook.
        """
        if not self.requires_grad:
            raise GraphError("A hook needs a gradient. Expected: requires_grad=True. Got: a tensor without")
        hooks = self._hook_list()
        hooks.append(hook)
        return lambda: hooks.remove(hook) if hook in hooks else None

    def retain_grad(self) -> Tensor:
        """Keep `.grad` although this is an inner result."""

        def keep(gradient: Tensor) -> None:
            self.grad = gradient

        if self.node is not None:
            self.register_hook(keep)
        return self

    def _hook_list(self) -> list[Callable[[Tensor], Tensor | None]]:
        # An inner result's hooks live on its node: other Tensor objects may stand for the same result.
        if self.node is not None:
            if self.node.hooks is None:
                self.node.hooks = {}
            return self.node.hooks.setdefault(self.index, [])
        if self._hooks is None:
            self._hooks = []
        return self._hooks

    # -- arithmetic ---------------------------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        return METHODS["add"](self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return METHODS["add"](other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return METHODS["sub"](self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return METHODS["sub"](other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return METHODS["mul"](self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return METHODS["mul"](other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return METHODS["div"](self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return METHODS["div"](other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return METHODS["pow"](self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return METHODS["pow"](other, self)

    def __neg__(self) -> Tensor:
        return METHODS["neg"](self)

    def __abs__(self) -> Tensor:
        return METHODS["abs"](self)

    def __matmul__(self, other: Operand) -> Tensor:
        return METHODS["matmul"](self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return METHODS["matmul"](other, self)

    # Comparisons give bool tensors, which are masks and never have a gradient.
    def __lt__(self, other: Any) -> Tensor:
        return Tensor.wrap(on_device(self._data < raw(other)))

    def __le__(self, other: Any) -> Tensor:
        return Tensor.wrap(on_device(self._data <= raw(other)))

    def __gt__(self, other: Any) -> Tensor:
        return Tensor.wrap(on_device(self._data > raw(other)))

    def __ge__(self, other: Any) -> Tensor:
        return Tensor.wrap(on_device(self._data >= raw(other)))

    def eq(self, other: Operand) -> Tensor:
        """Elementwise equality as a bool tensor (`==` keeps Python's meaning: the same object)."""
        return Tensor.wrap(on_device(self._data == raw(other)))

    def __invert__(self) -> Tensor:
        return Tensor.wrap(~self._data)

    # -- the operations, as methods -----------------------------------------------------------------------------------

    def exp(self) -> Tensor:
        """See `ts.exp`."""
        return METHODS["exp"](self)

    def log(self) -> Tensor:
        """See `ts.log`."""
        return METHODS["log"](self)

    def sqrt(self) -> Tensor:
        """See `ts.sqrt`."""
        return METHODS["sqrt"](self)

    def abs(self) -> Tensor:
        """See `ts.abs`."""
        return METHODS["abs"](self)

    def sin(self) -> Tensor:
        """See `ts.sin`."""
        return METHODS["sin"](self)

    def cos(self) -> Tensor:
        """See `ts.cos`."""
        return METHODS["cos"](self)

    def tanh(self) -> Tensor:
        """See `ts.tanh`."""
        return METHODS["tanh"](self)

    def sigmoid(self) -> Tensor:
        """See `ts.sigmoid`."""
        return METHODS["sigmoid"](self)

    def relu(self) -> Tensor:
        """See `ts.relu`."""
        return METHODS["relu"](self)

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        """See `ts.clip`."""
        return METHODS["clip"](self, min=min, max=max)

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """See `ts.sum`."""
        return METHODS["sum"](self, dim=dim, keepdim=keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """See `ts.mean`."""
        return METHODS["mean"](self, dim=dim, keepdim=keepdim)

    def var(self, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        """See `ts.var`."""
        return METHODS["var"](self, dim=dim, correction=correction, keepdim=keepdim)

    def std(self, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        """See `ts.std`."""
        return METHODS["std"](self, dim=dim, correction=correction, keepdim=keepdim)

    def max(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """See `ts.max`."""
        return METHODS["max"](self, dim=dim, keepdim=keepdim)

    def min(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """See `ts.min`."""
        return METHODS["min"](self, dim=dim, keepdim=keepdim)

    def prod(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """See `ts.prod`."""
        return METHODS["prod"](self, dim=dim, keepdim=keepdim)

    def logsumexp(self, dim: Dims = -1, keepdim: bool = False) -> Tensor:
        """See `ts.logsumexp`."""
        return METHODS["logsumexp"](self, dim=dim, keepdim=keepdim)

    def cumsum(self, dim: int = 0) -> Tensor:
        """See `ts.cumsum`."""
        return METHODS["cumsum"](self, dim=dim)

    def norm(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """See `ts.norm`."""
        return METHODS["norm"](self, dim=dim, keepdim=keepdim)

    def softmax(self, dim: int = -1) -> Tensor:
        """See `ts.softmax`."""
        return METHODS["softmax"](self, dim=dim)

    def log_softmax(self, dim: int = -1) -> Tensor:
        """See `ts.log_softmax`."""
        return METHODS["log_softmax"](self, dim=dim)

    def argmax(self, dim: int | None = None) -> Tensor:
        """Index of the largest element along `dim` (first one on ties); an integer tensor."""
        n = max(self.ndim, 1)
        if dim is not None and not (is_whole(dim) and -n <= dim < n):
            raise ShapeError(f"argmax: expected dim as a whole number from {-n} to {n - 1}, or None; got {dim!r:.200}")
        return Tensor.wrap(on_device(self._data.argmax(axis=dim)))

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """See `ts.reshape`."""
        return METHODS["reshape"](self, shape=_sizes(shape))

    def transpose(self, dim0: int = -2, dim1: int = -1) -> Tensor:
        """See `ts.transpose`: swaps two dimensions, the last two unless said."""
        return METHODS["transpose"](self, dim0=dim0, dim1=dim1)

    @property
    def T(self) -> Tensor:
        """The matrix transposed (two dimensions)."""
        if self.ndim != 2:
            raise ShapeError(f"T is for matrices.\n  Expected: 2 dimensions\n  Got: {self.shape}; use .transpose(i, j)")
        return METHODS["transpose"](self, dim0=0, dim1=1)

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped."""
        return METHODS["transpose"](self, dim0=-2, dim1=-1)

    def permute(self, *dims: int | Sequence[int]) -> Tensor:
        """See `ts.permute`."""
        return METHODS["permute"](self, dims=_sizes(dims))

    def squeeze(self, dim: Dims = None) -> Tensor:
        """See `ts.squeeze`."""
        return METHODS["squeeze"](self, dim=dim)

    def unsqueeze(self, dim: int) -> Tensor:
        """See `ts.unsqueeze`."""
        return METHODS["unsqueeze"](self, dim=dim)

    def expand(self, *shape: int | Sequence[int]) -> Tensor:
        """See `ts.broadcast_to`."""
        return METHODS["broadcast_to"](self, shape=_sizes(shape))

    def flip(self, *dims: int | Sequence[int]) -> Tensor:
        """See `ts.flip`."""
        return METHODS["flip"](self, dims=_sizes(dims))

    def flatten(self, start_dim: int = 0) -> Tensor:
        """Merge all dimensions from `start_dim` on into one."""
        return self.reshape(*self.shape[:start_dim], -1)

    def to(self, dtype: Any) -> Tensor:
        """See `ts.cast`: the same numbers in another number type."""
        return METHODS["cast"](self, dtype=np.dtype(dtype))

    def __getitem__(self, key: Any) -> Tensor:
        return METHODS["getitem"](self, key=key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GraphError(
            "A tensor is not changed in place: the graph may need its old numbers.\n"
            "  Expected: a new tensor, by ts.where(mask, new, old), ts.stack([...]), ts.cat([...]) or x.copy_(array)\n"
            "  Got: x[...] = value"
        )


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from numbers, lists or an array (copied); see `Tensor`."""
    return Tensor(data, requires_grad=requires_grad, dtype=dtype)


def raw(value: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return value._data if isinstance(value, Tensor) else value


def constant(name: str, argument: str, value: Any) -> None:
    """Refuse a tensor that wants a gradient where an operation takes a constant: it would never get one."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise GraphError(f"{name}: {argument} is a constant here.\n  Expected: no gradient; pass {argument}.detach()")


def _sizes(args: tuple) -> tuple[int, ...]:
    # x.reshape(2, 3) and x.reshape((2, 3)) mean the same.
    return tuple(args[0]) if len(args) == 1 and not isinstance(args[0], (int, np.integer)) else args


def _own_array(data: Any, dtype: Any) -> Array:
    array = data._data if isinstance(data, Tensor) else data
    if not hasattr(array, "__cuda_array_interface__"):
        typed = isinstance(array, (np.ndarray, np.generic))
        array = _as_numpy(array)
        if dtype is None and not typed and array.dtype == np.float64:
            dtype = np.float32  # Python floats have no precision of their own
    wanted = np.dtype(dtype or array.dtype)
    for kind in (array.dtype, wanted):
        if kind.kind not in "fiub":
            parts = "; take .real and .imag apart" if kind.kind == "c" else ""
            raise DTypeError(f"A tensor holds numbers.\n  Expected: floats, integers or bools\n  Got: {kind}{parts}")
    return on_device(array.astype(wanted, copy=True))


def _as_numpy(data: Any) -> np.ndarray:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"A tensor is rectangular.\n  Expected: rows of equal length\n  Got: {error}") from None


def describe(t: Tensor) -> str:
    """One line: shape, number type, range, NaN and Inf, gradient state; the numbers too where they are few."""
    head = f"Tensor{t.shape} {t.dtype}"
    parts = [_range_text(t._data), _grad_text(t)]
    text = " ".join([head, *[p for p in parts if p]])
    if 0 < t.size <= 12:
        values = np.array2string(t.numpy(), precision=4, separator=", ")
        text += (" " if "\n" not in values else "\n") + values
    return text


def _range_text(a: Array) -> str:
    if a.size < 2 or a.dtype.kind != "f":
        return ""
    finite = a[np.isfinite(a)]
    text = f"in [{float(finite.min()):.4g}, {float(finite.max()):.4g}]" if finite.size else ""
    bad = {"NaN": int(np.isnan(a).sum()), "Inf": int(np.isinf(a).sum())}
    return text + "".join(f" {count} {kind}!" for kind, count in bad.items() if count)


def _grad_text(t: Tensor) -> str:
    if t.node is not None:
        return f"from {t.node.op.name}"
    return ("requires_grad" + ("" if t.grad is None else ", has grad")) if t.requires_grad else ""
