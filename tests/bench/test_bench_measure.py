"""The harness: what differs voids a row, ratios are taken pair by pair, and what fails becomes a remark."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from tinyslm.bench import commands, growth, measure, report
from tinyslm.bench.ceilings import Ceiling
from tinyslm.bench.commands import Finished, seconds_row
from tinyslm.bench.measure import Case, Contender, Row, Settings, mismatch, ratios, worst
from tinyslm.bench.process import SPIN, THREADS, ContenderError, Process, environment
from tinyslm.bench.run import add_share
from tinyslm.bench.worker import Worker, serve
from tinyslm.bench.workload import Work
from tinyslm.bench.workloads import all_workloads, w10_start

TINY = {"batch": 2, "time": 3, "vocabulary": 5, "features": 3, "hidden": 4}
MADE = {"loss of the first step": np.array(0.5), "gradient of w": np.array([1.0, -2.0]), "outcome": np.array(0.4)}


class FakeProcess:
    """Answers with times from a list; `owner` takes note of the order in which contenders are asked."""

    def __init__(self, times, owner, name):
        self.times, self.owner, self.name, self.closed = list(times), owner, name, False

    def ask(self, do, **command):
        if do == "memory":
            return {"peak": 1000, "above": 10}
        self.owner.append(self.name)
        return {"cpu": self.times.pop(0), "wall": -1.0}

    def close(self):
        self.closed = True


@pytest.fixture
def contenders(monkeypatch):
    """Replace the processes: made tensors and times by contender, or an error."""
    made, times, order = {}, {}, []

    def start(self, name, options, patience=0.0):
        key = "compiled" if options.get("compiled") else name
        if isinstance(made.get(key), Exception):
            raise made[key]
        return Contender(FakeProcess(times.get(key, []), order, key), made.get(key, MADE), [0.5, 0.4], self.clock)

    monkeypatch.setattr(Case, "start", start)
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: True)
    return made, times, order


def rows_of(**settings):
    workload = replace(all_workloads()["W1"], **TINY)
    return measure.measure(workload, Settings(**{"threads": (1,), "compile_limit": 0.0, **settings}))


# -- comparing --------------------------------------------------------------------------------------------------------


def test_equal_results_are_no_mismatch():
    close = {**MADE, "gradient of w": MADE["gradient of w"] + 1e-5}
    assert mismatch(close, MADE, first=1e-4, later=1e-3) == ""


@pytest.mark.parametrize(
    ("planted", "word"),
    [
        ({"gradient of w": np.array([1.0, -2.01])}, "gradient of w: relative error 5.0e-03"),
        ({"gradient of w": np.array([1.0, np.nan])}, "gradient of w: relative error nan"),
        ({"gradient of w": np.array([1.0])}, "gradient of w: shapes"),
        ({"gradient of v": np.array([1.0])}, "gradient of v: only ours"),
        ({"outcome": np.array(0.41)}, "outcome: relative error"),
    ],
)
def test_a_difference_names_the_tensor(planted, word):
    assert word in mismatch({**MADE, **planted}, MADE, first=1e-4, later=1e-3)


def test_the_outcome_has_a_tolerance_of_its_own():
    later = {**MADE, "outcome": np.array(0.4002)}
    assert mismatch(later, MADE, first=1e-4, later=1e-3) == ""
    assert "outcome" in mismatch(later, MADE, first=1e-4, later=1e-4)


def test_a_planted_mismatch_voids_the_row_and_nothing_is_timed(contenders):
    made, _, order = contenders
    made["torch"] = {**MADE, "gradient of w": np.array([1.0, -2.1])}
    (row,) = rows_of()
    assert row.void and row.ratio is None and order == []
    assert row.remark.startswith("void: gradient of w")
    assert "void: gradient of w" in report.cells(row)[-1]


# -- ratios -----------------------------------------------------------------------------------------------------------


def test_ratios_are_taken_pair_by_pair():
    # Medians of the times alone would say 4 / 2 = 2; a slow moment of the machine falls on both blocks of its pair.
    assert ratios([1.0, 10.0, 2.0], [3.0, 20.0, 4.0]) == (2.0, 2.0, 3.0)


def test_a_fake_contender_is_measured_right(contenders):
    _, times, order = contenders
    times["tinyslm"], times["torch"] = [1.0, 1.0, 2.0], [2.0, 3.0, 3.0]
    (row,) = rows_of(repeats=3)
    assert (row.ratio, row.lowest, row.highest) == (2.0, 1.5, 3.0)
    assert (row.ours, row.theirs) == (1.0, 3.0)
    assert row.losses == {"ours": [0.5, 0.4], "theirs": [0.5, 0.4]} and row.memory["ours"]["peak"] == 1000
    assert order == ["tinyslm", "torch", "torch", "tinyslm", "tinyslm", "torch"]  # the turn is reversed each time


def test_the_faster_form_of_pytorch_counts(contenders):
    _, times, order = contenders
    times["tinyslm"], times["torch"], times["compiled"] = [1.0], [4.0, 4.0], [2.0, 3.0, 2.0]
    (row,) = rows_of(repeats=1, compile_limit=9.0)
    assert row.ratio == 2.0 and row.variant == "compile (2.00x the other)"
    assert order[-1] == "compiled"


@pytest.mark.parametrize("planted", [ContenderError("no answer within 9 s"), {**MADE, "outcome": np.array(9.0)}])
def test_a_form_that_fails_or_differs_is_left_out(contenders, planted):
    made, times, _ = contenders
    made["compiled"] = planted
    times["tinyslm"], times["torch"] = [1.0], [4.0]
    (row,) = rows_of(repeats=1, compile_limit=9.0)
    assert row.ratio == 4.0 and row.variant.startswith("eager (compile: ")


def test_of_several_runs_the_worst_median_counts(contenders):
    _, times, _ = contenders
    times["tinyslm"] = [1.0]
    rows = [Row("W1", "", "torch", 1, "CPU", ratio=r, medians=[r]) for r in (2.0, 1.5, 3.0)]
    assert worst(rows).ratio == 1.5 and worst(rows).medians == [2.0, 1.5, 3.0]
    failed = Row("W1", "", "torch", 1, "CPU", remark="failed: x")
    assert worst([*rows, failed]).remark == "failed: x"
    slow, fast = (Row("W1", "", "", 1, "CPU", ours=t) for t in (3.0, 2.0))
    assert worst([fast, slow]).ours == 3.0


def test_a_later_run_starts_the_faster_form_alone(contenders):
    _, times, order = contenders
    times["tinyslm"], times["torch"], times["compiled"] = [1.0], [4.0, 4.0], [2.0, 3.0, 2.0]
    workload, choices = replace(all_workloads()["W1"], **TINY), {}
    settings = Settings(threads=(1,), repeats=1, compile_limit=9.0)
    (first,) = measure.measure(workload, settings, choices)
    order.clear()
    times["tinyslm"], times["compiled"], times["torch"] = [1.0], [3.0], []
    (second,) = measure.measure(workload, settings, choices)
    assert order == ["tinyslm", "compiled"] and second.variant == first.variant and second.ratio == 3.0
    assert second.memory == first.memory


def test_a_long_step_is_not_repeated_to_warm_up(monkeypatch):
    steps = []
    worker = Worker()
    monkeypatch.setattr(Worker, "_timed", lambda self: steps.append(1) or (2.0, 9.0))
    assert worker.block(0.0) == {"cpu": 2.0, "wall": 9.0, "calls": 1} and len(steps) == 1
    monkeypatch.setattr(Worker, "_timed", lambda self: steps.append(1) or (0.1, 0.2))
    assert worker.block(0.0)["calls"] == 2 and len(steps) == 1 + 3


def test_what_is_missing_or_fails_is_a_remark(contenders, monkeypatch):
    made, _, _ = contenders
    made["torch"] = ContenderError("the process ended: out of luck")
    assert rows_of()[0].remark == "failed: the process ended: out of luck"
    rows = rows_of(against=("gensim", "keras"))
    assert [(row.remark, row.ours) for row in rows] == [("this row has no such contender", None)] * 2


def missing(*packages):
    """What stands for `find_spec` where these are not installed."""
    return lambda name: None if name in packages else True


def test_without_the_other_library_ours_is_measured_alone(contenders, monkeypatch):
    _, times, order = contenders
    times["tinyslm"] = [1.0, 3.0, 2.0]
    monkeypatch.setattr(measure.importlib.util, "find_spec", missing("torch"))
    (row,) = rows_of(repeats=3, compile_limit=9.0, against=("torch", "gensim"))
    assert order == ["tinyslm"] * 3 and (row.ours, row.theirs, row.ratio) == (2.0, None, None)
    assert row.losses == {"ours": [0.5, 0.4]} and row.memory["ours"]["peak"] == 1000
    add_share(row, all_workloads()["W1"], Ceiling(1, 1e12, "numpy", 1e12, "copy"))
    cells = report.cells(row)
    assert cells[3:7] == ("2 s", "", "", "")
    assert cells[7].endswith("% sgemm") and cells[-1] == "not installed: pip install torch"


def test_of_two_others_the_missing_one_does_not_hold_up_the_rest(contenders, monkeypatch):
    _, times, _ = contenders
    times["tinyslm"], times["torch"] = [1.0], [2.0]
    monkeypatch.setattr(measure.importlib.util, "find_spec", missing("jax"))
    torch, jax = rows_of(repeats=1, against=("torch", "jax"))
    assert (torch.ratio, torch.remark) == (2.0, "")
    assert (jax.ours, jax.ratio, jax.remark) == (1.0, None, "not installed: pip install jax")


def test_ours_that_fails_alone_is_said(contenders, monkeypatch):
    made, _, _ = contenders
    made["tinyslm"] = ContenderError("out of luck")
    monkeypatch.setattr(measure.importlib.util, "find_spec", missing("torch"))
    assert rows_of()[0].remark == "not installed: pip install torch; ours failed: out of luck"


# -- a real process ---------------------------------------------------------------------------------------------------


@pytest.fixture
def numpy_backend(monkeypatch):
    monkeypatch.setenv("TINYSLM_BACKEND", "numpy")  # nothing to compile


def test_a_tiny_workload_runs_in_a_process(numpy_backend, tmp_path):
    workload = replace(all_workloads()["W1"], **TINY)
    with ExitStack() as processes:
        case = Case(workload, 1, Settings(), tmp_path, processes)
        ours = case.start("tinyslm", {})
        assert 0 < ours.block(0.01) < 10
        assert {"gradient of embedding.weight", "gradient of lstm.bias_ih_l0", "outcome"} <= ours.made.keys()
        assert ours.losses[1] < ours.losses[0]
        peak = ours.process.ask("memory")["peak"]
        assert peak is None or peak > 1_000_000
        again = Case(workload, 1, Settings(), tmp_path, processes).start("tinyslm", {})
        assert mismatch(ours.made, again.made, first=0.0, later=0.0) == ""


def test_the_peak_of_a_process_is_not_that_of_its_parent(numpy_backend):
    held = np.ones(40_000_000)  # 320 MB
    with Process(1) as process:
        peak = process.ask("memory")["peak"]
    assert peak is None or peak < held.nbytes


def test_an_error_and_a_death_come_back_in_words(numpy_backend, tmp_path):
    with Process(1) as process:
        with pytest.raises(ContenderError, match="workload: expected some of"):
            process.ask("build", workload="W99", sizes={}, contender="x", options={}, arrays="", threads=1)
        process.child.kill()
        with pytest.raises(ContenderError, match="the process ended"):
            process.ask("memory")


def test_a_worker_answers_each_command_with_one_line():
    said = []
    serve(Worker(), ['{"do": "memory"}\n', '{"do": "check", "to": "x.npz"}\n'], said.append)
    assert [line[:2] for line in said] == ["@@", "@@"] and "error" in said[1]


def test_all_libraries_get_the_same_threads_and_spinning(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert {environment(2)[name] for name in THREADS} == {"2"}
    assert environment(2)["GOMP_SPINCOUNT"] == SPIN["GOMP_SPINCOUNT"]
    assert "OMP_NUM_THREADS" not in environment(None)


def test_processes_keep_byte_code_as_in_any_shell(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in environment(1)
    assert environment(1, PYTHONDONTWRITEBYTECODE="1")["PYTHONDONTWRITEBYTECODE"] == "1"  # where a row wants it
    assert "PYTHONDONTWRITEBYTECODE" not in environment(None)


@pytest.mark.parametrize(("kept", "remark"), [(True, "byte code cached"), (False, "no byte code can be kept here")])
def test_the_import_row_says_whether_byte_code_was_cached(monkeypatch, kept, remark):
    monkeypatch.setattr(w10_start, "finish", lambda words, threads: Finished(0.2, 0.2, f"{kept}\n", ""))
    (row,) = all_workloads()["W10-import"].measured(Settings(threads=(1,), repeats=1))
    assert row.remark == remark and row.ours == 0.0


# -- commands, ceilings, growth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "void"), [("0.50", False), ("0.90", True), ("nan", True)])
def test_commands_are_compared_before_they_are_timed(monkeypatch, result, void):
    workload = commands.Commands("W0", "", tolerance=0.1)
    runs = {"tinyslm": lambda: Finished(1.0, 9.0, "0.5\n", ""), "torch": lambda: Finished(2.0, 9.0, result, "")}
    monkeypatch.setattr(commands.Commands, "runs", lambda *args: runs)
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: True)
    (row,) = workload.measured(Settings(threads=(1,), repeats=2))
    assert row.void is void and row.ratio == (None if void else 2.0)


@pytest.mark.parametrize("result", ["0.5", "nan"])
def test_a_command_stands_alone_where_the_other_library_is_missing(monkeypatch, result):
    def forbidden():
        raise AssertionError("it is not installed")

    runs = {"tinyslm": lambda: Finished(1.0, 9.0, f"{result}\n", ""), "torch": forbidden}
    monkeypatch.setattr(commands.Commands, "runs", lambda *args: runs)
    monkeypatch.setattr(measure.importlib.util, "find_spec", missing("torch"))
    (row,) = commands.Commands("W0", "").measured(Settings(threads=(1,), repeats=2))
    assert (row.ours, row.ratio, str(row.losses["ours"])) == (1.0, None, f"[{result}]")
    assert row.remark == "not installed: pip install torch"


@pytest.mark.parametrize(("runs", "pairs"), [(1, 7), (3, 3), (9, 3)])
def test_commands_take_their_pairs_over_all_runs(monkeypatch, runs, pairs):
    workload, started = commands.Commands("W0", ""), []
    sides = {s: lambda s=s: started.append(s) or Finished(1.0, 9.0, "0.5", "") for s in ("tinyslm", "torch")}
    monkeypatch.setattr(commands.Commands, "runs", lambda *args: sides)
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: True)
    workload.measured(Settings(threads=(1,), runs=runs))
    assert started.count("tinyslm") == started.count("torch") == 1 + pairs


def test_a_failing_command_is_a_remark():
    with pytest.raises(ContenderError, match="SystemExit: 3|exit code 3"):
        commands.finish(["-c", "import sys; sys.exit(3)"], 1)
    assert commands.finish(["-c", "print(1.5)"], 1).out.strip() == "1.5"


def test_a_time_above_its_limit_is_said():
    row = seconds_row(all_workloads()["W10-import"], "above numpy", 1, [0.2, 0.3, 0.1], 0.15)
    assert (row.ours, row.lowest, row.highest) == (0.2, 0.1, 0.3)
    assert report.cells(row)[-1] == "above the limit" and "at most 150 ms" in report.cells(row)


def test_the_share_is_that_of_the_ceiling_that_fits():
    ceiling = Ceiling(1, 100e9, "numpy", 10e9, "copy")
    assert ceiling.share(Work(50e9, 1e9), 1.0) == (0.5, "sgemm")
    assert ceiling.share(Work(10e9, 4e9), 1.0) == (0.4, "memory")
    assert ceiling.share(Work(), 1.0) == (None, "")
    row = Row("W1", "", "torch", 1, "CPU", ours=0.1, theirs=0.2, ratio=2.0, lowest=2.0, highest=2.0)
    add_share(row, all_workloads()["W1"], ceiling)
    assert row.share == pytest.approx(2 * row.their_share) and row.ceiling == "sgemm"


def test_the_fitted_exponent_is_that_of_the_power_law():
    sizes = [10, 100, 1000]
    assert growth.fitted_exponent(sizes, [3.0 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert growth.fitted_exponent([10], [1.0]) is None
    assert growth.fitted_exponent([10, 20], [0.0, 1.0]) is None


def test_growth_stops_at_the_cap(monkeypatch):
    class Slow:
        def __init__(self, threads):
            self.sizes = []

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def ask(self, do, **command):
            self.sizes += [command["sizes"]["time"]] if do == "build" else []
            return {"cpu": self.sizes[-1] * growth.CAP / 4, "wall": 0.0}

    monkeypatch.setattr(growth, "Process", Slow)
    axis = growth.Axis("T", "steps", replace(all_workloads()["W1"], **TINY), "time", (1, 2, 8, 16))
    curve = growth.time_curve(axis, "tinyslm", Settings(threads=(1,)))
    assert curve.sizes == [1, 2, 8] and curve.exponent == pytest.approx(1.0)
