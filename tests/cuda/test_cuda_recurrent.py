"""RNN, LSTM and GRU on the emulator against the reference: one launch a step, and the persistent kernels."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, check_op, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import recurrent

pytestmark = needs_emulator
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
NO_ROOM = {"shared_limit": 65_536}  # of sm_75; no hidden size below with it is a multiple of 32, as persistence wants


def arrays(op, b, t, d, h):
    gates = GATES[op] * h
    weights = [
        numbers(3, gates, d, scale=0.5),
        numbers(4, gates, h, scale=0.7 / np.sqrt(h)),
        numbers(5, gates, scale=0.3),
    ]
    states = [numbers(6 + i, b, h) for i in range(2 if op == "lstm" else 1)]
    return [numbers(1, b, t, d), *states, *weights, *([numbers(9, h)] if op == "gru" else [])]


def mask(b, t):
    return np.arange(t) < np.array([(t, t - 1, 0, 2)[i % 4] for i in range(b)])[:, None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(3, 4, 2, 5), (1, 1, 1, 1), (2, 0, 3, 2), (9, 3, 4, 33)])
@pytest.mark.parametrize("op", GATES)
def test_step_by_step(op, sizes, dtype):
    check_op(recurrent, op, arrays(op, *sizes), dtype, device=NO_ROOM)


@pytest.mark.parametrize("op", GATES)
def test_steps_of_several_blocks_and_several_tiles(op):
    """More sequences and units than one block serves, sums over more than one tile holds, in fours and not."""
    hidden = 68 if op == "lstm" else 132 if op == "rnn" else 66
    check_op(recurrent, op, arrays(op, 35, 2, 3, hidden), mask=mask(35, 2), settings=SETTINGS[:2], device=NO_ROOM)


def test_a_step_reads_fours_only_where_they_are_aligned():
    op, odd = "lstm", np.zeros(1 + 80 * 20, np.float32)
    inputs = [a.astype(np.float32) for a in arrays(op, 3, 2, 4, 20)]
    weights = odd[1:].reshape(80, 20)  # in one piece, but at an odd address, as a part of a larger array can be
    weights[:] = inputs[4]
    with emulated(SETTINGS[0], **NO_ROOM):
        found = []
        for w in (inputs[4], weights):
            given = [*inputs[:4], w, inputs[5]]
            out, saved = recurrent.lstm_forward(*given)
            found.append([*out, *recurrent.lstm_backward(out, out, saved, given, (True,) * 6)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("op", GATES)
def test_masks_and_reverse(op, reverse):
    inputs, on = arrays(op, 4, 5, 2, 3), mask(4, 5)
    inputs[0][~on] = np.nan  # what doesn't count may hold anything
    check_op(recurrent, op, inputs, mask=on, reverse=reverse, device=NO_ROOM)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("processors", [132, 2])
@pytest.mark.parametrize("op", ["lstm", "gru"])
def test_persistent(op, processors, reverse):
    with emulated(processors=processors):
        plan = recurrent._plan(GATES[op], np.zeros((5, 32), np.float32))
        assert plan and plan.kept == 32 and plan.sequences == (1 if processors == 132 else 2)
    device = {"processors": processors}
    check_op(recurrent, op, arrays(op, 5, 4, 3, 32), mask=mask(5, 4), reverse=reverse, device=device)


@pytest.mark.parametrize("op", ["lstm", "gru"])
def test_persistent_with_weights_in_shared_memory(op, monkeypatch):
    monkeypatch.setattr(recurrent, "kept_weights", lambda *sizes: 20)
    check_op(recurrent, op, arrays(op, 3, 3, 2, 32), settings=SETTINGS[:2], device={"processors": 2})


@pytest.mark.parametrize("op", ["lstm", "gru"])
def test_persistent_in_double(op):
    check_op(recurrent, op, arrays(op, 2, 3, 2, 32), "float64", settings=SETTINGS[:1])


def test_plans():
    with emulated():
        large = recurrent._plan(4, np.zeros((32, 128), np.float32))
        assert (large.blocks, large.sequences) == (32, 1) and large.kept + recurrent.OVERHEAD[4] <= 128
        assert large.shared == 4 * 512 * (128 - large.kept + 2)
        assert recurrent._plan(4, np.zeros((300, 64), np.float32)).blocks == 150
        for gates, batch, hidden in [(4, 2, 288), (4, 2, 33), (3, 2, 352), (4, 2, 0)]:
            assert recurrent._plan(gates, np.zeros((batch, hidden), np.float32)) is None
    with emulated(shared_limit=64 * 1024):
        assert recurrent._plan(4, np.zeros((32, 128), np.float32)) is None
