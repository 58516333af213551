"""Many small arrays changed as if they were one.

A model has many small parameters: biases, the weights of norms, the pieces of a small model. For them a call for each
costs more than its arithmetic. Here one call serves all that are at the same step: their moments lie side by side in
flat arrays for good, of which the state holds views; parameters and gradients are gathered for each step. Parameters
that share memory are changed one after the other: gathered, the change of one would undo that of another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from .optimizer import Members, state_array

LARGEST = 4096  # numbers; copying a larger array there and back costs more than a call


class Joined:
    """Parameters of one number type, and their moments `names` as flat arrays."""

    def __init__(self, members: Members, names: tuple[str, ...]):
        self.names = names
        self.arrays = [p._data for p, _ in members]
        self.apart = not any(np.may_share_memory(a, b) for a, b in itertools.combinations(self.arrays, 2))
        stops = [0, *itertools.accumulate(p.size for p, _ in members)]
        self.places = [(p.shape, slice(*ends)) for (p, _), ends in zip(members, itertools.pairwise(stops), strict=True)]
        self.values = np.empty(stops[-1], members[0][0].dtype)
        self.parts = self._views(self.values)
        self.moments = [_flat([state_array(s, name, p._data) for p, s in members]) for name in names]
        for name, moment in zip(names, self.moments, strict=True):
            for (_, state), view in zip(members, self._views(moment), strict=True):
                state[name] = view
        self.held: list[list[np.ndarray]] = [[state[name] for name in names] for _, state in members]

    def fits(self, members: Members) -> bool:
        """Whether these are the members, and their state still consists of the views (not after loading one)."""
        return (
            len(members) == len(self.held)
            and all(p._data is array for (p, _), array in zip(members, self.arrays, strict=True))
            and all(
                state.get(name) is view and view.base is moment
                for (_, state), views in zip(members, self.held, strict=True)
                for name, view, moment in zip(self.names, views, self.moments, strict=True)
            )
        )

    def change(self, members: Members, code: Callable[..., None], rest: tuple) -> None:
        """Call `code(parameters, gradients, *moments, *rest)` on the flat arrays, and write the parameters back."""
        if not self.apart:
            for (p, _), moments in zip(members, self.held, strict=True):
                code(p._data, p.grad._data, *moments, *rest)  # type: ignore[union-attr]
            return
        np.concatenate([p._data for p, _ in members], axis=None, out=self.values)
        code(self.values, _flat([p.grad._data for p, _ in members if p.grad is not None]), *self.moments, *rest)
        for (p, _), part in zip(members, self.parts, strict=True):
            p._data[...] = part

    def _views(self, flat: np.ndarray) -> list[np.ndarray]:
        return [flat[place].reshape(shape) for shape, place in self.places]


def _flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays, axis=None)
