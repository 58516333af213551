"""Forward: computing an operation and recording it as a node of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import device
from ..errors import AnomalyError, DTypeError, ShapeError, TinyslmError, is_whole
from ..tensor import Clock, Tensor
from .modes import anomaly, recording
from .where import caller, line_text

Attrs = dict[str, Any]
Op = Any  # operation.Op; not imported, because imports run one way
LARGEST = 1e300  # numbers below it become a float directly; a larger int may not fit into one
UNCHANGING = frozenset((int, float, bool, str, type(None), type(...), slice))


class Node:
    """A recorded operation. It can be executed again: it knows its operation, inputs and attributes."""

    __slots__ = ("attrs", "clock", "hooks", "inputs", "kernel", "op", "outputs", "saved", "where")

    def __init__(self, op: Op, inputs: tuple, attrs: Attrs, outputs: Any, saved: Any, kernel: device.Kernel | None):
        self.op = op
        self.inputs: tuple[Tensor, ...] | None = inputs
        self.attrs = attrs
        self.outputs = outputs
        self.saved = saved
        self.kernel = kernel
        self.clock = Clock.now
        self.hooks: dict[int, list] | None = None
        self.where = caller()

    @property
    def line(self) -> str:
        """The line of the caller's code that asked for this operation, as file:line."""
        return line_text(self.where)

    def output_tensors(self) -> Any:
        """The results as tensors that stand at this place in the graph."""
        if isinstance(self.outputs, tuple):
            return tuple(Tensor.wrap(a, self, i) for i, a in enumerate(self.outputs))
        return Tensor.wrap(self.outputs, self)

    def free(self) -> None:
        """Drop everything saved; the node can't be used for a backward pass any more."""
        self.inputs = self.outputs = self.saved = None


def apply(op: Op, inputs: tuple, attrs: Attrs) -> Any:
    """Compute `op` on `inputs` and record it where a gradient is wanted."""
    if device.State.name == "cuda":
        move(inputs)
    arrays, wanted = [], False
    for t in inputs:  # every operation comes here: one loop, and no call that can be spared
        if not isinstance(t, Tensor):
            return apply(op, _adapt(op, inputs), attrs)
        arrays.append(t._data)
        wanted = wanted or t.requires_grad
    if not arrays:
        raise ShapeError(f"{op.name}: expected at least one tensor, got none")
    dtype = arrays[0].dtype
    for a in arrays:
        if a.dtype is not dtype:
            _check_dtypes(op, arrays)
            break
    wanted = wanted and recording.get()
    if wanted and attrs is not op.defaults:
        attrs = _own(attrs)
    out, saved, kernel = _compute(op, arrays, attrs)
    if anomaly.get():
        _settle_here()
        _check_finite(op, out, arrays)
    if wanted:
        node = Node(op, inputs, attrs, out, saved, kernel)
        return node.output_tensors() if type(out) is tuple else Tensor.wrap(out, node)
    return tuple(map(Tensor.wrap, out)) if type(out) is tuple else Tensor.wrap(out)


def _own(attrs: Attrs) -> Attrs:
    """The attributes with copies of those that could change from outside until the backward pass."""
    for value in attrs.values():
        kind = type(value)
        if kind not in UNCHANGING and not (kind is tuple and UNCHANGING.issuperset(map(type, value))):
            return {name: _own_value(value) for name, value in attrs.items()}
    return attrs


def _own_value(value: Any) -> Any:
    if isinstance(value, Tensor):  # one that wants a gradient is for the operation to refuse
        return value if value.requires_grad else Tensor.wrap(value._data.copy())
    if isinstance(value, type):  # np.float64 itself, say
        return value
    if type(value) in (tuple, list):
        return type(value)(map(_own_value, value))
    return value.copy() if hasattr(value, "__array__") or hasattr(value, "__cuda_array_interface__") else value


def move(inputs: tuple) -> None:
    """Tensors that were made on the host go to the GPU where they are first used, and stay there."""
    for t in inputs:
        if isinstance(t, Tensor) and isinstance(t._data, np.ndarray):
            t._data = device.on_device(t._data)


def _compute(op: Op, arrays: list, attrs: Attrs) -> tuple[Any, Any, device.Kernel | None]:
    try:
        if op.indices or op.floats:
            _check_kinds(op, arrays)
        if op.check_shapes is not None:
            op.check_shapes(*[a.shape for a in arrays], **attrs)
        if op.kernels:
            kernel = op.kernels.get(device.backend())
            if kernel is not None and kernel.serves(arrays):
                return kernel.compute(arrays, attrs, lambda: _by_reference(op, arrays, attrs))
        return _by_reference(op, arrays, attrs), None, None
    except (ValueError, IndexError, TypeError) as error:
        raise _explain(op, arrays, attrs, error) from error


def _by_reference(op: Op, arrays: list, attrs: Attrs) -> Any:
    out = op.forward(np if device.State.name != "cuda" else device.array_module(), *arrays, **attrs)
    if type(out) is not np.ndarray and type(out) is not tuple and not hasattr(out, "get"):
        out = np.asarray(out)  # NumPy gives scalars for results without dimensions
    return out


def _explain(op: Op, arrays: list, attrs: Attrs, error: Exception) -> Exception:
    if isinstance(error, TinyslmError):
        return error
    names = op.inputs if not op.variadic else [f"input {i}" for i in range(len(arrays))]
    got = ", ".join(f"{n}: {a.shape}" for n, a in zip(names, arrays, strict=False))
    given = ", ".join(f"{name}={_in_words(value)!r:.200}" for name, value in attrs.items())
    kind = DTypeError if isinstance(error, TypeError) else ShapeError
    return kind(f"{op.name}: {error}\n  Got: {got}{f'; {given}' if given else ''}")


class _Words(str):
    __slots__ = ()
    __repr__ = str.__str__


def _in_words(value: Any) -> Any:
    """An attribute as a message shows it: arrays, also inside a tuple or list, by their type and shape."""
    if type(value) in (tuple, list):
        return type(value)(map(_in_words, value))
    return _Words(f"{value.dtype} {value.shape}") if hasattr(value, "dtype") and value.shape else value


def _adapt(op: Op, inputs: tuple) -> tuple[Tensor, ...]:
    # Python and NumPy scalars take the tensors' number type; arrays keep their own.
    dtype = _number_type(inputs)
    return tuple([t if isinstance(t, Tensor) else _to_tensor(op, t, dtype) for t in inputs])


def _number_type(inputs: tuple) -> np.dtype | None:
    """The type of the first floats among tensors and arrays, or None."""
    for t in inputs:
        if isinstance(t, Tensor):
            t = t._data
        elif not isinstance(t, np.ndarray) or not t.ndim:
            continue
        if t.dtype.kind in "fc":
            return t.dtype
    return None


def _to_tensor(op: Op, value: Any, dtype: np.dtype | None) -> Tensor:
    if dtype is not None and type(value) in (float, int) and -LARGEST < value < LARGEST:  # most of what comes
        return Tensor.wrap(np.array(value, dtype))
    if isinstance(value, np.ndarray) and value.ndim:
        # A copy: what a graph records must not change from outside.
        return Tensor.wrap(device.on_device(np.array(value)))
    if value is None or isinstance(value, (str, bytes)):
        raise DTypeError(f"{op.name}: expected tensors, arrays or numbers, got {value!r}")
    array = np.asarray(value)
    if array.dtype.kind in "fiu" and dtype is not None:
        array = array.astype(dtype)
    elif array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiubc":
        got = "a whole number too large for an array" if is_whole(value) else type(value).__name__
        raise DTypeError(f"{op.name}: expected tensors, arrays or numbers, got {got}")
    return Tensor.wrap(device.on_device(array))


def _check_dtypes(op: Op, arrays: list) -> None:
    floats = {a.dtype for a in arrays if a.dtype.kind == "f"}
    if any(a.dtype.kind == "c" for a in arrays):
        return  # the complex step of the gradient check
    if len(floats) > 1:
        kinds = " and ".join(sorted(str(d) for d in floats))
        raise DTypeError(
            f"{op.name}: number types are not mixed silently.\n  Expected: one of float32, float64\n"
            f"  Got: {kinds}; convert one with .to('float32') or .to('float64')"
        )
    if floats and any(a.dtype.kind in "iu" for i, a in enumerate(arrays) if i not in op.indices | op.conditions):
        raise DTypeError(
            f"{op.name}: integers are indices.\n  Expected: float tensors\n"
            f"  Got: {', '.join(str(a.dtype) for a in arrays)}; convert with .to('float32')"
        )


def _check_kinds(op: Op, arrays: list) -> None:
    """Indices must be whole numbers, and whole numbers nothing else where an operation declares `floats`."""
    for i, a in enumerate(arrays):
        if i in op.indices and a.dtype.kind not in "iu":
            raise DTypeError(f"{op.name}: expected integers as {op.inputs[i]}, got {a.dtype}")
        if op.floats and i not in op.indices and a.dtype.kind not in "fc":
            raise DTypeError(f"{op.name}: expected a float tensor as {op.inputs[i]}, got {a.dtype}; use .to('float32')")


def _settle_here() -> None:
    """Wait for what a GPU's kernels found out about indices, and name the line."""
    try:
        device.settle()
    except ShapeError as error:
        raise ShapeError(f"{str(error).splitlines()[0].removesuffix('.')}\n  at {line_text(caller())}") from None


def _check_finite(op: Op, out: Any, arrays: list) -> None:
    for a in out if isinstance(out, tuple) else (out,):
        if a.dtype.kind == "f" and not np.isfinite(a).all():
            state = "finite" if all(np.isfinite(x).all() for x in arrays if x.dtype.kind == "f") else "not finite"
            bad = "NaN" if np.isnan(a).any() else "Inf"
            raise AnomalyError(f"{op.name} made the first {bad} at {line_text(caller())}; its inputs were {state}")


def replay(node: Node, inputs: Sequence[Tensor]) -> Any:
    """Execute a recorded operation again on other inputs."""
    return apply(node.op, tuple(inputs), node.attrs)
