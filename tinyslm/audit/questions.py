"""Questions to a formula. Each gets one callable and nothing else: not the repair, not the name of the reading.

A question tests a property that follows from what the formula is for. Its kind says what a failure means: "shapes" that
it can't be computed as meant, "complete" that something is missing, "fact" that a count contradicts it, any other kind
that it gives wrong numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import grad
from ..errors import BackendError, TinyslmError
from ..messages import say
from ..tensor import Tensor, raw

KINDS = ("shapes", "scaling", "range", "symmetry", "limits", "gradient", "learnability", "value", "complete", "fact")
TROUBLE = (ArithmeticError, LookupError, TypeError, ValueError, np.linalg.LinAlgError, TinyslmError)


@dataclass(frozen=True)
class Answer:
    """What a question found.

    Attributes:
        ok: whether the property holds; None where the question makes no sense for this callable.
        text: the finding with its number, in a few words.
        numbers: the numbers behind it, by name.
    """

    ok: bool | None
    text: str
    numbers: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """A property and the test for it.

    Attributes:
        kind: one of KINDS.
        text: the question, answered by yes or no; yes is good.
        test: (formula) -> Answer. Errors of the formula are turned into "no" by `ask`.
    """

    kind: str
    text: str
    test: Callable[[Callable[..., Any]], Answer]

    def ask(self, formula: Callable[..., Any]) -> Answer:
        """Put the question to one callable."""
        try:
            with np.errstate(all="ignore"):
                return self.test(formula)
        except BackendError:  # it says nothing about the formula
            raise
        except TROUBLE as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            return Answer(False, say("audit.answer.undefined", why=first[0][:150]))


def value(formula: Callable[..., Any], *inputs: Any) -> Any:
    """The result of a formula as float64 array (or a tuple of them); float arrays go in as tensors."""
    result = formula(*[_tensor(x) for x in inputs])
    if isinstance(result, tuple):
        return tuple(np.asarray(raw(r), np.float64) for r in result)
    return np.asarray(raw(result), np.float64)


def gradients(y: Tensor, inputs: Sequence[Tensor], cotangent: Tensor | None = None) -> list[np.ndarray]:
    """The engine's gradients of y as arrays, one per input; zeros where y does not depend on it."""
    found = grad(y, inputs, cotangent, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(inputs, found, strict=True)]


def _tensor(x: Any) -> Any:
    is_array = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return Tensor(x) if is_array else x


def _changed(inputs: Sequence[Any], slots: Sequence[int], change: Callable[[Any], Any]) -> list[Any]:
    return [change(x) if i in slots else x for i, x in enumerate(inputs)]


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the larger array; infinite for other shapes or NaN."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return float(np.abs(a - b).max(initial=0.0) / scale) if scale else 0.0


# -- the kinds --------------------------------------------------------------------------------------------------------


def shapes(inputs: Sequence[Any], expected: tuple[int, ...], meaning: str) -> Question:
    """Is the result defined and of the expected shape? `meaning` names the sizes: "(n, d_v), one row per token"."""

    def test(formula: Callable[..., Any]) -> Answer:
        got = value(formula, *inputs).shape
        return Answer(got == expected, say("audit.answer.shape", got=got, wanted=expected), {"shape": got})

    return Question("shapes", f"Is the result defined, of shape {meaning}?", test)


def homogeneous(
    inputs: Sequence[Any], slots: Sequence[int], degree: float, text: str, factor: float = 1000.0
) -> Question:
    """Do inputs `slots`, multiplied by c, multiply the result by c**degree?"""

    def test(formula: Callable[..., Any]) -> Answer:
        before = value(formula, *inputs)
        after = value(formula, *_changed(inputs, slots, lambda x: x * factor))
        ratio = float(np.linalg.norm(after) / np.linalg.norm(before))
        ok = _gap(after, before * factor**degree) < 1e-6
        text = say("audit.answer.ratio", factor=factor, ratio=ratio, wanted=factor**degree)
        return Answer(ok, text, {"ratio": ratio})

    return Question("scaling", text, test)


def within(inputs: Sequence[Any], low: Any, high: Any, text: str, take: Callable[[Any], Any] = lambda y: y) -> Question:
    """Does `take`(result) lie from low to high (numbers or arrays that broadcast)?"""

    def test(formula: Callable[..., Any]) -> Answer:
        y = take(value(formula, *inputs))
        ok = bool((y >= np.asarray(low) - 1e-9).all() and (y <= np.asarray(high) + 1e-9).all())
        ends = {"low": float(y.min()), "high": float(y.max())}
        return Answer(ok, say("audit.answer.range", **ends), ends)

    return Question("range", text, test)


def symmetric(
    inputs: Sequence[Any],
    change: Callable[..., Sequence[Any]],
    text: str,
    then: Callable[[np.ndarray], np.ndarray] = lambda y: y,
    tolerance: float = 1e-9,
) -> Question:
    """Is formula(change(inputs)) the same as then(formula(inputs))? `then` left out: an invariance."""

    def test(formula: Callable[..., Any]) -> Answer:
        gap = _gap(value(formula, *change(*inputs)), then(value(formula, *inputs)))
        return Answer(gap <= tolerance, say("audit.answer.gap", gap=gap), {"difference": gap})

    return Question("symmetry", text, test)


def influences(
    inputs: Sequence[Any], slot: int, text: str, kind: str = "gradient", step: float = 0.1, seed: int = 0
) -> Question:
    """Does the result change when input `slot` changes a little in a random direction?"""

    def test(formula: Callable[..., Any]) -> Answer:
        direction = np.random.default_rng(seed).normal(size=np.shape(inputs[slot]))
        there = value(formula, *_changed(inputs, [slot], lambda x: x + step * direction))
        back = value(formula, *_changed(inputs, [slot], lambda x: x - step * direction))
        change = float(np.abs(there - back).max(initial=0.0))
        ok = bool(change > 1e-9 * max(1.0, np.abs(there).max(initial=0.0)))
        return Answer(ok, say("audit.answer.change", change=change), {"change": change})

    return Question(kind, text, test)


def equals(
    inputs: Sequence[Any], expected: Any, text: str, kind: str = "limits", rtol: float = 1e-6, atol: float = 1e-9
) -> Question:
    """Is the result, at a point where it is known beforehand, the known one?"""

    def test(formula: Callable[..., Any]) -> Answer:
        y = value(formula, *inputs)
        wanted = np.asarray(expected, float)
        ok = y.shape == wanted.shape and bool(np.allclose(y, wanted, rtol=rtol, atol=atol))
        return Answer(ok, say("audit.answer.known", got=_show(y), wanted=_show(wanted)), {"got": y.tolist()})

    return Question(kind, text, test)


def _show(y: np.ndarray) -> str:
    if y.size == 1:
        return f"{y.item():.4g}"
    if y.size <= 4:
        return "[" + ", ".join(f"{v:.4g}" for v in y.ravel()) + "]"
    return say("audit.answer.range", low=y.min(), high=y.max())


def gradient(inputs: Sequence[Any], text: str = "Is the gradient of this function right?") -> Question:
    """Does the engine's gradient of the function agree with differences? No answer if it isn't made of tensors.

    It asks whether the derivative is that of this function, not whether the function is the right one.
    """

    def test(formula: Callable[..., Any]) -> Answer:
        from ..check import gradcheck

        if not _made_of_tensors(formula(*[_tensor(x) for x in inputs])):
            return Answer(None, say("audit.answer.no_gradient"))
        slots = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray)]
        report = gradcheck(lambda *arrays: formula(*_filled(inputs, slots, arrays)), [inputs[i] for i in slots])
        error = report.largest_error
        text = say("audit.answer.gradient", verdict=report.verdict, error=error)
        return Answer(report.ok, text, {"error": error})

    return Question("gradient", text, test)


def _filled(inputs: Sequence[Any], slots: Sequence[int], arrays: Sequence[Any]) -> list[Any]:
    all_of_them = list(inputs)
    for i, a in zip(slots, arrays, strict=True):
        all_of_them[i] = a
    return all_of_them


def _made_of_tensors(result: Any) -> bool:
    parts = result if isinstance(result, tuple) else (result,)
    return all(isinstance(p, Tensor) and p.dtype == np.float64 for p in parts)


def asks(kind: str, text: str) -> Callable[[Callable[[Callable[..., Any]], Answer]], Question]:
    """Decorator that makes a Question of any other test (formula) -> Answer."""
    if kind not in KINDS:
        raise ValueError(f"Expected a kind of {KINDS}. Got {kind!r}")
    return lambda test: Question(kind, text, test)
