"""The switch for tensor cores: names, blocks, errors."""

import pytest
from tinyslm.kernels.cuda import _launch
from typer.testing import CliRunner

import tinyslm as ts
from tinyslm import precision
from tinyslm.cli.main import app
from tinyslm.errors import OptionError


def test_for_a_block_and_for_good():
    assert precision.current() == "highest"
    with ts.matmul_precision("high"):
        assert precision.current() == "high"
        with ts.matmul_precision("medium"):
            assert precision.current() == "medium"
        assert precision.current() == "high"
    assert precision.current() == "highest"
    ts.matmul_precision("medium")
    try:
        assert precision.current() == "medium"
    finally:
        ts.matmul_precision("highest")


def test_a_name_that_is_none_changes_nothing():
    with pytest.raises(OptionError, match="expected one of highest, high, medium. Got 'low'"):
        ts.matmul_precision("low")
    assert precision.current() == "highest"


def test_the_command_names_its_option():
    done = CliRunner().invoke(app, ["train", "classifier", "--precision", "bf16"])
    assert isinstance(done.exception, OptionError)
    assert str(done.exception) == "--precision: expected one of highest, high, medium; got 'bf16'"
    assert precision.current() == "highest"


@pytest.mark.parametrize(("architecture", "words"), [(90, "sm_90, 132 processors, tensor cores"), (75, "no TF32")])
def test_a_gpu_in_words(monkeypatch, architecture, words):
    gpu = _launch.Gpu(None, None, 0, 132, architecture=architecture, name="A GPU")
    monkeypatch.setattr(_launch._Chosen, "gpu", gpu)
    assert precision.describe_gpu().startswith("A GPU, sm_") and words in precision.describe_gpu()


def test_the_cpu_is_not_touched():
    with ts.use("numpy"):
        q = ts.tensor([[0.1, 0.7], [0.3, 0.9]])
        plain = ts.attention(q, q, q).numpy()
        with ts.matmul_precision("medium"):
            assert (ts.attention(q, q, q).numpy() == plain).all()


def test_a_choice_made_earlier_comes_back_in_a_block():
    chosen = ts.matmul_precision("high")
    ts.matmul_precision("medium")
    try:
        with chosen:
            assert precision.current() == "high"
        assert precision.current() == "medium"
    finally:
        ts.matmul_precision("highest")
