"""What only a GPU can tell: that CuPy sees no wait in a training step, and that its graphs do what the launches do."""

import warnings

import numpy as np
import pytest
from cuda_helpers import GPU
from test_cuda_strict import LAYERS, training

import tinyslm as ts
from tinyslm import nn

pytestmark = pytest.mark.skipif(not GPU, reason="needs a GPU, and TINYSLM_TEST_GPU=1")


@pytest.mark.parametrize("name", LAYERS)
def test_cupy_sees_no_wait_in_a_training_step(name):
    cupyx = pytest.importorskip("cupyx")
    with ts.use("cuda"):
        _, (first, second) = training(*LAYERS[name], steps=2)
        first()  # compiles
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it sees not every wait, and says so
            with cupyx.allow_synchronize(False):
                second()


def odd_lstm(steps=8):
    """Losses of an LSTM that is too odd for the persistent kernel, so that its loop is recorded."""
    rng = np.random.default_rng(0)
    layer = nn.LSTM(3, 70, rng=rng)
    adam = ts.optim.Adam(layer.parameters(), lr=0.01)
    x, losses = ts.tensor(rng.standard_normal((40, 12, 3)).astype(np.float32)), []
    for _ in range(steps):
        loss = (layer(x)[0] ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def test_recorded_loops_give_the_same_bits_as_launches(monkeypatch):
    with ts.use("cuda"), warnings.catch_warnings():
        warnings.simplefilter("error")  # that graphs can't be used
        found = odd_lstm()
        monkeypatch.setenv("TINYSLM_CUDA_GRAPHS", "0")
        assert found == odd_lstm()
