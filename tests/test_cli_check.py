"""`tinyslm check`: exit codes, JSON, templates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tinyslm.check.finder import check_file as real
from tinyslm.check.finder.templates import TEMPLATES
from tinyslm.cli import check as command
from tinyslm.cli.main import app
from tinyslm.errors import OptionError

runner = CliRunner()


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "check_file", lambda path, **options: real(path, in_process=True))


def test_new_right_and_wrong(tmp_path: Path) -> None:
    file = tmp_path / "dense.py"
    assert runner.invoke(app, ["check", "--new", "dense", str(file)]).exit_code == 0
    done = runner.invoke(app, ["check", str(file)])
    assert done.exit_code == 0 and "right" in done.stdout and "seed 0" in done.stdout
    file.write_text(file.read_text(encoding="utf-8").replace("da.sum(axis=0)", "da.mean(axis=0)"), encoding="utf-8")
    assert runner.invoke(app, ["check", str(file)]).stdout.count('return {"da": da') == 1  # the line is told once
    done = runner.invoke(app, ["check", str(file), "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == found["code"] == 1
    assert len(found["lines"]) == 1 and found["findings"][0]["gradients"] == ["b"]


def test_cannot_run(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("", encoding="utf-8")
    assert runner.invoke(app, ["check", str(file)]).exit_code == 2


def test_options(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    done = runner.invoke(app, ["check", str(file)])
    assert isinstance(done.exception, OptionError)
    done = runner.invoke(app, ["check", str(tmp_path)])
    assert isinstance(done.exception, OptionError) and "is a folder" in str(done.exception)
    done = runner.invoke(app, ["check", "--new", "nothing", str(file)])
    assert isinstance(done.exception, OptionError)
    for wrong, told in ((["--seconds", "0"], "--seconds:"), (["--seed", "-1"], "--seed:")):
        done = runner.invoke(app, ["check", str(file), *wrong])
        assert isinstance(done.exception, OptionError) and str(done.exception).startswith(told)
    file.write_text("", encoding="utf-8")
    done = runner.invoke(app, ["check", "--new", "dense", str(file)])
    assert isinstance(done.exception, OptionError) and "exists" in str(done.exception)


def test_a_certificate(tmp_path: Path) -> None:
    file, out = tmp_path / "dense.py", tmp_path / "passed.json"
    file.write_text(TEMPLATES["dense"].replace("da.sum(axis=0)", "da.mean(axis=0)"), encoding="utf-8")
    assert runner.invoke(app, ["check", str(file), "--certificate", str(out)]).exit_code == 1
    assert not out.exists()
    file.write_text(TEMPLATES["dense"], encoding="utf-8")
    assert runner.invoke(app, ["check", str(file), "--certificate", str(out)]).exit_code == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["file"] == "dense.py" and found["points"] == 3 and found["largest_error"] < found["bar"]
    assert {"seed", "versions", "sha256", "sizes"} <= set(found)


def test_watching(tmp_path: Path) -> None:
    file = tmp_path / "dense.py"
    file.write_text(TEMPLATES["dense"], encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(Path(command.__file__).resolve().parents[2]), "PYTHONIOENCODING": "utf-8"}
    args = [sys.executable, "-m", "tinyslm", "check", str(file), "--watch"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, env=env, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("right")
            wrong = TEMPLATES["dense"].replace("da.sum(axis=0)", "da.mean(axis=0)")
            file.write_text(wrong, encoding="utf-8")
            lines = iter(process.stdout.readline, "")
            assert any(line.startswith("wrong") for line in lines)
        finally:
            process.kill()
