"""Adam on the emulator against the formulas."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, close, emulated, needs_emulator, numbers
from tinyslm.kernels.cuda import optim

from tinyslm.optim.adam import adam_step

pytestmark = needs_emulator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 300])
@pytest.mark.parametrize("decoupled", [False, True])
def test_three_steps(size, dtype, decoupled):
    for setting in SETTINGS:
        mine = [numbers(i, size).astype(dtype) for i in (1, 2)] + [np.zeros(size, dtype), np.zeros(size, dtype)]
        other = [a.astype(np.float64) for a in mine]
        for step in (1, 2, 3):
            settings = (1e-2, 0.9, 0.99, 1e-8, 0.1, step, decoupled)
            with emulated(setting):
                optim.adam(*mine, *settings, 0.5 if step < 3 else np.array([0.25], dtype))
            adam_step(*other, *settings, 0.5 if step < 3 else 0.25)
        for a, b in zip(mine, other, strict=True):
            close(a, b)


def test_arrays_that_can_not_be_changed_in_place_are_refused():
    a = np.zeros((4, 4), np.float32)
    with emulated(), pytest.raises(ValueError, match="`p` contiguous"):
        optim.adam(a.T[:2], a, a, a, 0.1, 0.9, 0.99, 1e-8, 0.0, 1, False, 1.0)
