"""`tinyslm bench --backend cuda` as far as it goes without a GPU: its message, its rows when tiny, its arithmetic."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cuda_helpers import needs_emulator
from test_cuda_strict import strict_device
from typer.testing import CliRunner

import tinyslm as ts
from tinyslm import device
from tinyslm.bench import gpu
from tinyslm.bench.ceilings import Ceiling
from tinyslm.bench.commands import Commands, Finished
from tinyslm.bench.gpu_worker import GpuWorker
from tinyslm.bench.measure import Settings
from tinyslm.bench.process import ContenderError
from tinyslm.bench.report import Report
from tinyslm.bench.workloads import cuda
from tinyslm.cli.main import app

SMALL = {
    "batch": 3, "time": 7, "vocabulary": 11, "features": 6, "hidden": 5, "width": 8, "heads": 2, "layers": 1, "size": 4,
    "matrices": 2,
}  # fmt: skip
SESSIONS = [row.name for row in cuda.ROWS if not isinstance(row, Commands)]


def small(row):
    names = {f.name for f in fields(row.inner)} & set(SMALL)
    return replace(row, inner=replace(row.inner, **{name: SMALL[name] for name in names}))


class InThisProcess:
    """A worker without a process; each keeps the backend that it chose."""

    def __init__(self, clock=None):
        self.worker, self.name = GpuWorker(), device.backend()
        if clock is not None:
            self.worker.clock = clock

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, do, **command):
        with ts.use(self.name):
            if command.get("contender") == "torch":
                pytest.importorskip("torch")
            answer = getattr(self.worker, do)(**command)
            self.name = device.backend()
        return answer


@pytest.fixture
def at_home(monkeypatch):
    """PyTorch stays on the CPU, the rows are small, and nothing has to be compiled for the CPU."""
    monkeypatch.setattr(cuda, "CPU_BACKEND", "numpy")
    monkeypatch.setattr(cuda, "TORCH_DEVICE", "cpu")
    rows = [row if isinstance(row, Commands) else small(row) for row in cuda.ROWS]
    monkeypatch.setattr(cuda, "ROWS", rows)
    with strict_device(monkeypatch):
        yield rows
    if "torch" in sys.modules:
        sys.modules["torch"].set_default_device(None)


@needs_emulator
@pytest.mark.torch
@pytest.mark.parametrize("name", SESSIONS)
def test_all_sides_compute_the_same(at_home, name):
    pytest.importorskip("torch")
    ticks = iter(range(10**6))
    row = gpu.measure_on_gpu(
        cuda.choose_for_gpu([name])[0], Settings(repeats=2, seconds=0.5), partial(InThisProcess, lambda: next(ticks))
    )
    assert (row.remark, row.void) == ("", False)
    assert row.ratio == row.ours / row.theirs == row.speedup == 1  # each block is one tick of this clock
    assert len(gpu.gpu_cells(row)) == len(gpu.COLUMNS)
    for side in ("torch", "cpu"):
        assert row.losses[side] == pytest.approx(row.losses["tinyslm"], rel=1e-3)


@needs_emulator
def test_a_contender_that_differs_is_void_and_one_that_fails_a_remark(at_home, monkeypatch):
    class Spoilt(InThisProcess):
        def ask(self, do, **command):
            if command.get("contender") == "torch":
                raise ContenderError("no such device")
            return super().ask(do, **command)

    row = gpu.measure_on_gpu(cuda.choose_for_gpu(["norm"])[0], Settings(repeats=1, seconds=0), Spoilt)
    assert row.remark == "torch failed: no such device" and row.ours and row.cpu and row.ratio is None

    def differs(self, arrays):
        return self.inner.tinyslm({name: a + 1 for name, a in arrays.items()})

    monkeypatch.setattr(cuda.OnGpu, "cpu", differs)
    row = gpu.measure_on_gpu(cuda.choose_for_gpu(["norm"])[0], Settings(repeats=1, seconds=0), Spoilt)
    assert "cpu is void: gradient of" in row.remark and not row.void and row.cpu is None


def test_a_block_waits_before_and_after_and_never_in_between():
    happened, times = [], iter([0.0, 0.25, 1.0, 1.25, 2.0, 4.0])
    worker = GpuWorker()
    worker.clock = lambda: happened.append("clock") or next(times)
    worker.advance, worker.wait = lambda: happened.append("step"), lambda: happened.append("wait")
    assert worker.block(2.0) == {"wall": 0.25, "calls": 8}  # a step takes 0.25 s, so 8 of them make the block
    one = ["wait", "clock", "step", "wait", "clock"]
    assert happened == [*one, *one, "wait", "clock", *["step"] * 8, "wait", "clock"]


@needs_emulator
def test_ceilings_and_shares(at_home):
    ticks = iter(np.arange(10**6) * 1e-3)
    with InThisProcess(lambda: next(ticks)) as process:
        found = process.ask("ceilings", numbers=1000, size=10)
    assert "sm_90" in found.pop("gpu")
    assert found == pytest.approx({"bandwidth": 8 * 1000 * 10 / 1e-3, "flops": 2 * 10**3 * 3 / 1e-3})

    class Ceilings(InThisProcess):
        def ask(self, do, **command):
            if command.get("contender") == "torch":
                raise ContenderError("not here")
            found = {"bandwidth": 1e12, "flops": 1e13, "gpu": "a GPU, sm_90"}
            return found if do == "ceilings" else super().ask(do, **command)

    report = Report([])
    (row,) = gpu.run_on_gpu(cuda.choose_for_gpu(["adam-10m"]), Settings(repeats=1, seconds=0), report, Ceilings)
    assert report.rows == [row] and report.to_json()["machine"]["gpu"] == "a GPU, sm_90"
    assert row.ceiling == "memory" and row.share == pytest.approx(28 * 32 / 1e12 / row.ours)


def test_the_command_writes_table_numbers_and_picture(monkeypatch, tmp_path):
    def run_on_gpu(rows, settings, report):
        report.machine["gpu"], report.ceilings[0] = "a GPU, sm_90", Ceiling(0, 5e13, "cupy", 4e12, "copy")
        for workload in rows:
            row = gpu.GpuRow(workload.name, workload.title, "torch", 0, "wall", workload.least, None)
            row.cpu = 0.5
            gpu.fill_ratio(row, [0.01, 0.02], [0.02, 0.02])
            report.rows.append(row)
            yield row

    monkeypatch.setattr(device, "_found", {**device._found, "cuda": device.Found("cuda", True)})
    monkeypatch.setattr(gpu, "run_on_gpu", run_on_gpu)
    monkeypatch.setenv("TINYSLM_BACKEND", "numpy")
    files = {name: tmp_path / f"b{name}" for name in (".md", ".json", ".png")}
    options = [f"--markdown={files['.md']}", f"--json={files['.json']}", f"--plot={files['.png']}"]
    with ts.use("numpy"):
        done = CliRunner().invoke(app, ["bench", "norm", "adam-10m", "--backend", "cuda", *options])
        ts.use("numpy")
    assert done.exit_code == 0, done.output
    assert "50.0 TFLOP/s in a float32 product, 4000 GB/s in a copy" in done.output
    text = files[".md"].read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == len(gpu.COLUMNS) + 1
    assert lines[2].startswith("| norm | 15 ms | 20 ms | 1.50 (1.00-2.00) | 1 |") and "33x" in lines[2]
    assert "Rows: norm layer norm 65536 x 384" in text and "a GPU, sm_90" in text
    plain = json.loads(files[".json"].read_text(encoding="utf-8"))
    assert [row["name"] for row in plain["rows"]] == ["norm", "adam-10m"] and plain["rows"][0]["speedup"] > 33
    assert files[".png"].read_bytes().startswith(b"\x89PNG")


def test_tf32_rows_ask_both_sides_for_it(at_home, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.delenv("CUPY_TF32", raising=False)
    for name, wanted in (("transformer", False), ("transformer-tf32", True)):
        row = cuda.choose_for_gpu([name])[0]
        assert row.tolerances[0] == (0.03 if wanted else row.first_tolerance)
        with ts.use("cuda"), ts.matmul_precision("highest"):
            row.torch(row.arrays(np.random.default_rng(0)))
            assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is wanted
            torch.set_default_device(None)
            row.tinyslm(row.arrays(np.random.default_rng(0)))
            assert ts.precision.current() == row.precision == ("high" if wanted else "highest")
        assert ("CUPY_TF32" in os.environ) is wanted
    monkeypatch.delenv("CUPY_TF32")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def test_the_whole_command_is_compared_and_timed(monkeypatch, tmp_path):
    def finished(wall, accuracy):
        return lambda: Finished(0.0, wall, str(accuracy), "")

    runs = {"tinyslm": finished(2.0, 0.8), "torch": finished(3.0, 0.75), "cpu": finished(10.0, 0.8)}
    monkeypatch.setattr(cuda.CommandOnGpu, "runs", lambda *a: runs)
    row = gpu.measure_on_gpu(cuda.choose_for_gpu(["classifier"])[0], Settings(repeats=3))
    assert (row.ratio, row.speedup, row.remark) == (1.5, 5.0, "")
    runs["torch"] = finished(3.0, 0.5)
    row = gpu.measure_on_gpu(cuda.choose_for_gpu(["classifier"])[0], Settings(repeats=3))
    assert row.void and "torch is void: results 0.8000 and 0.5000" in row.remark


def test_the_classifier_tells_each_side_where_to_run(monkeypatch, tmp_path):
    said = []
    monkeypatch.setattr(cuda, "train", lambda *a, **env: said.append(env))
    monkeypatch.setattr(cuda, "finish", lambda words, threads, **env: said.append(env))
    for run in cuda.ROWS[-1].runs(tmp_path, 2, Settings()).values():
        run()
    assert said == [{"TINYSLM_BACKEND": "cuda"}, {"TINYSLM_BACKEND": "numba"}, {"W11_DEVICE": "cuda"}]


@pytest.mark.parametrize("words", ["bench adam-10m --backend cuda", "lessons run basics_matmul --backend cuda"])
def test_without_a_gpu_the_commands_say_why(words):
    if device.probe("cuda").works:
        pytest.skip("this machine has CUDA")
    environment = {**os.environ, "PYTHONPATH": str(Path(ts.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "tinyslm", *words.split()],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2 and not done.stdout
    assert "'cuda' is not available: " in done.stderr and "Remedy: " in done.stderr


def test_the_list_of_rows_needs_no_gpu(capsys, monkeypatch):
    from tinyslm import cli

    monkeypatch.setattr(sys, "argv", ["tinyslm", "bench", "--list", "--backend", "cuda"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [row.name for row in cuda.ROWS]
