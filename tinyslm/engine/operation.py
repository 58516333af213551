"""Operations: one block each, entered into a registry that tests, checks and pages walk through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import device
from ..errors import DTypeError, GraphError, OptionError
from ..tensor import METHODS, Tensor
from .backward import or_zeros
from .functional import grad
from .modes import enable_grad, is_grad_enabled, no_grad
from .record import Attrs, apply


class Op:
    """One differentiable operation: its formula, its plain forward, its rule, and the kernels that serve it.

    The forward is a function `f(xp, *inputs, **attributes)` on arrays: parameters without a default are tensors, those
    with one are attributes. The rule `vjp(g, y, *inputs, **attributes)` gets tensors and is written with operations, so
    that second derivatives come for free; it returns one cotangent per input, None where there is none, or a
    function without arguments where computing it is worth avoiding when nobody asked.
    """

    registry: ClassVar[dict[str, Op]] = {}

    def __init__(
        self,
        formula: str,
        forward: Callable[..., Any],
        kinks: str = "",
        analytic: bool = True,
        smooth: bool = True,
        indices: Sequence[str] = (),
        conditions: Sequence[str] = (),
        floats: bool = False,
        one_dim: bool = False,
        outputs: int = 1,
    ):
        self.formula = formula
        self.forward = forward
        self.name = forward.__name__.rstrip("_")
        self.__doc__ = forward.__doc__
        self.__name__ = self.name
        self.kinks, self.analytic, self.smooth, self.floats, self.outputs = kinks, analytic, smooth, floats, outputs
        self.one_dim = one_dim
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.inputs = [p.name for p in parameters if p.default is p.empty]
        self.defaults: Attrs = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.switches = [name for name, value in self.defaults.items() if isinstance(value, bool)]
        self.arity = -1 if self.variadic else len(self.inputs)
        self.conditions = frozenset(self.inputs.index(name) for name in conditions)
        self.indices = frozenset(self.inputs.index(name) for name in indices)
        self.rule: Callable[..., Any] | None = None
        self.check_shapes: Callable[..., None] | None = None
        self.samples_of: Callable[[np.random.Generator], Iterable[tuple]] | None = None
        self.simple: Callable[..., Any] | None = None
        self.kernels: dict[str, device.Kernel] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) != self.arity:
            args, kwargs = self._sorted(args, kwargs)
        return apply(self, args, self._attributes(kwargs) if kwargs else self.defaults)

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join([*self.inputs, *self.defaults])})>"

    def _sorted(self, args: tuple, kwargs: Attrs) -> tuple[tuple, Attrs]:
        """A call's arguments as tensors and attributes: attributes may come by place, and tensors by name."""
        if self.variadic:
            return self._sorted_list(args, kwargs)
        n = self.arity
        inputs = [*args[:n], *(kwargs.pop(name) for name in self.inputs[len(args) : n] if name in kwargs)]
        if len(inputs) < n or len(args) - n > len(self.defaults):
            wanted = [*self.inputs, *(f"{k}={v!r}" for k, v in self.defaults.items())]
            raise TypeError(f"{self.name}({', '.join(wanted)}): expected {n} tensors, got {len(args)} arguments")
        return tuple(inputs), {**dict(zip(self.defaults, args[n:], strict=False)), **kwargs}

    def _sorted_list(self, args: tuple, kwargs: Attrs) -> tuple[tuple, Attrs]:
        # cat([a, b], 0) and einsum("ij,jk->ik", a, b), as in PyTorch
        first = [a for a in args if isinstance(a, str)]
        args = args[len(first) :]
        if args and isinstance(args[0], (list, tuple)):
            first, args = [*first, *args[1:]], tuple(args[0])
        return args, {**dict(zip(self.defaults, first, strict=False)), **kwargs}

    def _attributes(self, given: Attrs) -> Attrs:
        """The given attributes, checked, and the defaults of the others."""
        attrs = {**self.defaults, **given}
        if len(attrs) > len(self.defaults):
            name = next(name for name in given if name not in self.defaults)
            known = ", ".join([*self.inputs, *self.defaults])
            raise TypeError(f"{self.name}() has no argument {name!r}; expected some of: {known}")
        for name in self.switches:
            if type(attrs[name]) is not bool and not isinstance(attrs[name], np.bool_):
                raise OptionError(f"{self.name}: expected {name} as True or False, got {attrs[name]!r:.200}")
        if type(attrs.get("dim")) is list:  # several dimensions; arrays take them as a tuple
            if self.one_dim:
                raise DTypeError(f"{self.name}: expected dim as a whole number, got {attrs['dim']!r:.200}")
            attrs["dim"] = tuple(attrs["dim"])
        return attrs

    def vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the rule of the backward pass."""
        self.rule = rule
        return rule

    def shape(self, check: Callable[..., None]) -> Callable[..., None]:
        """Decorator: a function of the inputs' shapes and the attributes that raises ShapeError."""
        self.check_shapes = check
        return check

    def samples(self, make: Callable[[np.random.Generator], Iterable[tuple]]) -> Callable:
        """Decorator: yields (inputs, attributes) on which every test of the registry runs this operation."""
        self.samples_of = make
        return make

    def reference(self, simple: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the same function composed of smaller operations, to be read and to be compared with."""
        self.simple = simple
        return simple

    def kernel(
        self,
        backend: str,
        where: str,
        kind: type[device.Kernel] = device.Kernel,
        **work: Any,
    ) -> None:
        """Name a forward and backward pair in `tinyslm.kernels` ("family:name") that serves this operation.

        `work`: how much NumPy would have to do instead, by `size` and `steps` of `device.Kernel`.
        """
        if self.rule is None:
            raise GraphError(f"{self.name}: a kernel needs a rule beside it, or training would freeze silently")
        self.kernels[backend] = kind(backend, where, **work)

    def plan(self, *inputs: Tensor) -> str:
        """Which code would run for these inputs: "numpy", "numba" or "cuda". ShapeError if they don't fit together."""
        if self.check_shapes is not None:
            self.check_shapes(*[t.shape for t in inputs], **self.defaults)
        kernel = self.kernels.get(device.backend())
        return kernel.backend if kernel and kernel.serves([t._data for t in inputs]) else "numpy"


def op(formula: str, **declared: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator that makes an `Op` of a plain forward function and enters it into the registry.

    Args:
        formula: LaTeX, with y for the result.
        kinks: the convention where the derivative does not exist, in words.
        analytic: False where the forward can't take complex numbers (no complex-step check then).
        smooth: False where the second derivative is zero or undefined, so second order is not checked.
        indices: names of integer inputs; anything else is refused there.
        conditions: names of inputs of which only the truth counts, of any type.
        floats: True where integers make no sense as the other inputs, so that they are refused.
        one_dim: True where `dim` can't be several dimensions, so that a list of them is refused.
        outputs: the number of results, where there are several.
    """

    def make(forward: Callable[..., Any]) -> Op:
        new = Op(formula, forward, **declared)
        Op.registry[new.name] = new
        METHODS[new.name] = new.__call__  # Python calls a bound method faster than an object
        return new

    return make


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: enters a function that is composed of operations among the tensor's methods."""
    METHODS[function.__name__.rstrip("_")] = function
    return function


def composition_rule(op: Op) -> None:
    """Give `op` the rule that differentiates its composition (`op.simple`) instead of a rule of its own.

    Fused operations over a sequence use it: the kernel's own backward serves first order, this one all higher orders.
    """

    def rule(g: Any, y: Any, *inputs: Tensor, **attrs: Any) -> tuple[Tensor | None, ...]:
        create = is_grad_enabled()
        with enable_grad():
            # Clones give each slot a place of its own, also where the same tensor fills two.
            slots = [METHODS["clone"](t if create else t.detach().requires_grad_(t.requires_grad)) for t in inputs]
            found = op.simple(*slots, **attrs)  # type: ignore[misc]
            wanted = [t for t in slots if t.requires_grad]
            grads = iter(grad(found, wanted, g, create_graph=create, allow_unused=True))
        return tuple(or_zeros(next(grads), t) if t.requires_grad else None for t in slots)

    op.vjp(rule)


def composition_forward(op: Op) -> Callable[..., Any]:
    """The forward of `op` on arrays, by its composition."""

    def forward(xp: Any, *arrays: Any, **attrs: Any) -> Any:
        with no_grad():
            out = op.simple(*map(Tensor.wrap, arrays), **attrs)  # type: ignore[misc]
        return tuple(t._data for t in out) if isinstance(out, tuple) else out._data

    return forward
