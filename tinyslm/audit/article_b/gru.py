"""B12: RNN and GRU, which the article names and does not write down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ops import sigmoid, split, tanh
from ...tensor import Tensor
from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

D, H = 3, 4
CHO = "K. Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014"
ELMAN = "J. L. Elman, Finding structure in time, Cognitive Science 14 (1990) 179"

# -- the formulas: (x (B, D), h (B, H), w (G H, D), u (G H, H), b (G H,)) -> h (B, H); G = 1 or 3, rows r, z, n --------


def rnn(x: Any, h: Any, w: Any, u: Any, b: Any) -> Any:
    """h_t = tanh(W x_t + U h_{t-1} + b)."""
    return tanh(x @ w.mT + h @ u.mT + b)


def _gates(x: Any, h: Any, w: Any, u: Any, b: Any) -> tuple[Any, Any, Any]:
    x_r, x_z, x_n = split(x @ w.mT + b, H, dim=-1)
    return sigmoid(x_r + h @ u[:H].mT), sigmoid(x_z + h @ u[H : 2 * H].mT), x_n


def gru_before(x: Any, h: Any, w: Any, u: Any, b: Any) -> Any:
    """The reset gate before the matrix product: n = tanh(W x + b + U (r h)) (Cho et al. 2014)."""
    r, z, x_n = _gates(x, h, w, u, b)
    n = tanh(x_n + (r * h) @ u[2 * H :].mT)
    return (1 - z) * n + z * h


def gru_after(x: Any, h: Any, w: Any, u: Any, b: Any, inner: Any = 0.0) -> Any:
    """The reset gate after it: n = tanh(W x + b + r (U h + b_hn)) (cuDNN's form, with a second bias inside)."""
    r, z, x_n = _gates(x, h, w, u, b)
    n = tanh(x_n + r * (h @ u[2 * H :].mT + inner))
    return (1 - z) * n + z * h


# -- what is asked: name -> formula, or None where there is none ------------------------------------------------------


def only_named(name: str) -> Formula | None:
    """The article: names without formulas."""
    return None


def with_reset_before(name: str) -> Formula | None:
    """Both networks, the GRU as first published."""
    return {"RNN": rnn, "GRU": gru_before}.get(name)


def point(gates: int, seed: int = 0) -> list[np.ndarray]:
    """x, h, w, u, b at random; two sequences."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s) for s in ((2, D), (2, H), (gates * H, D), (gates * H, H), (gates * H,))]


def _step(formulas: Formula, name: str, inputs: list[np.ndarray]) -> np.ndarray:
    return formulas(name)(*map(Tensor, inputs)).numpy()


@asks("complete", "Is there a formula for the plain recurrent network?")
def has_rnn(formulas: Formula) -> Answer:
    """RNN."""
    found = formulas("RNN") is not None
    return Answer(found, "written down" if found else "only named")


@asks("complete", "Is there a formula for the GRU?")
def has_gru(formulas: Formula) -> Answer:
    """GRU."""
    found = formulas("GRU") is not None
    return Answer(found, "written down" if found else "only named")


@asks("range", "Does the state stay within -1 and 1, also for large inputs?")
def bounded(formulas: Formula) -> Answer:
    """Inputs of both signs, 20 times as large as usual."""
    found = []
    for name, gates in (("RNN", 1), ("GRU", 3)):
        if formulas(name) is None:
            return Answer(None, "no formula to ask")
        x, h, *rest = point(gates)
        found.append(float(np.abs(_step(formulas, name, [20 * x, np.tanh(h), *rest])).max()))
    return Answer(max(found) <= 1, f"largest state {max(found):.4f}", {"largest": found})


@asks("limits", "Does a GRU with an open update gate keep its state, and with a closed one replace it?")
def update_gate(formulas: Formula) -> Answer:
    """Bias of the update gate +50 and -50; in the other convention, where z and 1 - z change places, the reverse."""
    if formulas("GRU") is None:
        return Answer(None, "no formula to ask")
    x, h, w, u, b = point(3)
    gaps = []
    for bias in (50.0, -50.0):
        shifted = b.copy()
        shifted[H : 2 * H] = bias
        gaps.append(float(np.abs(_step(formulas, "GRU", [x, h, w, u, shifted]) - h).max()))
    kept, replaced = sorted(gaps)
    return Answer(kept < 1e-9 < 0.1 < replaced, f"state changes by {kept:.1e} and {replaced:.2f}", {"changes": gaps})


@asks("limits", "Does a GRU with a closed reset gate make its candidate from the input alone?")
def reset_gate(formulas: Formula) -> Answer:
    """Reset closed and the state fully replaced: another old state must give the same new one."""
    if formulas("GRU") is None:
        return Answer(None, "no formula to ask")
    x, h, w, u, b = point(3)
    shifted = b.copy()
    shifted[:H] = -80.0
    found = []
    for bias in (80.0, -80.0):
        shifted[H : 2 * H] = bias
        a, c = (_step(formulas, "GRU", [x, old, w, u, shifted]) for old in (h, 0.5 * h))
        found.append(float(np.abs(a - c).max()))
    return Answer(min(found) < 1e-9, f"the old state changes it by {min(found):.1e}", {"changes": found})


@asks("gradient", "Are the gradients of both steps right?")
def gradients(formulas: Formula) -> Answer:
    """All inputs and weights."""
    from ...check import gradcheck

    steps = [(formulas(name), gates) for name, gates in (("RNN", 1), ("GRU", 3))]
    if any(step is None for step, _ in steps):
        return Answer(None, "no formula to ask")
    reports = [gradcheck(step, point(gates)) for step, gates in steps]
    return Answer(all(r.ok for r in reports), f"largest error {max(r.largest_error for r in reports):.1e}")


# -- the numbers ------------------------------------------------------------------------------------------------------


def forms_differ() -> Answer:
    """One step of both forms with the same weights, then with the reset gate open."""
    x, h, w, u, b = point(3)
    found = []
    for bias in (0.0, 80.0):
        shifted = b.copy()
        shifted[:H] += bias
        inputs = list(map(Tensor, (x, h, w, u, shifted)))
        found.append(float(np.abs(gru_before(*inputs).numpy() - gru_after(*inputs).numpy()).max()))
    text = f"they differ by {found[0]:.3f}; with the reset gate open by {found[1]:.0e}"
    return Answer(found[0] > 0.01 and found[1] < 1e-12, text, {"differ": found})


def parameters() -> Answer:
    """The numbers of both forms for 50 features and 128 units."""
    before = 3 * 128 * (50 + 128 + 1)
    return Answer(before == 68_736, f"{before:,} and, with the second bias, {before + 128:,}", {"before": before})


def library_form() -> Answer:
    """The library's GRU is the second form, its inner bias included."""
    from ...ops import gru

    x, h, w, u, b = point(3)
    inner = np.random.default_rng(1).normal(size=H)
    theirs = gru(*map(Tensor, (x[:, None], h, w, u, b, inner)))[1].numpy()
    gap = float(np.abs(gru_after(*map(Tensor, (x, h, w, u, b, inner))).numpy() - theirs).max())
    return Answer(gap < 1e-14, f"largest difference {gap:.1e}", {"difference": gap})


def picture(numbers: Mapping[str, Any]) -> Any:
    """One unit of both forms over a random sequence, with the same weights."""
    from ... import plot

    _, _, w, u, b = point(3)
    xs = np.random.default_rng(3).normal(size=(25, 2, D))
    series = {}
    for name, step in {"reset before the product": gru_before, "reset after the product": gru_after}.items():
        h, trace = Tensor(np.zeros((2, H))), []
        for x in xs:
            h = step(Tensor(x), h, *map(Tensor, (w, u, b)))
            trace.append(h.numpy()[0, 0])
        series[name] = trace
    return plot.lines(range(1, 26), series, xlabel="step", ylabel="state of one unit", title="Two forms of the GRU")


RECORDS = (
    Record(
        "B12",
        "2, 3.1, 3.2, 4.1",
        "RNN and GRU",
        "incomplete",
        "Both are named beside the LSTM as common networks; only the LSTM gets formulas.",
        readings=(Reading("names without formulas", only_named),),
        questions=(has_rnn, has_gru, bounded, update_gate, reset_gate, gradients),
        repaired=r"h_t = (1 - z) \odot \tanh(W_n x_t + U_n (r \odot h_{t-1}) + b_n) + z \odot h_{t-1}",
        repair=with_reset_before,
        findings=(
            Finding("GRU with the reset gate before or after the matrix product, same weights", forms_differ),
            Finding("parameters for 50 features and 128 units", parameters),
            Finding("the second form against the library's GRU", library_form),
        ),
        source=f"{CHO}; {ELMAN}",
        picture=picture,
        note="Both forms of the GRU are legitimate; weights trained for one do not fit the other. Papers also differ "
        "in whether z or 1 - z weighs the old state.",
    ),
)
