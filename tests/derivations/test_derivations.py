"""Every included derivation is checked in full; planted mistakes are found at their place."""

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from tinyslm import derivations
from tinyslm.check import LinkVerdict
from tinyslm.check.links import Gradient
from tinyslm.cli.main import app
from tinyslm.errors import OptionError

ON_PURPOSE = {"article_attention"}  # shows mistakes


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", derivations.names())
def test_every_derivation_is_right(name):
    derivation = derivations.load(name)
    report = derivation.check()
    assert report.ok, str(report)
    assert report.holds == (name not in ON_PURPOSE)
    assert derivation.name == name and derivation.title and report.tested >= 3
    assert all(s.latex.count("{") == s.latex.count("}") for s in derivation.steps)
    assert report.markdown().count("$$") == 2 * len(derivation.steps)
    assert report.latex().count(r"&& \text{(") == len(derivation.steps)
    if name not in ON_PURPOSE | {"adam"}:
        assert any(isinstance(s.link, Gradient) for s in derivation.steps)


def test_the_article_fails_at_the_right_steps():
    report = derivations.load("article_attention").check()
    assert report.first_failure.step.name == "a7_dot"
    verdicts = {x.step.name: x.verdict for x in report.lines if not x.holds}
    refuted, special = LinkVerdict.REFUTED, LinkVerdict.SPECIAL
    assert verdicts == {
        "a7_dot": refuted,
        "a7_elementwise": refuted,
        "a8_vector": special,
        "a9_printed": special,
        "a10_printed": refuted,
        "a10_undivided": special,
        "a11_printed": refuted,
        "a11_dot": refuted,
        "a12_printed": refuted,
        "a12_right_attention": special,
    }
    assert report.line("a8_vector").outcome.settings == ("k = 1",)
    assert report.line("a9_printed").outcome.settings == ("n = 1",)
    for claim in ("a7_gradient", "a8_matrix", "a10_constant", "a11_constant", "a12_constant", "a12_gradient"):
        assert report.line(claim).verdict is LinkVerdict.HOLDS


def original(name, step):
    return derivations.load(name).step(step).function


def changed(name, step, change):
    """The step with its result changed; takes what the step takes."""
    function = original(name, step)

    def wrong(*args, **kwargs):
        return change(function(*args, **kwargs))

    wrong.__wrapped__ = function  # so that its arguments are seen
    return wrong


def softmax_sign(x, g):
    y = np.exp(x) / np.exp(x).sum()
    return y * (g + g @ y)


def softmax_without_correction(x, g):
    y = np.exp(x) / np.exp(x).sum()
    return y * g * (1 - y)


def cross_entropy_without_mean(x, t):
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return p - np.eye(x.shape[1])[t]


def bce_swapped(x, y):
    return y - sigmoid(x)


def gelu_without_density(x):
    return (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def layer_norm_mean_taken_as_constant(x, w, b, g):
    centred = x - x.mean(-1, keepdims=True)
    s = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    x_hat, h = centred / s, g * w
    return (h - x_hat * (h * x_hat).mean(-1, keepdims=True)) / s, (g * x_hat).sum(0), g.sum(0)


def layer_norm_epsilon_outside(x, w, b, g):
    centred = x - x.mean(-1, keepdims=True)
    return (g * (w * centred / (np.sqrt((centred**2).mean(-1, keepdims=True)) + 1e-5) + b)).sum()


def batch_norm_with_correction(x, w, b, g):
    return (g * (w * (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1e-5) + b)).sum()


def embedding_last_one_wins(ids, table, g):
    found = np.zeros_like(table)
    found[ids] = g
    return found


def attention_unscaled(q, k, v, m, g):
    a = np.exp(np.where(m, q @ k.T / math.sqrt(q.shape[1]), -np.inf))
    a = a / a.sum(-1, keepdims=True)
    da = g @ v.T
    ds = a * (da - (a * da).sum(-1, keepdims=True))
    return ds @ k, ds.T @ q, a.T @ g


def glove_forgotten_two(w, c, b, a, counts):
    f = np.minimum(counts / 100.0, 1) ** 0.75
    e = f * (w @ c.T + b[:, None] + a - np.log(np.maximum(counts, 1)))
    return e @ c, e.T @ w, e.sum(1), e.sum(0)


def adam_printed(g, b1):
    """As article A prints it (A2): the old m is absent."""
    m = np.zeros(g.shape[1])
    for t, gradient in enumerate(g):
        m = b1 * gradient + (1 - b1) * (1 - t / len(g))
    return m


def adam_wrong_power(g, b1):
    return (1 - b1) * b1 ** np.arange(len(g), 0, -1) @ g


def ctc_posteriors_without_y(x, labels):
    return original("ctc", "from_variables")(x, labels)


PLANTED = [
    ("logsumexp", "slope", lambda x: np.exp(x)),
    ("logsumexp", "from_above", lambda x: x.max() + math.log(len(x)) / 2),
    ("logsumexp", "maximum", lambda x: x.max() + math.log(len(x)) / 100),
    ("softmax", "factored", softmax_sign),
    ("softmax", "chain_rule", softmax_without_correction),
    ("softmax_cross_entropy", "difference", cross_entropy_without_mean),
    ("sigmoid_bce", "difference", bce_swapped),
    ("sigmoid_bce", "p_slope", lambda x: sigmoid(x) * (1 + sigmoid(x))),
    ("gelu", "slope", gelu_without_density),
    ("gelu", "bound", lambda: np.array(1e-4)),
    ("matmul", "products", lambda x, w, b, g: (g @ w, g.T @ x, g.mean(0))),
    ("matmul", "index_by_index", lambda x, w, b, g: (g @ w, x.T @ g, g.sum(0))),
    ("layer_norm", "three_terms", layer_norm_mean_taken_as_constant),
    ("layer_norm", "two_moments", layer_norm_epsilon_outside),
    ("batch_norm", "three_paths", changed("batch_norm", "three_paths", lambda r: (r[0] * 1.5, *r[1:]))),
    ("dropout", "added_noise", lambda x, p: p * (1 - p) * x**2),
    ("dropout", "slope", changed("dropout", "slope", lambda r: r * 0.5)),
    ("embedding", "added_up", embedding_last_one_wins),
    ("conv1d", "folded", changed("conv1d", "folded", lambda r: (r[0][:, :, ::-1], *r[1:]))),
    ("conv1d", "index_by_index", changed("conv1d", "index_by_index", lambda r: (r[0], r[1][:, :, ::-1], r[2]))),
    ("rnn", "carried", changed("rnn", "carried", lambda r: (r[0], r[1], r[2], r[3].T, r[4]))),
    ("lstm", "stacked", changed("lstm", "stacked", lambda r: (*r[:2], 0 * r[2], *r[3:]))),
    ("gru", "stacked", changed("gru", "stacked", lambda r: (*r[:5], 2 * r[5]))),
    ("attention", "products", attention_unscaled),
    ("attention", "score_variance", lambda q: np.array(math.sqrt(q.shape[1]))),
    ("attention", "hull_above", lambda q, k, v, m: v.mean(0)),
    ("multihead", "backward", changed("multihead", "backward", lambda r: (r[0], r[1], r[2].T))),
    ("negative_sampling", "expected_negatives", lambda v, u, neg, p: (p * np.log1p(np.exp(u @ v))).sum()),
    ("glove", "products", glove_forgotten_two),
    ("adam", "unrolled", adam_wrong_power),
    ("adam", "bias", lambda g, p, b1: p),
    ("ctc", "difference", ctc_posteriors_without_y),
]


@pytest.mark.parametrize(("name", "step", "wrong"), PLANTED, ids=[f"{n}-{s}" for n, s, _ in PLANTED])
def test_a_planted_mistake_is_found_at_its_place(name, step, wrong):
    derivation = derivations.load(name).replaced(step, wrong)
    names = [s.name for s in derivation.steps]
    upto = names[: names.index(step) + 1]
    report = derivation.check(*upto[-2:])
    assert report.first_failure is not None, str(report)
    assert report.first_failure.step.name == step, str(report)
    assert not report.ok and report.line(step).outcome.counterexample


def test_kinds_of_mistakes_are_told_apart():
    def line(name, step, wrong):
        return derivations.load(name).replaced(step, wrong).check(step).line(step)

    epsilon = line("layer_norm", "two_moments", layer_norm_epsilon_outside)
    assert epsilon.verdict is LinkVerdict.APPROXIMATE and epsilon.outcome.error < 1e-3
    mean = line("softmax_cross_entropy", "difference", cross_entropy_without_mean)
    assert mean.verdict is LinkVerdict.SPECIAL and mean.outcome.settings == ("B = 1",)
    transposed = line("embedding", "added_up", lambda ids, table, g: np.full_like(table, g.sum()))
    assert transposed.verdict is LinkVerdict.SPECIAL and transposed.outcome.settings == ("V = 1, D = 1",)


def test_a_printed_formula_in_place_of_the_right_one():
    report = derivations.load("adam").replaced("recursion", adam_printed).check("unrolled")
    assert report.first_failure.step.name == "unrolled"


def test_single_numbers_are_also_compared_with_fifty_digits():
    report = derivations.load("sigmoid_bce").check()
    assert sum("with 50 digits, too" in (x.outcome.note or "") for x in report.lines) == 7
    assert "float64 only" in report.line("code").outcome.note


def test_a_gradient_with_fifty_digits():
    assert "with 50 digits, too" in derivations.load("gelu").check("slope").line("slope").outcome.note


def test_an_unknown_name():
    with pytest.raises(OptionError, match="no derivation is called 'nothing'"):
        derivations.load("nothing")


# -- the command ------------------------------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, ["derive", *args])


def test_the_command_lists_and_checks():
    listed = run()
    assert listed.exit_code == 0 and all(name in listed.output for name in derivations.names())
    checked = run("softmax")
    assert checked.exit_code == 0 and "all 7 links hold" in checked.output
    shown = run("article_attention")
    assert shown.exit_code == 0 and "refuted" in shown.output and "as it should be" in shown.output


def test_the_command_exports():
    assert r"\begin{align*}" in run("matmul", "--latex").output
    assert "**checked**" in run("matmul", "--markdown").output
    assert run("matmul", "--latex", "--markdown").exit_code != 0
    assert isinstance(run("nothing").exception, OptionError)


def test_the_command_fails_where_a_line_does(monkeypatch):
    broken = derivations.load("matmul").replaced("products", lambda x, w, b, g: (g @ w, g.T @ x, g.mean(0)))
    monkeypatch.setattr(derivations, "load", lambda name: broken)
    result = run("matmul")
    assert result.exit_code == 1 and "the first step that does not follow is 4 of 5 (products)" in result.output
