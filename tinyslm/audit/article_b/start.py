"""B16: where the weights start."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

LAYERS, WIDTHS = 20, (64, 192)

# -- the formula: (fan_in, fan_out, activation "linear" or "relu", rng) -> W (fan_out, fan_in) -----------------------


def gaussian(scale: float) -> Formula:
    """N(0, scale²), whatever the size of the layer."""
    return lambda fan_in, fan_out, activation, rng: rng.normal(0, scale, (fan_out, fan_in))


def uniform(scale: float) -> Formula:
    """U(-scale, scale), whatever the size of the layer."""
    return lambda fan_in, fan_out, activation, rng: rng.uniform(-scale, scale, (fan_out, fan_in))


def by_width(fan_in: int, fan_out: int, activation: str, rng: np.random.Generator) -> np.ndarray:
    """Repaired: variance 2 / (fan_in + fan_out) (Glorot), for relu 2 / fan_in (He)."""
    variance = 2 / fan_in if activation == "relu" else 2 / (fan_in + fan_out)
    return rng.normal(0, np.sqrt(variance), (fan_out, fan_in))


def variances(start: Formula, width: int, activation: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean square of the signal after each layer, and of the gradient, both (LAYERS + 1,) and 1 where they begin."""
    rng = np.random.default_rng(seed)
    weights = [start(width, width, activation, rng) for _ in range(LAYERS)]
    x = rng.normal(size=(16, width))
    signal, slopes = [np.mean(x**2)], []
    for W in weights:
        z = x @ W.T
        slopes.append(np.where(z > 0, 1.0, 0.0) if activation == "relu" else np.ones_like(z))
        x = z * slopes[-1]
        signal.append(np.mean(x**2))
    g = rng.normal(size=x.shape)
    gradient = [np.mean(g**2)]
    for W, slope in zip(weights[::-1], slopes[::-1], strict=True):
        g = (g * slope) @ W
        gradient.append(np.mean(g**2))
    return np.array(signal) / signal[0], np.array(gradient) / gradient[0]


@lru_cache(maxsize=16)
def ends(start: Formula) -> tuple[dict[str, float], dict[str, float]]:
    """What is left of the signal, and of the gradient, after all layers, by activation and width."""
    cases = [(a, n) for a in ("linear", "relu") for n in WIDTHS]
    both = [variances(start, n, a) for a, n in cases]
    names = [f"{a} {n} wide" for a, n in cases]
    return tuple({k: float(v[part][-1]) for k, v in zip(names, both, strict=True)} for part in (0, 1))  # type: ignore[return-value]


def _keeps(part: int) -> Any:
    def test(start: Formula) -> Answer:
        left = ends(start)[part]
        ok = all(1 / 30 < v < 30 for v in left.values())
        return Answer(ok, "; ".join(f"{k}: {v:.1e}" for k, v in left.items()), left)

    return test


keeps_signal = asks("complete", "Does the signal keep its variance (to a factor 30) through 20 layers?")(_keeps(0))
keeps_gradient = asks("complete", "Does the gradient keep its variance (to a factor 30) through 20 layers?")(_keeps(1))


@asks("range", "Are the weights spread around 0?")
def centred(start: Formula) -> Answer:
    """The mean against its standard error."""
    W = start(200, 300, "linear", np.random.default_rng(1))
    off = float(abs(W.mean()) / (W.std() / np.sqrt(W.size)))
    return Answer(W.shape == (300, 200) and off < 4, f"mean {W.mean():.1e}, {off:.1f} standard errors from 0")


@asks("symmetry", "Does each unit start with weights of its own?")
def units_differ(start: Formula) -> Answer:
    """Equal units get equal gradients and stay equal."""
    W = start(20, 30, "linear", np.random.default_rng(2))
    different = len(np.unique(W, axis=0))
    return Answer(different == 30, f"{different} different rows of 30")


def at_each_scale() -> Answer:
    """The signal's variance after 20 relu layers of 64 units, for each spread and for He."""
    starts = {
        "N(0.01)": gaussian(0.01), "N(0.05)": gaussian(0.05), "N(1)": gaussian(1.0), "U(0.05)": uniform(0.05),
        "U(1)": uniform(1.0), "He": by_width,
    }  # fmt: skip
    found = {name: float(variances(s, WIDTHS[0], "relu")[0][-1]) for name, s in starts.items()}
    ok = 1 / 30 < found["He"] < 30 and all(not 1 / 30 < v < 30 for name, v in found.items() if name != "He")
    return Answer(ok, ", ".join(f"{k} {v:.0e}" for k, v in found.items()), found)


def no_scale_for_both() -> Answer:
    """Linear layers multiply the variance by about n s² each: what is right for 64 units is not for 192."""
    left = [float(variances(gaussian(WIDTHS[0] ** -0.5), n, "linear")[0][-1]) for n in WIDTHS]
    text = f"{left[0]:.2g} at {WIDTHS[0]} units, {left[1]:.1e} at {WIDTHS[1]}"
    return Answer(left[0] < 30 and left[1] > 1e6, text, {"left": left})


def picture(numbers: Mapping[str, Any]) -> Any:
    """The signal's variance through 20 layers of 64 relu units."""
    from ... import plot

    starts = {
        "Gaussian, 0.05": gaussian(0.05), "uniform, ±0.2": uniform(0.2), "Gaussian, 0.3": gaussian(0.3),
        "Glorot": lambda i, o, _, rng: by_width(i, o, "linear", rng), "He": by_width,
    }  # fmt: skip
    series = {name: variances(s, WIDTHS[0], "relu")[0] for name, s in starts.items()}
    return plot.lines(
        range(LAYERS + 1), series, xlabel="layer (64 units, relu)", ylabel="variance of the signal", log="y"
    )


RECORDS = (
    Record(
        "B16",
        "3.2, model training",
        "initial weights",
        "incomplete",
        "Parameters start at random; Gaussian and uniform initialisation are named, no spread is given.",
        readings=(
            Reading("Gaussian, 0.05", gaussian(0.05)),
            Reading("Gaussian, 0.01", gaussian(0.01)),
            Reading("Gaussian, 1", gaussian(1.0)),
            Reading("uniform, -0.05 to 0.05", uniform(0.05)),
            Reading("uniform, -1 to 1", uniform(1.0)),
        ),
        questions=(centred, units_differ, keeps_signal, keeps_gradient),
        repaired=r"\mathrm{Var}(W) = \frac{2}{n_{in} + n_{out}}, \quad \text{for relu } \frac{2}{n_{in}}",
        repair=by_width,
        findings=(
            Finding("variance after 20 relu layers of 64 units", at_each_scale),
            Finding("one spread can't serve two widths", no_scale_for_both),
        ),
        source="X. Glorot and Y. Bengio, AISTATS 2010; K. He et al., Delving deep into rectifiers, ICCV 2015",
        picture=picture,
        note="The kind of distribution hardly matters; its variance has to follow the width of the layer.",
    ),
)
