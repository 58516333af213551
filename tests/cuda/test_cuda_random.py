"""Every family at shapes that nobody chose: drawn from fixed seeds, on all schedules, against the reference."""

import numpy as np
import pytest
from cuda_helpers import check_op, needs_emulator, numbers
from tinyslm.kernels.cuda import (
    attention,
    conv,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    recurrent,
    self_attention,
    softmax,
)

pytestmark = needs_emulator


class Draw:
    """Sizes and arrays from one seed."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def size(self, most):
        """From 1 on; small sizes as often as large ones."""
        return int(np.exp(self.rng.uniform(0, np.log(most + 1))))

    def lead(self, most=6):
        return tuple(self.size(most) for _ in range(self.rng.integers(0, 3)))

    def array(self, *shape):
        return np.asarray(numbers(int(self.rng.integers(1 << 30)), *shape))

    def below(self, most, *shape):
        return np.asarray(self.rng.integers(0, most, shape))


def rows(d):
    return d.array(*d.lead(), d.size(1500))


def norm_case(d, op):
    x = rows(d)
    return norm, op, [x + 2, *(d.array(x.shape[-1]) for _ in range(1 + (op == "layer_norm")))], {}


def loss_case(d):
    x = rows(d)
    target = d.below(x.shape[-1], *x.shape[:-1])
    target[d.rng.random(target.shape) < 0.2] = -100
    return loss, "cross_entropy", [x, target], {"reduction": "sum", "label_smoothing": float(d.rng.random() / 2)}


def embedding_case(d):
    table, width = d.size(60), d.size(80)
    return index, "embedding", [d.below(table, *d.lead(12)), d.array(table, width)], {}


def affine_case(d):
    features, hidden = d.size(50), d.size(1200)
    return matmul, "affine", [d.array(*d.lead(), features), d.array(hidden, features), d.array(hidden)], {}


def conv_case(d):
    channels, filters, size, padding = d.size(5), d.size(5), d.size(4), int(d.rng.integers(0, 3))
    arrays = [d.array(d.size(4), channels, size * 2 + d.size(30)), d.array(filters, channels, size), d.array(filters)]
    return conv, "conv1d_fused", arrays, {"kernel": "conv1d", "stride": d.size(3), "padding": padding, "dilation": 2}


def attention_case(d):
    """Widths of other tests, for each is compiled anew; the kernel's tiles are 64 and 32 long."""
    (lead, t, s), (width, wide) = (d.lead(3), d.size(100), d.size(100)), [(3, 4), (8, 8), (17, 16)][d.below(3)]
    arrays = [d.array(*lead, t, width), d.array(*lead, s, width), d.array(*lead, s, wide)]
    mask = d.rng.random((t, s)) < 0.8 if d.rng.random() < 0.5 else None
    return attention, "attention", arrays, {"causal": bool(d.below(2)), "mask": mask}


def recurrent_case(d, op, hidden, **device):
    batch, time, features, gates = d.size(40), d.size(4), d.size(8), {"rnn": 1, "lstm": 4, "gru": 3}[op] * hidden
    states = [d.array(batch, hidden) for _ in range(1 + (op == "lstm"))]
    weights = [d.array(gates, features) / 2, d.array(gates, hidden) / (2 * hidden**0.5), d.array(gates)]
    mask = d.rng.random((batch, time)) < 0.7
    arrays = [d.array(batch, time, features), *states, *weights, *([d.array(hidden)] if op == "gru" else [])]
    return recurrent, op, arrays, {"mask": mask, "reverse": bool(d.below(2)), "device": device}


CASES = {
    "softmax": lambda d: (softmax, "softmax", [rows(d)], {"dim": -1}),
    "log_softmax": lambda d: (softmax, "log_softmax", [rows(d)], {"dim": -1}),
    "layer_norm": lambda d: norm_case(d, "layer_norm"),
    "rms_norm": lambda d: norm_case(d, "rms_norm"),
    "loss": loss_case,
    "embedding": embedding_case,
    "affine": affine_case,
    "convolution": conv_case,
    "gelu": lambda d: (elementwise, "gelu", [rows(d)], {}),
    "dropout": lambda d: (elementwise, "dropout", [rows(d)], {"p": 0.4, "seed": d.size(1000)}),
    "attention": attention_case,
    "self_attention": lambda d: (self_attention, "self_attention", [d.array(d.size(3), d.size(40), 48)], {"heads": 2}),
    "rnn": lambda d: recurrent_case(d, "rnn", d.size(150)),
    "lstm": lambda d: recurrent_case(d, "lstm", d.size(80) // 32 * 32 + d.size(31)),  # not for the persistent kernel
    "gru": lambda d: recurrent_case(d, "gru", d.size(80) // 32 * 32 + d.size(31)),
    "persistent": lambda d: recurrent_case(d, ["lstm", "gru"][d.below(2)], 32, processors=d.size(40)),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_drawn_shapes(name, seed):
    module, op, arrays, settings = CASES[name](Draw(seed))
    check_op(module, op, arrays, "float32", **settings)
