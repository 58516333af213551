"""Backends: choosing one, what is said where one is missing, and kernels that fail."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import device
from tinyslm.engine import Op
from tinyslm.errors import BackendError, OptionError


def test_use_chooses_and_a_block_restores():
    before = device.backend()
    with ts.use("numpy"):
        assert device.backend() == "numpy"
        with ts.use("numba", small=7):
            assert device.State.small == 7
        assert device.backend() == "numpy"
    assert device.backend() == before and device.State.small == device.SMALL


def test_a_choice_can_be_used_again_later_and_inside_itself():
    with ts.use("numba"):
        chosen = ts.use("numpy", small=3)
        ts.use("numba", small=5)
        for _ in range(2):
            with chosen:
                assert (device.backend(), device.State.small) == ("numpy", 3)
                with ts.use("numba", small=7), chosen, chosen:
                    assert (device.backend(), device.State.small) == ("numpy", 3)
                assert (device.backend(), device.State.small) == ("numpy", 3)
            assert (device.backend(), device.State.small) == ("numba", 5)


def test_unknown_and_missing_backends_say_what_to_do():
    with pytest.raises(BackendError, match="one of numpy, numba, cuda"):
        ts.use("tpu")
    if not device.probe("cuda").works:
        with pytest.raises(BackendError, match="Remedy"):
            ts.use("cuda")


@pytest.mark.parametrize("small", [-1, 1.5, True, "100", None, float("nan")])
def test_small_is_a_whole_number(small):
    before = device.State.small
    with pytest.raises(OptionError, match="use: expected small as a whole number of at least 0, got"):
        ts.use("numba", small=small)
    assert device.State.small == before
    with ts.use("numba", small=np.int64(3)):
        assert device.State.small == 3


@pytest.mark.parametrize("cuda", [12, 13])
def test_the_remedy_installs_what_the_extra_does(cuda):
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    (wanted,) = re.findall(rf'^cuda{cuda} = \["([^;]*);', project, re.MULTILINE)
    assert device._install(cuda) == f'pip install "{wanted}"'


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


def recurrent(gates, states, *more):
    """Shapes for T steps of a layer with H = 3 and D = 2."""
    return lambda time: [(1, time, 2), *[(1, 3)] * states, (3 * gates, 2), (3 * gates, 3), (3 * gates,), *more]


THRESHOLDS = {  # the shapes for a size, and the smallest size that a kernel serves
    "relu": (lambda n: [(n,)], 4096),
    "embedding": (lambda n: [(n,), (10, 16)], 256),  # the rows that are asked for, not the table
    "attention": (lambda n: [(n, 1)] * 3, 16),  # n^2 scores
    "self_attention": (lambda n: [(1, n, 3)], 16),
    "affine": (lambda n: [(1, n), (1, n), (1,)], 1024),
    "layer_norm": (lambda n: [(n, 16), (16,), (16,)], 16),
    "rms_norm": (lambda n: [(n, 16), (16,)], 16),
    "gelu": (lambda n: [(n,)], 256),
    "cross_entropy": (lambda n: [(n, 16), (n,)], 16),
    "conv1d_fused": (lambda n: [(1, 1, n), (1, 1, 3), (1,)], 256),
    "rnn": (recurrent(1, 1), 8),
    "gru": (recurrent(3, 1, (3,)), 8),
    "lstm": (recurrent(4, 2), 8),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_kernel_serves_from_the_work_on_that_pays_for_it(name):
    shapes, least = THRESHOLDS[name]
    op = Op.registry[name]
    with ts.use("numba"):
        for n, code in ((least - 1, "numpy"), (least, "numba")):
            inputs = [np.zeros(s, int if i in op.indices else "float32") for i, s in enumerate(shapes(n))]
            assert op.plan(*map(ts.tensor, inputs)) == code


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


def test_without_numba_everything_still_runs_and_that_is_said_once():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import warnings; warnings.simplefilter('always')\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'numba' else real(n, *a)\n"
        "import numpy as np, tinyslm as ts\n"
        "x = ts.tensor(np.ones((100, 100)), requires_grad=True)\n"
        "x.softmax().sum().backward(); print(ts.device.backend(), x.grad.shape)"
    )
    plain = {k: v for k, v in os.environ.items() if k != "TINYSLM_BACKEND"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=plain)
    assert out.stdout.strip() == "numpy (100, 100)", out.stderr
    assert (
        out.stderr.count("TinyslmWarning: numba is not installed: NumPy serves") == 1
        and "pip install numba" in out.stderr
    )
    chosen = plain | {"TINYSLM_BACKEND": "numpy"}  # who asked for NumPy misses nothing
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=chosen)
    assert out.stderr == ""


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


def test_one_signature_that_does_not_compile_leaves_the_others(monkeypatch):
    softmax = Op.registry["softmax"]
    kernel, working = broken_kernel("softmax", "forward"), softmax.kernels["numba"]
    assert working.load()
    monkeypatch.setattr(device, "_warned", set())
    monkeypatch.setitem(softmax.kernels, "numba", kernel)
    with ts.use("numba"):
        with pytest.warns(RuntimeWarning, match="does not compile here"):
            ts.tensor(np.ones((100, 100))).softmax()
        monkeypatch.setattr(kernel, "forward", working.forward)
        plans = [
            softmax.plan(ts.tensor(np.ones(s, t))) for s, t in [((5000,), "f8"), ((90, 90), "f4"), ((90, 90), "f8")]
        ]
    assert plans == ["numba", "numba", "numpy"]


def test_what_the_reference_refuses_too_is_no_failure_of_the_compiler(monkeypatch):
    softmax = Op.registry["softmax"]
    monkeypatch.setitem(softmax.kernels, "numba", broken_kernel("softmax", "forward"))
    x = ts.tensor(np.ones((100, 100)))
    with ts.use("numba"), warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ts.errors.ShapeError, match="out of bounds"):
            x.softmax(dim=5)
        assert softmax.plan(x) == "numba"


@pytest.mark.parametrize("dtype", ["float16", ">f4", "int64", "bool", "complex128"])
def test_kernels_serve_float32_and_float64_only(dtype):
    with ts.use("numba"):
        assert not Op.registry["softmax"].kernels["numba"].serves([np.ones((100, 100), dtype)])
    assert Op.registry["softmax"].kernels["cuda"].serves([np.ones((100, 100), dtype)]) is False


@pytest.mark.parametrize("family", ["decode", "skipgram", "no_such_family"])
def test_loops_that_do_not_compile_or_import_are_replaced_and_said_once(family, monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(device, "_warned", set())
    loops = device.Loops(f"{family}:planted", lambda x: x + 1)
    if module := loops.kernel.import_module() if family != "no_such_family" else None:
        monkeypatch.setattr(module, "planted", numba.njit(lambda x: x.no_such_attribute), raising=False)
    with ts.use("numba"):
        with pytest.warns(RuntimeWarning, match=r"does not compile here, NumPy serves|can't be used, NumPy serves"):
            assert loops(1.0) == 2.0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert loops(1.0) == 2.0


def test_what_a_kernel_itself_refuses_is_no_failure_of_the_compiler():
    table = ts.tensor(np.zeros((100, 100)), requires_grad=True)
    with ts.use("numba"), pytest.raises(ts.errors.ShapeError, match="0 .. 99"):
        ts.embedding(ts.tensor(np.full(5000, 100)), table)
    assert not Op.registry["embedding"].kernels["numba"].broken


def test_the_tests_for_a_gpu_end_at_once_where_there_is_none():
    if device.probe("cuda").works:
        pytest.skip("this machine has CUDA")
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "tests/cuda"]
    environment = os.environ | {"TINYSLM_TEST_GPU": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 4, said
    assert "cuda is not available: " in said and "Remedy: " in said and "Traceback" not in said
    assert len(said.splitlines()) < 6
