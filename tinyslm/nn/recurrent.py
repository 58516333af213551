"""Recurrent layers: RNN, LSTM and GRU, stacked and in both directions, one fused operation per layer and direction.

The formulas of the cells stand at the operations (`tinyslm.ops.recurrent`), step by step. Here is what lies around
them: the parameters, the stack, dropout, and PyTorch's names.

There is one bias per gate, as in the articles. PyTorch has two that are only ever added: a state dict holds PyTorch's
pair, with zeros as the second, and loading adds a pair up. The GRU's candidate has a true second bias, `bias_hn`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..device import to_host
from ..errors import ShapeError, require_lengths, require_tensor
from ..ops import cat, dropout, gru, lstm, rnn, stack
from ..tensor import Tensor, raw
from . import init
from .dropout import Dropout, SequenceDropout, check_probability, draw_seed
from .module import Module, Parameter, check_sizes
from .pooling import steps_mask

State = tuple[Tensor, ...]


class Recurrent(Module):
    """What RNN, LSTM and GRU share: layers l0, l1, ... and, in both directions, l0_reverse, ...

    The start values are Glorot's for W_ih and orthogonal for W_hh, each gate by itself, and 0 for the biases.
    """

    gates: ClassVar[int]  # G, the blocks of H rows in every weight
    states: ClassVar[int] = 1  # how many arrays make up the state
    run: ClassVar[Callable[..., tuple[Tensor, ...]]]  # the operation over a sequence

    weight_ih_l0: Parameter  # (G H, D); in later layers (G H, H dirs)
    weight_hh_l0: Parameter  # (G H, H)
    bias_l0: Parameter  # (G H,)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        check_sizes(type(self).__name__, 1, **sizes)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.rng = bidirectional, rng
        self.dropout = (SequenceDropout if variational else Dropout)(check_probability(dropout, "dropout"), rng=rng)
        self.recurrent_dropout = check_probability(recurrent_dropout, "recurrent_dropout")
        self.ends = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            for end in self.ends:
                self._add(f"_l{layer}{end}", input_size if layer == 0 else hidden_size * len(self.ends), dtype)

    def _add(self, name: str, width: int, dtype: Any) -> None:
        rows = self.gates * self.hidden_size
        weight_ih = Parameter.zeros(rows, width, dtype=dtype)
        weight_hh = Parameter.zeros(rows, self.hidden_size, dtype=dtype)
        for k in range(self.gates):
            block = slice(k * self.hidden_size, (k + 1) * self.hidden_size)
            _fill(weight_ih, block, init.xavier_uniform_, self.rng)
            _fill(weight_hh, block, init.orthogonal_, self.rng)
        setattr(self, f"weight_ih{name}", weight_ih)
        setattr(self, f"weight_hh{name}", weight_hh)
        setattr(self, f"bias{name}", Parameter.zeros(rows, dtype=dtype))

    def forward(self, x: Tensor, state: Any = None, mask: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """Run over a whole sequence.

        Args:
            x: (B, T, D).
            state: the state before the first step, as it is returned; zeros if None.
            mask: bool (B, T), True at steps that count. At the others the state is carried over and the output is 0.
            lengths: (B,) instead of a mask: the first so many steps count.

        Returns:
            output (B, T, H dirs) of the last layer, and the state after the last step, (layers dirs, B, H) each.
        """
        require_tensor(x, "x", f"(B, T, D) with D = {self.input_size}", of=type(self).__name__)
        if x.ndim != 3 or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: expected x (B, T, D) with D = {self.input_size}\n  Got: {x.shape}"
            )
        counts = _counting_steps(x, mask, lengths)
        before = self._unpack(state, x)
        after: list[State] = []
        for layer in range(self.num_layers):
            x = self.dropout(x) if layer else x
            outputs = []
            for end in self.ends:
                y, *last = self._run(x, before[len(after)], f"_l{layer}{end}", counts)
                outputs.append(y)
                after.append(tuple(last))
            x = cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        return x, self._pack(after)

    def _run(self, x: Tensor, state: State, name: str, mask: Any) -> tuple[Tensor, ...]:
        weight_hh = self._dropped(getattr(self, f"weight_hh{name}"))
        weights = (getattr(self, f"weight_ih{name}"), weight_hh, *self._biases(name))
        return type(self).run(x, *state, *weights, mask=mask, reverse=name.endswith("_reverse"))

    def _biases(self, name: str) -> tuple[Parameter, ...]:
        return (getattr(self, f"bias{name}"),)

    def _dropped(self, weight_hh: Parameter) -> Tensor:
        # A column of W_hh meets one unit of h_{t-1} at every step: dropping it drops that unit for the whole sequence.
        if not self.training or self.recurrent_dropout == 0:
            return weight_hh
        units = Tensor.wrap(np.ones(self.hidden_size, weight_hh.dtype))
        return weight_hh * dropout(units, p=self.recurrent_dropout, seed=draw_seed(self.rng))

    # -- the state ----------------------------------------------------------------------------------------------------

    def _unpack(self, state: Any, x: Tensor) -> list[State]:
        """One tuple of (B, H) per layer and direction."""
        count = self.num_layers * len(self.ends)
        shape = (count, x.shape[0], self.hidden_size)
        if state is None:
            return [tuple(Tensor.wrap(np.zeros(shape[1:], x.dtype)) for _ in range(self.states))] * count
        several = self.states > 1 and hasattr(state, "__iter__") and getattr(state, "ndim", 4) == 4  # stacked, or not
        parts = tuple(state) if several else (state,)
        got = [getattr(p, "shape", type(p).__name__) for p in parts]
        if got != [shape] * self.states:
            wanted = "a tensor" if self.states == 1 else f"a tuple of {self.states} tensors"
            raise ShapeError(
                f"{type(self).__name__}: expected state as it is returned, {wanted} (layers dirs, B, H) = {shape}\n"
                f"  Got: {', '.join(map(str, got))}"
            )
        return [tuple(part[i] for part in parts) for i in range(count)]

    def _pack(self, after: list[State]) -> Any:
        packed = tuple(stack(list(parts), dim=0) for parts in zip(*after, strict=True))
        return packed if self.states > 1 else packed[0]

    # -- PyTorch's pair of biases -------------------------------------------------------------------------------------

    def local_state(self) -> dict[str, np.ndarray]:
        """The arrays under PyTorch's names, with its pair of biases."""
        state: dict[str, np.ndarray] = {}
        for name, array in super().local_state().items():
            if name.startswith("bias_l"):
                state[f"bias_ih{name[4:]}"] = array
                state[f"bias_hh{name[4:]}"] = np.zeros_like(array)
            else:
                state[name] = array
        return state

    def load_local_state(self, state: Mapping[str, Any]) -> None:
        """The way back; a pair of biases is added up."""
        own: dict[str, Any] = dict(state)
        for name in [n[7:] for n in state if n.startswith("bias_ih")]:
            own[f"bias{name}"] = np.asarray(state[f"bias_ih{name}"]) + np.asarray(state.get(f"bias_hh{name}", 0))
        super().load_local_state(own)

    def extra_repr(self) -> str:
        """The sizes."""
        more = [f"num_layers={self.num_layers}"] * (self.num_layers > 1) + ["bidirectional=True"] * self.bidirectional
        return ", ".join([str(self.input_size), str(self.hidden_size), *more])


class RNN(Recurrent):
    """h_t = tanh(W_ih x_t + W_hh h_{t-1} + b): x (B, T, D) -> output (B, T, H dirs), h_n (layers dirs, B, H).

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: layers on top of each other.
        bidirectional: run in both directions and put the outputs side by side.
        dropout: share of each layer's output that is dropped on its way to the next layer.
        variational: drop with one mask for all time steps instead of a fresh one per step (Gal & Ghahramani 2016).
        recurrent_dropout: share of the units of h_{t-1} that is dropped, the same ones at all steps and for all
            sequences of a batch.
        rng: draws the start values and the masks.
        dtype: "float32" or "float64".

    Elman 1990.
    """

    gates, run = 1, rnn


class LSTM(Recurrent):
    """i, f, o = sigmoid(...), g = tanh(...), c_t = f c_{t-1} + i g, h_t = o tanh c_t (B5 to B9, B8 repaired).

    x (B, T, D) -> output (B, T, H dirs), (h_n, c_n) of (layers dirs, B, H) each. Rows of the weights: i, f, g, o.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers, bidirectional, dropout, variational, recurrent_dropout: as for `RNN`.
        forget_bias: start value of the forget gate's bias: with 1 the cell remembers at first (Jozefowicz et al.
            2015). PyTorch starts at about 0.
        rng: draws the start values and the masks.
        dtype: "float32" or "float64".

    Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000.
    """

    gates, states, run = 4, 2, lstm

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        forget_bias: float = 1.0,
        *,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ):
        sizes = (input_size, hidden_size, num_layers, bidirectional)
        super().__init__(*sizes, dropout, variational, recurrent_dropout, rng=rng, dtype=dtype)
        for name, parameter in self.own_parameters().items():
            if name.startswith("bias"):
                parameter._data[hidden_size : 2 * hidden_size] = forget_bias


class GRU(Recurrent):
    """r, z = sigmoid(...), n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + b_hn)), h_t = (1 - z) n + z h_{t-1}.

    x (B, T, D) -> output (B, T, H dirs), h_n (layers dirs, B, H). Rows of the weights: r, z, n. This is the form with
    the reset gate after the matrix product, hence the second bias `bias_hn`.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers, bidirectional, dropout, variational, recurrent_dropout: as for `RNN`.
        rng: draws the start values and the masks.
        dtype: "float32" or "float64".

    Cho et al. 2014.
    """

    gates, run = 3, gru

    bias_hn_l0: Parameter  # (H,)

    def _add(self, name: str, width: int, dtype: Any) -> None:
        super()._add(name, width, dtype)
        setattr(self, f"bias_hn{name}", Parameter.zeros(self.hidden_size, dtype=dtype))

    def _biases(self, name: str) -> tuple[Parameter, ...]:
        return getattr(self, f"bias{name}"), getattr(self, f"bias_hn{name}")

    def local_state(self) -> dict[str, np.ndarray]:
        """The arrays under PyTorch's names: b_hn is the last third of bias_hh."""
        state = super().local_state()
        for name in [n for n in state if n.startswith("bias_hn")]:
            state[f"bias_hh{name[7:]}"][2 * self.hidden_size :] = state.pop(name)
        return state

    def load_local_state(self, state: Mapping[str, Any]) -> None:
        """The way back: of a pair of biases, r and z are added up, and the rest of bias_hh is b_hn."""
        own: dict[str, Any] = dict(state)
        for name in [n for n in state if n.startswith("bias_hh")]:
            second = np.array(state[name])
            own[f"bias_hn{name[7:]}"] = second[2 * self.hidden_size :].copy()
            second[2 * self.hidden_size :] = 0
            own[name] = second
        super().load_local_state(own)


def _fill(weight: Parameter, block: slice, initialise: Callable[..., Tensor], rng: np.random.Generator) -> None:
    part = Tensor.wrap(weight._data[block])
    weight._data[block] = initialise(part, rng=rng)._data


def _counting_steps(x: Tensor, mask: Any, lengths: Any) -> np.ndarray | None:
    if lengths is None:
        return None if mask is None else steps_mask(x, mask)
    if mask is not None:
        raise ShapeError("lengths: expected no mask beside them, since they make one. Got: lengths and a mask")
    lengths = require_lengths(to_host(raw(lengths)), x.shape[0], x.shape[1])
    return np.arange(x.shape[1]) < lengths[:, None]
