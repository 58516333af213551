"""The held-out files are what they claim to be; nothing of the mistake finder is run here."""

from collections import Counter

import numpy as np
import pytest

from corpus import harness as hn
from corpus.held_out.planted import DOUBLES, MISTAKES, held_out_right

RIGHT = held_out_right()
SMOOTH = [name for name in RIGHT if name != "relu_grid"]


def _error(text, seed=0):
    """The largest error of the learner's gradients against differences, in double precision."""
    space = hn.load(text)
    p = {k: v.astype(float) if getattr(v, "dtype", None) == np.float32 else v for k, v in hn.point(space, seed).items()}
    g = hn.cotangent(space, p, seed)
    got = hn.gradients(space, p, g)
    return max(hn.error(got["d" + k], v) for k, v in hn.differences(space, p, g).items())


def test_every_class_is_there():
    per_class = Counter(m.klass for m in MISTAKES)
    assert all(per_class[k] >= 4 for k in range(1, 23))
    assert len(RIGHT) >= 20 and len(MISTAKES) >= 80 and len(DOUBLES) >= 10


@pytest.mark.parametrize("name", SMOOTH)
def test_right_files_are_right(name):
    assert _error(RIGHT[name]) < 1e-6


@pytest.mark.parametrize("item", [*MISTAKES, *DOUBLES], ids=lambda m: m.name)
def test_every_mistake_has_its_lines(item):
    assert item.text() != RIGHT[item.base]
    assert item.lines()


@pytest.mark.parametrize("item", [m for m in (*MISTAKES, *DOUBLES) if m.expect == "wrong"], ids=lambda m: m.name)
def test_every_mistake_is_one(item):
    assert _error(item.text()) > 1e-4


@pytest.mark.parametrize("item", [m for m in MISTAKES if m.klass == 16], ids=lambda m: m.name)
def test_conventions_lie_between_the_slopes(item):
    space = hn.load(item.text())
    p = hn.point(space, 0)
    g = hn.cotangent(space, p, 0)
    got = hn.gradients(space, p, g)
    for key, (low, high) in hn.one_sided(space, p, g).items():
        assert ((got["d" + key] >= low - 1e-5) & (got["d" + key] <= high + 1e-5)).all()
