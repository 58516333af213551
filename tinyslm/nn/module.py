"""Module: a tree of layers that knows its parameters by name.

Nothing is registered anywhere: a module looks through its own attributes when it is asked. What counts is a
`Parameter`, a `Module`, a named buffer, and lists, tuples and dictionaries of parameters and modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..errors import CheckpointError, OptionError, require_whole
from ..tensor import Tensor

M = TypeVar("M", bound="Module")


class Parameter(Tensor):
    """A tensor that training changes. A module that holds it gives it its name.

    Args:
        data: numbers, or an array (copied).
        dtype: "float32" or "float64"; None keeps an array's own.
        requires_grad: False for a parameter that stays as it is (frozen).
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True):
        super().__init__(data, requires_grad=requires_grad, dtype=dtype)

    @classmethod
    def zeros(cls, *shape: int, dtype: Any = "float32") -> Parameter:
        """A parameter of this shape, filled with 0 until an initialisation fills it."""
        return cls(np.zeros(shape, dtype))


class Mismatch(NamedTuple):
    """What a state dict lacked, and what it held that no module wanted."""

    missing: list[str]
    unexpected: list[str]


def check_sizes(layer: str, least: int, **sizes: Any) -> None:
    """Refuse sizes of a layer that are no whole numbers or too small, by their names."""
    for name, value in sizes.items():
        require_whole(value, name, least, of=layer)


class Module:
    """A layer or a model: parameters, buffers (arrays that are saved, but not trained) and modules inside.

    A subclass assigns parameters and modules to attributes in `__init__` and writes `forward`; calling the module calls
    `forward`. The attributes are declared at the class, with their shapes, so that they can be read without running.
    """

    training: bool = True
    _buffers: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward(). Expected: a method that computes the result"
        )

    def extra_repr(self) -> str:
        """What stands between the brackets of this module's line in `repr`."""
        return ""

    # -- what is inside -----------------------------------------------------------------------------------------------

    def register_buffer(self, name: str, value: Any) -> None:
        """Keep an array that belongs to the state, but is not trained, as the attribute `name` (a tensor)."""
        setattr(self, name, value if isinstance(value, Tensor) else Tensor(value))
        self._buffers = (*self._buffers, name)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside, with their names; list entries are called name.0, name.1, ..."""
        for name, value in _entries(vars(self)):
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly inside."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """All modules with dotted names, this one first as "". A shared one comes once per name."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """All modules, this one first, each once."""
        return _once(module for _, module in self.named_modules())

    def own_parameters(self) -> dict[str, Parameter]:
        """The parameters that this module holds itself."""
        return {name: value for name, value in _entries(vars(self)) if isinstance(value, Parameter)}

    def own_buffers(self) -> dict[str, Tensor]:
        """The buffers that this module holds itself."""
        return {name: getattr(self, name) for name in self._buffers}

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names; one that is shared comes once, by its first name."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, parameter in module.own_parameters().items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _joined(prefix, name), parameter

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def num_parameters(self, trainable: bool = False) -> int:
        """How many numbers the parameters hold; shared ones count once. With `trainable`, without frozen ones."""
        return sum(p.size for p in self.parameters() if p.requires_grad or not trainable)

    def generators(self) -> list[np.random.Generator]:
        """The random generators that the layers draw from, each once: a resumed training run restores their states."""
        held = (value for module in self.modules() for value in vars(module).values())
        return list(_once(value for value in held if isinstance(value, np.random.Generator)))

    # -- modes --------------------------------------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Training mode: dropout drops, batch norm uses the batch's statistics. Returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Evaluation mode: nothing random, and stored statistics. Returns the module."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze (False) or unfreeze all parameters. Returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self: M, dtype: Any) -> M:
        """Turn all float parameters and buffers into another float type, in place; gradients are forgotten."""
        if np.dtype(dtype).kind != "f":
            raise OptionError(f"to: expected a float type such as 'float32' or 'float64', got {dtype!r}")
        for module in self.modules():
            for tensor in (*module.own_parameters().values(), *module.own_buffers().values()):
                _convert(tensor, dtype)
        return self

    # -- saving and loading -------------------------------------------------------------------------------------------

    def local_state(self) -> dict[str, np.ndarray]:
        """Its own arrays, by the names they have in a state dict; a layer may write them in another form."""
        return {name: t.numpy() for name, t in {**self.own_parameters(), **self.own_buffers()}.items()}

    def load_local_state(self, state: Mapping[str, Any]) -> None:
        """The way back from `local_state`, for the names that are there."""
        for name, tensor in {**self.own_parameters(), **self.own_buffers()}.items():
            if name in state:
                tensor.copy_(np.asarray(state[name]))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, by PyTorch's names."""
        state = {}
        for prefix, module in self.named_modules():
            state.update({_joined(prefix, name): a for name, a in module.local_state().items()})
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Mismatch:
        """Take over the numbers of a state dict (arrays, or anything that NumPy turns into arrays).

        Args:
            state: arrays by name; their number type is converted to that of the parameters.
            strict: refuse missing and unexpected names. A shape that differs is always refused.

        Returns:
            the names that were missing and those that were not expected.

        Raises:
            CheckpointError: lists everything that does not fit, and nothing has been loaded then.
        """
        own = self.state_dict()
        missing, unexpected = [n for n in own if n not in state], [n for n in state if n not in own]
        shapes = [(n, own[n].shape, np.shape(state[n])) for n in own if n in state]
        wrong = [f"{n}: expected {want}, got {got}" for n, want, got in shapes if want != got]
        if wrong or (strict and (missing or unexpected)):
            raise CheckpointError(_misfit(type(self).__name__, missing, unexpected, wrong))
        for prefix, module in self.named_modules():
            module.load_local_state(_below(prefix, state))
        return Mismatch(missing, unexpected)

    # -- looking at it ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = _tree(self, "", 0)
        width = max(len(text) for text, _ in lines)
        return "\n".join(f"{text:<{width}}  {count:>12,}" if count else text for text, count in lines)


def _entries(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of everything directly inside, also inside lists, tuples and dictionaries."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _entries({f"{name}.{key}": v for key, v in value.items()})
        elif type(value) in (list, tuple):
            yield from _entries({f"{name}.{i}": v for i, v in enumerate(value)})
        else:
            yield name, value


def _once(values: Any) -> Iterator[Any]:
    seen: set[int] = set()
    for value in values:
        if id(value) not in seen:
            seen.add(id(value))
            yield value


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _below(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{prefix}." if prefix else ""
    return {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}


def _convert(tensor: Tensor, dtype: Any) -> None:
    if tensor.dtype.kind == "f":
        tensor.hold(tensor._data.astype(dtype))
        tensor.grad = None


def _misfit(model: str, missing: list[str], unexpected: list[str], wrong: list[str]) -> str:
    parts = [f"The state dict does not fit {model}."]
    for title, names in (("Missing", missing), ("Not expected", unexpected), ("Of another shape", wrong)):
        if names:
            parts.append(f"  {title} ({len(names)}): " + ("; " if title.startswith("Of") else ", ").join(names))
    return "\n".join([*parts, "  Expected: the state dict of a model with the same layers and sizes"])


def _tree(module: Module, name: str, depth: int) -> list[tuple[str, int]]:
    label = f"{name}: " if name else ""
    line = f"{'  ' * depth}{label}{type(module).__name__}({module.extra_repr()})"
    lines = [(line, module.num_parameters())]
    for child_name, child in module.named_children():
        lines += _tree(child, child_name, depth + 1)
    return lines
