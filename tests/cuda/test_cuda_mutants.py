"""The power of the check: each barrier of our own kernels is taken away once, and the emulator has to notice."""

import itertools
import re

import numpy as np
import pytest
from cuda_helpers import GPU, close, emulated, needs_emulator, numbers
from emulator import EmulatorError, Setting
from tinyslm.kernels.cuda import _launch, attention, matmul, norm, optim, recurrent, softmax

import tinyslm as ts

pytestmark = [needs_emulator, pytest.mark.skipif(GPU, reason="a GPU does not tell what it forbids")]
BARRIER = re.compile(r"__sync(threads|warp)\(\);")


def draw(*shapes):
    return [numbers(i, *shape).astype(np.float32) for i, shape in enumerate(shapes)]


def lstm():
    arrays = draw((3, 4, 2), (3, 32), (3, 32), (128, 2), (128, 32), (128,))
    out, saved = recurrent.lstm_forward(*arrays)
    return [out[0], *recurrent.lstm_backward(out, out, saved, arrays, (True,) * 6)]


def gru():
    arrays = draw((3, 4, 2), (3, 32), (96, 2), (96, 32), (96,), (32,))
    out, saved = recurrent.gru_forward(*arrays)
    return [out[0], *recurrent.gru_backward(out, out, saved, arrays, (True,) * 6)]


def step_by_step():
    """With more than one tile of sums both ways."""
    arrays = [a / 4 for a in draw((2, 2, 2), (2, 66), (2, 66), (264, 2), (264, 66), (264,))]
    out, saved = recurrent.lstm_forward(*arrays)
    return [out[0], *recurrent.lstm_backward(out, out, saved, arrays, (True,) * 6)]


def attend():
    arrays = draw((1, 40, 16), (1, 40, 16), (1, 40, 16))
    out, saved = attention.attention_forward(*arrays, causal=True)
    return [out, *attention.attention_backward(out, out, saved, arrays, (True,) * 3, causal=True)]


def attend_on_tensor_cores():
    with ts.matmul_precision("high"):
        return attend()


def normalise():
    arrays = draw((3, 1100), (1100,), (1100,))
    out, saved = norm.layer_norm_forward(*arrays)
    return [out, *norm.layer_norm_backward(arrays[0] + 1, out, saved, arrays, (True,) * 3)]


def soften():
    (x,) = draw((3, 1100))
    y = np.empty_like(x)
    _launch.launch("softmax:softmax_2_shared", (3,), (64,), [x, y, *x.shape])
    return [y, softmax.softmax_forward(x)[0]]


def shorten():
    return optim.scaled(draw((3, 1100), (7,)), optim.clip(draw((3, 1100), (7,)), 0.5)[1])


def add_up():
    return [matmul.column_sums(*draw((70, 40)))]


# family, what runs, and the part of the text whose barriers it needs
RUNS = {
    "lstm": ("recurrent", lstm, r"// ---- persistent: one launch([\s\S]*?)#else"),
    "step": ("recurrent", step_by_step, r'"step.cuh"([\s\S]*?)#else\n// ---- persistent'),
    "gru": ("recurrent", gru, r"#if GATES == 4[\s\S]*?#else([\s\S]*)"),
    "attention": ("attention", attend, r'"attention.cu"([\s\S]*)'),
    "attention_mma": ("attention_mma", attend_on_tensor_cores, r'"attention_mma.cu"([\s\S]*)'),
    "norm": ("norm", normalise, r"([\s\S]*)"),
    "softmax": ("softmax", soften, r"([\s\S]*)"),
    "optim": ("optim", shorten, r"([\s\S]*)"),
    "matmul": ("matmul", add_up, r'"matmul.cu"([\s\S]*)'),
}


SWITCH = """
#include <cstdlib>
static bool without(int barrier) {
    const char* chosen = std::getenv("WITHOUT_BARRIER");
    return chosen && std::atoi(chosen) == barrier;
}
"""


def switchable(text, part):
    """The text with a switch at each barrier of the part, so that it compiles once for them all; and their lines."""
    start, end = re.search(part, text).span(1)
    lines = [text.count("\n", 0, barrier.start()) for barrier in BARRIER.finditer(text, start, end)]
    numbered = itertools.count()
    switched = BARRIER.sub(lambda found: f"if (without({next(numbered)})) {{}} else {found[0]}", text[start:end])
    return SWITCH + text[:start] + switched + text[end:], lines


def noticed(run, wanted):
    """Whether the emulator, or else the result, tells that something is wrong."""
    try:
        with emulated(Setting("check")), np.errstate(all="ignore"):
            for got, want in zip(run(), wanted, strict=True):
                close(got, want)
    except (EmulatorError, AssertionError):
        return True
    return False


@pytest.mark.parametrize("name", RUNS)
def test_every_barrier_counts(monkeypatch, name):
    family, run, part = RUNS[name]
    text = _launch.source(family)
    with emulated():
        wanted = run()
    switched, lines = switchable(text, part)
    assert lines
    monkeypatch.setattr(_launch, "source", lambda family: switched)
    for barrier, line in enumerate(lines):
        monkeypatch.delenv("WITHOUT_BARRIER", raising=False)
        assert not noticed(run, wanted)
        monkeypatch.setenv("WITHOUT_BARRIER", str(barrier))
        assert noticed(run, wanted), f"the barrier is not missed: {text.splitlines()[line]}"
