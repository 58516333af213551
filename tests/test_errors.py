"""Names that were nearly right are told, whatever was given in their place; whole numbers are recognised."""

import numpy as np
import pytest
from tinyslm.kernels.cpu import _parallel

import tinyslm as ts
from tinyslm.errors import OptionError, TinyslmWarning, did_you_mean, is_number, nearest, require_whole


@pytest.mark.parametrize(
    "given, told",
    [
        ("LSTM", " Did you mean lstm?"),
        ("grux", " Did you mean gru?"),
        ("zebra", ""),
        (3, ""),
        (None, ""),
        (["gru"], ""),
    ],
)
def test_a_name_is_compared_whatever_it_is(given, told):
    assert did_you_mean(given, ["lstm", "gru", "cnn"]) == told


def test_case_and_dashes_do_not_count_and_the_nearest_stands_first():
    assert nearest("Layer-Norm", ["norm", "layer_norm", "words"])[0] == "layer_norm"


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_of_any_kind_becomes_an_int(value):
    number = require_whole(value, "size", 3)
    assert type(number) is int and number == 3


@pytest.mark.parametrize(
    "value", [True, np.True_, 3.0, np.float64(3), np.array(3), ts.tensor(3), [3], "3", None, float("nan")], ids=repr
)
def test_what_is_no_whole_number_is_refused(value):
    for least in (None, 0):
        with pytest.raises(OptionError, match="whole number"):
            require_whole(value, "size", least)


def test_the_message_names_the_argument_its_owner_and_the_least():
    assert require_whole(-(10**30), "seed") == -(10**30)
    for arguments, message in {
        (1.5, "size"): "Expected size as a whole number. Got 1.5.",
        (0, "size", 1): "Expected size as a whole number of at least 1. Got 0.",
        (None, "seed", None, "dropout"): "dropout: expected seed as a whole number, got None",
        (-1, "padding", 0, "conv1d"): "conv1d: expected padding as a whole number of at least 0, got -1",
    }.items():
        with pytest.raises(OptionError) as error:
            require_whole(*arguments)
        assert str(error.value) == message


def test_numbers_come_from_python_and_numpy_and_are_no_tensors():
    assert all(map(is_number, (1, 0.5, np.float32(2), np.int64(3), np.array(0.1), float("nan"))))
    others = (True, np.True_, "1", None, 1j, np.ones(1), np.array("1"), ts.tensor(0.5), ts.tensor(1))
    assert not any(map(is_number, others))


def test_a_warning_names_the_line_of_the_caller(monkeypatch):
    monkeypatch.setenv("TINYSLM_NUM_THREADS", "many")
    monkeypatch.setattr(_parallel, "_threads", None)
    monkeypatch.setattr(_parallel, "_refused", set())
    with pytest.warns(TinyslmWarning, match="NUM_THREADS is left aside") as told:
        ts.softmax(np.ones((1024, 1024), np.float32))
    assert [w.filename for w in told] == [__file__]


def test_the_number_of_threads_is_set_from_outside(monkeypatch):
    monkeypatch.setattr(_parallel, "_threads", None)
    ts.set_num_threads(3)
    assert ts.get_num_threads() == _parallel.get_num_threads() == 3
