"""Names that were nearly right are told, whatever was given in their place."""

import pytest

from tinyslm.errors import did_you_mean, nearest


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
