"""Backends: choosing one, what is said where one is missing, and kernels that fail."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import device
from tinyslm.engine import Op
from tinyslm.errors import BackendError


def test_use_chooses_and_a_block_restores():
    before = device.backend()
    with ts.use("numpy"):
        assert device.backend() == "numpy"
        with ts.use("numba", small=7):
            assert device.State.small == 7
        assert device.backend() == "numpy"
    assert device.backend() == before and device.State.small == device.SMALL


def test_unknown_and_missing_backends_say_what_to_do():
    with pytest.raises(BackendError, match="one of numpy, numba, cuda"):
        ts.use("tpu")
    if not device.probe("cuda").works:
        with pytest.raises(BackendError, match="Remedy"):
            ts.use("cuda")


def test_the_report_covers_every_backend():
    found = {f.name: f for f in device.report()}
    assert set(found) == set(device.NAMES) and found["numpy"].works
    assert all(f.works or (f.why and f.remedy) for f in found.values())


def test_small_arrays_stay_with_numpy():
    small, large = ts.tensor(np.ones(10)), ts.tensor(np.ones(device.SMALL))
    softmax = Op.registry["softmax"]
    with ts.use("numba"):
        assert (softmax.plan(small), softmax.plan(large)) == ("numpy", "numba")
    with ts.use("numpy"):
        assert softmax.plan(large) == "numpy"


def test_every_kernel_has_a_forward_and_a_backward():
    for op in Op.registry.values():
        for kernel in op.kernels.values():
            assert kernel.load() and kernel.forward and kernel.backward


def test_a_kernel_that_does_not_import_is_replaced_and_said_once():
    kernel = device.Kernel("numba", "no_such_family:softmax")
    with pytest.warns(RuntimeWarning, match="NumPy serves instead"):
        assert not kernel.serves([np.ones(device.SMALL)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not kernel.serves([np.ones(device.SMALL)])


def test_a_kernel_without_a_backward_is_refused():
    kernel = device.Kernel("numba", "softmax:no_such")
    with pytest.raises(BackendError, match="lacks a forward or a backward"):
        kernel.load()


def test_the_environment_can_choose():
    code = "import tinyslm as ts; print(ts.device.backend())"
    for name in ("numpy", "numba"):
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
            env=os.environ | {"TINYSLM_BACKEND": name},
        )  # fmt: skip
        assert out.stdout.strip() == name


def test_without_numba_everything_still_runs():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import warnings; warnings.simplefilter('error')\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'numba' else real(n, *a)\n"
        "import numpy as np, tinyslm as ts\n"
        "x = ts.tensor(np.ones((100, 100)), requires_grad=True)\n"
        "x.softmax().sum().backward(); print(ts.device.backend(), x.grad.shape)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "numpy (100, 100)", out.stderr


def broken_kernel(name, part):
    """A kernel of which one part has a loop that numba refuses."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def refused(x):
        return x.no_such_attribute

    kernel = device.Kernel("numba", f"softmax:{name}")
    kernel.load()
    setattr(kernel, part, lambda *arrays, **attrs: refused(arrays[0]))
    return kernel


@pytest.mark.parametrize("part", ["forward", "backward"])
def test_a_kernel_that_does_not_compile_is_replaced_and_said_once(part, monkeypatch):
    softmax = Op.registry["softmax"]
    monkeypatch.setattr(device, "_warned", set())
    x = np.random.default_rng(0).normal(size=(100, 100))
    g = np.random.default_rng(1).normal(size=(100, 100))
    with ts.use("numpy"):
        want = ts.tensor(x, requires_grad=True)
        want.softmax().backward(g)
    monkeypatch.setitem(softmax.kernels, "numba", broken_kernel("softmax", part))
    with ts.use("numba"):
        got = ts.tensor(x, requires_grad=True)
        with pytest.warns(RuntimeWarning, match="does not compile here, NumPy serves instead"):
            got.softmax().backward(g)
        np.testing.assert_allclose(got.grad.numpy(), want.grad.numpy(), rtol=1e-9, atol=1e-14)
        assert softmax.plan(got) == "numpy"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got.softmax().backward(g)


def test_what_a_kernel_itself_refuses_is_no_failure_of_the_compiler():
    table = ts.tensor(np.zeros((100, 100)), requires_grad=True)
    with ts.use("numba"), pytest.raises(ts.errors.ShapeError, match="0 .. 99"):
        ts.embedding(ts.tensor(np.full(5000, 100)), table)
    assert not Op.registry["embedding"].kernels["numba"].broken
