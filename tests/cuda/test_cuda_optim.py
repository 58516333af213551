"""Adam and the length of the gradients on the emulator, against the formulas."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import optim

from tinyslm.optim.adam import adam_step

pytestmark = needs_emulator
SHAPES = [[(1,)], [(300,)], [(3, 5), (0,), (40, 40), (1,)], [(0, 2), (1024,), (1025,)]]


def draw(seed, shapes, dtype="float64"):
    return [numbers(seed + i, *shape).astype(dtype) for i, shape in enumerate(shapes)]


def awkward(arrays):
    return [np.stack([a, a], axis=-1)[..., 0] for a in arrays]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("decoupled", [False, True])
def test_three_steps(shapes, dtype, decoupled):
    for setting in SETTINGS:
        mine = [draw(1, shapes, dtype), draw(9, shapes, dtype), *([np.zeros(s, dtype) for s in shapes] for _ in "mv")]
        other = [[a.astype(np.float64) for a in arrays] for arrays in mine]
        mine[1] = awkward(mine[1])
        for step in (1, 2, 3):
            settings = (1e-2, 0.9, 0.99, 1e-8, 0.1, step, decoupled)
            with emulated(setting):
                optim.adam(*mine, *settings, 0.5 if step < 3 else np.array([0.25], dtype))
            for arrays in zip(*other, strict=True):
                adam_step(*arrays, *settings, 0.5 if step < 3 else 0.25)
        for kind, same in zip(mine, other, strict=True):
            for a, b in zip(kind, same, strict=True):
                close(a, b)


def test_arrays_that_can_not_be_changed_in_place_are_refused():
    a = np.zeros((4, 4), np.float32)
    with emulated(), pytest.raises(ValueError, match="`p` contiguous"):
        optim.adam([a.T[:2]], [a], [a], [a], 0.1, 0.9, 0.99, 1e-8, 0.0, 1, False, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", SHAPES)
def test_the_length_and_the_factor(shapes, dtype):
    g = draw(3, shapes, dtype)
    wanted = np.sqrt(sum(np.square(a, dtype=np.float64).sum() for a in g))
    for setting in SETTINGS:
        with emulated(setting):
            length, factor = optim.clip(awkward(g), 0.5)
            out = optim.scaled(awkward(g), factor)
            unchanged = optim.clip(g, 1e9)[1]
        close(length, np.array(wanted))
        close(factor, np.array([min(0.5 / (wanted + 1e-6), 1.0)]))
        assert unchanged == 1
        for a, b in zip(out, g, strict=True):
            close(a, b.astype(np.float64) * factor)


def test_many_blocks_are_added_up():
    g = [numbers(1, 300, 1024).astype(np.float32)]
    with emulated():
        close(optim.clip(g, 1.0)[0], np.sqrt(np.square(g[0], dtype=np.float64).sum()))


@pytest.mark.parametrize("entry, length, factor", [
    (0.0, 0.0, 1.0), (1e30, np.sqrt(2) * 1e30, 0.0), (1e-30, np.sqrt(2) * 1e-30, 1.0), (np.inf, np.inf, 0.0),
    (np.nan, np.nan, np.nan),
])  # fmt: skip
def test_lengths_whose_squares_do_not_exist_in_float32(entry, length, factor):
    g = [np.array([entry, 0, -entry], np.float32), np.zeros(2000, np.float32)]
    with emulated():
        found = optim.clip(g, 1e-3)
    np.testing.assert_allclose(found[0], length, rtol=1e-6)
    np.testing.assert_allclose(found[1], [factor], rtol=1e-6, atol=1e-30)
