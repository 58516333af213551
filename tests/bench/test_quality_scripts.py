"""The scripts in tests/benchmarks that the README and the docs name: what they say when called wrongly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = {"classifier_quality": ["mr_polarity", "lstm"], "skipgram_quality": []}


def script(name, *words):
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / f"{name}.py"), *map(str, words)]
    settings = {k: v for k, v in os.environ.items() if k != "TINYSLM_DEBUG"} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, env=settings)


@pytest.mark.parametrize("name", WORDS)
def test_a_script_says_how_it_is_called(name):
    done = script(name, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {name}.py") and "FOLDER" in done.stdout, done
    done = script(name)
    assert done.returncode == 2 and "error: the following arguments are required" in done.stderr, done


@pytest.mark.parametrize("name", WORDS)
def test_a_wrong_folder_is_one_message(name, tmp_path):
    done = script(name, tmp_path / "none", *WORDS[name])
    assert done.returncode == 2 and done.stderr.startswith("error: "), done
    assert "Expected a local copy" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_model_or_data_set_is_refused(tmp_path):
    done = script("classifier_quality", tmp_path, "mr_polarity", "lstn")
    assert done.returncode == 2 and "expected some of lstm, cnn, bow; got lstn" in done.stderr, done
    done = script("classifier_quality", tmp_path, "mr")
    assert done.returncode == 2 and done.stderr.startswith("error: Expected the name of a data set"), done
