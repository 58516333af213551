"""The checker is checked: it must pass what is right, and catch every planted mistake."""

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.check import GradientError, Report, Verdict, gradcheck, gradgradcheck
from tinyslm.errors import DTypeError, OptionError


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def softmax(x):
    return ts.softmax(x)


def softmax_backward(g, x):
    y = ts.softmax(x)
    return y * (g - (g * y).sum(-1, keepdim=True))


def check_by_hand(function, backward, *inputs, **options):
    return gradcheck(function, inputs, backward=backward, **options)


# -- what is right passes ---------------------------------------------------------------------------------------------


def test_a_right_gradient_is_right_and_says_by_how_much():
    report = gradcheck(lambda q, k: ts.softmax(q @ k.mT).tanh(), [draw(3, 2), draw(5, 2, seed=1)])
    assert report.verdict is Verdict.RIGHT and report.ok and report.raise_if_wrong() is report
    assert report.largest_error < 1e-12
    assert [e.name for e in report.entries] == ["q", "k"]
    lines = str(report).splitlines()
    assert lines[0].startswith("right: the largest error is")
    assert len(lines) == 4 and max(map(len, lines)) <= 120


def test_a_right_backward_by_hand_is_right():
    assert check_by_hand(softmax, softmax_backward, draw(3, 4)).verdict is Verdict.RIGHT


def test_numpy_gradients_from_a_hand_written_backward_are_welcome():
    assert check_by_hand(ts.sin, lambda g, x: g.numpy() * np.cos(x.numpy()), draw(3)).ok


def test_one_gradient_per_float_input_or_per_input():
    ids = np.array([0, 2, 2])
    table = draw(3, 2)

    def grads(g, w):
        out = np.zeros(w.shape)
        np.add.at(out, ids, g.numpy())
        return out

    def take(ids, w):
        return ts.embedding(ids, w)

    assert check_by_hand(take, lambda g, i, w: grads(g, w), ids, table).ok
    assert check_by_hand(take, lambda g, i, w: (None, grads(g, w)), ids, table).ok


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: x.sum(), [np.zeros((0, 3))]),
        (lambda x, y: ts.cat([x, y], 0), [np.zeros((0, 3)), draw(2, 3)]),
        (lambda x: x * x, [np.array(1.5)]),
        (lambda x: x, [draw(3)]),
        (lambda x, y: x * 2, [draw(3), draw(2)]),
        (lambda x: (x.exp(), x.sum(), ts.tensor(np.ones(2))), [draw(2, 2)]),
        (lambda x, y: x * y, [draw(2, 3).T, draw(6, 2)[::2]]),
        (lambda x: x[np.array([0, 0, 1])], [draw(3, 2)]),
        (lambda x: ts.tensor(np.ones(3)), [draw(2)]),
        (lambda x: x, [np.asfortranarray(draw(3, 2))]),
        (lambda x, ids: x[ids], [draw(3), np.array([1, 1])]),
        (lambda x: ts.softmax(x).sum(), [draw(4)]),  # constant: all that is left is rounding
        (lambda x: ts.tanh(40 + x), [np.zeros(2)]),  # saturated: exactly constant
        (lambda x: ts.softmax(x).abs().sum(), [draw(4)]),
        (lambda x: (x - x.mean()).sum(), [draw(5) * 1e6]),
        (lambda x: x.log().sum(), [np.array([1e-4, 3.0])]),
        (lambda x: x**2, [np.array([1e8, 2e8])]),
        (lambda x: (1000 * x).sin(), [draw(2)]),
    ],
)
def test_unusual_inputs_and_functions_pass(function, inputs):
    report = gradcheck(function, inputs)
    assert report.verdict is Verdict.RIGHT, str(report)


def test_the_same_tensor_in_two_slots():
    x = ts.tensor(draw(3, 3))
    assert gradcheck(lambda a, b: a @ b, [x, x]).ok
    assert not check_by_hand(lambda a, b: a @ b, lambda g, a, b: (g @ b.mT, g @ b.mT), x, x).ok


def test_large_inputs_are_sampled():
    report = gradcheck(lambda x, w: ts.relu(x @ w), [draw(40, 30), draw(30, 50)])
    assert report.ok, str(report)


def test_several_points():
    assert len(gradcheck(ts.tanh, [draw(3)], points=3).entries) == 3
    # tanh'(x) = 1 at x = 0 only
    assert check_by_hand(ts.tanh, lambda g, x: g * (1 - x), np.zeros(2)).ok
    half_right = check_by_hand(lambda x: x.exp() * x, lambda g, x: g * (1 + 2 * x.exp() * x), np.zeros(2), points=3)
    assert half_right.ok  # zeros stay zeros: choose another point
    assert not check_by_hand(ts.tanh, lambda g, x: g * (1 - x), np.full(2, 0.5), points=2).ok


# -- planted mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mistake",
    [
        lambda g, x: -softmax_backward(g, x),
        lambda g, x: softmax_backward(g, x) * 2.001 / 2,
        lambda g, x: softmax_backward(g, x) * 0,
        lambda g, x: softmax_backward(g, x).flip(0),
    ],
)
def test_mistakes_that_a_sum_would_hide(mistake):
    """With a cotangent of ones the gradient of a softmax is zero, and so are all of these."""
    x = draw(3, 4)
    ones = mistake(ts.tensor(np.ones((3, 4))), ts.tensor(x)).numpy()
    report = check_by_hand(softmax, mistake, x)
    assert report.verdict is Verdict.WRONG
    assert report.largest_error > 1e-4
    assert np.abs(ones).max() < 1e-12


def test_the_diagonal_of_a_softmax_is_not_its_derivative():
    assert not check_by_hand(softmax, lambda g, x: g * ts.softmax(x) * (1 - ts.softmax(x)), draw(3, 4)).ok


def test_wrong_says_where_and_both_numbers():
    def backward(g, x):
        out = (g * 2 * x).numpy()
        out[1, 2] *= 1.25
        return out

    report = check_by_hand(lambda x: x * x, backward, draw(3, 4))
    (entry,) = report.entries
    assert entry.index == (1, 2) and entry.given == pytest.approx(1.25 * entry.expected)
    assert str(report).startswith("wrong: x[1, 2] is ")
    with pytest.raises(GradientError, match=r"x\[1, 2\]"):
        report.raise_if_wrong()


@pytest.mark.parametrize("where", ["first", "last", "corner", "inside"])
def test_one_wrong_element_in_a_large_array(where):
    place = {"first": (0, 37), "last": (59, 51), "corner": (59, 59), "inside": (47, 53)}[where]

    def backward(g, x):
        out = (g * x.cos()).numpy()
        out[place] *= 1.01
        return out

    report = check_by_hand(ts.sin, backward, draw(60, 60))
    assert report.verdict is Verdict.WRONG
    if where != "inside":
        assert report.entries[0].index == place
    else:
        assert "along a random direction" in str(report)


def test_a_gradient_of_zero_for_a_tiny_function():
    zero = check_by_hand(lambda x: 1e-8 * x**2, lambda g, x: x * 0, draw(3))
    assert zero.verdict is Verdict.WRONG
    assert check_by_hand(lambda x: 1e-8 * x**2, lambda g, x: 2e-8 * g * x, draw(3)).ok
    offset = check_by_hand(lambda x: 1e3 + 1e-10 * x**2, lambda g, x: x * 0, draw(3))
    assert offset.verdict is Verdict.WRONG
    by_differences = check_by_hand(lambda x: 1e-8 * x**2, lambda g, x: x * 0, draw(3), analytic=False)
    assert by_differences.verdict is Verdict.WRONG


def test_a_tiny_gradient_of_one_input_is_judged_on_its_own_scale():
    def backward(g, x, y):
        return (g * ts.tensor(np.ones(3)), g * 0)

    report = check_by_hand(lambda x, y: x + 1e-9 * y, backward, draw(3), draw(3))
    assert [e.verdict for e in report.entries] == [Verdict.RIGHT, Verdict.WRONG]


def test_between_rounding_and_mistake_is_undecided():
    report = check_by_hand(ts.sin, lambda g, x: g * x.cos() * (1 + 1e-6), draw(3))
    assert report.verdict is Verdict.UNDECIDED and not report.ok
    assert str(report).startswith("undecided: ")
    with pytest.raises(GradientError):
        report.raise_if_wrong()


def test_a_reference_that_is_too_vague_never_passes_silently():
    def rough(x):
        return ts.tensor(x._data + 1e-4 * np.sin(1e9 * x._data))

    for backward in (lambda g, x: g, lambda g, x: g * 0):
        assert not check_by_hand(rough, backward, draw(3), analytic=False).ok


# -- what is wrong before any number ----------------------------------------------------------------------------------


def finding(report: Report) -> str:
    assert not report.ok and not report.entries and len(report.findings) == 1
    return report.findings[0]


def test_a_function_that_is_not_repeatable():
    rng = np.random.default_rng(0)
    assert "not repeatable" in finding(gradcheck(lambda x: x * rng.normal(), [draw(3)]))


def test_a_backward_that_is_not_repeatable():
    rng = np.random.default_rng(0)
    assert "not repeatable" in finding(check_by_hand(ts.sin, lambda g, x: g * rng.normal(), draw(3)))


def test_a_function_that_changes_its_input():
    def function(x):
        y = x * 1
        x._data[...] = 0
        return y * 0

    assert "changes its input x" in finding(gradcheck(function, [np.array([1.0, 2.0])]))


def test_nan_and_inf_in_value_and_gradient():
    assert "NaN" in finding(gradcheck(lambda x: x.log(), [np.array([-1.0])]))
    assert "NaN" in finding(check_by_hand(ts.sin, lambda g, x: g * np.nan, draw(2)))
    with np.errstate(divide="ignore"):
        assert "Inf" in finding(gradcheck(ts.sqrt, [np.array([0.0, 1.0])]))


def test_a_wrong_shape_or_number_of_gradients_or_number_type():
    assert "shape (2,), expected the input's (3, 2)" in finding(
        check_by_hand(lambda x: x * 1, lambda g, x: g.sum(0), draw(3, 2))
    )
    assert "2 gradients for 1 inputs" in finding(check_by_hand(ts.sin, lambda g, x: (g, g), draw(2)))
    assert "float32" in finding(check_by_hand(ts.sin, lambda g, x: (g * x.cos()).to("float32"), draw(2)))
    assert "float32" in finding(gradcheck(lambda x: x.to("float32"), [draw(2)]))


def test_a_backward_that_ignores_or_bends_the_cotangent():
    assert "not linear in the cotangent" in finding(check_by_hand(ts.sin, lambda g, x: x.cos(), draw(3)))
    assert "not linear in the cotangent" in finding(check_by_hand(ts.sin, lambda g, x: g * g * x.cos(), draw(3)))
    assert "B(a + b)" in finding(check_by_hand(ts.sin, lambda g, x: g.abs() * x.cos(), draw(3)))
    # Cotangents of one sign can't show that |g| is not additive; a negative factor does.
    seeds = [np.random.default_rng(s) for s in range(4)]
    found = [finding(gradcheck(ts.sum, np.ones(3), backward=lambda g, x: g.abs() + x * 0, rng=r)) for r in seeds]
    assert any("B(-1.7 a)" in text for text in found)


def test_float32_is_refused_with_the_remedy():
    with pytest.raises(DTypeError, match=r"float64\n  Got: float32; convert"):
        gradcheck(ts.sin, [draw(3).astype("float32")])


def test_options():
    with pytest.raises(OptionError):
        gradcheck(ts.sin, [draw(2)], order=3)
    with pytest.raises(OptionError, match="no second derivative"):
        gradcheck(ts.sin, [draw(2)], backward=lambda g, x: g, order=2)
    with pytest.raises(OptionError):
        gradcheck(ts.sin, [draw(2)], points=0)


# -- kinks ------------------------------------------------------------------------------------------------------------


def test_relu_at_zero_is_right_by_convention():
    report = gradcheck(ts.relu, [np.array([-1.0, 0.0, 2.0])], convention=ts.relu.kinks)
    assert report.verdict is Verdict.CONVENTION and report.ok
    assert report.entries[0].index == (1,)
    assert "between the derivatives from both sides (at x = 0 the derivative is taken as 0)" in str(report)


@pytest.mark.parametrize(("slope", "ok"), [(0.0, True), (0.5, True), (1.0, True), (-0.1, False), (1.2, False)])
def test_any_slope_between_both_sides_is_a_convention_and_no_other(slope, ok):
    def backward(g, x):
        return g * ((x > 0).numpy() + slope * (x.numpy() == 0))

    report = check_by_hand(ts.relu, backward, np.array([-1.0, 0.0, 2.0]))
    assert report.verdict is (Verdict.CONVENTION if ok else Verdict.WRONG)


def test_a_mistake_beside_a_kink_is_still_a_mistake():
    assert not check_by_hand(ts.relu, lambda g, x: g * (x.numpy() > 3), np.array([0.0, 2.0])).ok


def test_ties_of_a_maximum_are_conventions():
    report = gradcheck(lambda x: x.max(), [np.array([2.0, 2.0, 1.0])])
    assert report.verdict is Verdict.CONVENTION


def test_kinks_in_a_large_array():
    x = draw(50, 60)
    x[::7, ::5] = 0
    report = gradcheck(ts.relu, [x])
    assert report.verdict is Verdict.CONVENTION, str(report)
    assert not check_by_hand(ts.relu, lambda g, x: g * np.where(x.numpy() == 0, -1.0, x.numpy() > 0), x).ok
    assert gradcheck(lambda x: ts.where(x > 0, x, 0.3 * x), [x]).verdict is Verdict.CONVENTION


# -- second order -----------------------------------------------------------------------------------------------------


def test_second_order():
    report = gradgradcheck(lambda x, w: ts.softmax(x @ w).tanh(), [draw(2, 3), draw(3, 2)])
    assert report.verdict is Verdict.RIGHT
    assert [(e.name, e.order) for e in report.entries] == [("x", 1), ("w", 1), ("g", 2), ("x", 2), ("w", 2)]


def test_second_order_of_several_results_and_integer_inputs():
    ids = np.array([0, 1, 1])
    report = gradgradcheck(lambda w, ids: (ts.embedding(ids, w).exp(), w.sum()), [draw(2, 2), ids])
    assert report.verdict is Verdict.RIGHT
    assert [e.name for e in report.entries if e.order == 2] == ["g0", "g1", "w"]


def test_a_rule_with_a_right_first_and_a_wrong_second_derivative():
    @ts.op(r"y = x^3")
    def cube_for_this_test(xp, x):
        return x**3

    @cube_for_this_test.vjp
    def rule(g, y, x):
        return g * ts.tensor(3 * x._data**2)  # right numbers, but cut from the graph

    try:
        assert gradcheck(cube_for_this_test, [draw(3)], analytic=False).ok
        report = gradgradcheck(cube_for_this_test, [draw(3)], analytic=False)
        assert report.verdict is Verdict.WRONG
        assert max(report.entries, key=lambda e: e.error).order == 2
    finally:
        del ts.Op.registry["cube_for_this_test"]


def test_verdicts_rank_from_right_to_wrong():
    assert [v.severity for v in (Verdict.RIGHT, Verdict.CONVENTION, Verdict.UNDECIDED, Verdict.WRONG)] == [0, 1, 2, 3]
    assert str(Verdict.CONVENTION) == "right by convention" == Verdict.CONVENTION


def test_what_is_no_function_or_returns_nothing_is_refused():
    with pytest.raises(OptionError, match=r"nothing to call(.|\n)*Got: 'f'"):
        gradcheck("f", [np.ones(2)])
    with pytest.raises(OptionError, match="the function returned None"):
        gradcheck(lambda x: None, [np.ones(2)])
