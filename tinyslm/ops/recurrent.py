"""Recurrent layers over a whole sequence, one operation each, with the step-by-step composition as their reference.

`lstm_simple` and its kin are the formulas of the articles, one line per gate, made of small operations: the engine
differentiates them through time by itself. The operations `rnn`, `lstm` and `gru` compute the same; fused kernels serve
them for the values and the first derivative, and the composition serves all higher derivatives.

Shapes: x (B, T, D), states (B, H), one bias per gate. `mask` (B, T), where given, is False at steps that do not count:
there the state is carried over unchanged and the output is 0. `reverse` runs from the last step to the first.
"""

from typing import Any

import numpy as np

from ..device import on_device
from ..engine import Op, composition_forward, composition_rule, op
from ..errors import ShapeError, require_mask
from ..kernels.cpu._blas import one_thread
from ..tensor import Tensor, raw
from .elementwise import sigmoid, tanh, where
from .shape import split, stack

STEP = 512  # a step over time counts as so many elements: from 8 steps on, compiling soon pays


def lstm_simple(x, h, c, w_ih, w_hh, b, mask=None, reverse=False):
    """The LSTM step by step: formulas B5 to B9, with the candidate's tanh (B8 repaired)."""

    def step(x_t, state):
        h, c = state
        i, f, g, o = split(x_t @ w_ih.T + h @ w_hh.T + b, h.shape[-1], dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    return _run(step, x, (h, c), mask, reverse)


def gru_simple(x, h, w_ih, w_hh, b, b_hn, mask=None, reverse=False):
    """The GRU step by step, in the form with the reset gate after the matrix product (cuDNN's, PyTorch's)."""

    def step(x_t, state):
        (h,) = state
        x_r, x_z, x_n = split(x_t @ w_ih.T + b, h.shape[-1], dim=-1)
        h_r, h_z, h_n = split(h @ w_hh.T, h.shape[-1], dim=-1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * (h_n + b_hn))
        return ((1 - z) * n + z * h,)

    return _run(step, x, (h,), mask, reverse)


def rnn_simple(x, h, w_ih, w_hh, b, mask=None, reverse=False):
    """The plain recurrent network step by step: h_t = tanh(W_ih x_t + W_hh h_{t-1} + b)."""

    def step(x_t, state):
        return (tanh(x_t @ w_ih.T + state[0] @ w_hh.T + b),)

    return _run(step, x, (h,), mask, reverse)


@one_thread
def _run(step: Any, x: Tensor, state: tuple, mask: Any, reverse: bool) -> tuple[Tensor, ...]:
    """Apply `step` along time; returns the outputs (B, T, H) and the last states."""
    steps = range(x.shape[1])
    outputs: dict[int, Tensor] = {}
    for t in reversed(steps) if reverse else steps:
        if mask is None:
            state = step(x[:, t], state)
            outputs[t] = state[0]
        else:
            keep = Tensor.wrap(on_device(raw(mask))[:, t, None])
            outputs[t], state = _masked(step, x[:, t], state, keep)
    if not outputs:
        empty = Tensor.wrap(np.zeros((x.shape[0], 0, state[0].shape[-1]), x.dtype))
        return empty, *(s * 1 for s in state)
    return stack([outputs[t] for t in steps], dim=1), *state


def _masked(step: Any, x_t: Tensor, state: tuple, keep: Tensor) -> tuple[Tensor, tuple]:
    """The output and the state after a step; where `keep` (B, 1) is False they are 0 and the state as it was."""
    x_t = where(keep, x_t, 0.0)  # it may be NaN, and 0 times NaN in the weights' gradients is NaN
    new = step(x_t, state)
    return where(keep, new[0], 0.0), tuple(where(keep, a, b) for a, b in zip(new, state, strict=True))


def _check(name: str, gates: int, x: tuple, h: tuple, w_ih: tuple, w_hh: tuple, b: tuple, mask: Any) -> None:
    if len(x) != 3 or len(h) != 2:
        raise ShapeError(f"{name}: expected x (B, T, D) and states (B, H), got x {x}, states {h}")
    (batch, time, d), hidden = x, h[-1]
    if hidden == 0:
        raise ShapeError(f"{name}: expected states of at least one number (H >= 1), got {h}")
    wanted = {"w_ih": (gates * hidden, d), "w_hh": (gates * hidden, hidden), "b": (gates * hidden,)}
    for key, got in {"w_ih": w_ih, "w_hh": w_hh, "b": b}.items():
        if got != wanted[key]:
            raise ShapeError(f"{name}: expected {key} {wanted[key]} for x {x} and states {h}, got {got}")
    if h[0] != batch:
        raise ShapeError(f"{name}: expected states for {batch} sequences, got {h}")
    if mask is not None:
        mask = raw(mask)
        mask = mask if hasattr(mask, "dtype") else np.asarray(mask)
        require_mask(mask, "mask", "(B, T)", (batch, time), "at steps that count")


@op(r"f, i, o = \sigma(W x_t + U h_{t-1} + b), \; c_t = f c_{t-1} + i \tanh(\cdot), \; h_t = o \tanh c_t", outputs=3)
def lstm(xp, x, h0, c0, w_ih, w_hh, b, mask=None, reverse=False):
    """Long short-term memory over a sequence (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    Args:
        x: (B, T, D).
        h0, c0: (B, H), the state before the first step.
        w_ih: (4H, D), rows in the order i, f, g, o.
        w_hh: (4H, H).
        b: (4H,), one bias per gate.
        mask: bool (B, T), or None.
        reverse: run from the last step to the first.

    Returns:
        y (B, T, H), h_n (B, H), c_n (B, H).
    """
    return composition_forward(lstm)(xp, x, h0, c0, w_ih, w_hh, b, mask=mask, reverse=reverse)


@lstm.shape
def _lstm_shape(x, h0, c0, w_ih, w_hh, b, mask, reverse):
    _check("lstm", 4, x, h0, w_ih, w_hh, b, mask)
    if c0 != h0:
        raise ShapeError(f"lstm: expected c0 like h0 {h0}, got {c0}")


@op(r"h_t = (1 - z) n + z h_{t-1}, \; n = \tanh(W_n x_t + b_n + r (U_n h_{t-1} + b_{hn}))", outputs=2)
def gru(xp, x, h0, w_ih, w_hh, b, b_hn, mask=None, reverse=False):
    """Gated recurrent unit over a sequence (Cho et al. 2014; the form with the reset gate after the product).

    Args:
        x: (B, T, D).
        h0: (B, H).
        w_ih: (3H, D), rows in the order r, z, n.
        w_hh: (3H, H).
        b: (3H,), one bias per gate.
        b_hn: (H,), the second bias inside the candidate, which the reset gate scales.
        mask: bool (B, T), or None.
        reverse: run from the last step to the first.

    Returns:
        y (B, T, H), h_n (B, H).
    """
    return composition_forward(gru)(xp, x, h0, w_ih, w_hh, b, b_hn, mask=mask, reverse=reverse)


@gru.shape
def _gru_shape(x, h0, w_ih, w_hh, b, b_hn, mask, reverse):
    _check("gru", 3, x, h0, w_ih, w_hh, b, mask)
    if b_hn != h0[-1:]:
        raise ShapeError(f"gru: expected b_hn {h0[-1:]}, got {b_hn}")


@op(r"h_t = \tanh(W x_t + U h_{t-1} + b)", outputs=2)
def rnn(xp, x, h0, w_ih, w_hh, b, mask=None, reverse=False):
    """Plain recurrent network over a sequence (Elman 1990): x (B, T, D), h0 (B, H), w_ih (H, D), w_hh (H, H), b (H,).

    Returns:
        y (B, T, H), h_n (B, H).
    """
    return composition_forward(rnn)(xp, x, h0, w_ih, w_hh, b, mask=mask, reverse=reverse)


@rnn.shape
def _rnn_shape(x, h0, w_ih, w_hh, b, mask, reverse):
    _check("rnn", 1, x, h0, w_ih, w_hh, b, mask)


def _size(x: np.ndarray, *rest: np.ndarray) -> int:
    # Even for few numbers a step in NumPy is some fifteen small operations, each recorded, and their way back.
    return STEP * x.shape[1] + max(x.size, *(a.size for a in rest))


lstm.reference(lstm_simple)
gru.reference(gru_simple)
rnn.reference(rnn_simple)
for _op in (lstm, gru, rnn):
    composition_rule(_op)
    _op.vjp(one_thread(_op.rule))
    _op.kernel("numba", f"recurrent:{_op.name}", size=_size)
    _op.kernel("cuda", f"recurrent:{_op.name}")


# -- test inputs ------------------------------------------------------------------------------------------------------


def _make(gates: int, states: int, inner_bias: bool = False) -> Any:
    def make(rng):
        d, h = 2, 3
        for mask, reverse in [(None, False), (np.array([[1, 1, 1], [1, 1, 0]], bool), True)]:
            x = rng.normal(size=(2, 3, d))
            weights = [rng.normal(size=(gates * h, n)) * 0.6 for n in (d, h)]
            biases = [rng.normal(size=gates * h) * 0.3] + [rng.normal(size=h)] * inner_bias
            start = [rng.normal(size=(2, h)) for _ in range(states)]
            yield (x, *start, *weights, *biases), {"mask": mask, "reverse": reverse}

    return make


def _register(op: Op, gates: int, states: int, inner_bias: bool = False) -> None:
    op.samples(_make(gates, states, inner_bias))


_register(lstm, 4, 2)
_register(gru, 3, 1, True)
_register(rnn, 1, 1)
