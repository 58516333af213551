"""Every row: ours and the others' compute the same, at sizes that take no time."""

from dataclasses import replace

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.bench.commands import Commands
from tinyslm.bench.measure import mismatch
from tinyslm.bench.worker import Worker
from tinyslm.bench.workload import save_arrays
from tinyslm.bench.workloads import all_workloads, choose
from tinyslm.bench.workloads.w11_command import write_csv
from tinyslm.errors import OptionError

SMALL = {
    "batch": 3, "time": 7, "vocabulary": 11, "features": 6, "hidden": 5, "filters": 4, "width": 8, "heads": 2,
    "size": 4, "matrices": 2, "lines": 40, "dim": 6, "min_count": 1,
}  # fmt: skip
ROWS = {name: w for name, w in all_workloads().items() if not isinstance(w, Commands)}


def small(workload):
    return {name: value for name, value in SMALL.items() if hasattr(workload, name)}


def made(workload, contender, folder):
    """What a contender computes, by the worker that the benchmark runs."""
    worker, case = Worker(), folder / "case.npz"
    save_arrays(case, replace(workload, **small(workload)).arrays(np.random.default_rng(0)))
    worker.build(workload.name, small(workload), contender, {}, str(case), None)
    worker.check(str(folder / "made.npz"))
    with np.load(folder / "made.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("name", ROWS)
def test_ours_runs_and_makes_something_to_compare(name, tmp_path):
    with ts.use("numpy"):
        found = made(ROWS[name], "tinyslm", tmp_path)
    assert name.startswith("W8") or any(key.startswith(("gradient", "parameter", "logits")) for key in found)
    assert all(np.isfinite(a).all() for a in found.values())


@pytest.mark.torch
@pytest.mark.parametrize(("name", "side"), [(n, s) for n, w in ROWS.items() for s in w.contenders() if s != "tinyslm"])
def test_all_sides_do_the_same_work(name, side, tmp_path):
    pytest.importorskip(side)
    with ts.use("numpy"):
        ours = made(ROWS[name], "tinyslm", tmp_path)
    theirs = made(ROWS[name], side, tmp_path)
    assert ours.keys() == theirs.keys()
    assert mismatch(ours, theirs, ROWS[name].first_tolerance, ROWS[name].later_tolerance) == ""


def test_cross_entropy_holds_no_copy_of_the_logits_but_their_gradient():
    import tracemalloc

    x = ts.tensor(np.random.default_rng(0).normal(size=(256, 2000)).astype("float32"), requires_grad=True)
    target, peaks = np.arange(256), []
    with ts.no_grad():
        ts.cross_entropy(x, target)  # compiles
    tracemalloc.start()
    try:
        with ts.no_grad():
            ts.cross_entropy(x, target)
        peaks.append(tracemalloc.get_traced_memory()[1])
        ts.cross_entropy(x, target).backward()
        peaks.append(tracemalloc.get_traced_memory()[1])
        assert x.grad is not None
    finally:
        tracemalloc.stop()
    evaluated, trained = np.array(peaks) / x.numpy().nbytes
    assert evaluated < 0.1 and 1.0 <= trained < 1.1


def test_work_grows_with_the_sizes():
    lstm = all_workloads()["W1"]
    assert replace(lstm, time=200).work().flops == 2 * lstm.work().flops
    assert replace(lstm, vocabulary=20_000).work().bytes > lstm.work().bytes
    # (B, D + H) times (D + H, 4H), a hundred times, forward and twice that backward.
    assert lstm.work().flops == 3 * 2 * 32 * 100 * (64 + 128) * 512


def test_rows_are_chosen_by_name_or_number():
    assert [w.name for w in choose(["w5"])] == ["W5-256", "W5-1024"]
    assert [w.name for w in choose(["W12-gru", "W1"])] == ["W12-gru", "W1"]
    assert len(choose([])) == len(all_workloads())
    with pytest.raises(OptionError, match="workload: expected some of W1, W2"):
        choose(["W99"])


def test_the_command_gets_the_bundled_reviews_or_the_shared_ones(tmp_path, real_data):
    assert write_csv(tmp_path / "x.csv", None).name == "reviews.csv"
    lines = write_csv(tmp_path / "x.csv", real_data).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "text,label" and lines[1].endswith(",positive") and len(lines) == 10_663
