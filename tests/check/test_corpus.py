"""The corpus is consistent (right files are right, mistakes are mistakes), and the mistake finder meets its targets."""

import os
from collections import Counter

import numpy as np
import pytest
from corpus import harness as hn
from corpus.mistakes import DOUBLES, MISTAKES
from corpus.outcome import totals
from corpus.run import cases, run, table

RIGHT = hn.right_files()


def _at(text, seed=0):
    space = hn.load(text)
    p = hn.point(space, seed)
    return space, p, hn.cotangent(space, p, seed)


def _worst(got, want):
    return max(hn.error(got["d" + k], v) for k, v in want.items())


def _between(space, p, g, got):
    """Whether every gradient lies between the two one-sided slopes."""
    for key, (low, high) in hn.one_sided(space, p, g).items():
        slack = 1e-6 * max(np.abs(low).max(), np.abs(high).max())
        if not ((got["d" + key] >= low - slack) & (got["d" + key] <= high + slack)).all():
            return False
    return True


@pytest.mark.parametrize("name", RIGHT)
def test_right_files_are_right(name):
    space, p, g = _at(RIGHT[name])
    got = hn.gradients(space, p, g)
    assert {"d" + k for k in hn.float_inputs(p)} <= set(got)
    if name in hn.KINKED:
        assert _between(space, p, g, got)
    else:
        assert _worst(got, hn.differences(space, p, g)) < 1e-7


@pytest.mark.parametrize("name", RIGHT)
def test_gradients_of_intermediates_are_right(name):
    space, p, g = _at(RIGHT[name])
    got = hn.gradients(space, p, g)
    names = [k for k in hn.run_forward(space, hn.copied(p)) if "d" + k in got and k not in p]
    if not names or name in hn.KINKED:
        pytest.skip("gives gradients of its inputs only, or stands on a kink")
    assert _worst(got, hn.intermediate_differences(RIGHT[name], p, g, names)) < 1e-7


def test_the_corpus_is_large_enough():
    per_class = Counter(m.klass for m in MISTAKES)
    assert len(RIGHT) >= 40 and len(MISTAKES) >= 120 and len(DOUBLES) >= 10
    assert all(per_class[k] >= 4 for k in range(1, 23))
    assert len({m.name for m in MISTAKES}) == len(MISTAKES)
    assert len({m.base for m in MISTAKES}) >= 16


@pytest.mark.parametrize("item", [*MISTAKES, *DOUBLES], ids=lambda m: m.name)
def test_every_mistake_has_its_lines(item):
    text = item.text()
    assert text != RIGHT[item.base]
    assert item.lines() and max(item.lines()) <= len(text.splitlines())


def _head(text):
    """Everything before the backward pass."""
    return text[: text.index("def backward")]


def _wanted(item, text, space, p, g):
    """The true gradient: the right file's where only the backward differs, else differences of the changed forward."""
    if _head(text) == _head(RIGHT[item.base]):
        return {k: v for k, v in hn.gradients(hn.load(RIGHT[item.base]), p, g).items() if k[1:] in hn.float_inputs(p)}
    return {"d" + k: v for k, v in hn.differences(space, p, g).items()}


def _changed(item):
    text = item.text()
    space, p, g = _at(text)
    with np.errstate(all="ignore"):
        got = hn.gradients(space, p, g)
        want = _wanted(item, text, space, p, g)
        return max(hn.error(got[k], v) for k, v in want.items() if k in got)


PLAIN = [m for m in MISTAKES if m.expect == "wrong" and not m.name.endswith("in_the_cache")]


@pytest.mark.parametrize("item", [*PLAIN, *DOUBLES], ids=lambda m: m.name)
def test_every_mistake_changes_the_gradient(item):
    assert _changed(item) > 1e-3


@pytest.mark.parametrize("item", [m for m in MISTAKES if m.klass == 16], ids=lambda m: m.name)
def test_conventions_differ_but_lie_between_the_slopes(item):
    space, p, g = _at(item.text())
    assert _changed(item) > 1e-3
    assert _between(space, p, g, hn.gradients(space, p, g))


@pytest.mark.parametrize("item", [m for m in MISTAKES if m.klass == 20], ids=lambda m: m.name)
def test_numerics_are_right_algebra_that_breaks(item):
    """Either not finite, or off by rounding that float64 does not have."""
    with np.errstate(all="ignore"):
        worst = _changed(item)
    assert worst == float("inf") or 1e-9 < worst < 1e-3 or item.name.endswith("log_of_zero")


@pytest.mark.parametrize("item", [m for m in MISTAKES if m.klass == 21], ids=lambda m: m.name)
def test_random_files_differ_from_run_to_run(item):
    space, p, g = _at(item.text())
    first, *others = [hn.gradients(space, p, g) for _ in range(6)]
    y, *more = [hn.output(hn.run_forward(space, hn.copied(p))) for _ in range(12)]  # two alone may agree by chance
    differs = any(hn.error(other[k], first[k]) > 1e-3 for other in others for k in first)
    assert differs or any(hn.error(other, y) > 1e-3 for other in more)


@pytest.mark.parametrize("item", [m for m in MISTAKES if m.klass == 22], ids=lambda m: m.name)
def test_layouts_are_the_right_gradient_transposed(item):
    space, p, g = _at(item.text())
    want = hn.gradients(hn.load(RIGHT[item.base]), p, g)
    assert all(np.array_equal(v, want[k].T) for k, v in hn.gradients(space, p, g).items())


def test_a_second_backward_call_differs_where_the_cache_is_overwritten():
    item = next(m for m in MISTAKES if m.name.endswith("in_the_cache"))
    space, p, g = _at(item.text())
    cache = hn.run_forward(space, p)
    first, second = (space["backward"](p, cache, g) for _ in range(2))
    assert hn.error(second["dE"], first["dE"]) > 1e-3


def _sample():
    """Every right file and every fourth mistake; TINYSLM_CORPUS=all, and corpus/run.py in CI, take the whole corpus."""
    every = cases()
    if os.environ.get("TINYSLM_CORPUS") == "all":
        return every
    return [c for c in every if c[2] is None] + [c for c in every if c[2] is not None][::4]


def test_the_sample_holds_every_class():
    assert {item.klass for _, _, item in _sample() if item} == set(range(23))


@pytest.fixture(scope="module")
def outcomes():
    """The sample, judged in this process."""
    return list(run(_sample()))


def test_no_right_derivation_is_accused(outcomes):
    assert totals(outcomes).accused == 0, table(outcomes)


def test_every_mistake_is_detected(outcomes):
    assert [o.name for o in outcomes if not o.detected and o.expect != "right"] == []


def test_hardly_any_is_left_undecided(outcomes):
    t = totals(outcomes)
    assert t.undecided <= 0.02 * (t.right + t.wrong), table(outcomes)


def test_the_right_line_is_named(outcomes):
    """Undecided ones and those without a line count as missed."""
    t = totals(outcomes)
    assert t.named >= 0.9 * t.located, table(outcomes)


def test_the_right_line_stands_alone(outcomes):
    """Exactly one line is reported, and it is the right one."""
    t = totals(outcomes)
    assert t.alone >= 0.7 * t.located, table(outcomes)
