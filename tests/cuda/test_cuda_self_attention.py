"""Self-attention on the emulator against the reference."""

import numpy as np
import pytest
from cuda_helpers import DTYPES, SETTINGS, check_op, needs_emulator, numbers
from tinyslm.kernels.cuda import self_attention

pytestmark = needs_emulator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("heads, causal, masked", [(1, False, False), (2, True, False), (3, False, True)])
def test_heads_side_by_side(heads, causal, masked, dtype):
    mask = np.random.default_rng(1).random((2, 1, 5, 5)) < 0.7 if masked else None
    qkv = numbers(2, 2, 5, 3 * 4 * heads)
    check_op(self_attention, "self_attention", [qkv], dtype, SETTINGS[:2], heads=heads, causal=causal, mask=mask)
