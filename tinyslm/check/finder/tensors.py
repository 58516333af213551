"""tinyslm's own operations in a learner's code: recorded call by call, and differentiated by the engine."""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from ...tensor import Tensor
from .graph import Graph, Traced, constant, record

MAKING = ("tensor", "Tensor", "as_tensor", "from_numpy")


def plain(x: Any) -> Any:
    """Tensors as arrays, in lists and tuples too."""
    if isinstance(x, Tensor):
        return x.numpy()
    return type(x)(map(plain, x)) if isinstance(x, (list, tuple)) else x


class EngineCall:
    """A call of an operation, or of a tensor's method: on arrays, or on tensors for its derivative."""

    def __init__(self, name: str, function: Any = None):
        self.name, self.function = name, function

    def on_tensors(self, *args: Any, **kwargs: Any) -> Any:
        """The result as the engine gives it."""
        if self.function is not None:
            return self.function(*args, **kwargs)
        first = args[0] if isinstance(args[0], Tensor) else Tensor.wrap(args[0])
        return getattr(first, self.name)(*args[1:], **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return plain(self.on_tensors(*args, **kwargs))


class TracedTensor(Traced):
    """A tracer with a tensor's methods, which are not always NumPy's."""

    __slots__ = ()

    def numpy(self) -> Traced:
        """The same values as an array."""
        return Traced(self.node, self._base, self._key)

    def detach(self) -> TracedTensor:
        """Itself: what a learner detaches, the differences tell."""
        return self

    def requires_grad_(self, wanted: bool = True) -> TracedTensor:
        """Itself."""
        return self

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """As of a tensor."""
        return self._call("reshape", *shape, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        """As of a tensor."""
        return self._call("transpose", *axes)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return as_tensors(record(f"ts.{name}", EngineCall(name), self, *args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not callable(getattr(Tensor, name, None)):
            return super().__getattr__(name)
        return lambda *args, **kwargs: self._call(name, *args, **kwargs)


def as_tensors(x: Any) -> Any:
    """Tracers as tracers of tensors."""
    if isinstance(x, Traced):
        return TracedTensor(x.node)
    return type(x)(map(as_tensors, x)) if isinstance(x, (list, tuple)) else x


class TensorStandIn(types.ModuleType):
    """tinyslm or a part of it, except that its functions record what they do with a tracer."""

    def __init__(self, real: types.ModuleType) -> None:
        super().__init__(real.__name__)
        self.__dict__["_real"] = real

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["_real"], name)
        if isinstance(found, types.ModuleType) and found.__name__.startswith("tinyslm"):
            return TensorStandIn(found)
        if name in MAKING:
            return _making(found)
        return _recorded(name, found) if callable(found) and not isinstance(found, type) else found


def _has_tracer(x: Any) -> bool:
    if isinstance(x, dict):
        return any(map(_has_tracer, x.values()))
    return isinstance(x, Traced) or (isinstance(x, (list, tuple)) and any(map(_has_tracer, x)))


def _making(real: Any) -> Any:
    def make(x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, Traced):
            return TracedTensor(x.node)
        return _constant(real(x, *args, **kwargs))

    return make


def _constant(x: Any) -> Any:
    made = isinstance(x, Tensor) and Graph.current is not None and x.numpy().dtype.kind == "f"
    return as_tensors(constant(np.asarray(x.numpy()))) if made else x


def _recorded(name: str, real: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _has_tracer((args, kwargs)):
            return _constant(real(*args, **kwargs))
        return as_tensors(record(f"ts.{name}", EngineCall(name, real), *args, **kwargs))

    return call
