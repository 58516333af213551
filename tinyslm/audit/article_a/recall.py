"""A20: what helps with long distances, measured on a task of recall."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from ... import nn, ops
from ...tensor import Tensor
from ..questions import Answer, gradients
from ..record import Measured, Record

SYMBOLS, NOISE = 4, 4  # which of four symbols came first? then noise, then a mark that asks
KINDS, LAYERS, WIDTHS, DISTANCES = ("RNN", "LSTM", "attention"), (1, 2), (16, 32), (4, 12, 30)
STEPS, BATCH, MARGIN = 100, 16, 0.05
SEEDS = {"RNN": (0, 1), "LSTM": (0, 1), "attention": (0,)}
GUESS = 1 / SYMBOLS


class Reader(nn.Module):
    """Reads a sequence (B, T) of tokens and says at its end which symbol came first, scores (B, SYMBOLS)."""

    def __init__(self, kind: str, layers: int, width: int, rng: np.random.Generator):
        super().__init__()
        self.kind = kind
        self.embedding = nn.Embedding(SYMBOLS + NOISE + 1, width, rng=rng)
        self.positions = nn.SinusoidalPositions()
        self.body: nn.Module
        if kind == "attention":
            self.body = nn.TransformerEncoder(layers, width, 2, 2 * width, 0.0, norm_first=True, rng=rng)
        else:
            self.body = (nn.RNN if kind == "RNN" else nn.LSTM)(width, width, layers, rng=rng)
        self.head = nn.Linear(width, SYMBOLS, rng=rng)

    def read(self, x: Tensor) -> Tensor:
        """Vectors (B, T, D) -> the last state (B, D)."""
        if self.kind == "attention":
            return self.body(self.positions(x))[:, -1]
        return self.body(x)[0][:, -1]

    def forward(self, ids: np.ndarray) -> Tensor:
        """(B, T) -> (B, SYMBOLS)."""
        return self.head(self.read(self.embedding(ids)))


def draw(distance: int, rng: np.random.Generator, size: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (B, distance + 1): a symbol, distance - 1 tokens of noise, the mark; and the symbols."""
    first = rng.integers(0, SYMBOLS, size)
    noise = rng.integers(SYMBOLS, SYMBOLS + NOISE, (size, distance - 1))
    return np.column_stack([first, noise, np.full(size, SYMBOLS + NOISE)]), first


def accuracy(kind: str, layers: int, width: int, distance: int, seed: int, steps: int = STEPS) -> float:
    """Train on fresh sequences of one distance, then count right answers on 500 new ones."""
    from ...engine import no_grad
    from ...optim import Adam, clip_grad_norm_

    rng = np.random.default_rng(seed)
    model = Reader(kind, layers, width, rng)
    parameters = list(model.parameters())
    optimizer = Adam(parameters, lr=5e-3)
    for _ in range(steps):
        ids, first = draw(distance, rng)
        optimizer.zero_grad()
        ops.cross_entropy(model(ids), first).backward()
        clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    ids, first = draw(distance, rng, 500)
    with no_grad():
        return float((model(ids).numpy().argmax(-1) == first).mean())


def reach(kind: str, distance: int, width: int = 32) -> float:
    """Norm of the gradient of the end with respect to the first vector, over that for the last, before training."""
    rng = np.random.default_rng(0)
    model = Reader(kind, 1, width, rng)
    x = Tensor(model.embedding(draw(distance, rng)[0]).numpy(), requires_grad=True)
    g = gradients(model.read(x), [x], Tensor(rng.normal(size=(BATCH, width)).astype(np.float32)))[0]
    return float(np.linalg.norm(g[:, 0]) / np.linalg.norm(g[:, -1]))


def measure() -> Measured:
    """Train everything; compare attention at the longest distance, layers and units over all distances."""
    grid = list(product(KINDS, LAYERS, WIDTHS, DISTANCES))
    found = {key: float(np.mean([accuracy(*key, seed=s) for s in SEEDS[key[0]]])) for key in grid}
    parts = (
        ("attention reaches further than RNN and LSTM", _attention(found)),
        ("more layers help RNN and LSTM", _more(found, 1, LAYERS, "layers")),
        ("more hidden units help RNN and LSTM", _more(found, 2, WIDTHS, "units")),
    )
    held = sum(bool(a.ok) for _, a in parts)
    words = "measured: holds" if held == len(parts) else "measured: in part" if held else "measured: no"
    numbers = {
        "accuracy": {f"{k}, {n} layers, {w} units, distance {d}": v for (k, n, w, d), v in found.items()},
        "reach": {k: [reach(k, d) for d in DISTANCES] for k in KINDS},
        "by distance": {k: [_mean(found, k, distance=d) for d in DISTANCES] for k in KINDS},
    }
    return Measured(words, parts, numbers)


def _mean(found: Mapping[tuple, float], *kinds: str, distance: int, place: int = 0, setting: Any = None) -> float:
    chosen = [
        v for k, v in found.items() if k[0] in kinds and k[3] == distance and (setting is None or k[place] == setting)
    ]
    return float(np.mean(chosen))


def _attention(found: Mapping[tuple, float]) -> Answer:
    far = DISTANCES[-1]
    mean = {k: _mean(found, k, distance=far) for k in KINDS}
    text = ", ".join(f"{k} {v:.0%}" for k, v in mean.items())
    ok = mean["attention"] > max(mean["RNN"], mean["LSTM"]) + MARGIN
    return Answer(ok, f"right at distance {far} after {STEPS} steps: {text} (guessing: {GUESS:.0%})", mean)


def _more(found: Mapping[tuple, float], place: int, settings: tuple[int, int], name: str) -> Answer:
    rows = [[_mean(found, "RNN", "LSTM", distance=d, place=place, setting=s) for s in settings] for d in DISTANCES]
    gain = [b - a for a, b in rows]
    text = ", ".join(f"{a:.0%} to {b:.0%} at {d}" for d, (a, b) in zip(DISTANCES, rows, strict=True))
    mean = float(np.mean(gain))
    told = f"from {settings[0]} to {settings[1]} {name}: {text}; {100 * mean:+.1f} points on average"
    return Answer(mean > MARGIN, told, {"gain": gain})


def picture(numbers: Mapping[str, Any]) -> Any:
    """Accuracy and gradient against distance."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for kind, colour, style in zip(KINDS, ("#D55E00", "#0072B2", "#009E73"), ("o-", "s--", "^:"), strict=True):
        left.plot(DISTANCES, [100 * v for v in numbers["by distance"][kind]], style, color=colour, label=kind)
        right.semilogy(DISTANCES, numbers["reach"][kind], style, color=colour, label=kind)
    left.axhline(100 * GUESS, color="#555555", linewidth=0.8)
    left.set(xlabel="distance in tokens", ylabel="right answers in %", title=f"After {STEPS} steps", ylim=(0, 104))
    right.set(xlabel="distance in tokens", ylabel="gradient, first / last", title="Before training")
    left.legend(fontsize=9)
    return figure


RECORDS = (
    Record(
        "A20",
        "appendix, question 2",
        "long distances",
        "to measure",
        "Attention handles long-range dependencies; more layers and more hidden units help with them, too.",
        measure=measure,
        slow=True,
        picture=picture,
        source="S. Hochreiter 1991; Y. Bengio, P. Simard and P. Frasconi, IEEE Trans. Neural Networks 5 (1994) 157",
        note="A small task, short training and one or two starts each: it says who learns to recall in this time, not "
        "who could in any. RNN and LSTM are averaged where layers and units are compared; a gain counts from 5 points "
        "on. It takes about 40 s.",
    ),
)
