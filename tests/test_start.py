"""Ctrl-C in the first moments of the command, and in programs that only import the library."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRESS = "import signal\nsignal.raise_signal(signal.SIGINT)\n"
SCRIPT = "from tinyslm.cli import main\nmain()\n"  # what pip writes as `tinyslm`


@pytest.fixture(autouse=True)
def ctrl_c_is_not_ignored():
    """What a script starts in the background ignores Ctrl-C, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(folder, *words):
    path = os.pathsep.join(filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *words], env=os.environ | {"PYTHONPATH": path}, capture_output=True, encoding="utf-8",
        check=False,
    )  # fmt: skip


def pressing(folder, module):
    """A folder in which the module of this name presses Ctrl-C while it is imported."""
    folder.mkdir()
    (folder / f"{module}.py").write_text(PRESS, encoding="utf-8")
    return folder


@pytest.mark.parametrize("module", ["numpy", "typer", "rich"])
def test_ctrl_c_during_the_imports_ends_the_command_quietly(tmp_path, module):
    folder = pressing(tmp_path / "stubs", module)
    script = tmp_path / "tinyslm"
    script.write_text(SCRIPT, encoding="utf-8")
    for words in (["-m", "tinyslm", "train", "classifier"], ["-X", "utf8", "-m", "tinyslm"], [script, "doctor"]):
        done = run(folder, *map(str, words))
        assert (done.returncode, done.stdout, done.stderr) == (130, "", ""), (module, words)


def test_any_other_program_has_its_keyboard_interrupt(tmp_path):
    folder = pressing(tmp_path / "stubs", "numpy")
    script = tmp_path / "mine.py"
    script.write_text("try:\n    import tinyslm\nexcept KeyboardInterrupt:\n    print('mine')\n", encoding="utf-8")
    assert run(folder, str(script), "-m", "tinyslm").stdout == "mine\n"
    assert run(folder, "-m", "mine").returncode != 130
    look = "import signal, tinyslm; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert run(tmp_path / "none", "-c", look).stdout == "True\n"


def test_a_command_that_was_told_to_ignore_ctrl_c_ignores_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n", encoding="utf-8"
    )
    (tmp_path / "typer.py").write_text(PRESS + "raise SystemExit('reached')\n", encoding="utf-8")
    assert run(tmp_path, "-m", "tinyslm").stderr == "reached\n"


def test_the_running_command_hears_ctrl_c(tmp_path):
    code = (
        "import signal, sys; sys.argv = ['tinyslm', 'doctor']\n"
        "from tinyslm.cli import doctor, main\n"
        "doctor.doctor = lambda: signal.raise_signal(signal.SIGINT)\n"
        "main()"
    )
    done = run(tmp_path, "-c", code)
    assert done.returncode == 130 and "interrupted" in done.stderr and "Traceback" not in done.stderr


def test_the_signal_is_left_alone_here():
    import tinyslm  # noqa: F401

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_of_this_name_may_import_it_in_a_thread(tmp_path):
    script = tmp_path / "tinyslm"
    script.write_text(
        "import threading\nt = threading.Thread(target=__import__, args=('tinyslm',))\nt.start(); t.join()\n"
    )
    done = run(tmp_path / "none", str(script))
    assert (done.returncode, done.stderr) == (0, "")
