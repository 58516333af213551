"""The command, as a newcomer meets it: what it prints, what it leaves, and what it says about bad input.

Most tests run the command in this process, as `main` does; what needs a process of its own (signals, a terminal, a
closed pipe) is at the end.
"""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import cli, plot
from tinyslm.checkpoint import load_model
from tinyslm.cli.console import explain, quoted
from tinyslm.cli.scores import MOST_COLUMNS
from tinyslm.training import Trainer

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--vocabulary", "200", "--embedding", "4", "--hidden", "4", "--length", "8", "--epochs", "1"]
LABELS = ("very, good", "不 好", "[red]so-so[/red]")


def write_csv(path, rows, header="text,label", encoding="utf-8"):
    def quote(cell):
        return '"' + cell.replace('"', '""') + '"'

    lines = [header, *(",".join(quote(cell) for cell in row) for row in rows)]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def rows(count=30, labels=LABELS):
    words = ["good film", "坏 电影", "a scene"]
    return [(f"{words[i % len(labels)]} number {i}", labels[i % len(labels)]) for i in range(count)]


class Answer:
    """What a command gave back."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n--- stderr\n{self.err}"


def left_with():
    """The exit code of the command."""
    try:
        cli.main()
    except SystemExit as left:
        return left.code or 0
    return 0


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `tinyslm ...` in this process with the NumPy backend; pictures are not drawn."""
    for name in ("curves", "confusion"):
        monkeypatch.setattr(plot, name, lambda *args: None)
    monkeypatch.setattr(plot, "save", lambda figure, path: path.write_bytes(b"picture"))

    def run(*args, stdin=None):
        monkeypatch.setattr(sys, "argv", ["tinyslm", *map(str, args)])
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with ts.use("numpy"):
            code = left_with()
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def data(tmp_path):
    return write_csv(tmp_path / "data.csv", rows())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder, trained once in a process, with its real pictures."""
    folder = tmp_path_factory.mktemp("trained")
    answer = process("train", "classifier", write_csv(folder / "d.csv", rows(60)), "--out", folder / "m", *TINY)
    assert answer.code == 0 and answer.err == "", answer
    return folder / "m"


def assert_refused(answer, *words, code=2):
    """One message on stderr, no traceback, the exit code."""
    assert answer.code == code, answer
    assert answer.err.startswith("error: ") and answer.err.count("error: ") == 1, answer
    assert "Traceback" not in answer.err + answer.out, answer
    for word in words:
        assert re.search(word, answer.err, re.DOTALL | re.IGNORECASE), (word, answer)


# -- training ---------------------------------------------------------------------------------------------------------


def test_train_predict_evaluate(command, data, tmp_path):
    out = tmp_path / "a b" / "model"
    answer = command("train", "classifier", data, "--out", out, *TINY, "--epochs", 3)
    assert answer.code == 0 and answer.err == "", answer
    epochs = re.findall(r"^epoch +\d+  loss .* accuracy .*validation loss .* accuracy .* tokens/s$", answer.out, re.M)
    assert len(epochs) == 3
    assert "21 texts to train, 3 to choose the epoch, 6 to test" in answer.out
    assert "very, good (10); 不 好 (10)" in answer.out and "[red]so-so[/red] (10)" in answer.out
    assert f"predict {quoted([str(out)])}" in answer.out
    assert sorted(p.suffix for p in out.iterdir()) == [".csv", *[".json"] * 3, ".jsonl", *[".png"] * 2, ".safetensors"]

    answer = command("predict", out, "good film", ":smile: [red]x[/red]", "")
    assert answer.code == 0 and len(answer.out.splitlines()) == 3
    assert ":smile: [red]x[/red]" in answer.out and "there is no word in it" in answer.out

    answer = command("evaluate", out, data)
    assert answer.code == 0 and "macro average" in answer.out and "accuracy 0." in answer.out
    assert re.search(r"confusion: true class +as \[red\]so-so\[/red\] +as very, good +as 不 好", answer.out), answer
    assert json.loads((out / "evaluation_data.json").read_text(encoding="utf-8"))["support"] == 30
    assert (out / "evaluation_data.png").is_file()


def test_every_option_is_taken_over(command, data, tmp_path):
    options = (
        "--model gru --layers 2 --bidirectional --pooling attention --dropout 0.5 --masked --outputs softmax "
        "--batch-size 4 --optimizer adamw --lr 0.01 --weight-decay 0.1 --clip 1 --schedule cosine --warmup 2 "
        "--patience 3 --tokenizer words --drop-stop-words --ngrams 2 --min-count 2 --seed 5 --test 0.3 --valid 0.3 "
        "--threads 1 --backend numpy"
    )
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, *options.split())
    assert answer.code == 0, answer
    saved = json.loads((tmp_path / "m" / "training.json").read_text(encoding="utf-8"))
    given = options.split()
    for name, value in zip(given, [*given[1:], "--"], strict=True):
        if name.startswith("--") and name not in ("--threads", "--backend"):
            key = name[2:].replace("-", "_")
            assert str(saved[key]) == ("True" if value.startswith("--") else value) or saved[key] == float(value)


def test_idle_options_and_shared_rows_are_noted(command, tmp_path):
    made = [(*row, part) for row, part in zip(rows(30), ["train"] * 20 + ["valid"] * 4 + ["test"] * 6, strict=True)]
    made[24] = (*made[0][:2], "test")
    data = write_csv(tmp_path / "d.csv", made, "text,label,split")
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, "--model", "bow", "--layers", 2)
    assert "note: 1 of 6 test texts also stand in the training or validation part" in answer.out
    assert "note: --layers does nothing for --model bow" in answer.out and "1 row repeated" in answer.out


def test_many_classes_get_a_list_of_confusions(command, tmp_path):
    labels = [f"class {i}" for i in range(MOST_COLUMNS + 1)]
    data = write_csv(tmp_path / "d.csv", [(f"text {i}", labels[i % len(labels)]) for i in range(91)])
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY)
    assert "most frequent of" in answer.out and "taken for" in answer.out and answer.code == 0


def test_stops_early_on_request(command, data, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyslm.training._score", lambda record: (-record["epoch"], 0.0))
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, "--epochs", 9, "--patience", 2)
    assert "stopped early: no better epoch than 1" in answer.out and answer.out.count("\nepoch ") == 3


def test_the_bundled_reviews_are_the_default(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews").mkdir()  # a folder of this name is not taken for the data
    answer = command("train", "classifier", *TINY, "--model", "bow")
    assert answer.code == 0 and "data    reviews: " in answer.out and (tmp_path / "model" / "config.json").is_file()
    assert "negative" in answer.out and re.search(r"style +accuracy +texts", answer.out)


def test_chinese(command, tmp_path):
    answer = command("train", "classifier", "reviews_zh", "--out", tmp_path / "m", *TINY, "--model", "cnn")
    assert answer.code == 0, answer
    answer = command("predict", tmp_path / "m", "这部电影很好看", "--json")
    assert json.loads(answer.out)["text"] == "这部电影很好看" and "好看" in answer.out
    assert json.loads(answer.out)["known"] > 0


# -- data that can't be used ------------------------------------------------------------------------------------------

BAD_DATA = {
    "empty": (b"", "empty file"),
    "blank": (b"\n\n  \n", "empty file"),
    "header alone": (b"text,label\n", "rows below the header"),
    "missing column": (b"review,stars\nx,1\ny,2\n", "'review', 'stars'.*--text-column NAME --label-column NAME"),
    "one class": (b"text,label\na,x\nb,x\nc,x\n", "two classes, got only 'x'"),
    "one row": (b"text,label\na,x\n", "two classes"),
    "two rows": (b"text,label\na,x\nb,y\n", "can't be divided.*expected.*add rows"),
    "semicolons": (b"text;label\na;x\nb;y\n", "--delimiter ';'"),
    "NUL": (b"text,label\na\0b,x\nb,y\n", "line 2.*NUL"),
    "GB18030": ("text,label\n坏电影啊不好看,x\n很好,y\n".encode("gb18030"), "looks like gb18030.*--encoding gb18030"),
    "UTF-16": ("text,label\na,x\nb,y\n".encode("utf-16"), "looks like utf-16.*--encoding utf-16"),
    "Latin-1": ("text,label\ncafé noir,x\nb,y\n".encode("cp1252"), "line 2.*--encoding cp1252"),
    "open quote": (b'text,label\n"a,x\nb,y\n', "line 2.*never closed.*--quoting none"),
    "too many fields": (b"text,label\na,b,x\n", "line 2.*expected 2 fields.*got 3"),
    "empty label": (b"text,label\na,x\nb,\n", "line 3.*expected a label"),
    "only empty texts": (b"text,label\n,x\n  ,y\n", "all of them empty"),
    "only markup": (b"text,label\n" + b"<br>,x\n<p>,y\n" * 9, "texts with words in them"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data_is_refused_and_an_old_model_kept(command, tmp_path, kind):
    content, words = BAD_DATA[kind]
    path, out = tmp_path / "bad.csv", tmp_path / "m"
    path.write_bytes(content)
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"an old model")
    (out / "log.csv").write_bytes(b"an old log")
    answer = command("train", "classifier", path, "--out", out, *TINY, "--force")
    assert_refused(answer, words)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        "model.safetensors": b"an old model", "log.csv": b"an old log",
    }  # fmt: skip


def test_what_is_no_data_at_all(command, tmp_path):
    out = ("--out", tmp_path / "m", *TINY)
    assert_refused(command("train", "classifier", tmp_path / "no.csv", *out), "no such file")
    assert_refused(command("train", "classifier", tmp_path / "no" / "x", *out), "no such file.*folder.*does not exist")
    assert_refused(command("train", "classifier", tmp_path, *out), "got a folder")
    assert_refused(command("train", "classifier", "revews", *out), "expected a CSV file or one of.*reviews")
    assert_refused(command("train", "classifier", "stories", *out), "expected texts with labels")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("encoding", "args"),
    [("gb18030", ["--encoding", "gb18030"]), ("utf-16", ["--encoding", "utf-16"]), ("utf-8-sig", [])],
)
def test_stated_encodings_and_a_byte_order_mark(command, tmp_path, encoding, args):
    data = write_csv(tmp_path / "d.csv", rows(), encoding=encoding)
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, *args)
    assert answer.code == 0 and "不 好 (10)" in answer.out, answer


def test_a_line_of_ten_megabytes(command, tmp_path):
    made = [(*row, "") for row in rows(20, ("a", "b"))]
    made[3] = ("!!! ???", "b", "word " * 2_000_000)
    data = write_csv(tmp_path / "d.csv", made, "text,label,notes")
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, "--batch-size", 1000)
    assert answer.code == 0, answer


def test_other_columns_a_tab_and_standard_input(command, tmp_path):
    path = tmp_path / "d.tsv"
    lines = ["meinung\tSterne", *("\t".join(row) for row in rows(20, ("a", "b")))]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("utf-8"))
    names = ("--text-column", "meinung", "--label-column", "Sterne", *TINY)
    answer = command("train", "classifier", path, "--out", tmp_path / "m", *names)
    assert answer.code == 0, answer
    piped = ("-", "--delimiter", r"\t", "--out", tmp_path / "n")  # as a shell hands on '\t'
    answer = command("train", "classifier", *piped, *names, stdin=path.read_bytes())
    assert answer.code == 0, answer
    assert np.array_equal(*(load_model(tmp_path / n)[0]["head.weight"] for n in "mn"))


# -- options that can't be used ---------------------------------------------------------------------------------------

BAD_OPTIONS = {
    "--length 0": "--length: expected .* at least 1 and at most 1000000, got 0",
    "--epochs 0": "--epochs: expected .* at least 1, got 0",
    "--batch-size 0": "--batch-size: expected .* at least 1, got 0",
    "--vocabulary 2": "--vocabulary: expected .* at least 3 .* got 2",
    "--hidden -4": "--hidden: expected .* at least 1 .* got -4",
    "--model transformer --heads 3": "--heads: expected a divisor of the embedding size 4, got 3",
    "--model perceptron": "--model: expected one of lstm, gru, rnn, cnn, transformer, bow; got 'perceptron'",
    "--pooling sum": "--pooling: expected one of",
    "--tokenizer bert": "--tokenizer: expected one of words, keras",
    "--dropout 1": "--dropout: expected a share",
    "--lr 0": "--lr: expected a number above 0",
    "--weight-decay nan": "--weight-decay: expected a number of at least 0, got nan",
    "--seed -1": "--seed: expected a number of at least 0, got -1",
    "--test 1.5": "--test: expected a share above 0 and below 1, got 1.5",
    "--test 0.95": "--test: with valid=0.1, expected less than 0.9",
    "--min-count 99": "--min-count: expected a number that some words reach",
    "--threads 0": "--threads: expected at least 1, got 0",
    "--backend tpu": "no such backend.*expected: one of numpy, numba, cuda.*got: 'tpu'",
    "--quoting some": "expected quoting to be one of: minimal, none",
    "--encoding klingon": "expected an encoding that Python knows",
    "--delimiter ab": "expected delimiter to be one character",
    "--text-column label": "two different columns",
    "--hidden 99999999": "--hidden: expected .* at most 1000000, got 99999999",
    "--resume --force": "expected only one of them",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options_are_refused_by_name(command, data, tmp_path, options):
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, *options.split())
    assert_refused(answer, BAD_OPTIONS[options])
    assert not (tmp_path / "m").exists()


MEANT = {
    "lessons run basics_numerc": "basics_numeric",
    "lessons run A99": "A9",
    "derive layernorm": "layer_norm",
    "train classifier revews": "reviews",
    "train classifier --model lsmt": "lstm",
    "train classifier --optimizer adm": "adam",
    "check --new lstmm": "lstm",
    "bench W99": "W9",
    "bench --backend cuda --list lstn": "lstm",
    "data fetch name": "names",
}


@pytest.mark.parametrize("typed", MEANT)
def test_a_name_that_is_nearly_right(command, typed):
    answer = command(*typed.split())
    assert_refused(answer, rf"Did you mean {MEANT[typed]}\b[^?]*\?")
    wrong = typed.split()[-1]
    assert re.search(rf"\b{wrong}\b", answer.err)  # as it was typed


def test_unknown_lessons_are_not_answered_with_all_of_them(command):
    said = command("lessons", "run", "VI", "zzzzz").err
    assert "no lesson VI. Did you mean V" in said and "no lesson zzzzz.\n" in said
    assert "tinyslm lessons list` shows all" in said and len(said) < 300


def test_cuda_without_a_gpu(command, data, tmp_path):
    if ts.device.probe("cuda").works:
        pytest.skip("this machine has CUDA")
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY, "--backend", "cuda")
    assert_refused(answer, "'cuda' is not available.*remedy")


def test_what_the_parser_refuses(command):
    for args in (["--epochs", "abc"], ["--no-such-option"], ["a.csv", "b.csv"]):
        answer = command("train", "classifier", *args)
        assert answer.code == 2 and "Usage" in answer.err and "Traceback" not in answer.err
    assert command("--version").out.startswith("tinyslm ")
    for args in (["--help"], ["train", "classifier", "--help"], ["predict", "--help"]):
        assert command(*args).code == 0


# -- folders ----------------------------------------------------------------------------------------------------------


def test_a_used_folder_needs_force_or_resume(command, data, tmp_path):
    out = tmp_path / "m"
    train = ("train", "classifier", data, "--out", out, *TINY)
    assert command(*train).code == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert_refused(command(*train), "already holds a model.*another folder, --resume.*--force")
    assert_refused(command(*train, "--resume"), "no interrupted run.*got: a finished model")
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert command(*train, "--force", "--seed", 3).code == 0
    assert (out / "model.safetensors").read_bytes() != before["model.safetensors"]


def test_data_that_is_not_there_is_told_before_a_used_folder(command, data, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"a model")
    train = ("train", "classifier", "--out", tmp_path, *TINY)
    assert_refused(command(*train, "reviws"), "^error: reviws: expected a CSV file.*Did you mean reviews")
    assert_refused(command(*train, tmp_path / "no.csv"), "^error: .*no.csv")
    assert_refused(command(*train, data), "--out: .* already holds a model")


def test_resume_looks_for_the_run_before_anything_else(command, data, tmp_path):
    answer = command("train", "classifier", data, "--out", tmp_path, *TINY, "--resume")
    assert_refused(answer, "no interrupted run.*got: a folder without a checkpoint")
    assert answer.out == ""


def test_a_path_without_a_name_is_not_the_current_folder(command, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    commands = {
        "--out": (("train", "classifier", data, *TINY), ("lessons", "run", "A2"), ("evaluate", "m", data), ("audit",)),
        "--html": (("audit", "A2"),),
    }
    for option, given in commands.items():
        for args in given:
            answer = command(*args, option, "")
            assert answer.code == 2 and "expected a name, got nothing" in " ".join(answer.err.split()), answer
    assert set(tmp_path.iterdir()) == before


def test_out_that_is_a_file_or_lies_in_one(command, data, tmp_path):
    file = write_csv(tmp_path / "file", [])
    for out in (file, file / "m"):
        assert_refused(command("train", "classifier", data, "--out", out, *TINY), "--out: expected a folder.*is a file")
    assert file.read_bytes() == b"text,label\n"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_place_that_cannot_be_written_is_refused_before_any_work(command, data, monkeypatch):
    for work in ("tinyslm.cli.train.open_table", "tinyslm.cli.predict.Classifier.load", "tinyslm.audit.audit"):
        monkeypatch.setattr(work, lambda *args, **more: pytest.fail("it has begun to work"))
    for answer in (
        command("train", "classifier", data, "--out", "/proc/no", *TINY),
        command("evaluate", "model", data, "--out", "/proc/no"),
        command("audit", "A2", "--out", "/proc/no"),
    ):
        assert_refused(answer, "--out: expected a folder that can be written, got .proc.no.*name another one")
    assert_refused(command("audit", "A2", "--html", "/proc/page.html"), "--html: expected a folder that can be written")


def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(command, tmp_path):
    (tmp_path / "right.py").write_text("inputs", encoding="utf-8")
    for words in (["audit", "A2", "--html"], ["check", tmp_path / "right.py", "--certificate"]):
        assert_refused(
            command(*words, tmp_path), f"{words[-1]}: expected a file, got the folder .*; put a name behind it"
        )
    for option in ("--json", "--markdown", "--plot"):
        assert_refused(command("bench", "W7-gelu", option, tmp_path), f"{option}: expected a file, got the folder")
    assert_refused(
        command("lessons", "notebook", "attention_head", "--out", tmp_path), "--out: expected a file, got the folder"
    )
    for words in (["W99"], ["W7-gelu", "--against", "nobody"], ["growth", "--markdown", "a.md"]):
        assert command("bench", *words, "--json", tmp_path / "never" / "a.json").code == 2
    assert not (tmp_path / "never").exists()
    assert command("audit", "A2", "--html", tmp_path / "new" / "page.html").code == 0
    assert (tmp_path / "new" / "page.html").is_file()


def test_a_full_disk(command, data, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "m"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert_refused(command("train", "classifier", data, "--out", out, *TINY), "disk is full.*free some space")
    assert list(out.rglob("*.safetensors")) == []
    assert command("train", "classifier", data, "--out", out, *TINY).code == 0  # nothing is in the way


def test_interrupted_and_resumed(command, data, tmp_path, monkeypatch):
    train = ["train", "classifier", data, *TINY, "--epochs", "3", "--dropout", "0.5", "--batch-size", "5"]
    assert command(*train, "--out", tmp_path / "whole").code == 0
    honest = Trainer._tell

    def press(self):
        honest(self)
        if (self.batches.epoch, self.batches.index) == (1, 2):
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "my model"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_tell", press)
        stopped = command(*train, "--out", out, "--force")
    assert stopped.code == 130 and "everything up to here is saved in" in stopped.out
    again = ["tinyslm", *map(str, train), "--out", str(out), "--resume"]
    assert f"go on with: {quoted(again)}\n" in stopped.out
    assert_refused(command(*train, "--out", out), "already holds an interrupted run")
    assert_refused(command(*train, "--out", out, "--resume", "--seed", 1), "seed was 0, now 1")
    assert_refused(command("predict", out, "x"), "interrupted training run.*--resume")
    assert command(*again[1:]).code == 0
    a, b = (load_model(p)[0] for p in (tmp_path / "whole", out))
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_an_impatient_second_ctrl_c(command, data, tmp_path, monkeypatch):
    def press(self):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_tell", press)
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY)
    assert_refused(answer, "interrupted; the last checkpoint is in.*go on with: tinyslm train.*--resume", code=130)


def test_numbers_that_run_away(command, data, tmp_path):
    answer = command(
        "train", "classifier", data, "--out", tmp_path / "m", *TINY, "--lr", 1e38, "--optimizer", "sgd", "--epochs", 9,
        "--model", "cnn", "--batch-size", 5,
    )  # fmt: skip
    assert_refused(answer, "became (nan|inf).*smaller learning rate.*--lr.*--clip 1")


def test_ctrl_c_is_told_in_every_command(command, data, tmp_path, monkeypatch):
    def press(*args, **more):
        raise KeyboardInterrupt

    for place in ("tinyslm.audit.audit", "tinyslm.cli.train.open_table", "tinyslm.cli.lessons.run_lesson"):
        monkeypatch.setattr(place, press)
    train = ("train", "classifier", data, "--out", tmp_path / "m", *TINY)
    for args in (("audit", "A2"), train, ("lessons", "run", "A2", "--out", tmp_path / "r")):
        assert_refused(command(*args), "interrupted; what was not finished was not saved", code=130)


def test_ctrl_c_before_the_first_checkpoint_names_none(command, data, tmp_path, monkeypatch):
    def press(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "run", press)
    answer = command("train", "classifier", data, "--out", tmp_path / "m", *TINY)
    assert_refused(answer, "interrupted; what was not finished was not saved", code=130)
    assert "checkpoint" not in answer.err


def test_ctrl_c_leaves_the_model_that_was_to_be_replaced_with_its_log(command, data, tmp_path, monkeypatch):
    out = tmp_path / "m"
    train = ("train", "classifier", data, "--out", out, *TINY)
    assert command(*train).code == 0
    old = {p.name: p.read_bytes() for p in out.iterdir()}
    assert {"log.csv", "log.jsonl", "model.safetensors"} <= set(old)
    train = (*train, "--epochs", 3, "--batch-size", 5)

    def press(self):
        if (self.batches.epoch, self.batches.index) == (1, 2):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_tell", press)
        assert command(*train, "--force").code == 130
    assert {name: (out / name).read_bytes() for name in old} == old
    assert (out / "checkpoint" / "log.csv").read_text(encoding="utf-8").count("\n") == 2  # the new run's, so far
    assert command(*train, "--resume").code == 0
    assert (out / "log.csv").read_text(encoding="utf-8").count("\n") == 4 and {p.name for p in out.iterdir()} == {*old}


# -- predict and evaluate ---------------------------------------------------------------------------------------------


def test_texts_from_a_file_and_from_standard_input(command, model, tmp_path):
    (tmp_path / "texts").write_bytes("a good film\r\n\r\n坏 电影\n".encode("gb18030"))
    answer = command("predict", model, "--file", tmp_path / "texts", "--encoding", "gb18030", "--json")
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert [r["text"] for r in found] == ["a good film", "坏 电影"]
    assert all(abs(sum(r["probabilities"].values()) - 1) < 1e-6 and r["label"] in LABELS for r in found)
    assert command("predict", model, stdin="a good film\n坏 电影".encode()).out.count("\n") == 2
    assert_refused(command("predict", model, "--file", tmp_path / "texts"), "looks like gb18030")
    assert_refused(command("predict", model, "--file", tmp_path / "none"), "--file: expected a file .*; got nothing at")
    assert_refused(command("predict", model, "--file", tmp_path), "--file: expected a file .*; got a folder at")
    assert_refused(command("predict", model, "x", "--file", tmp_path / "texts"), "from one place")
    assert_refused(command("predict", model, stdin=b"\n \n"), "at least one line with text")


def test_words_that_were_never_seen(command, model):
    answer = command("predict", model, "zyzzyva quux")
    assert "none of its words was seen in training" in answer.out and answer.code == 0


def test_without_standard_input(command, model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert_refused(command("predict", model), "expected a text")
    assert_refused(command("evaluate", model, "-"), "standard input is closed")
    assert_refused(command("train", "classifier", "-"), "standard input is closed")


def test_folders_that_are_no_model(command, model, tmp_path):
    assert_refused(command("predict", tmp_path / "none", "x"), "no model folder here.*got: nothing")
    assert_refused(command("predict", tmp_path, "x"), "not a model folder.*no model.safetensors")
    weights = (model / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:1000])
    assert_refused(command("predict", tmp_path, "x"), "damaged or cut short")
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert command("predict", tmp_path, "x").code == 0  # the weights carry a copy of the configuration
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for content, words in (("{", "damaged.*expected: JSON"), (json.dumps(config | {"format_version": 7}), "newer")):
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
        assert_refused(command("evaluate", tmp_path, "reviews"), words)


def test_evaluate_refuses_what_does_not_fit(command, model, tmp_path):
    other = write_csv(tmp_path / "other.csv", rows(6, ("yes", "no")))
    assert_refused(command("evaluate", model, other), "labels that the model knows.*'no', 'yes'.*--label-column")
    good = write_csv(tmp_path / "good.csv", rows(6))
    assert_refused(command("evaluate", model, good, "--split", "test"), "--split: .*no such column")
    assert_refused(command("evaluate", model, good, "--out", good), "--out: expected a folder")
    assert_refused(command("evaluate", model, tmp_path / "none.csv"), "no such file")
    answer = command("evaluate", model, "-", "--out", tmp_path / "e" / "f", stdin=good.read_bytes())
    assert answer.code == 0 and (tmp_path / "e" / "f" / "evaluation_stdin.json").is_file(), answer


# -- the small commands -----------------------------------------------------------------------------------------------


def test_doctor_data_and_lessons(command):
    said = command("doctor").out
    assert "numpy" in said and "Remedy" in said
    listed = command("data", "list").out
    assert "reviews_zh" in listed and "comes along" in listed
    assert all(len(line) <= 200 for line in listed.splitlines())
    assert_refused(command("data", "fetch", "nonesuch"), "nonesuch")
    lessons = command("lessons", "list")
    assert lessons.code == 0 and "basics_numeric" in lessons.out


COMPUTES = (
    "train classifier", "lessons run A2", "lessons power A2", "check x.py", "predict m text", "evaluate m reviews",
    "derive softmax", "derive all", "audit", "audit A1", "bench W1",
)  # fmt: skip
LOOKS = ("--help", "--version", "derive", "lessons", "lessons list", "data list", "bench --list", "audit --help")


@pytest.fixture
def asked_for_nump(monkeypatch, capsys, tmp_path):
    """Run a command where the environment asks for a backend that there is not."""
    monkeypatch.setenv("TINYSLM_BACKEND", "nump")
    monkeypatch.setattr(ts.device.State, "name", None)
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "x.py", [])

    def run(words):
        monkeypatch.setattr(sys, "argv", ["tinyslm", *words.split()])
        code = left_with()
        return Answer(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("words", COMPUTES)
def test_what_computes_refuses_a_backend_that_there_is_not_before_it_begins(asked_for_nump, tmp_path, words):
    before = set(tmp_path.iterdir())
    answer = asked_for_nump(words)
    assert_refused(answer, "^error: TINYSLM_BACKEND asks for 'nump'. There is no such backend.*one of numpy, numba")
    assert answer.out == "" and set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("words", LOOKS)
def test_what_only_looks_needs_no_backend(asked_for_nump, words):
    answer = asked_for_nump(words)
    assert answer.code == 0 and answer.err == "" and answer.out, answer


def test_doctor_says_which_backend_was_asked_for(asked_for_nump, monkeypatch):
    assert "in use: none; TINYSLM_BACKEND asks for 'nump'. There is no such backend" in asked_for_nump("doctor").out
    monkeypatch.setenv("TINYSLM_BACKEND", "cuda")
    refused = ts.device.Found("cuda", False, why="there is no NVIDIA driver", remedy="install it")
    monkeypatch.setitem(ts.device._found, "cuda", refused)
    said = asked_for_nump("doctor").out
    assert "in use: none; TINYSLM_BACKEND asks for 'cuda'." in said and "not available: there is no NVIDIA" in said
    assert "in use: numpy" not in said
    monkeypatch.delenv("TINYSLM_BACKEND")
    monkeypatch.setitem(ts.device._found, "numba", ts.device.Found("numba", False, why="broken", remedy="mend it"))
    monkeypatch.setattr(ts.device.importlib.util, "find_spec", lambda name: name)
    assert "in use: numpy\n" in asked_for_nump("doctor").out


def test_errors_in_words():
    assert "smaller --batch-size" in explain(MemoryError())
    assert "disk is full" in explain(OSError(errno.ENOSPC, "No space left", "x"))
    assert explain(PermissionError(errno.EACCES, "Permission denied", "/x")).startswith("/x: Permission denied.")


def test_debugging_shows_the_traceback(command, monkeypatch):
    monkeypatch.setenv("TINYSLM_DEBUG", "1")
    with pytest.raises(ts.errors.DataError):
        command("train", "classifier", "nonesuch.csv")


# -- in a process of its own ------------------------------------------------------------------------------------------


def environment(**more):
    settings = {"PYTHONPATH": str(ROOT), "TINYSLM_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return {k: v for k, v in os.environ.items() if k != "TINYSLM_DEBUG"} | settings | more


def start(*args, **more):
    pipe, command = subprocess.PIPE, [sys.executable, "-m", "tinyslm", *map(str, args)]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", env=environment(**more))


def process(*args, **more):
    started = start(*args, **more)
    out, err = started.communicate(timeout=120)
    return Answer(started.returncode, out, err)


def test_real_pictures_are_drawn(model):
    for name in ("curves.png", "confusion.png"):
        assert (model / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_console_that_cannot_print_chinese(command, model, monkeypatch):
    answer = process("predict", model, "坏 电影", PYTHONIOENCODING="ascii", LANG="C")
    assert answer.code == 0 and r"\u574f" in answer.out and answer.err == "", answer
    console = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(console, encoding="ascii"))
    assert command("predict", model, "坏 电影", "--json").code == 0
    sys.stdout.flush()
    assert json.loads(console.getvalue().decode("ascii"))["text"] == "坏 电影"


WARNED = """
import warnings, numpy as np, tinyslm as ts
from tinyslm import cli, device
from tinyslm.kernels.cpu._parallel import get_num_threads

def warn():
    get_num_threads()  # ours: it reads TINYSLM_NUM_THREADS
    ts.tensor(np.float32([3e38])) * 10  # NumPy's, from a line of ours
    warnings.warn("somebody else's")
    return []

device.report = warn  # asked for by `tinyslm doctor`
cli.main()
"""


@pytest.mark.parametrize("debug", [False, True])
def test_own_warnings_come_in_words_and_others_as_python_shows_them(debug):
    more = {"TINYSLM_NUM_THREADS": "abc", **({"TINYSLM_DEBUG": "1"} if debug else {})}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", WARNED, "doctor"], capture_output=True, text=True, encoding="utf-8",
        timeout=60, env=environment(**more),
    )  # fmt: skip
    told = "warning: TINYSLM_NUM_THREADS is left aside. Expected: a whole number of at least 1. Got: 'abc'"
    assert done.returncode == 0 and (done.stderr.splitlines()[0] == told) is not debug, done.stderr
    assert ("TinyslmWarning: TINYSLM" in done.stderr) is debug and done.stderr.count("left aside") == 1
    assert re.search(r"elementwise\.py:\d+: RuntimeWarning: overflow", done.stderr), done.stderr
    assert "UserWarning: somebody else's" in done.stderr and done.stderr.count("warning: ") == (not debug)


def test_warnings_are_python_s_own_again_after_a_command(command, recwarn):
    before = warnings.showwarning
    assert command("--version").code == 0
    assert warnings.showwarning is before


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_leaves(model):
    started = start("predict", model, *["a good film"] * 2000)
    started.stdout.readline()
    started.stdout.close()
    err = started.stderr.read()
    assert started.wait(60) in (0, 1) and "Traceback" not in err and "Exception" not in err
    started.stderr.close()


def read_until(terminal, words, times):
    """What a terminal showed until `words` stood there so many times, or the command ended."""
    said = b""
    while said.count(words) < times:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other side has closed
            break
        if not part:
            break
        said += part
    return said


@pytest.mark.skipif(os.name == "nt", reason="POSIX terminals and signals")
def test_the_progress_bar_and_ctrl_c_on_a_terminal_of_80_columns(command, data, tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    train = ["train", "classifier", str(data), *TINY, "--epochs", "50", "--batch-size", "1", "--dropout", "0.5"]
    out = tmp_path / "m"
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    typed = [sys.executable, "-m", "tinyslm", *train, "--out", str(out)]
    with subprocess.Popen(typed, stdin=there, stdout=there, stderr=there, env=environment(TERM="xterm")) as started:
        os.close(there)
        said = read_until(here, b"validation loss", 2)
        started.send_signal(signal.SIGINT)
        said += read_until(here, b"\0", 1)
    os.close(here)
    text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", said.decode("utf-8")).replace("\r\n", "\n")
    bars = [line.strip() for line in re.split(r"[\r\n]+", text) if re.match(r"epoch \d+/50 ", line)]
    assert bars and all(len(bar) <= 80 for bar in bars)
    assert re.search(r"loss \d\.\d{3}  accuracy [\d.]+%  [\d,]+ tokens/s  \d+:\d\d left$", bars[-1]), bars[-1]
    assert re.search(r"epoch +2  loss .* validation loss .* accuracy +[\d.]+%\n", text)
    again = quoted(["python", "-m", "tinyslm", *train, "--out", str(out), "--resume"])
    assert started.returncode == 130 and f"go on with: {again}\n" in text  # in one line, to be copied
    assert (out / "checkpoint" / "latest.json").is_file() and not (out / "config.json").exists()


@pytest.mark.parametrize(
    "losses, told",
    [([0.7, 0.5, 1.4, 1.5, 0.6], [False, False, True, False, False]), ([0.9, 0.0004, 0.0007], [False] * 3)],
)
def test_a_loss_that_jumps_is_explained(losses, told):
    from rich.console import Console

    from tinyslm.cli.train import Display, _advice

    console = Console(record=True, width=120, file=io.StringIO())
    display = Display(console, _advice("lstm", 0.0))
    found = []
    for epoch, loss in enumerate(losses, 1):
        record = {"epoch": epoch, "train_loss": loss, "train_accuracy": 0.5, "valid_loss": 0.5, "valid_accuracy": 0.5}
        display.epoch({**record, "tokens_per_second": 1})
        found.append("jumped up" in console.export_text())
    assert found == told


def test_the_advice_fits_the_model_and_its_clipping():
    from tinyslm.cli.train import _advice

    assert "--clip 1" in _advice("gru", 5.0) and "memory_vanishing" in _advice("gru", 5.0)
    assert "--clip 1" in _advice("cnn", 0.0) and "memory_vanishing" not in _advice("cnn", 0.0)
    assert _advice("lstm", 1.0) == ""
