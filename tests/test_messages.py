"""The catalogues of messages: complete, alike in their fields, and chosen by TINYSLM_LANG."""

import os
import re
import string
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyslm import messages
from tinyslm.check import gradcheck
from tinyslm.messages import MESSAGES, catalogue, column, one_of, say
from tinyslm.messages_zh import MESSAGES as CHINESE

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = ("derivation.", "gradcheck.", "audit.", "finder.", "lessons.")


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", CHINESE)
def test_every_chinese_message_has_an_english_one_with_the_same_fields(key):
    assert fields(CHINESE[key]) == fields(MESSAGES[key])
    assert CHINESE[key].strip() and "{}" not in CHINESE[key]


def test_what_a_learner_reads_most_is_there_in_chinese():
    verdicts = [k for k in MESSAGES if ".verdict." in k and k.startswith(FAMILIES)]
    assert len(verdicts) > 20 and set(verdicts) <= set(CHINESE)
    assert all(re.search("[\u4e00-\u9fff]", CHINESE[k]) for k in verdicts)
    assert len([k for k in CHINESE if k.startswith(FAMILIES)]) > 200


def test_every_message_that_is_asked_for_exists():
    asked = set()
    for path in (ROOT / "tinyslm").rglob("*.py"):
        asked |= set(re.findall(r'\bsay\(\s*"([a-z_]+\.[\w. ]*\w)"', path.read_text(encoding="utf-8")))
    assert len(asked) > 60 and asked <= set(MESSAGES)


def test_the_language_is_chosen_and_english_fills_gaps(monkeypatch):
    monkeypatch.setenv(messages.LANGUAGE, "zh_CN")
    assert say("audit.verdict.right") == "正确" and one_of("audit.verdict", "task") == "任务"
    assert one_of("audit.verdict", "a word that is in no catalogue") == "a word that is in no catalogue"
    monkeypatch.setenv(messages.LANGUAGE, "tlh")
    assert say("audit.verdict.right") == "right"
    monkeypatch.delenv(messages.LANGUAGE)
    assert say("audit.verdict.right") == "right"
    assert set(catalogue("zh")) == set(MESSAGES)


def test_columns_count_chinese_characters_twice():
    assert column("正确", 6) == "正确  " and column("ab", -4) == "  ab" and column("too long", 3) == "too long"


def test_a_gradient_check_in_chinese(monkeypatch):
    monkeypatch.setenv(messages.LANGUAGE, "zh")
    report = gradcheck(lambda x: x * x, [np.array([1.0, 2.0])], backward=lambda g, x: g * x)
    assert str(report).startswith("错误: ") and "数值结果" in str(report) and report.verdict == "wrong"


# -- the command ------------------------------------------------------------------------------------------------------


def run(*arguments, encoding, language="zh"):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, messages.LANGUAGE: language}
    done = subprocess.run(
        [sys.executable, "-m", "tinyslm", *map(str, arguments)], env=environment, capture_output=True, timeout=120
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(encoding, "replace")
    return done.returncode, done.stdout.decode(encoding)


def test_the_audit_in_chinese_and_on_a_console_without_it():
    code, text = run("audit", "A2", encoding="utf-8")
    assert code == 0 and "错误：数值" in text and "原文公式" in text
    code, text = run("audit", "A2", encoding="ascii")
    assert code == 0 and "wrong: value" in text and "as printed" in text


WRONG = """import numpy as np
def inputs(rng):
    return {"x": rng.normal(size=(3,))}
def forward(p):
    return {"y": p["x"] ** 2}
def backward(p, cache, g):
    return {"dx": -2 * p["x"] * g}
"""


def test_a_check_in_chinese_and_on_a_console_without_it(tmp_path):
    file = tmp_path / "square.py"
    file.write_text(WRONG, encoding="utf-8")
    code, text = run("check", file, encoding="utf-8")
    assert code == 1 and "dx" in text and re.search("[\u4e00-\u9fff]", text)
    code, text = run("check", file, encoding="ascii")
    assert code == 1 and "dx" in text and "\\u" not in text


def test_the_lessons_states_in_chinese(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSLM_STATE", str(tmp_path))
    code, text = run("lessons", encoding="utf-8")
    assert code == 0 and "未完成" in text and "状态" in text
