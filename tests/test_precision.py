"""The switch for tensor cores: names, blocks, errors."""

import pytest

import tinyslm as ts
from tinyslm import precision
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


def test_the_cpu_is_not_touched():
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
