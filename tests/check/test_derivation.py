"""The checker of derivations: what holds passes, what does not is found at the right place and said in words."""

import math

import numpy as np
import pytest

from tinyslm.check import Derivation, DerivationError, LinkVerdict
from tinyslm.check.digits import PI, Exact, erf, relative_error
from tinyslm.check.domains import (
    between,
    integers,
    mask,
    one_hot,
    parse_setting,
    positive,
    positive_definite,
    real,
    simplex,
    size_of,
    special_settings,
    unit_norm,
)
from tinyslm.check.steps import StepError
from tinyslm.errors import BackendError, OptionError

HOLDS, SPECIAL, APPROXIMATE = LinkVerdict.HOLDS, LinkVerdict.SPECIAL, LinkVerdict.APPROXIMATE
UNDECIDED, REFUTED = LinkVerdict.UNDECIDED, LinkVerdict.REFUTED


def chain(first, second, how="equal", options=None, **inputs):
    """A derivation of two steps, checked; the line of the second."""
    d = Derivation("chain", **inputs)
    d.start("a")(named(first, "first"))
    getattr(d, how)("b", **(options or {}))(named(second, "second"))
    return d.check().line("second")


def named(function, name):
    if isinstance(function, np.ufunc):
        return named(lambda x: function(x), name)
    function.__name__ = name
    return function


def verdict(first, second, how="equal", options=None, **inputs):
    return chain(first, second, how, options, **inputs).verdict


# -- equality ---------------------------------------------------------------------------------------------------------


def test_equal_steps_hold_up_to_rounding():
    line = chain(lambda x: np.log(np.exp(x).sum()), lambda x: x.max() + np.log(np.exp(x - x.max()).sum()), x=real("n"))
    assert line.verdict is HOLDS and line.outcome.error < 1e-13


def test_the_tolerance_follows_the_condition():
    def small_difference(x):
        return (1 + 1e-9 * x) - 1

    # seven digits are lost in the first form; that is rounding, not a mistake
    assert verdict(small_difference, lambda x: 1e-9 * x, x=real("n")) in (HOLDS, UNDECIDED)
    assert verdict(lambda x: x**20, lambda x: np.exp(20 * np.log(x)), x=positive("n")) is HOLDS
    assert verdict(lambda x: x, lambda x: x * (1 + 1e-9), x=real("n")) is APPROXIMATE


def test_exact_zeros_are_compared():
    assert verdict(lambda x: (x - x.mean()).sum(), lambda: np.zeros(()), x=real("n")) is HOLDS


def test_a_wrong_step_comes_with_sizes_inputs_and_element():
    line = chain(
        lambda a, b: a @ b,
        lambda a, b: a @ b + (np.arange(b.shape[1]) == b.shape[1] - 1),
        a=real("n", "k"),
        b=real("k", "m"),
    )
    assert line.verdict is REFUTED
    text = line.outcome.counterexample
    assert (
        "sizes n = 2, k = 3, m = 5" in text and "a = [[" in text and "result[" in text and ", 4]: first gives" in text
    )


def test_only_approximately_says_how_far():
    line = chain(np.sin, lambda x: x - x**3 / 6, x=between(0.0, 0.5, "n"))
    assert line.verdict is APPROXIMATE and "off by up to" in line.outcome.note and line.outcome.error < 1e-3
    assert verdict(np.sin, lambda x: x - x**3 / 6, options={"within": 1e-2}, x=between(0.0, 0.5, "n")) is HOLDS
    assert verdict(np.sin, lambda x: x, options={"within": 1e-4}, x=between(0.0, 0.5, "n")) is not HOLDS


def test_results_may_be_tuples():
    assert verdict(lambda x: (x, x.sum()), lambda x: (x, x.sum()), x=real("n")) is HOLDS
    line = chain(lambda x: (x, x.sum()), lambda x: (x, -x.sum()), options={"labels": ("rows", "total")}, x=real("n"))
    assert line.verdict is REFUTED and "total: first gives" in line.outcome.note
    assert verdict(lambda x: (x, x), lambda x: x, x=real("n")) is REFUTED


def test_nan_in_the_later_step_refutes_and_in_the_earlier_decides_nothing():
    assert verdict(lambda x: x, lambda x: np.sqrt(x) ** 2, x=real("n")) is REFUTED
    assert verdict(lambda x: np.sqrt(x) ** 2, lambda x: x, x=real("n")) is UNDECIDED
    assert verdict(lambda x: np.sqrt(x) ** 2, lambda x: x, x=positive("n")) is HOLDS


# -- special sizes ----------------------------------------------------------------------------------------------------


def test_a_link_that_needs_t_equal_d_is_recognised():
    line = chain(lambda x, w: x @ w, lambda x, w: x.T @ w, x=real("T", "d"), w=real("d", "d"))
    assert line.outcome.settings == ("T = 1, d = 1",)  # a square x and its transpose differ
    line = chain(lambda x: x.sum() / x.shape[0], lambda x: x.sum() / x.shape[1], x=real("T", "d"))
    assert line.verdict is SPECIAL and line.outcome.settings == ("T = d",)
    assert line.outcome.note == "holds only for T = d" and "sizes T = 2, d = 3" in line.outcome.counterexample


def test_a_link_that_needs_one_sample_is_recognised():
    line = chain(lambda g: g.sum(0), lambda g: g[0], x=real("T"), g=real("B", "D"))
    assert line.verdict is SPECIAL and line.outcome.settings == ("B = 1",)


def test_a_link_that_needs_two_settings_at_once_is_recognised():
    line = chain(lambda x: x.sum() / x.shape[0], lambda x: x[0].sum() / x.shape[1], x=real("T", "d", "B"))
    assert line.verdict is SPECIAL
    line = chain(lambda x: x.sum((0, 2)) / x.shape[1], lambda x: x[0, :, 0] / x.shape[3], x=real("B", "T", "N", "d"))
    assert line.verdict is REFUTED  # three settings would be needed


def test_shapes_that_fit_only_at_special_sizes():
    line = chain(lambda a, v: a @ v, lambda a, v: a * v, a=real("n", "m"), v=real("m", "k"))
    assert line.outcome.settings == ("m = 1",) and "broadcast" in line.outcome.counterexample
    line = chain(lambda w: w, lambda w: w[:, :1], w=real("d", "k"))
    assert line.outcome.settings == ("k = 1",)


def test_a_gradient_that_holds_for_special_sizes():
    options = {"wrt": "x"}
    line = chain(lambda x: x.mean(0).sum(), lambda x: np.ones_like(x), "gradient", options, x=real("B", "D"))
    assert line.verdict is SPECIAL and line.outcome.settings == ("B = 1",)


def test_both_sides_zero_is_no_evidence():
    def softmax(x):
        return np.exp(x) / np.exp(x).sum()

    line = chain(lambda x, g: g @ softmax(x), lambda x, g: g * softmax(x) * (1 - softmax(x)), "gradient", {"wrt": "x"},
                 x=real("n"), g=real("n"))  # fmt: skip
    assert line.verdict is REFUTED  # for n = 1 both are 0


def test_a_claim_for_given_sizes_is_checked_under_these_only():
    inputs = {"x": real("T", "d")}
    first, second = (lambda x: x.sum() / x.shape[0]), (lambda x: x.sum() / x.shape[1])
    assert verdict(first, second, options={"given": "T = d"}, **inputs) is HOLDS
    assert verdict(first, second, options={"given": "T = 1"}, **inputs) is REFUTED
    assert "given T = d" in chain(first, second, options={"given": "T = d"}, **inputs).claim


# -- gradients --------------------------------------------------------------------------------------------------------


def test_gradients_and_jacobians():
    inputs = {"x": real("n"), "a": positive_definite("n", "n")}
    assert verdict(lambda x, a: x @ a @ x, lambda x, a: 2 * a @ x, "gradient", {"wrt": "x"}, **inputs) is HOLDS
    assert verdict(lambda x, a: a @ x, lambda x, a: a, "gradient", {"wrt": "x"}, **inputs) is HOLDS
    line = chain(lambda x, a: x @ a @ x, lambda x, a: a @ x, "gradient", {"wrt": "x"}, **inputs)
    assert line.verdict is REFUTED and "the gradient of x" in line.outcome.note and "numerically" in line.outcome.note


def test_gradients_with_respect_to_several_inputs_name_the_wrong_one():
    def product(x, w):
        return (x @ w).sum()

    def right(x, w):
        return np.ones((len(x), w.shape[1])) @ w.T, x.T @ np.ones((len(x), w.shape[1]))

    def wrong(x, w):
        dx, dw = right(x, w)
        return dx, -dw

    inputs = {"x": real("B", "D"), "w": real("D", "H")}
    assert verdict(product, right, "gradient", {"wrt": ("x", "w")}, **inputs) is HOLDS
    assert "the gradient of w" in chain(product, wrong, "gradient", {"wrt": ("x", "w")}, **inputs).outcome.note
    assert verdict(product, lambda x, w: right(x, w)[0], "gradient", {"wrt": ("x", "w")}, **inputs) is REFUTED


def test_a_gradient_at_a_kink_is_right_by_convention():
    assert verdict(lambda x: np.abs(x).sum(), np.sign, "gradient", {"wrt": "x"}, x=real("n")) is HOLDS


# -- inequalities, limits ---------------------------------------------------------------------------------------------


def test_inequalities():
    x = real("n")
    assert verdict(lambda x: x**2 / 2, lambda x: np.cosh(x), "at_most", x=x) is HOLDS
    assert verdict(lambda x: np.exp(x), lambda x: 1 + x, "at_least", x=x) is HOLDS
    line = chain(lambda x: np.exp(x), lambda x: 1 + x + x**2 / 2, "at_most", x=x)
    assert line.verdict is REFUTED and "x = [" in line.outcome.counterexample


def test_limits():
    def compound(x, n):
        return (1 + x / n) ** n

    options = {"parameter": "n", "to": math.inf}
    inputs = {"x": between(0, 1, "k"), "n": positive()}
    assert verdict(compound, np.exp, "limit", options, **inputs) is HOLDS
    assert verdict(compound, lambda x: np.exp(x) * 1.001, "limit", options, **inputs) is REFUTED
    slow = verdict(lambda x, n: x + 1 / np.log(n + 2), lambda x: x, "limit", options, **inputs)
    assert slow is UNDECIDED
    quotient = {"parameter": "n", "to": 0.0}
    assert verdict(lambda x, n: np.expm1(n * x) / n, lambda x: x, "limit", quotient, **inputs) is HOLDS
    assert verdict(lambda x, n: np.expm1(n * x) / n, lambda x: 2 * x, "limit", quotient, **inputs) is REFUTED
    assert verdict(lambda x, n: x + n, lambda x: x[:1], "limit", quotient, **inputs) is REFUTED


# -- expectations -----------------------------------------------------------------------------------------------------


def scores(statistic, claim, **options):
    """A claim about a sum of n products of standard normal numbers."""
    d = Derivation("scores", x=real("n"))

    @d.sample("q k")
    def drawn(x, rng, draws):
        return (rng.normal(size=(draws, len(x))) * rng.normal(size=(draws, len(x)))).sum(1)

    getattr(d, statistic)("claim", **options)(named(claim, "claim"))
    return d.check().line("claim")


def test_the_variance_of_a_score_is_its_size():
    assert scores("variance", lambda x: np.array(float(len(x)))).verdict is HOLDS
    assert scores("mean", lambda: np.zeros(())).verdict is HOLDS


@pytest.mark.parametrize(
    ("statistic", "claim"),
    [
        ("variance", lambda x: np.array(math.sqrt(len(x)))),
        ("variance", lambda x: np.array(2.0 * len(x))),
        ("mean", lambda: np.array(0.2)),
        ("mean", lambda x: np.zeros(len(x))),
    ],
)
def test_false_expectations_are_refuted(statistic, claim):
    line = scores(statistic, claim)
    assert line.verdict is REFUTED
    assert "standard errors off" in line.outcome.note or "shapes differ" in line.outcome.note


def test_dropout_without_its_factor_is_biased():
    d = Derivation("dropout", x=real("n"), p=between(0, 1))

    @d.sample("m x")
    def drawn(x, p, rng, draws):
        return x * (rng.random((draws, len(x))) >= p)

    @d.mean("x")
    def unbiased(x):
        return x

    @d.mean("(1 - p) x")
    def biased(x, p):
        return (1 - p) * x

    report = d.check()
    assert report.failures == ["unbiased"] and not report.ok


def test_too_few_draws_decide_nothing():
    rare = Derivation("rare", x=real())

    @rare.sample("X")
    def drawn(x, rng, draws):
        return (rng.random(draws) < 0.02) * 50.0

    rare.mean("1", draws=100)(named(lambda: np.array(1.0), "one"))
    assert rare.check().line("one").verdict is UNDECIDED


def test_the_stated_error_probability_sets_the_bound():
    note = scores("mean", lambda: np.zeros(()), error_probability=1e-9).outcome.note
    assert "of 6.3 standard errors" in note and "error probability 1e-09" in note


# -- fifty digits -----------------------------------------------------------------------------------------------------


def test_single_numbers_are_compared_with_fifty_digits():
    def logistic(x):
        return 1 / (1 + np.exp(-x))

    assert "50 digits" in chain(logistic, lambda x: (1 + np.tanh(x / 2)) / 2, x=real()).outcome.note
    off = chain(logistic, lambda x: (1 + np.tanh(x / 2)) / 2 + 1e-14 * x, x=real())
    assert off.verdict is APPROXIMATE and "with 50 digits" in off.outcome.note
    slope = chain(logistic, lambda x: logistic(x) * (1 - logistic(x)), "gradient", {"wrt": "x"}, x=real())
    assert "with 50 digits, too" in slope.outcome.note
    assert "float64 only" in chain(logistic, lambda x: logistic(float(x)), x=real()).outcome.note


def test_exact_numbers():
    x = Exact(2)
    assert relative_error(x.sqrt() * x.sqrt(), 2) < 1e-60
    assert relative_error(np.exp(np.log(Exact(0.1))), Exact(0.1)) < 1e-60
    assert relative_error(np.tanh(Exact(0.5)), np.expm1(Exact(1)) / (np.exp(Exact(1)) + 1)) < 1e-60
    assert relative_error(np.log1p(Exact(0.25)), np.log(Exact(1.25))) < 1e-60
    assert abs(float(str(erf(Exact(0.5)))) - math.erf(0.5)) < 1e-15
    assert abs(float(PI) - math.pi) == 0 and erf(0.5) == math.erf(0.5)
    assert abs(-x) == 2 and 3 - x == 1 and 1 / x == Exact(0.5) and x**3 == 8 and 2**x == 4 and x > 1 and x <= 2
    assert relative_error(0 - -x.sqrt(), x.sqrt()) == 0
    with pytest.raises(TypeError):
        math.erf(x)


# -- domains ----------------------------------------------------------------------------------------------------------


def test_domains_draw_what_they_say():
    rng, sizes = np.random.default_rng(0), {"n": 5, "m": 3}
    assert np.allclose(simplex("m", "n").draw(rng, sizes).sum(-1), 1) and simplex("n").draw(rng, sizes).min() > 0
    assert np.allclose(np.linalg.norm(unit_norm("m", "n").draw(rng, sizes), axis=-1), 1)
    assert np.linalg.eigvalsh(positive_definite("n", "n").draw(rng, sizes)).min() > 0
    assert sorted(one_hot("n").draw(rng, sizes)) == [0, 0, 0, 0, 1]
    assert positive("n").draw(rng, sizes).min() > 0 and mask("m", "n").draw(rng, sizes).any(-1).all()
    drawn = integers("n", 200, low=1).draw(rng, sizes)
    assert drawn.min() == 1 and drawn.max() == 4 and integers("n").letters == ["n"]
    assert between(0, 1, 50).draw(rng, sizes).min() > 0 and real("2*n", "m+1").draw(rng, sizes).shape == (10, 4)


def test_sizes():
    assert size_of("4*H+1", {"H": 3}) == 13
    assert {"T": "d"} in special_settings("Td") and {"T": 1} in special_settings("Td")
    assert parse_setting("T = d, B = 1", "TdB") == {"T": "d", "B": 1}


# -- the report and wrong use -----------------------------------------------------------------------------------------


def example():
    d = Derivation("example", "An example", source="here", x=real("n"))
    d.start("a_1")(named(lambda x: x.sum(), "one"))
    d.equal("a_2")(named(lambda x: x.mean() * len(x), "two"))
    d.equal("a_3")(named(lambda x: x.mean(), "three"))
    d.equal("a_4", of="one", expect=SPECIAL)(named(lambda x: x[0], "four"))
    return d


def test_the_report_names_the_first_link_that_fails():
    report = example().check()
    assert report.first_failure.step.name == "three" and report.first_failure.number == 3
    assert not report.ok and not report.holds and report.failures == ["three", "four"]
    text = str(report)
    assert text.startswith("example: the first step that does not follow is 3 of 4 (three): only for special sizes")
    assert "holds only for n = 1" in text and "sizes n = 2" in text and "(as it should be)" in text
    with pytest.raises(DerivationError, match="three"):
        report.raise_if_wrong()
    mended = example().replaced("three", lambda x: x.sum()).check()
    assert mended.ok and mended.raise_if_wrong() is mended and mended.failures == ["four"]


def test_a_link_that_fares_better_than_expected_is_not_as_it_should_be():
    report = example().replaced("four", lambda x: x.sum()).check("four")
    assert not report.ok and "expected: only for special sizes" in str(report)


def test_single_links_can_be_checked_and_seeds_give_other_points():
    report = example().check("two")
    assert report.tested == 1 and report.ok
    assert example().check(seed=5).failures == example().check().failures
    assert str(example().check()) == str(example().check())


def test_exports_mark_each_line():
    report = example().check()
    page = report.markdown()
    assert page.count("$$a_") == 4 and "**checked**" in page and "**only for special sizes**" in page
    formulas = report.latex()
    assert formulas.count("&a_") == 4 and r"\begin{align*}" in formulas and "checked" in formulas
    assert r"\text{(3) equals two: only for special sizes}" in formulas


def test_names_with_underscores_survive_latex():
    d = Derivation("example", x=real("n"))
    d.start("a")(named(lambda x: x, "my_start"))
    d.equal("b")(named(lambda x: x, "next_one"))
    assert r"equals my\_start" in d.check().latex()


def test_wrong_use_is_explained():
    with pytest.raises(OptionError, match="expected a domain"):
        Derivation("bad", x=3)
    d = Derivation("bad", x=real("n"), beta=positive())
    with pytest.raises(OptionError, match="first step has nothing before it"):
        d.equal("b")(lambda x: x)
    with pytest.raises(OptionError, match="its argument 'y' is no input"):
        d.start("a")(lambda y: y)
    d.start("a")(named(lambda x: x, "first"))
    with pytest.raises(OptionError, match="two steps are called 'first'"):
        d.equal("a")(named(lambda x: x, "first"))
    with pytest.raises(OptionError, match="no step 'nowhere'"):
        d.equal("a", of="nowhere")(named(lambda x: x, "second"))
    with pytest.raises(OptionError, match="wrt='q' is no input"):
        d.gradient("a", wrt="q")
    with pytest.raises(OptionError, match="expected a single number"):
        d.limit("a", "x", 0.0)
    with pytest.raises(OptionError, match="needs a random step"):
        d.mean("a")(named(lambda x: x, "second"))
    with pytest.raises(OptionError, match="given='T = d'"):
        chain(lambda x: x, lambda x: x, options={"given": "T = d"}, x=real("n"))
    with pytest.raises(OptionError, match="two equal last dimensions"):
        positive_definite("n", "m").draw(np.random.default_rng(0), {"n": 2, "m": 3})


def test_a_random_step_can_only_be_averaged():
    d = Derivation("bad", x=real("n"))
    d.sample("a")(named(lambda x, rng, draws: rng.normal(size=(draws, len(x))), "drawn"))
    with pytest.raises(OptionError, match="is random"):
        d.equal("b")(named(lambda x: x, "second"))
    with pytest.raises(OptionError, match="at least 100 draws"):
        d.mean("b", draws=3)(named(lambda x: x, "second"))


def test_steps_that_stop_are_named():
    with pytest.raises(StepError, match="step 'second' stopped with NameError"):
        verdict(lambda x: x, lambda x: undefined, x=real("n"))  # noqa: F821
    with pytest.raises(StepError, match="expected numbers or a tuple of arrays, got str"):
        verdict(lambda x: x, lambda x: "text", x=real("n"))
    shared = np.random.default_rng(0)
    with pytest.raises(StepError, match="gives other numbers when called again"):
        verdict(lambda x: x, lambda x: shared.normal(size=x.shape), x=real("n"))


def test_a_backend_that_is_missing_is_no_step_that_stops():
    def missing(x):
        raise BackendError("no GPU can be seen")

    with pytest.raises(BackendError, match="^no GPU can be seen"):
        verdict(lambda x: x, missing, x=real("n"))


def test_a_step_may_change_its_inputs():
    def in_place(x):
        x *= 2
        return x

    assert verdict(lambda x: 2 * x, in_place, x=real("n")) is HOLDS


def test_links_for_one_result_refuse_several():
    for how, options in [("gradient", {"wrt": "x"}), ("at_most", {})]:
        with pytest.raises(OptionError, match="needs a step with one result, got 2"):
            verdict(lambda x: (x, x), lambda x: x, how, options, x=real("n"))
    with pytest.raises(OptionError, match="whole numbers or a mask"):
        verdict(lambda i: i.sum(), lambda i: i, "gradient", {"wrt": "i"}, i=integers(5, "n"))


def test_the_step_without_a_value_is_named():
    line = chain(lambda a, b: a @ b, lambda a, b: b @ a, a=real("n", "k"), b=real("k", "m"))
    assert line.verdict is not HOLDS and "second has no value at these sizes (ValueError" in line.outcome.counterexample
    line = chain(lambda a, b: b @ a, lambda a, b: a @ b, a=real("n", "k"), b=real("k", "m"))
    assert "first has no value at these sizes" in line.outcome.counterexample


def test_too_many_letters():
    with pytest.raises(OptionError, match="at most 10 letters"):
        verdict(lambda x: x, lambda x: x, x=real(*"abcdefghijk"))


def test_lambdas_get_a_number_and_defaults_stay():
    d = Derivation("short", x=real("n"))
    d.start("a")(lambda x, power=2: x**power)
    d.equal("b")(lambda x: x * x)
    report = d.check()
    assert report.ok and [x.step.name for x in report.lines] == ["step1", "step2"]
