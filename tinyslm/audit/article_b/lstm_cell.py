"""B8 and B9: the LSTM's cell state, printed with a sigmoid where a tanh belongs, and its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...messages import say
from ...ops import cat, sigmoid, stack, tanh
from ...tensor import Tensor
from ..questions import Answer, asks, equals, gradient, influences, symmetric, value, within
from ..record import Finding, Formula, Reading, Record
from .lstm_gates import GERS, HOCHREITER

H = 4
_rng = np.random.default_rng(0)
F, I, O = (_rng.uniform(0.1, 0.9, H) for _ in range(3))
C, Z = _rng.normal(size=H), _rng.normal(size=H)
CELL = (F, I, C, Z)


# -- B8: (f, i, old c, z) -> c, where z = W_c [h, x] + b_c; all (..., H) -----------------------------------------------


def with_sigmoid(f: Any, i: Any, c: Any, z: Any) -> Any:
    """As printed, between gates and states element by element."""
    return f * c + i * sigmoid(z)


def with_dots(f: Any, i: Any, c: Any, z: Any) -> Any:
    """As printed, with dot products: one number for all units."""
    return (f * c).sum(-1) + (i * sigmoid(z)).sum(-1)


def tanh_of_sigmoid(f: Any, i: Any, c: Any, z: Any) -> Any:
    """Both functions that 4.2 names, tanh around the sigmoid."""
    return f * c + i * tanh(sigmoid(z))


def sigmoid_of_tanh(f: Any, i: Any, c: Any, z: Any) -> Any:
    """Both functions, the sigmoid around tanh."""
    return f * c + i * sigmoid(tanh(z))


def with_tanh(f: Any, i: Any, c: Any, z: Any) -> Any:
    """Repaired."""
    return f * c + i * tanh(z)


def run(cell: Formula, xs: Tensor, weight: Any, bias: Any) -> tuple[Tensor, Tensor]:
    """An LSTM from c = h = 0 around a cell formula: xs (..., T, D) -> cells and outputs (..., T, H).

    weight (..., 4H, H + D) and bias (..., 1, 4H) hold the rows of f, i, o, c one after the other.
    """
    size = weight.shape[-2] // 4
    h = c = Tensor.wrap(np.zeros((*xs.shape[:-2], size)))
    trace = []
    for t in range(xs.shape[-2]):
        z = cat([h, xs[..., t, :]], dim=-1) @ weight.mT + bias
        f, i, o, new = (z[..., k * size : (k + 1) * size] for k in range(4))
        c = cell(sigmoid(f), sigmoid(i), c, new)
        h = sigmoid(o) * tanh(c)
        trace.append((c, h))
    cells, outputs = zip(*trace, strict=True)
    return stack(list(cells), dim=-2), stack(list(outputs), dim=-2)


def random_run(cell: Formula) -> tuple[np.ndarray, np.ndarray]:
    """Cells and outputs (50, 12, 4) over inputs of both signs."""
    rng = np.random.default_rng(0)
    xs, weight, bias = rng.normal(size=(50, 12, 3)) * 2, rng.normal(size=(4 * H, H + 3)), rng.normal(size=4 * H) * 0.3
    cells, outputs = run(cell, Tensor(xs), Tensor(weight), Tensor(bias))
    return cells.numpy(), outputs.numpy()


@asks("shapes", "Is the new state a vector, one number per unit?")
def keeps_units(cell: Formula) -> Answer:
    """(H,) in, (H,) out."""
    got = value(cell, *CELL).shape
    return Answer(got == (H,), f"shape {got}, wanted {(H,)}", {"shape": got})


@asks("range", "From c = 0, can the state become negative as well as positive?")
def both_signs(cell: Formula) -> Answer:
    """Over 50 sequences of 12 inputs of both signs."""
    cells, outputs = random_run(cell)
    ok = bool(cells.min() < 0 < cells.max() and outputs.min() < 0 < outputs.max())
    text = f"c from {cells.min():+.2g} to {cells.max():+.2g}, h from {outputs.min():+.2g} to {outputs.max():+.2g}"
    return Answer(ok, text, {"c": [cells.min(), cells.max()], "h": [outputs.min(), outputs.max()]})


@asks("gradient", "Does the candidate pass small inputs on with slope 1, so that signals keep their size?")
def slope_one(cell: Formula) -> Answer:
    """d c / d z at z = 0 with an open input gate and the forget gate closed; tanh has slope 1."""
    one, zero = np.ones(1), np.zeros(1)
    up, down = (value(cell, zero, one, zero, np.full(1, z)) for z in (1e-4, -1e-4))
    slope = float(((up - down) / 2e-4).item())
    return Answer(abs(slope - 1) < 1e-3, f"slope {slope:.4f} at 0", {"slope": slope})


def as_opposites(f: np.ndarray, i: np.ndarray, c: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same gates, the opposite state and candidate."""
    return f, i, -c, -z


def fit(cell: Formula, units: int, steps: int = 100, starts: int = 4, T: int = 4) -> np.ndarray:
    """Train to add up T random numbers, from several starts at once: mean squared error, (steps, starts)."""
    from ...optim import Adam

    rng, shape = np.random.default_rng(0), (starts, 1, 4 * units)
    weight = Tensor(rng.normal(size=(starts, 4 * units, units + 1)) / np.sqrt(units + 1), requires_grad=True)
    bias = Tensor(np.broadcast_to(np.repeat([1.0, 0, 0, 0], units), shape).copy(), requires_grad=True)
    readout = Tensor(rng.normal(size=(starts, units + 1, 1)) / np.sqrt(units + 1), requires_grad=True)
    adam, errors = Adam([weight, bias, readout], lr=0.05), []
    for _ in range(steps):
        xs = np.broadcast_to(rng.normal(size=(32, T, 1)), (starts, 32, T, 1))
        last = run(cell, Tensor(xs.copy()), weight, bias)[1][..., -1, :]
        ones = Tensor.wrap(np.ones((starts, 32, 1)))
        error = ((cat([last, ones], dim=-1) @ readout - xs.sum(-2) / np.sqrt(T)) ** 2).mean(dim=(1, 2))
        adam.zero_grad()
        error.sum().backward()
        adam.step()
        errors.append(error.numpy().copy())
    return np.array(errors)


@asks("learnability", "Does a network of four such units learn to add up numbers?")
def learns(cell: Formula) -> Answer:
    """The error of guessing the mean is 1."""
    error = float(np.median(fit(cell, 4, 60, 2)[-10:].mean(0)))
    return Answer(error < 0.3, f"error {error:.3f} after 60 steps, 1 at the start", {"error": error})


CELL_QUESTIONS = (
    keeps_units,
    both_signs,
    symmetric(CELL, as_opposites, "Do opposite inputs and states give the opposite state, gates equal?", lambda y: -y),
    slope_one,
    equals((np.ones(H), np.zeros(H), C, Z), C, "With forget gate 1 and input gate 0, does the state stay?"),
    symmetric(
        (np.zeros(H), np.ones(H), C, Z),
        lambda f, i, c, z: (f, i, 2 * c, z),
        "With forget gate 0, is the old state gone?",
    ),
    influences(CELL, 3, "Does it depend on the candidate?"),
    gradient(CELL),
    learns,
)


def only_positive() -> Answer:
    """The range of the outputs as printed."""
    cells, outputs = random_run(with_sigmoid)
    ok = bool(cells.min() > 0 and outputs.min() > 0 and outputs.max() < 1)
    text = f"h from {outputs.min():.1e} to {outputs.max():.3f}, c from {cells.min():.1e} to {cells.max():.2f}"
    h, c = ([float(x.min()), float(x.max())] for x in (outputs, cells))
    return Answer(ok, text, {"h": h, "c": c})


def steepest() -> Answer:
    """The largest slope of sigmoid and tanh."""
    z = np.linspace(-6, 6, 1201)
    slopes = [float(np.gradient(f(z), z).max()) for f in (lambda z: 1 / (1 + np.exp(-z)), np.tanh)]
    return Answer(bool(np.allclose(slopes, [0.25, 1], atol=1e-4)), f"sigmoid {slopes[0]:.4f}, tanh {slopes[1]:.4f}")


def lag(units: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Errors of the last 20 steps per start, as printed and repaired, and both in words."""
    printed, repaired = (fit(cell, units)[-20:].mean(0) for cell in (with_sigmoid, with_tanh))
    ratio = printed / repaired
    text = f"median error {np.median(printed):.4f} as printed, {np.median(repaired):.4f} repaired; "
    return printed, repaired, text + f"per start {ratio.min():.1f} to {ratio.max():.1f} times"


def lags_with_one_unit() -> Answer:
    """With one unit the printed cell is behind from every start."""
    printed, repaired, text = lag(1)
    return Answer(bool((printed > 1.5 * repaired).all()), text, {"printed": printed, "repaired": repaired})


def with_four_units() -> Answer:
    """The same with four units: both learn; which one is ahead differs from start to start and is not claimed."""
    printed, repaired, text = lag(4)
    return Answer(bool(max(printed.max(), repaired.max()) < 0.2), text, {"printed": printed, "repaired": repaired})


def picture(numbers: Mapping[str, Any]) -> Any:
    """The outputs of four units over one random sequence, as printed and repaired."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, cell, name in zip(
        panels, (with_sigmoid, with_tanh), ("as printed: sigmoid", "repaired: tanh"), strict=True
    ):
        axes.plot(range(1, 13), random_run(cell)[1][0], color="#0072B2", linewidth=1.2)
        axes.axhline(0, color="#555555", linewidth=0.8)
        axes.set(title=name, xlabel="step", ylim=(-1.05, 1.05))
    panels[0].set_ylabel(f"output h of {H} units")
    return figure


# -- B9: (o, c) -> h --------------------------------------------------------------------------------------------------


def output(o: Any, c: Any) -> Any:
    """The dot element by element."""
    return o * tanh(c)


def output_dot(o: Any, c: Any) -> Any:
    """The dot as a dot product: one number."""
    return (o * tanh(c)).sum(-1)


@asks("shapes", "Is the output a vector, one number per unit?")
def output_units(formula: Formula) -> Answer:
    """(H,) in, (H,) out."""
    got = value(formula, O, C).shape
    return Answer(got == (H,), f"shape {got}, wanted {(H,)}", {"shape": got})


OUTPUT_QUESTIONS = (
    output_units,
    within((O, 20 * C), -O, O, "Is its size at most that of the gate, below 1?"),
    symmetric((O, C), lambda o, c: (o, -c), "Does the opposite state give the opposite output?", lambda y: -y),
    equals((np.zeros(H), C), np.zeros(H), "With the gate closed, is the output 0?"),
    equals((np.ones(H), 1e-6 * C), 1e-6 * C, "With the gate open, does a small state come out as it is?", rtol=1e-5),
    influences((O, C), 0, "Does it depend on the gate?"),
    gradient((O, C)),
)


def through_time() -> Answer:
    """The gradient of all weights over three steps of the repaired LSTM."""
    from ...check import gradcheck

    rng = np.random.default_rng(1)
    xs, weight, bias = rng.normal(size=(2, 3, 2)), rng.normal(size=(12, 5)), rng.normal(size=12)
    report = gradcheck(lambda x, w, b: run(with_tanh, x, w, b)[1], [xs, weight, bias])
    return Answer(report.ok, say("audit.answer.gradient", verdict=report.verdict, error=report.largest_error))


def equals_library() -> Answer:
    """The repaired formulas step by step against the library's LSTM over the sequence (rows i, f, c, o)."""
    from ...ops import lstm

    rng = np.random.default_rng(2)
    xs, weight, bias = rng.normal(size=(3, 7, 2)), rng.normal(size=(4, H, H + 2)), rng.normal(size=(4, H))
    ours = run(with_tanh, Tensor(xs), Tensor(weight.reshape(4 * H, -1)), Tensor(bias.reshape(-1)))[1].numpy()
    w, b, zero = weight[[1, 0, 3, 2]].reshape(4 * H, -1), bias[[1, 0, 3, 2]].reshape(-1), np.zeros((3, H))
    theirs = lstm(*map(Tensor, (xs, zero, zero, w[:, H:].copy(), w[:, :H].copy(), b)))[0].numpy()
    gap = float(np.abs(ours - theirs).max())
    return Answer(gap < 1e-13, f"largest difference {gap:.1e}", {"difference": gap})


SAID = "f, i, o are the gates (B5 to B7), W_c and b_c weights and a bias."
RECORDS = (
    Record(
        "B8",
        "4.1, cell state; 4.2",
        "LSTM, cell state",
        "wrong: value",
        SAID + " 4.2 prints it again with one dot and says that it uses tanh and sigmoid.",
        r"c_t = f_t \cdot c_{t-1} + i_t \cdot \cdot \text{sigmoid}(W_c \cdot [h_{t-1}, x_t] + b_c)",
        (
            Reading("dots elementwise, sigmoid candidate", with_sigmoid),
            Reading("dots as dot products", with_dots),
            Reading("tanh around the sigmoid (prose of 4.2)", tanh_of_sigmoid),
            Reading("sigmoid around tanh (prose of 4.2)", sigmoid_of_tanh),
        ),
        CELL_QUESTIONS,
        r"c_t = f_t \odot c_{t-1} + i_t \odot \tanh(W_c [h_{t-1}, x_t] + b_c)",
        with_tanh,
        (
            Finding("as printed every output lies between 0 and 1", only_positive),
            Finding("steepest slope", steepest),
            Finding("hidden size 1, adding up 4 numbers: the printed cell lags", lags_with_one_unit),
            Finding("hidden size 4: both learn", with_four_units),
        ),
        f"{HOCHREITER}; {GERS}",
        picture=picture,
        note="Its gradient is right: a gradient check can't refute it. The prose of 4.2 names tanh, which is right if "
        "it means the candidate, but both printed formulas have sigmoid. The two dots in a row are a misprint.",
    ),
    Record(
        "B9",
        "4.1, hidden state",
        "LSTM, output",
        "right",
        SAID + " The output is the gate times tanh of the cell.",
        r"h_t = o_t \cdot \text{tanh}(c_t)",
        (
            Reading("elementwise", output),
            Reading("dot product", output_dot, "the text says that gates put out vectors"),
        ),
        OUTPUT_QUESTIONS,
        r"h_t = o_t \odot \tanh(c_t)",
        output,
        (
            Finding("B5 to B9 with tanh in B8: gradient through time", through_time),
            Finding("B5 to B9 with tanh in B8 against the library's LSTM", equals_library),
        ),
        HOCHREITER,
    ),
)
