"""What the tests of the CPU kernels share: awkward inputs, tolerances, torch as the referee of gradients."""

import numpy as np
import pytest
from tinyslm.kernels.cpu import _parallel

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}


def close(got, want, name="", slack=1.0):
    """Equal within 1e-5 (float32) of each entry or of the largest entry; NaN and infinity must agree."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{name}: {got.shape} instead of {want.shape}"
    finite = np.abs(want[np.isfinite(want)])
    tolerance = slack * TOLERANCE[str(got.dtype)]
    scale = max(1.0, finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale * 0.3, err_msg=name)


def awkward(a):
    """The same numbers, neither contiguous nor writable."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]) if a.ndim else (), a.dtype)
    view = wide[..., ::2] if a.ndim else wide
    view[...] = a
    view.flags.writeable = False
    return view


def as_tuple(a):
    return a if isinstance(a, tuple) else (a,)


def check_pair(pair, function, arrays, seed=0, **attributes):
    """Hold a pair against a torch function: outputs and gradients in float64, for plain and for awkward inputs."""
    torch = pytest.importorskip("torch")
    forward, backward = pair
    tensors = [torch.from_numpy(np.array(a, np.float64 if a.dtype.kind == "f" else a.dtype)) for a in arrays]
    floats = [t for t in tensors if t.is_floating_point()]
    for t in floats:
        t.requires_grad_(True)
    wanted = as_tuple(function(*tensors))
    rng, dtype = np.random.default_rng(seed), next(a.dtype for a in arrays if a.dtype.kind == "f")
    g = tuple(np.asarray(rng.standard_normal(w.shape), dtype) for w in wanted)
    torch.autograd.backward(wanted, [torch.from_numpy(np.asarray(a, np.float64)) for a in g])
    for change in (lambda a: a, awkward):
        inputs = tuple(change(a.copy()) for a in arrays)
        before = [a.copy() for a in inputs]
        out, saved = forward(*inputs, **attributes)
        cotangent = tuple(change(a) for a in g) if isinstance(out, tuple) else change(g[0])
        needs = tuple(a.dtype.kind == "f" for a in arrays)
        found = backward(cotangent, out, saved, inputs, needs, **attributes)
        for got, want in zip(as_tuple(out), wanted, strict=True):
            assert got.dtype == dtype
            close(got, want.detach().numpy(), "output")
        for i, (got, t) in enumerate(zip(found, tensors, strict=True)):
            if not needs[i]:
                assert got is None
                continue
            assert got.dtype == dtype
            close(got, np.zeros(t.shape) if t.grad is None else t.grad.numpy(), f"gradient {i}")
        for a, b in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(a, b)  # inputs are never changed
    none = backward(g if isinstance(out, tuple) else g[0], out, saved, inputs, (False,) * len(arrays), **attributes)
    assert none == (None,) * len(arrays)


def numbers(seed, *shape, dtype="float64", scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


def with_threads(n, monkeypatch):
    """n threads from now on in this test, also where there is little work: every size is cut into pieces.

    Returns a list that grows each time work is handed to another thread.
    """
    real, handed = _parallel._ask, []
    monkeypatch.setattr(_parallel, "_threads", n)
    monkeypatch.setattr(_parallel, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(_parallel, "_ask", lambda *asked: handed.append(n) or real(*asked))
    return handed
