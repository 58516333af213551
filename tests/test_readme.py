"""What the README shows in Python runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_examples_run(block, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(README.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_sign_that_is_changed_is_found_as_the_page_says(tmp_path):
    def command(*words):
        environment = os.environ | {"PYTHONPATH": str(README.parent), "COLUMNS": "400"}
        words = [sys.executable, "-m", "tinyslm", *words]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)

    assert command("check", "--new", "lstm").returncode == 0
    file = tmp_path / "my_lstm.py"
    right = file.read_text(encoding="utf-8")
    assert right.count("1 - tanh_c**2") == 1 and command("check", "my_lstm.py").returncode == 0
    file.write_text(right.replace("1 - tanh_c**2", "1 + tanh_c**2"), encoding="utf-8")
    told = command("check", "my_lstm.py")
    line = "line 52: dc = dc + dh * o * (1 + tanh_c**2) -- tanh_c ** 2 needs the other sign"
    assert told.returncode == 1 and line in told.stdout and line in README.read_text(encoding="utf-8")


def test_the_page_counts_lessons_and_formulas_right():
    from tinyslm.audit import IDS
    from tinyslm.course import lessons

    page = README.read_text(encoding="utf-8")
    assert f"# all {len(IDS)}, one line each" in page and f"All that is {len(lessons())} lessons" in page


def test_there_are_examples_and_pictures():
    text = README.read_text(encoding="utf-8")
    assert len(BLOCKS) == 2
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (README.parent / picture).is_file()
