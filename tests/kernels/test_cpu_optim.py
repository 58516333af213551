"""Adam against NumPy and torch."""

import numpy as np
import pytest
from cpu_helpers import DTYPES, awkward, close, numbers
from drawn import LAYOUTS, arrays, dtypes
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyslm.kernels.cpu.optim import adam

SETTINGS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1}


def formula(p, g, m, v, step, decoupled, grad_scale):
    """One step in float64, with the settings above."""
    d = grad_scale * g.astype(np.float64) + (0 if decoupled else 0.1 * p)
    p = p * (1 - 0.01 * 0.1) if decoupled else p
    m, v = 0.9 * m + 0.1 * d, 0.99 * v + 0.01 * d * d
    return p - 0.01 * m / (1 - 0.9**step) / (np.sqrt(v) / np.sqrt(1 - 0.99**step) + 1e-6), m, v


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("size", [0, 1, 37])
def test_against_the_formula(size, decoupled, dtype):
    p, m, v = numbers(0, size, dtype=dtype), np.zeros(size, dtype), np.zeros(size, dtype)
    want, wm, wv = (a.astype(np.float64) for a in (p, m, v))
    for step in (1, 2, 3):
        g = awkward(numbers(step, size, dtype=dtype))
        adam(p, g, m, v, **SETTINGS, step=step, decoupled=decoupled, grad_scale=0.5)
        want, wm, wv = formula(want, g, wm, wv, step, decoupled, 0.5)
    for got, value in ((p, want), (m, wm), (v, wv)):
        close(got, value)


@pytest.mark.torch
@pytest.mark.parametrize("decoupled", [False, True])
def test_against_torch(decoupled):
    torch = pytest.importorskip("torch")
    p, m, v = numbers(0, 50), np.zeros(50), np.zeros(50)
    t = torch.from_numpy(p.copy())
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    other = kind([t], lr=0.01, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.1)
    for step in range(1, 6):
        g = numbers(step, 50)
        t.grad = torch.from_numpy(g)
        other.step()
        adam(p, g, m, v, **SETTINGS, step=step, decoupled=decoupled, grad_scale=1.0)
    close(p, t.numpy())


def test_in_place_needs_plain_arrays():
    p = numbers(0, 8)
    with pytest.raises(ValueError, match="`p`"):
        adam(awkward(p), p, p.copy(), p.copy(), **SETTINGS, step=1, decoupled=True, grad_scale=1.0)


@settings(max_examples=15)
@given(st.data(), dtypes, st.lists(st.integers(0, 9), max_size=3), st.booleans(), st.integers(1, 1000))
def test_drawn_parameters(data, dtype, shape, decoupled, step):
    p, g, m, v = (data.draw(arrays(tuple(shape), dtype)) for _ in range(4))
    np.abs(v, out=v)
    want = formula(*(a.astype(np.float64) for a in (p, g, m, v)), step, decoupled, -0.5)
    for layout in LAYOUTS:
        found = p.copy(), m.copy(), v.copy()
        adam(found[0], layout(g), *found[1:], **SETTINGS, step=step, decoupled=decoupled, grad_scale=-0.5)
        for got, value in zip(found, want, strict=True):
            close(got, value, slack=3)
