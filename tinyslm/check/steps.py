"""The steps of a derivation and the points at which they are evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import BackendError, OptionError, TinyslmError
from ..messages import say
from ..tensor import raw
from .domains import Domain, Setting, Sizes, draw_sizes

RANDOM = ("rng", "draws")  # arguments of a sampled step
NUDGE = 4e-6
NOISE_OF_DIFFERENCE = 70**0.5  # the root of 1 + 16 + 36 + 16 + 1


class StepError(TinyslmError, RuntimeError):
    """A step of a derivation that stopped with an error which no choice of sizes explains."""


class Undefined(Exception):
    """A step that has no value at these sizes: the shapes do not fit."""


@dataclass(frozen=True)
class Point:
    """Inputs drawn from their domains at certain sizes."""

    sizes: Sizes
    arrays: dict[str, Any]

    def changed(self, **arrays: Any) -> Point:
        """The same point with some inputs replaced."""
        return replace(self, arrays={**self.arrays, **arrays})

    def nudged(self, signs: dict[str, Any], amount: float) -> Point:
        """The same point with every float that is no whole number moved by a share of itself."""
        return replace(
            self, arrays={k: a * (1 + amount * signs[k]) if k in signs else a for k, a in self.arrays.items()}
        )

    def signs(self, rng: np.random.Generator) -> dict[str, Any]:
        """A random sign for each number that may be moved; ids, masks and one-hot rows may not."""
        return {
            k: rng.choice([-1.0, 1.0], a.shape)
            for k, a in self.arrays.items()
            if a.dtype.kind == "f" and not np.array_equal(a, np.round(a))
        }


@dataclass(frozen=True)
class Step:
    """One line of a derivation: a function of some of the inputs, its LaTeX, and how it follows.

    Attributes:
        name: unique in its derivation.
        latex: the formula.
        function: arrays in, an array or a tuple of arrays out.
        link: what it claims about an earlier step; None for a start.
        arguments: the inputs that the function takes.
    """

    name: str
    latex: str
    function: Callable[..., Any]
    link: Any = None
    arguments: tuple[str, ...] = field(default=())

    @property
    def random(self) -> bool:
        """Whether it draws samples."""
        return "rng" in self.arguments

    def call(self, point: Point, **more: Any) -> Any:
        """The function at a point, on copies of the inputs, as it returns it."""
        given = {k: np.array(point.arrays[k]) for k in self.arguments if k not in RANDOM}
        try:
            with np.errstate(all="ignore"):
                return self.function(**given, **more)
        except (ValueError, IndexError) as error:  # what NumPy and the operations raise where shapes do not fit
            why = (str(error).splitlines() or [""])[0].strip()
            raise Undefined(
                say("derivation.undefined", step=self.name, why=f"{type(error).__name__}: {why}")
            ) from error
        except BackendError:  # it says nothing about the step
            raise
        except Exception as error:
            raise StepError(say("derivation.step_failed", step=self.name, error=repr(error))) from error

    def value(self, point: Point, **more: Any) -> np.ndarray:
        """The only result; a link that needs just one asks for it."""
        found = self.values(point, **more)
        if len(found) != 1:
            raise OptionError(say("derivation.several", step=self.name, count=len(found)))
        return found[0]

    def values(self, point: Point, **more: Any) -> list[np.ndarray]:
        """The results as float64 arrays."""
        found = self.call(point, **more)
        parts = found if isinstance(found, tuple) else (found,)
        try:
            return [np.asarray(raw(p), np.float64) for p in parts]
        except (TypeError, ValueError) as error:
            raise StepError(say("derivation.not_numbers", step=self.name, got=type(parts[0]).__name__)) from error


def _needed(p: inspect.Parameter, inputs: dict[str, Domain]) -> bool:
    """Whether an argument is filled from the inputs; others keep their default."""
    return p.name in inputs or p.name in RANDOM or p.default is p.empty


def arguments_of(function: Callable[..., Any], name: str, inputs: dict[str, Domain]) -> tuple[str, ...]:
    """The names of the inputs that a step takes, checked."""
    found = tuple(p.name for p in inspect.signature(function).parameters.values() if _needed(p, inputs))
    for argument in found:
        if argument not in inputs and argument not in RANDOM:
            raise OptionError(
                f"step {name!r}: its argument {argument!r} is no input.\n  Expected: some of {', '.join(inputs)}\n"
                f"  Got: {', '.join(found)}"
            )
    return found


class Points:
    """Draws points: the first with the smallest sizes, so that a counterexample is small; the same ones every time."""

    def __init__(self, inputs: dict[str, Domain], fixed: Sizes, seed: int):
        self.inputs, self.fixed, self.seed = inputs, fixed, seed
        self.letters = list(dict.fromkeys(x for d in inputs.values() for x in d.letters))

    def letters_of(self, names: Sequence[str]) -> list[str]:
        """The letters of these inputs whose size is drawn."""
        found = [x for n in dict.fromkeys(names) if n in self.inputs for x in self.inputs[n].letters]
        return [x for x in dict.fromkeys(found) if x not in self.fixed]

    def at(self, k: int, setting: Setting | None = None, spread: float = 1.0) -> Point:
        """The k-th point under a setting of sizes."""
        rng = self.rng(k)
        sizes = draw_sizes(self.letters, self.fixed, setting or {}, rng if k else None)
        return Point(sizes, {name: d.draw(rng, sizes, spread) for name, d in self.inputs.items()})

    def rng(self, k: int) -> np.random.Generator:
        """A generator that belongs to the k-th point."""
        return np.random.default_rng([self.seed, k])


def noise_of(step: Step, point: Point, rng: np.random.Generator) -> list[float]:
    """How far rounding moves each result of a step, at most.

    The results at five points in a row, so close that a smooth function is a cubic there: the fourth difference is
    what rounding leaves.
    """
    found: list[float] = []
    for _ in range(2):
        signs = point.signs(rng)
        rows = [step.values(point.nudged(signs, NUDGE * k)) for k in range(-2, 3)]
        fourth = [np.abs(a - 4 * b + 6 * c - 4 * d + e).max(initial=0.0) for a, b, c, d, e in zip(*rows, strict=True)]
        found = [
            max(n, float(f) / NOISE_OF_DIFFERENCE) for n, f in zip(found or [0.0] * len(fourth), fourth, strict=True)
        ]
    return found
