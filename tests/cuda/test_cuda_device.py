"""`ts.use("cuda")`: every reason why it can't be, each with its remedy; and a whole training step on the emulator."""

import importlib.machinery
import importlib.util
import sys
import types

import emulator
import fake_cupy
import numpy as np
import on_gpu
import pytest
from cuda_helpers import PROCESSORS, SHARED_LIMIT, compiled, emulated, needs_emulator
from emulator import RawModule, Setting
from tinyslm.kernels.cuda import _launch
from typer.testing import CliRunner

import tinyslm as ts
from tinyslm import device
from tinyslm.cli.main import app
from tinyslm.errors import BackendError


class FakeCupy(types.ModuleType):
    """As much of CuPy as the detection asks for; computes with NumPy and the emulator."""

    def __init__(self, driver=13000, runtime=13000, available=True, kernels=True, products=True):
        super().__init__("cupy")
        self.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
        self.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(
                driverGetVersion=lambda: driver,
                runtimeGetVersion=lambda: runtime,
                getDeviceProperties=lambda number: {"name": b"A GPU"},
            ),
            Device=lambda: types.SimpleNamespace(
                id=0,
                compute_capability="90",
                attributes={"MaxSharedMemoryPerBlockOptin": SHARED_LIMIT, "MultiProcessorCount": PROCESSORS},
            ),
        )
        self.is_available = lambda: available
        self.kernels, self.products = kernels, products

    def __getattr__(self, name):
        return getattr(np, name)

    def RawModule(self, code, options):
        if not self.kernels:
            raise RuntimeError("libnvrtc.so.13 not found\nmore lines")
        return compiled(Setting(), code, options)

    def full(self, *arguments):
        if not self.products:
            raise ImportError("libcublas.so.13: cannot open shared object file")
        return np.full(*arguments)


@pytest.fixture
def machine(monkeypatch):
    """A function that pretends that this machine has such a CuPy, or none; all is as before afterwards."""
    before = _launch.choose_gpu(None)
    monkeypatch.setattr(device, "_found", {})

    def pretend(cupy):
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if cupy is None:
            real = importlib.util.find_spec
            monkeypatch.setattr(
                importlib.util, "find_spec", lambda name, *a: None if name == "cupy" else real(name, *a)
            )

    yield pretend
    _launch.choose_gpu(before)


@needs_emulator
def test_a_machine_with_a_gpu(machine):
    machine(FakeCupy())
    assert device.probe("cuda").works
    with ts.use("cuda"):
        assert device.backend() == "cuda" and device.array_module().__name__ == "cupy"
    assert _launch.gpu().shared_limit == SHARED_LIMIT
    words = "A GPU, sm_90, 132 processors, tensor cores for TF32 and bfloat16"
    assert ts.precision.describe_gpu() == words
    said = CliRunner().invoke(app, ["doctor"]).output
    assert words in said.replace("\n", " ")


NO_PRODUCT = (lambda: FakeCupy(products=False), "a matrix product does not run: libcublas", "nvidia-cublas")


@pytest.mark.parametrize("cupy, why, remedy", [
    (lambda: None, "CuPy is not installed", r"cupy-cuda13x\[ctk\]"),
    (lambda: FakeCupy(driver=0), "no NVIDIA driver", "install the driver"),
    (lambda: FakeCupy(driver=12040), "driver serves CUDA up to 12, this CuPy needs CUDA 13", r"cupy-cuda12x\[ctk\]"),
    (lambda: FakeCupy(available=False), "no GPU can be seen", "CUDA_VISIBLE_DEVICES"),
    (lambda: FakeCupy(kernels=False), r"a kernel does not run: libnvrtc.so.13 not found\n", "nvidia-cuda-nvrtc"),
    pytest.param(*NO_PRODUCT, marks=needs_emulator),
])  # fmt: skip
def test_each_failure_has_its_own_words(machine, cupy, why, remedy):
    machine(cupy())
    with pytest.raises(BackendError, match=rf"'cuda' is not available: .*{why}[\s\S]*Remedy: .*{remedy}"):
        ts.use("cuda")
    assert device.backend() != "cuda"


def test_a_cupy_that_does_not_import(machine, monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise AttributeError('half removed')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    found = device.probe("cuda")
    assert not found.works and "does not import: half removed" in found.why and "pip uninstall" in found.remedy


@needs_emulator
def test_wrong_numbers_are_noticed(machine, monkeypatch):
    machine(FakeCupy())
    monkeypatch.setattr(_launch, "OPTIONS", ("-Derfc=cos",))
    assert "instead of 0.8413" in device.probe("cuda").why


@needs_emulator
def test_kernels_of_the_tests_can_run_on_a_gpu(monkeypatch):
    """Here the GPU is a pretended one; what counts is that numbers go there and come back."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.FakeCupy(lambda code, options: RawModule(code, options)))
    x, y = np.arange(3.0), np.zeros(3)
    module = on_gpu.RawModule(_launch.source("elementwise"), ("-DREAL=double",))
    module.get_function("gelu_forward")((1,), (32,), (x, y, np.int64(3)))
    np.testing.assert_allclose(y, [0, 0.8413447460685429, 1.9544997361036416])


def test_a_kernel_that_can_not_be_loaded_is_never_replaced():
    with pytest.raises(BackendError, match="CUDA kernels can't be loaded"):
        device.Kernel("cuda", "no_such_family:softmax").load()


@needs_emulator
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_training_step_is_the_same_as_on_the_cpu(monkeypatch, dtype):
    """The whole way: registry, kernels, gradients, Adam; with NumPy's arrays as device memory."""
    assert not emulator.missing()
    monkeypatch.setitem(device._found, "cuda", device.Found("cuda", True))
    losses = {}
    for backend in ("numpy", "cuda"):
        with emulated(), ts.use(backend):
            losses[backend] = train(dtype)
    np.testing.assert_allclose(losses["cuda"], losses["numpy"], rtol=2e-5 if dtype == "float32" else 1e-12)
    assert losses["cuda"][-1] < losses["cuda"][0]


def train(dtype):
    rng = np.random.default_rng(0)

    def parameter(*shape):
        return ts.tensor(rng.standard_normal(shape) * 0.3, dtype=dtype, requires_grad=True)

    table, w_ih, w_hh, bias = parameter(11, 6), parameter(20, 6), parameter(20, 5), parameter(20)
    scale, shift, out = parameter(5), parameter(5), parameter(5, 11)
    weights = [table, w_ih, w_hh, bias, scale, shift, out]
    optimizer = ts.optim.AdamW(weights, lr=0.05)
    ids = rng.integers(0, 11, (3, 6))
    zero, losses = ts.tensor(np.zeros((3, 5)), dtype=dtype), []
    for _ in range(4):
        x = ts.embedding(ts.tensor(ids[:, :-1]), table)
        h = ts.lstm(x, zero, zero, w_ih, w_hh, bias)[0]
        seen = ts.attention(h, h, h, causal=True)
        h = ts.layer_norm(ts.dropout(ts.gelu(seen), p=0.1, seed=3), scale, shift)
        loss = ts.cross_entropy(h @ out, ts.tensor(ids[:, 1:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
