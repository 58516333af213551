"""B19: dropout in recurrent networks, one mask for a sequence or a fresh one for each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...nn import LSTM, Dropout, SequenceDropout
from ...tensor import Tensor
from ..questions import Answer
from ..record import Finding, Record

B, T, D, P = 200, 20, 16, 0.3


def kept(layer: type[Dropout], seed: int = 0) -> np.ndarray:
    """Which features of ones (B, T, D) a dropout layer keeps, as True and False."""
    dropout = layer(P, rng=np.random.default_rng(seed))
    return dropout(Tensor(np.ones((B, T, D)))).numpy() > 0


def masks_per_sequence() -> Answer:
    """How many different masks one sequence meets."""
    counts = [np.mean([len(np.unique(m, axis=0)) for m in kept(layer)]) for layer in (SequenceDropout, Dropout)]
    return Answer(bool(counts[0] == 1 and counts[1] > 0.9 * T), f"{counts[0]:g} in {T} steps; fresh: {counts[1]:.1f}")


def always_there() -> Answer:
    """The share of features that a sequence sees at all of its steps: 1 - p, or (1 - p)^T."""
    one, fresh = (float(kept(layer).all(axis=1).mean()) for layer in (SequenceDropout, Dropout))
    ok = abs(one - (1 - P)) < 0.05 and abs(fresh - (1 - P) ** T) < 0.01
    text = (
        f"{one:.3f} with one mask (1 - p is {1 - P:.1f}), {fresh:.4f} with fresh ones ((1 - p)^T is {(1 - P) ** T:.4f})"
    )
    return Answer(ok, text, {"one": one, "fresh": fresh})


def unbiased() -> Answer:
    """The mean of what comes out, for ones that go in; the bar is four standard errors over B D masks."""
    bar = 4 * float(np.sqrt(P / (1 - P) / (B * D)))
    means = [float(kept(layer).mean() / (1 - P)) for layer in (SequenceDropout, Dropout)]
    return Answer(max(abs(m - 1) for m in means) < bar, f"{means[0]:.3f} and {means[1]:.3f}, wanted 1 +- {bar:.3f}")


def whole_network() -> Answer:
    """In the LSTM: the units of h that are dropped stay the same over time, and nothing is dropped when evaluating."""
    rng = np.random.default_rng(0)
    lstm = LSTM(D, 8, recurrent_dropout=0.5, rng=rng, dtype="float64")
    x = Tensor(rng.normal(size=(2, T, D)))
    a, b = (lstm(x)[0].numpy() for _ in range(2))
    lstm.eval()
    c, d = (lstm(x)[0].numpy() for _ in range(2))
    ok = bool(np.abs(a - b).max() > 0 and (c == d).all())
    gap = np.abs(a - b).max()
    return Answer(ok, f"two passes differ by {gap:.2f} in training, by {np.abs(c - d).max():g} after it")


def picture(numbers: Mapping[str, Any]) -> Any:
    """The masks of one sequence: features kept at each step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, layer, name in zip(panels, (SequenceDropout, Dropout), ("one mask", "fresh per step"), strict=True):
        axes.imshow(kept(layer)[0].T, cmap="Greys_r", aspect="auto", vmin=0, vmax=1)
        axes.set(title=f"{name}: black is dropped", xlabel="step", xticks=range(0, T, 5))
    panels[0].set_ylabel("feature")
    return figure


RECORDS = (
    Record(
        "B19",
        "7.3, papers",
        "dropout in recurrent networks",
        "task",
        "Recommended as a paper: dropout for recurrent networks that improves training and generalisation.",
        findings=(
            Finding(f"features seen at all {T} steps, p = {P}", always_there),
            Finding("different masks that one sequence meets", masks_per_sequence),
            Finding("mean of the output for ones", unbiased),
            Finding("in the LSTM, on the path from h to h", whole_network),
        ),
        source="Y. Gal and Z. Ghahramani, A theoretically grounded application of dropout in recurrent neural "
        "networks, NIPS 2016",
        picture=picture,
        note="nn.SequenceDropout, and variational and recurrent_dropout of nn.RNN, nn.LSTM and nn.GRU. No command sets "
        "them yet.",
    ),
)
