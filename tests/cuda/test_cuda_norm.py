"""Layer norm and RMS norm on the emulator against the reference."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, check_op, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import norm

pytestmark = needs_emulator
SHAPES = [(70, 33), (2, 3, 8), (5,), (4, 1), (1, 1), (0, 4), (2, 1100)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm(shape, dtype):
    arrays = [numbers(1, *shape) + 3, numbers(2, shape[-1]), numbers(3, shape[-1])]
    check_op(norm, "layer_norm", arrays, dtype, eps=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm(shape, dtype):
    check_op(norm, "rms_norm", [numbers(1, *shape) + 3, numbers(2, shape[-1])], dtype, eps=1e-3)


def test_constant_rows_and_single_needs():
    x, w, b = np.full((3, 7), 1e3, np.float32), np.ones(7, np.float32), np.zeros(7, np.float32)
    with emulated():
        out, saved = norm.layer_norm_forward(x, w, b)
        close(out, np.zeros((3, 7)))
        dx, dweight, dbias = norm.layer_norm_backward(x, out, saved, (x, w, b), (False, False, True))
        assert dx is None and dweight is None
        close(dbias, np.full(7, 3e3))


def test_many_rows_lie_along_the_axis_of_the_grid_that_is_long_enough(monkeypatch):
    grids = []
    monkeypatch.setattr(norm, "launch", lambda name, grid, *rest, **constants: grids.append(grid))
    monkeypatch.setattr(np, "empty", np.zeros)  # nothing is computed here, and what lies there is added up
    x, w = np.zeros((70_000 * norm.STRETCH, 1), np.float32), np.ones(1, np.float32)
    with emulated():
        out, saved = norm.layer_norm_forward(x, w, w)
        norm.layer_norm_backward(x, out, saved, (x, w, w), (True, True, True))
    assert len(grids) == 3 and all(max(grid[1:], default=0) < 65_536 for grid in grids)
