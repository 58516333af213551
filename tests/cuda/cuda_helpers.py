"""What the tests of the CUDA kernels share: the emulated device, its schedules, the reference operation as referee."""

import os
from contextlib import contextmanager
from functools import cache, partial

import emulator
import numpy as np
import on_gpu
import pytest
from emulator import RawModule, Setting
from tinyslm.kernels.cuda import _launch

import tinyslm as ts
from tinyslm.engine import Op

# The check comes first: in fast mode an address out of bounds could end the whole test process.
SETTINGS = [Setting("check", 0), Setting("fast", 0), Setting("fast", 1), Setting("fast", 7)]
SHARED_LIMIT, PROCESSORS = 232_448, 132  # as a large GPU of sm_90 has
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}

GPU = bool(os.environ.get("TINYSLM_TEST_GPU"))  # run the kernels on a GPU and not on the emulator

needs_emulator = pytest.mark.skipif(bool(emulator.missing()) and not GPU, reason=emulator.missing())


@cache
def compiled(setting, code, options=()):
    """A module of kernels; each is built and loaded once."""
    return on_gpu.RawModule(code, options) if GPU else RawModule(code, options, setting)


@contextmanager
def emulated(setting=Setting(), shared_limit=SHARED_LIMIT, processors=PROCESSORS):  # noqa: B008
    """A block in which CUDA kernels run on the emulator, with NumPy's arrays as device memory."""
    before = _launch.choose_gpu(_launch.Gpu(np, partial(compiled, setting), shared_limit, processors))
    try:
        yield
    finally:
        _launch.choose_gpu(before)


def close(got, want, name=""):
    """Equal within the tolerance of each entry or of the largest entry; NaN and infinity must agree."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{name}: {got.shape} instead of {want.shape}"
    finite = np.abs(want[np.isfinite(want)])
    tolerance = TOLERANCE[str(got.dtype)]
    scale = max(1.0, finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=name)


def as_tuple(a):
    return a if isinstance(a, tuple) else (a,)


def reference(op, arrays, cotangents, attributes):
    """Outputs and gradients of the operation's own forward and rule, in float64."""
    with ts.use("numpy"):
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
        inputs = [ts.tensor(a, requires_grad=a.dtype.kind == "f") for a in wide]
        out = as_tuple(Op.registry[op](*inputs, **attributes))
        loss = sum((o * ts.tensor(g.astype(np.float64))).sum() for o, g in zip(out, cotangents, strict=True))
        loss.backward()
    return [o.numpy() for o in out], [None if t.grad is None else t.grad.numpy() for t in inputs]


def awkward(a):
    """The same numbers, not contiguous."""
    if a.ndim == 0:
        return a
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def check_op(module, op, arrays, dtype="float32", settings=SETTINGS, device=None, kernel=None, **attributes):
    """Hold a CUDA pair against the reference operation: outputs and gradients, on every schedule.

    `kernel`: the pair's name where it is not that of the operation.
    """
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    with ts.use("numpy"):
        shapes = [o.shape for o in as_tuple(Op.registry[op](*map(ts.tensor, arrays), **attributes))]
    rng = np.random.default_rng(0)
    cotangents = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]
    outputs, gradients = reference(op, arrays, cotangents, attributes)
    for setting in settings:
        with emulated(setting, **(device or {})):
            _compare(module, kernel or op, arrays, cotangents, outputs, gradients, attributes)
    with emulated(**(device or {})):
        turned = [awkward(a) for a in arrays]
        _compare(module, kernel or op, turned, [awkward(g) for g in cotangents], outputs, gradients, attributes)


def _compare(module, op, arrays, cotangents, outputs, gradients, attributes):
    forward, backward = getattr(module, f"{op}_forward"), getattr(module, f"{op}_backward")
    before = [a.copy() for a in arrays]
    out, saved = forward(*arrays, **attributes)
    for i, (got, want) in enumerate(zip(as_tuple(out), outputs, strict=True)):
        close(got, want, f"{op} output {i}")
    g = tuple(cotangents) if isinstance(out, tuple) else cotangents[0]
    needs = tuple(a.dtype.kind == "f" for a in arrays)
    found = backward(g, out, saved, arrays, needs, **attributes)
    for i, (got, want, need) in enumerate(zip(found, gradients, needs, strict=True)):
        assert (got is not None) == need
        if need:
            close(got, np.zeros(arrays[i].shape) if want is None else want, f"{op} gradient {i}")
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)  # inputs are never changed
    assert backward(g, out, saved, arrays, (False,) * len(arrays), **attributes) == (None,) * len(arrays)


def numbers(seed, *shape, scale=1.0):
    return np.random.default_rng(seed).standard_normal(shape) * scale
