"""`tinyslm bench`: the list, the table, the JSON file, the pictures, and refusals."""

import json
import sys

import pytest

from tinyslm import cli
from tinyslm.bench import growth, measure, pictures, report, run, trap
from tinyslm.bench.ceilings import Ceiling
from tinyslm.bench.growth import Curve
from tinyslm.bench.measure import Row
from tinyslm.bench.workload import CONTENDERS, Workload
from tinyslm.bench.workloads import all_workloads, cuda, w10_start

KEYS = {"name", "against", "threads", "clock", "ours", "theirs", "ratio", "lowest", "highest", "losses", "remark"}


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `tinyslm bench ...` with made-up measurements; returns exit code and output."""

    def fake(workload, settings, choices):
        for threads in settings.threads:
            row = Row(workload.name, workload.title, "torch", threads, "CPU", 1.3, 2.0, ours=0.02, theirs=0.03)
            row.ratio, row.lowest, row.highest = 1.5, 1.4, 1.6
            row.medians, row.memory = [1.5], {"ours": {"peak": 2e6}, "theirs": {"peak": 3e6}}
            row.amount, row.unit = 100.0, "words"
            yield row
        yield Row(workload.name, workload.title, "jax", 1, "CPU", remark="not installed")

    monkeypatch.setattr(run, "measure", fake)
    monkeypatch.setattr(run, "measure_ceiling", lambda n: Ceiling(n, 1e11, "numpy", 1e10, "copy"))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["tinyslm", "bench", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as left:
            code = left.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_list_names_every_row(command):
    code, out, _ = command("--list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(all_workloads())
    assert command("W1", "--list")[1].split()[:3] == ["W1", "tinyslm,", "torch,"]


def test_the_list_names_who_is_compared_with_where_whole_processes_are(command, monkeypatch, tmp_path):
    monkeypatch.setattr(w10_start, "save_arrays", lambda *args: None)
    rows = {**all_workloads(), "classifier": cuda.ROWS[-1]}
    for name in ("W10-first-step", "W11", "classifier"):
        folder = tmp_path / name
        folder.mkdir()
        runs = rows[name].runs(folder, 1, measure.Settings())
        assert set(rows[name].contenders()) == {side for side in runs if side in CONTENDERS}, name
    out = command("W10", "W11", "--list")[1] + command("classifier", "--backend", "cuda", "--list")[1]
    listed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert listed["W10-first-step"].startswith("tinyslm, torch  ")
    assert listed["W10-import"].startswith("tinyslm  ")
    assert listed["W11"].startswith("tinyslm, torch, keras  ")
    assert listed["classifier"].startswith("tinyslm, torch  ")


def test_table_json_and_picture(command, tmp_path):
    code, out, _ = command("W1", "--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    assert code == 0
    assert "1.50 (1.40-1.60)" in out and "100 GFLOP/s sgemm" in out and "not installed" in out
    found = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert found.keys() == {"machine", "ceilings", "rows"} and len(found["rows"]) == 3
    assert found["rows"][0].keys() >= KEYS and found["rows"][0]["share"] > 0
    assert {"processor", "cores", "versions", "date"} <= found["machine"].keys()
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_markdown_has_command_machine_and_rows(command, tmp_path):
    code, _, err = command("W1", "--runs", "2", "--markdown", tmp_path / "b.md")
    text = (tmp_path / "b.md").read_text(encoding="utf-8")
    assert code == 0 and text.startswith("`tinyslm bench W1 --runs 2`\n") and "UTC" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3 and len({row.count("|") for row in rows}) == 1
    assert "20 ms, 5,000 words/s" in rows[2] and "2 MB (3 MB)" in rows[2] and "worst of 1.50, 1.50" in rows[2]
    assert "W1 LSTM classifier, training step" in text
    assert "row 1 of 1, run 2 of 2" in err and "1.50 (1.40-1.60)" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("W99",), "expected some of W1"),
        (("--against", "numpy"), "--against: expected some of torch"),
        (("--threads", "one"), "--threads: expected numbers"),
        (("--threads", "0"), "--threads: expected at least 1"),
        (("--repeats", "0"), "--repeats: expected at least 1"),
        (("--runs", "0"), "--runs: expected at least 1"),
        (("--seconds", "-1"), "--seconds: expected"),
        (("growth", "W1"), "growth is no row and stands alone: expected `tinyslm bench growth`; got growth W1"),
        (("W1", "trap"), "trap is no row and stands alone"),
        (("growth", "--markdown", "x.md"), "--markdown: growth writes --json and --plot; got x.md"),
        (("trap", "--markdown", "x.md"), "--markdown: trap writes --json; got x.md"),
        (("trap", "--plot", "x.png"), "--plot: trap writes --json; got x.png"),
        (("growth", "--runs", 2), "--runs: growth is measured once; repeat the command instead. Got 2"),
        (("trap", "--runs", 3), "--runs: trap is measured once; repeat the command instead. Got 3"),
    ],
)
def test_refusals(command, words, told):
    code, out, err = command(*words)
    assert code == 2 and told in err and out == ""


def test_growth_prints_exponents_and_draws(command, monkeypatch, tmp_path):
    curves = [
        Curve("T", "LSTM, steps", side, "seconds", [100, 1000], [0.01 * f, 0.1 * f])
        for side, f in (("tinyslm", 1), ("torch", 2))
    ]
    curves.append(Curve("H", "LSTM, hidden size", "torch", "seconds", [], [], "failed"))
    peaks = {s: {"peak": n * 1_000_000, "above": 1_000_000} for s, n in (("tinyslm", 2), ("torch", 3))}
    monkeypatch.setattr(growth, "grow", lambda settings: iter(curves))
    monkeypatch.setattr(growth, "peaks", lambda settings: iter([("W1", peaks)]))
    code, out, _ = command("growth", "--json", tmp_path / "g.json", "--plot", tmp_path / "g.png")
    assert (
        code == 0
        and "exponent 1.00" in out
        and "tinyslm 2 MB, 1 above the start; torch 3 MB" in out
        and "failed" in out
    )
    found = json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))
    assert found["curves"][0]["exponent"] == pytest.approx(1.0)
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_the_trap_compares_with_itself(command, monkeypatch):
    class Loop:
        def __init__(self, words):
            assert words[1] == "-c"

        def kill(self):
            pass

        wait = kill

    class Steps:
        def __init__(self):
            self.times = [1.0, 2.0, 1.0, 3.0]

        def block(self, seconds):
            return self.times.pop(0)

    monkeypatch.setattr(trap.subprocess, "Popen", Loop)
    found = trap.one_trap("tinyslm", Steps(), measure.Settings(repeats=2))
    assert (found.alone, found.beside, found.slower) == (1.0, 2.5, 2.5)
    monkeypatch.setattr(trap, "traps", lambda settings: iter([found]))
    assert "2.5 times (2.0-3.0)" in command("trap")[1]


def test_later_runs_come_after_all_rows_and_the_worse_row_stays(monkeypatch):
    asked, ratios = [], iter([2.0, 5.0, 1.5, 6.0])

    def fake(workload, settings, choices):
        asked.append(workload.name)
        row = Row(workload.name, "", "torch", 1, "CPU")
        measure.fill_ratio(row, [1.0], [next(ratios)])
        return [row]

    monkeypatch.setattr(run, "measure", fake)
    monkeypatch.setattr(run, "measure_ceiling", lambda n: Ceiling(n, 1e11, "numpy", 1e10, "copy"))
    found = report.Report([])
    list(run.run([Workload("A", ""), Workload("B", "")], measure.Settings(threads=(1,), runs=2), found))
    assert asked == ["A", "B", "A", "B"]
    assert [(row.ratio, row.medians) for row in found.rows] == [(1.5, [2.0, 1.5]), (5.0, [5.0, 6.0])]


def test_progress_says_what_is_left():
    assert run.progress(0, 20, 1, 0.0) == "row 1 of 20 (0 min so far)"
    assert run.progress(20, 20, 3, 600.0) == "row 1 of 20, run 2 of 3 (10 min so far, about 20 min left)"


@pytest.mark.parametrize(("seconds", "text"), [(12.34, "12.3 s"), (0.0123, "12.3 ms"), (4e-6, "4 us"), (None, "")])
def test_durations_have_a_fitting_unit(seconds, text):
    assert report.duration(seconds) == text


def test_a_picture_without_rows_is_drawn(tmp_path):
    pictures.ratios_picture([], tmp_path / "empty.svg")
    assert "<svg" in (tmp_path / "empty.svg").read_text(encoding="utf-8")
