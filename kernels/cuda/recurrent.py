"""Host side of `recurrent.cu`: products for all steps before and after, a loop of launches or a persistent one between.

Letters: B batch, T time, D features, H hidden. Where a mask is False, the state is carried over and the output is 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ._launch import Array, array_library, device_array, gpu, launch, ready
from ._steps import launch_steps

REGISTERS = 65_536  # of a processor, 32 bits each; one block of a persistent kernel may have them all
OVERHEAD = {4: 48, 3: 64}  # registers that a thread of a persistent kernel needs beside its weights, by gates
MOST_REGISTERS = 255  # that one thread can have
SEQUENCES, UNITS, STEP_THREADS = 32, 16, 512  # of a block that computes one step, as in step.cuh
STEP_SHARED = 8192  # numbers that such a block keeps in shared memory


class Saved(NamedTuple):
    """What backward needs, all time-major."""

    x: Array  # (T, B, D)
    mask: Array  # (T, B)
    h: Array  # (T + 1, B, H); h[0] is the state before the first step
    gates: Array  # (T, B, G H), after their activation
    extra: Array  # LSTM: the cells c, (T + 1, B, H). GRU: h W_hn + b_hn, (T + 1, B, H), the last one unused


def rnn_forward(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b: Array, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """h_t = tanh(x_t W_ih^T + h_(t-1) W_hh^T + b). x (B, T, D) to y (B, T, H) and h_n (B, H)."""
    s = _start(x, h0, w_ih, mask, reverse)
    _steps("rnn_step", s, [s.gates, ready(w_hh.T), ready(b), s.mask, s.h])
    return (_outputs(s, mask, reverse), s.h[-1].copy()), s


def rnn_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """With a = dh (1 - h^2): dx = a W_ih, dh_(t-1) = a W_hh, dW_ih = a^T x, dW_hh = a^T h_(t-1), db = sum a."""
    gy, (dh,) = _incoming(g, saved, reverse)
    da = array_library().empty(saved.gates.shape, saved.gates.dtype)
    _steps_backward("rnn_step", saved, [gy, saved.gates, ready(arrays[3]), saved.mask, dh, da])
    return _wanted(needs, (_dx(da, arrays[2], reverse), dh, *_weight_gradients(da, da, saved), _total(da)))


def lstm_forward(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b: Array, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """Gates i, f, g, o = x_t W_ih^T + h_(t-1) W_hh^T + b; c_t = s(f) c_(t-1) + s(i) tanh(g); h_t = s(o) tanh(c_t)."""
    s, bias = _start(x, h0, w_ih, mask, reverse), ready(b)
    s.extra[0] = c0
    plan, arguments = _plan(4, h0), [s.gates, ready(w_hh.T), bias, s.mask, s.extra, s.h]
    if plan:
        plan.launch("lstm_persistent", [*arguments, *s.mask.shape])
    else:
        _steps("lstm_step", s, arguments)
    return (_outputs(s, mask, reverse), s.h[-1].copy(), s.extra[-1].copy()), s


def lstm_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """Backward through time; da holds the gradients before the activation of the gates."""
    gy, (dh, dc) = _incoming(g, saved, reverse)
    da, w = array_library().empty(saved.gates.shape, saved.gates.dtype), ready(arrays[4])
    plan = _plan(4, dh)
    arguments = [gy, saved.gates, saved.extra, w, saved.mask, dh, dc, da]
    if plan:
        plan.launch("lstm_persistent_backward", [*arguments, *saved.mask.shape])
    else:
        _steps_backward("lstm_step", saved, arguments)
    return _wanted(needs, (_dx(da, arrays[3], reverse), dh, dc, *_weight_gradients(da, da, saved), _total(da)))


def gru_forward(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b: Array, b_hn: Array, mask: Any = None, reverse: bool = False
) -> tuple[tuple, Saved]:
    """r, z = s(x W_ih^T + h W_hh^T + b); n = tanh(x W_in^T + b_n + r (h W_hn^T + b_hn)); h = (1 - z) n + z h."""
    s, biases = _start(x, h0, w_ih, mask, reverse), [ready(b), ready(b_hn)]
    plan, arguments = _plan(3, h0), [s.gates, ready(w_hh.T), *biases, s.mask, s.extra, s.h]
    if plan:
        plan.launch("gru_persistent", [*arguments, *s.mask.shape])
    else:
        _steps("gru_step", s, arguments)
    return (_outputs(s, mask, reverse), s.h[-1].copy()), s


def gru_backward(
    g: Any, out: Any, saved: Any, arrays: tuple, needs: tuple, mask: Any = None, reverse: bool = False
) -> tuple:
    """Here da is the gradient of x W_ih^T + b; du, that of h W_hh^T, differs from it by the factor r in the part n."""
    gy, (dh,) = _incoming(g, saved, reverse)
    da, du = (array_library().empty(saved.gates.shape, saved.gates.dtype) for _ in range(2))
    w, plan = ready(arrays[3]), _plan(3, dh)
    arguments = [gy, saved.gates, saved.extra, saved.h, w, saved.mask, dh, da, du]
    if plan:
        plan.launch("gru_persistent_backward", [*arguments, *saved.mask.shape])
    else:
        _steps_backward("gru_step", saved, arguments)
    db_hn = _total(du[:, :, 2 * dh.shape[1] :])
    weights = _weight_gradients(da, du, saved)
    return _wanted(needs, (_dx(da, arrays[2], reverse), dh, *weights, _total(da), db_hn))


# -- the persistent loop ----------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """How a persistent kernel is compiled and launched."""

    gates: int
    hidden: int
    sequences: int  # for each block
    kept: int  # weights that each thread keeps in registers
    blocks: int
    shared: int  # bytes

    @property
    def constants(self) -> dict[str, int]:
        """For -D."""
        return {"GATES": self.gates, "H": self.hidden, "SEQ": self.sequences, "KEPT": self.kept}

    def launch(self, name: str, arguments: list) -> None:
        """Start the kernel `name`."""
        block = (self.gates * self.hidden,)
        launch(f"recurrent:{name}", (self.blocks,), block, arguments, self.shared, **self.constants)


def _plan(gates: int, state: Array) -> Plan | None:
    """The persistent loop for states (B, H), or None where W_hh does not fit on the chip."""
    batch, hidden = state.shape
    threads, size = gates * hidden, state.dtype.itemsize
    if hidden % 32 or not 0 < threads <= 1024:
        return None
    sequences = 1 if batch <= gpu().processors else 2
    kept = kept_weights(gates, hidden, size)
    shared = size * (threads * (hidden - kept) + 2 * sequences * threads)
    if shared > gpu().shared_limit:
        return None
    return Plan(gates, hidden, sequences, kept, -(-batch // sequences), shared)


def kept_weights(gates: int, hidden: int, size: int) -> int:
    """How many of its `hidden` weights of `size` bytes a thread can keep in registers, a multiple of 4."""
    registers = min(MOST_REGISTERS, REGISTERS // (gates * hidden) // 8 * 8) - OVERHEAD[gates] - 2 * (size - 4)
    return max(4, min(hidden, registers * 4 // size // 4 * 4))


# -- the loop of launches ---------------------------------------------------------------------------------------------


def _steps(name: str, saved: Saved, arguments: list) -> None:
    """A launch for each step, from the first one on."""
    _launch_each(name, saved, [*arguments, *saved.h.shape[1:]], range(len(saved.x)))


def _steps_backward(name: str, saved: Saved, arguments: list) -> None:
    """A launch for each step, from the last one on, and one more that brings dh back to before the first."""
    time = len(saved.x)
    _launch_each(f"{name}_backward", saved, [*arguments, time, *saved.h.shape[1:]], range(time - 1, -2, -1))


def _launch_each(name: str, saved: Saved, arguments: list, steps: range) -> None:
    (_, batch, hidden), size = saved.h.shape, saved.h.dtype.itemsize
    grid = (-(-hidden // UNITS), -(-batch // SEQUENCES))
    launch_steps(f"recurrent:{name}", grid, (STEP_THREADS,), arguments, steps, STEP_SHARED * size)


# -- before and after the loop ----------------------------------------------------------------------------------------


def _start(x: Array, h0: Array, w_ih: Array, mask: Any, reverse: bool) -> Saved:
    """Time-major input and mask, the input's product with its weights in `gates`, room for the rest."""
    (batch, time, features), xp = x.shape, array_library()
    steps = _flip(xp.moveaxis(x, 1, 0), reverse)
    active = xp.ones((time, batch), bool) if mask is None else _flip(device_array(mask, bool).T, reverse)
    if mask is not None:  # what doesn't count may be NaN, and 0 times NaN in the weights' gradients is NaN
        steps = xp.where(active[:, :, None], steps, steps.dtype.type(0))
    gates = xp.empty((time, batch, len(w_ih)), x.dtype)
    xp.matmul(steps.reshape(time * batch, features), w_ih.T, out=gates.reshape(time * batch, len(w_ih)))
    h = xp.empty((time + 1, *h0.shape), x.dtype)
    h[0] = h0
    return Saved(steps, active, h, gates, xp.empty(h.shape, x.dtype))


def _flip(a: Array, reverse: bool) -> Array:
    return ready(a[::-1] if reverse else a)


def _outputs(s: Saved, mask: Any, reverse: bool) -> Array:
    """(T, B, H) back to (B, T, H) in the order of the input, 0 where the mask is False."""
    xp, h, active = array_library(), s.h[1:], s.mask[:, :, None]
    y = h if mask is None else xp.where(active, h, h.dtype.type(0))
    return xp.moveaxis(y[::-1] if reverse else y, 0, 1).copy(order="C")


def _incoming(g: tuple, saved: Saved, reverse: bool) -> tuple[Array, list[Array]]:
    """The gradients of y, time-major, and of the last states, as buffers to change; None stands for zero."""
    xp, (_, *shape), dtype = array_library(), saved.h.shape, saved.h.dtype
    gy = xp.zeros((len(saved.x), *shape), dtype) if g[0] is None else _flip(xp.moveaxis(g[0], 1, 0), reverse)
    return gy, [xp.zeros(shape, dtype) if a is None else a.copy(order="C") for a in g[1:]]


def _dx(da: Array, w_ih: Array, reverse: bool) -> Array:
    dx = (_flat(da) @ w_ih).reshape(*da.shape[:2], w_ih.shape[1])
    return array_library().moveaxis(dx[::-1] if reverse else dx, 0, 1).copy(order="C")


def _weight_gradients(da: Array, du: Array, saved: Saved) -> tuple[Array, Array]:
    """Sums over time and batch: da^T x for W_ih and du^T h for W_hh."""
    return _flat(da).T @ _flat(saved.x), _flat(du).T @ _flat(saved.h[:-1])


def _flat(a: Array) -> Array:
    return a.reshape(math.prod(a.shape[:2]), a.shape[2])


def _total(da: Array) -> Array:
    return da.sum(axis=0).sum(axis=0)


def _wanted(needs: tuple, gradients: tuple) -> tuple:
    return tuple(d if need else None for d, need in zip(gradients, needs, strict=True))
