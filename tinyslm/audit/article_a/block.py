"""A13: the printed Transformer diagram, without residual paths and norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ... import nn, ops
from ...tensor import Tensor
from ..questions import Answer, asks, gradients
from ..record import Finding, Formula, Reading, Record

D, HEADS, VOCABULARY, TIME, BATCH, STEPS = 16, 2, 8, 6, 16, 50
DEPTHS = (1, 4, 8)


class PrintedBlock(nn.Module):
    """Attention, then feed-forward, then (in training) dropout: nothing is added and nothing normalised."""

    def __init__(self, rng: np.random.Generator):
        super().__init__()
        self.attention = nn.MultiHeadAttention(D, HEADS, rng=rng)
        self.linear1, self.linear2 = nn.Linear(D, 4 * D, rng=rng), nn.Linear(4 * D, D, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D), which stays."""
        return self.linear2(ops.relu(self.linear1(self.attention(x))))


def printed(depth: int, rng: np.random.Generator) -> list[nn.Module]:
    """The printed blocks."""
    return [PrintedBlock(rng) for _ in range(depth)]


def full(depth: int, rng: np.random.Generator, pre_norm: bool = True) -> list[nn.Module]:
    """Blocks with residual paths and layer norms, in front of each part (pre-norm) or behind it."""
    return [
        nn.TransformerEncoderLayer(D, HEADS, 4 * D, dropout=0.0, norm_first=pre_norm, rng=rng) for _ in range(depth)
    ]


class Model(nn.Module):
    """Embedding, positions, blocks, mean over positions, two classes."""

    def __init__(self, blocks: list[nn.Module], rng: np.random.Generator):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, D, rng=rng)
        self.positions = nn.SinusoidalPositions()
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(D, 2, rng=rng)

    def forward(self, ids: np.ndarray) -> Tensor:
        """Token numbers (B, T) -> scores (B, 2)."""
        x = self.positions(self.embedding(ids))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def batch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random tokens; the class is whether the first token's number is in the upper half."""
    ids = rng.integers(0, VOCABULARY, (BATCH, TIME))
    return ids, (ids[:, 0] >= VOCABULARY // 2).astype(np.int64)


def measure(build: Formula, depth: int, steps: int = STEPS) -> dict[str, Any]:
    """Gradient norm of each block at the start, and the loss at the start and over the last ten of `steps`."""
    from ...optim import Adam

    rng = np.random.default_rng(0)
    model = Model(build(depth, rng), rng)
    ids, classes = batch(rng)
    norms = _block_norms(model, ops.cross_entropy(model(ids), classes))
    optimizer, losses = Adam(list(model.parameters()), lr=5e-3), []
    for _ in range(steps):
        ids, classes = batch(rng)
        loss = ops.cross_entropy(model(ids), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"norms": norms, "first": losses[0], "last": float(np.mean(losses[-10:]))}


def _block_norms(model: Model, loss: Tensor) -> list[float]:
    parts = [list(b.parameters()) for b in model.blocks]
    found = iter(gradients(loss, [p for part in parts for p in part]))
    return [float(sum((next(found) ** 2).sum() for _ in part) ** 0.5) for part in parts]


@asks("shapes", "Does a stack of three blocks keep the shape (B, T, D)?")
def keeps_shape(formula: Formula) -> Answer:
    """Blocks can be stacked."""
    x = Tensor(np.zeros((2, TIME, D), np.float32))
    for block in formula(3, np.random.default_rng(0)):
        x = block(x)
    return Answer(x.shape == (2, TIME, D), f"shape {x.shape}")


@asks("complete", "At depth 8, does the first block get at least a tenth of the last block's gradient?")
def reaches_first(formula: Formula) -> Answer:
    """Gradient norms at the start."""
    norms = measure(formula, 8, steps=1)["norms"]
    ratio = norms[0] / norms[-1]
    return Answer(ratio > 0.1, f"first / last = {ratio:.2g}", {"norms": norms})


@asks("complete", f"At depth 8, does the loss fall below three quarters of log 2 in {STEPS} steps?")
def trains(formula: Formula) -> Answer:
    """Two classes: guessing gives log 2 = 0.693."""
    m = measured(formula, 8)
    return Answer(m["last"] < 0.75 * np.log(2), f"{m['last']:.3f} at the end, log 2 = 0.693 by guessing", m)


@cache
def measured(build: Callable[..., Any], depth: int) -> dict[str, Any]:
    """`measure`, once per process for each stack."""
    return measure(build, depth)


def table() -> Answer:
    """Both stacks at each depth."""
    rows = {d: {"printed": measured(printed, d), "full": measured(full, d)} for d in DEPTHS}
    ratio = {d: [rows[d][k]["norms"][0] / rows[d][k]["norms"][-1] for k in ("printed", "full")] for d in DEPTHS}
    text = "; ".join(
        f"depth {d}: loss {rows[d]['printed']['last']:.3f} / {rows[d]['full']['last']:.3f}, "
        f"first gradient {ratio[d][0]:.2g} / {ratio[d][1]:.2g} of the last"
        for d in DEPTHS
    )
    ok = ratio[8][0] < 0.01 and ratio[8][1] > 0.1 and rows[8]["full"]["last"] < rows[8]["printed"]["last"]
    return Answer(ok, f"printed / full: {text}", {str(k): v for k, v in rows.items()})


def equivariance() -> Answer:
    """Attention with the tokens in another order, without and with sinusoidal positions."""
    rng = np.random.default_rng(0)
    x, turn = rng.normal(size=(6, 8)), rng.permutation(6)
    positions = nn.SinusoidalPositions()

    def attend(x: np.ndarray, placed: bool) -> np.ndarray:
        t = positions(Tensor(x)) if placed else Tensor(x)
        return ops.attention(t, t, t).numpy()

    gap = {placed: float(np.abs(attend(x[turn], placed) - attend(x, placed)[turn]).max()) for placed in (False, True)}
    text = f"moving the tokens moves the outputs along: off by {gap[False]:.1g} without positions, {gap[True]:.2g} with"
    return Answer(gap[False] < 1e-14 and gap[True] > 1e-3, text, {"without": gap[False], "with": gap[True]})


def picture(numbers: Mapping[str, Any]) -> Any:
    """The gradient norm of each block at depth 8."""
    from ... import plot

    series = {"as printed": measured(printed, 8)["norms"], "with residual paths and norms": measured(full, 8)["norms"]}
    title = "Eight blocks at the start of training: who gets a gradient?"
    return plot.lines(range(1, 9), series, "block, counted from the input", "norm of its gradient", title, log="y")


RECORDS = (
    Record(
        "A13",
        "3.2, model structure (diagram)",
        "the Transformer's structure",
        "incomplete",
        "Embedding, positions (without a formula), multi-head self-attention, feed-forward, dropout, output, in a row.",
        "",
        (Reading("the diagram's blocks, one after the other", printed),),
        (keeps_shape, reaches_first, trains),
        r"x \leftarrow x + \mathrm{Attention}(\mathrm{Norm}(x)), \quad x \leftarrow x + \mathrm{FFN}(\mathrm{Norm}(x))",
        full,
        (
            Finding(f"loss after {STEPS} steps and gradients at the start", table),
            Finding("order of the tokens", equivariance),
        ),
        "A. Vaswani et al., NIPS 2017, 3; pre-norm: R. Xiong et al., ICML 2020",
        picture=picture,
    ),
)
