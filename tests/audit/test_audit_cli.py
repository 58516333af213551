"""`tinyslm audit`: one line each, the whole story, JSON, a page, and exit code 1 for a verdict that differs."""

import dataclasses
import functools
import json

import pytest
from typer.testing import CliRunner

import tinyslm as ts
from tinyslm import plot
from tinyslm.audit import audit, record, registry, report
from tinyslm.audit.article_a import recall
from tinyslm.audit.article_b import learning_curve
from tinyslm.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_one_line_each():
    shown = run("A1-A4")
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert [line[:2] for line in lines[:4]] == ["A1", "A2", "A3", "A4"]
    assert "wrong: value" in lines[1] and "-2.107" in lines[1]


def test_the_whole_story_with_a_picture(tmp_path):
    shown = run("a2", "--out", tmp_path)
    assert shown.exit_code == 0
    for part in ("Article A, 3.2", "as printed", "repaired", "t from 0", "the repair, asked the same questions"):
        assert part in shown.output
    assert (tmp_path / "A2.png").stat().st_size > 5000


def test_the_story_says_how_its_picture_is_written(tmp_path):
    assert run("A2").output.rstrip().endswith("picture: tinyslm audit A2 --out FOLDER writes it")
    shown = run("A2", "--out", tmp_path / "new")
    assert (tmp_path / "new" / "A2.png").stat().st_size > 5000 and "A2.png" in shown.output
    assert plot.save(record("B8").picture({}), tmp_path / "B8.png").stat().st_size > 5000
    assert "picture" not in run("B1").output and record("B1").picture is None


@pytest.mark.parametrize("id", ["A19", "B17"])
def test_the_number_that_decides_is_beside_the_claim(id):
    assert "BERT-base 0.1095 billion, claimed 1 billion or more" in report.decisive(audit(record(id)))


def small_measurements(monkeypatch):
    """The same measurements with few steps: what they find means nothing, but everything runs."""
    monkeypatch.setattr(recall, "WIDTHS", (4, 8))
    monkeypatch.setattr(recall, "DISTANCES", (2, 3))
    monkeypatch.setattr(recall, "SEEDS", dict.fromkeys(recall.KINDS, (0,)))
    monkeypatch.setattr(recall, "accuracy", functools.partial(recall.accuracy, steps=3))
    monkeypatch.setattr(learning_curve, "STEPS", 3)
    monkeypatch.setattr(learning_curve, "SIZES", (20, 150))
    monkeypatch.setattr(learning_curve, "SEEDS", (0,))


@pytest.mark.parametrize(("id", "numbers"), [("A20", {"accuracy", "reach"}), ("B21", {"sizes", "curves"})])
def test_measured_records_are_run_by_the_command(id, numbers, monkeypatch, tmp_path):
    small_measurements(monkeypatch)
    with ts.use("numpy"):
        shown = run(id, "--measure", "--json", "--out", tmp_path)
    (entry,) = json.loads(shown.stdout)
    assert shown.exit_code == 0 and entry["verdict"].startswith("measured: ")
    assert len(entry["measured"]) == 3 and numbers <= set(entry["measured_numbers"])
    assert (tmp_path / f"{id}.png").stat().st_size > 5000


def test_json():
    entries = json.loads(run("A1", "A6", "--json").output)
    assert [e["verdict"] for e in entries] == ["right", "wrong: shape"]
    assert entries[1]["repair"]["verdict"] == "right"
    assert {a["kind"] for a in entries[1]["readings"][0]["answers"]} >= {"shapes", "scaling", "range", "symmetry"}


def test_html(tmp_path):
    assert run("A2", "A6", "--html", tmp_path / "audit.html").exit_code == 0
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.count("<section") == 2 and page.count("data:image/png") == 2
    assert page.count("data:image/svg+xml") == 4  # printed and repaired, twice
    assert "http" not in page.replace("http://www.w3.org", "")


def test_exit_code_1_where_a_verdict_differs(monkeypatch):
    wrong = dataclasses.replace(record("A1"), expected="wrong: shape")
    monkeypatch.setattr("tinyslm.audit.chosen", lambda names=(): [wrong])
    shown = run("A1", "--json")
    assert shown.exit_code == 1
    assert json.loads(shown.output)[0]["ok"] is False


def test_an_id_that_there_is_not():
    with pytest.raises(Exception, match="A1 to A20"):
        registry.record("C3")
    with pytest.raises(Exception, match="range"):
        registry.chosen(["A1-A99"])


def test_slow_records_wait_until_they_are_asked_for():
    result = audit(record("A20"), measure=False)
    assert result.verdict == "to measure"
    assert "tinyslm audit A20" in report.line(result)
    assert result.ok


@pytest.mark.parametrize("id", registry.IDS)
def test_formulas_can_be_shown(id):
    r = record(id)
    from tinyslm.course.report import formula

    for latex in (r.printed, r.repaired):
        if report._is_formula(latex):
            assert formula(latex, display=True).startswith("<img"), latex
