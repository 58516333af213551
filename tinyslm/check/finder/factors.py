"""Factors by name: 2, 1/B, sqrt(D)... each a function of the sizes, so that it can be tried at other sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from .naming import Names
from .trace import Trace

Sized = Callable[[Trace], float]
CONSTANTS = {"2": 2.0, "1/2": 0.5, "-1": -1.0, "-2": -2.0, "-1/2": -0.5, "3": 3.0, "4": 4.0, "1/4": 0.25, "1/3": 1 / 3}
CONSTANTS |= {"ln 2": np.log(2), "1/ln 2": 1 / np.log(2), "ln 10": np.log(10), "1/ln 10": 1 / np.log(10)}
POWERS = {"{}": 1.0, "1/{}": -1.0, "sqrt({})": 0.5, "1/sqrt({})": -0.5, "{}**2": 2.0, "1/{}**2": -2.0}
MOST = 12


def factor_kind(text: str) -> str:
    """The class of a factor by its name."""
    if text == "-1":
        return "sign"
    return "factor" if text in CONSTANTS else "size factor"


def sizes_of(trace: Trace) -> dict[str, float]:
    """Sizes by where they come from: a dimension of an input or of the output."""
    found: dict[str, float] = {}
    values = {**{f'p["{k}"]': v for k, v in trace.point.p.items()}, "out": trace.point.out}
    for name, v in values.items():
        for d, n in enumerate(np.shape(v)):
            if n > 1:
                found.setdefault(f"{name}.shape[{d}]", float(n))
    for name, v in values.items():
        if np.ndim(v) > 1:
            found[f"{name}.size"] = float(np.size(v))
        if np.ndim(v) > 2:
            found[f"({name}.size / {name}.shape[-1])"] = float(np.size(v) // np.shape(v)[-1])
        if isinstance(v, np.ndarray) and v.dtype.kind == "b":
            found[f"{name}.sum()"] = float(v.sum())
    return found


def factor_names(trace: Trace, c: float) -> list[tuple[str, Sized]]:
    """Names for a factor that was needed here."""
    plain: list[tuple[str, Sized]] = [(t, _fixed(v)) for t, v in CONSTANTS.items() if abs(c - v) <= 1e-7 * abs(v)]
    named = [(t, _fixed(v)) for t, v in _named(trace) if abs(c - v) <= 1e-7 * abs(v)]
    found = plain + named if abs(c) in (0.5, 1.0, 2.0) else named + plain
    for name, n in sizes_of(trace).items():
        found += [(text, at) for text, value, at in _of_size(name, n) if abs(c - value) <= 1e-7 * abs(c)]
    own = Names.of(trace.point.learner.source).taken["p"]
    return [(re.sub(r"\bp\[", lambda m: own + "[", text), at) for text, at in found[:MOST]]


def _named(trace: Trace) -> Iterator[tuple[str, float]]:
    """Numbers that the learner's file or inputs have a name for, and what one makes of them."""
    names = getattr(trace.point.learner.functions["backward"], "__globals__", {})
    mine = {k: v for k, v in names.items() if not k.startswith("_")}
    mine |= {f'p["{k}"]': v for k, v in trace.point.p.items()}
    for k, v in mine.items():
        if isinstance(v, (int, float)) and not isinstance(v, bool) and v not in (0, 1, -1):
            yield from (
                (form.format(k), abs(v) ** power * (1 if v > 0 or power == 2 else -1)) for form, power in POWERS.items()
            )


def _fixed(value: float) -> Sized:
    return lambda t: value


def _of_size(name: str, n: float) -> Iterator[tuple[str, float, Sized]]:
    for form, power in POWERS.items():
        for sign in (1, -1):
            text = ("-" if sign < 0 else "") + form.format(name)
            yield text, sign * n**power, _power_of(name, power, sign)
    if n > 1:
        yield f"{name} / ({name} - 1)", n / (n - 1), _ratio(name, 1)
        yield f"({name} - 1) / {name}", (n - 1) / n, _ratio(name, -1)


def _power_of(name: str, power: float, sign: int) -> Sized:
    return lambda t: sign * sizes_of(t).get(name, 1.0) ** power


def _ratio(name: str, power: int) -> Sized:
    def at(t: Trace) -> float:
        n = sizes_of(t).get(name, 1.0)
        return (n / (n - 1)) ** power if n > 1 else 1.0

    return at
