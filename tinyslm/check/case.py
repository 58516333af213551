"""A function at a point, and its gradient there: the engine's, or a hand-written one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import to_host
from ..engine import Op, enable_grad, grad
from ..errors import OptionError
from ..messages import say
from ..tensor import Tensor, raw
from .reference import is_float, signs
from .report import Verdict


class Finding(Exception):
    """Something that makes comparing numbers pointless."""

    def __init__(self, text: str, verdict: Verdict = Verdict.WRONG):
        super().__init__(text)
        self.verdict = verdict


class Case:
    """A function, a point, two random cotangents, and a way to pull cotangents back."""

    def __init__(
        self, function: Any, arrays: list[np.ndarray], rng: np.random.Generator, backward: Any = None, names: Any = None
    ):
        self.function, self.arrays, self.rng, self.backward = function, arrays, rng, backward
        self.names = names or names_of(function, len(arrays))
        self.slots = [i for i, a in enumerate(arrays) if is_float(a)]
        self.before = [a.copy() for a in arrays]
        self.values = self.forward()
        self.cotangents = [[signs(rng, y.shape) for y in self.values] for _ in range(2)]

    def leaves(self) -> list[Tensor]:
        """The inputs as fresh leaves; one slot each, also where the same tensor fills two."""
        return [Tensor.wrap(a).requires_grad_() if is_float(a) else Tensor.wrap(a) for a in self.arrays]

    def forward(self) -> list[np.ndarray]:
        """The results, as arrays."""
        with enable_grad():
            out = self.function(*self.leaves())
        self.several = isinstance(out, (tuple, list))
        if out is None:
            raise OptionError(
                "gradcheck: the function returned None.\n  Expected: a tensor, or a tuple of tensors\n"
                "  Got: None; is `return` missing at its end?"
            )
        return [np.asarray(to_host(raw(y))) for y in (out if self.several else (out,))]

    def pull(self, cotangents: Sequence[np.ndarray]) -> list[Any]:
        """The gradients of all float inputs for one set of cotangents."""
        found = self._by_hand(cotangents) if self.backward is not None else self._by_engine(cotangents)
        places = zip(found, self.slots, strict=True)
        return [np.zeros(self.arrays[s].shape) if g is None else to_host(raw(g)) for g, s in places]

    def _by_engine(self, cotangents: Sequence[np.ndarray]) -> Sequence[Any]:
        leaves = self.leaves()
        with enable_grad():
            out = self.function(*leaves)
        outs = out if self.several else (out,)
        return grad(outs, [leaves[s] for s in self.slots], list(cotangents), allow_unused=True)

    def _by_hand(self, cotangents: Sequence[np.ndarray]) -> Sequence[Any]:
        assert self.backward is not None
        g = tuple(map(Tensor.wrap, cotangents))
        found = self.backward(g if self.several else g[0], *map(Tensor.wrap, self.arrays))
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) == len(self.arrays) != len(self.slots):
            found = [found[s] for s in self.slots]
        if len(found) != len(self.slots):
            raise Finding(say("gradcheck.finding.count", got=len(found), wanted=len(self.slots)))
        return found

    @property
    def weights(self) -> np.ndarray:
        """The cotangents as rows (K, n)."""
        return np.stack([np.concatenate([np.ravel(c) for c in cs]) for cs in self.cotangents])

    def name(self, k: int) -> str:
        """The name of the k-th float input."""
        return self.names[self.slots[k]]


def names_of(function: Any, n: int) -> list[str]:
    """The argument names of a function, or "input 0", "input 1", ..."""
    if isinstance(function, Op):
        names = function.inputs if not function.variadic else []
    else:
        try:
            kinds = inspect.signature(function).parameters.values()
            names = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        except (TypeError, ValueError):
            names = []
    return [names[i] if i < len(names) else f"input {i}" for i in range(n)]


def second_order(case: Case) -> Case:
    """The gradient of a function as a function itself, of the cotangents and the inputs."""
    count = len(case.values)

    def gradient(*args: Tensor) -> tuple[Tensor, ...]:
        with enable_grad():
            args = tuple(
                t if t.requires_grad or not is_float(t._data) else Tensor.wrap(t._data).requires_grad_() for t in args
            )
            g, inputs = args[:count], args[count:]
            out = case.function(*inputs)
            wanted = [inputs[s] for s in case.slots]
            found = grad(out if case.several else (out,), wanted, g, create_graph=True, allow_unused=True)
        return tuple(
            Tensor.wrap(np.zeros_like(t._data)) if d is None else d for d, t in zip(found, wanted, strict=True)
        )

    names = ["g"] if not case.several else [f"g{i}" for i in range(count)]
    return Case(gradient, [*case.cotangents[0], *case.arrays], case.rng, names=[*names, *case.names])
