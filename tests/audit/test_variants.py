"""Legitimate variants that are in neither article pass the questions of their record."""

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.audit import Reading, audit, examine, record
from tinyslm.audit.article_a import adam, block
from tinyslm.audit.article_a.adam import B1, B2


def failed(id, formula, but=()):
    found = examine("variant", formula, record(id).questions)
    return [(q.kind, q.text, a.text) for q, a in found.answers if a.ok is False and q.text not in but]


def additive_attention(q, k, v):
    """Bahdanau's score, w . tanh(q + k), in place of the product."""
    score = ts.tanh(q.unsqueeze(-2) + k.unsqueeze(-3)).sum(-1)
    return ts.softmax(score) @ v


def unscaled_attention(q, k, v):
    """Luong's score, without the root."""
    return ts.softmax(q @ k.mT) @ v


@pytest.mark.parametrize("variant", [additive_attention, unscaled_attention])
def test_other_attentions_are_not_condemned(variant):
    assert failed("A6", variant) == []
    assert failed("A11", variant) == []


def test_additive_weights_are_not_condemned():
    assert failed("A10", lambda q, k, v: ts.softmax(ts.tanh(q.unsqueeze(-2) + k.unsqueeze(-3)).sum(-1))) == []


def test_nadam_is_not_condemned():
    # Dozat's step looks one step ahead; with a first gradient g its m is the mix of old and new mean.
    def nadam(theta, m, v, t):
        g = (m - 0) / (1 - B1) if t == 1 else m
        ahead = B1 * m / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
        return theta - adam.ETA * ahead / ((v / (1 - B2**t)) ** 0.5 + adam.EPS)

    length = "Has the first step the length eta?"
    assert failed("A4", nadam, but=(length,)) == []
    # Its first step is longer than eta by definition: at most incomplete, never wrong.
    assert examine("nadam", nadam, record("A4").questions).verdict in ("right", "incomplete")


def test_other_betas_are_not_condemned():
    assert failed("A2", lambda m, g, t: 0.5 * m + 0.5 * g) == []
    assert failed("A3", lambda v, g, t: 0.9 * v + 0.1 * g * g) == []


@pytest.mark.parametrize("pre_norm", [True, False])
def test_pre_norm_and_post_norm_are_not_condemned(pre_norm):
    # The repair is pre-norm itself; as the same function it is trained once for all tests.
    formula = block.full if pre_norm else lambda depth, rng: block.full(depth, rng, pre_norm=False)
    assert failed("A13", formula) == []


def test_variants_are_judged_without_their_name():
    swapped = record("A6")
    named = audit(
        type(swapped)(
            "A6", "", "", "right", "", readings=(Reading("x", additive_attention),), questions=swapped.questions
        )
    )
    assert named.verdict == "right"


def test_word_vectors_by_another_objective_are_not_condemned():
    def factorised(c, start):
        c, d = np.asarray(c) + 0.1, start.shape[1]
        logs = np.log(c / c.sum(1, keepdims=True))
        u, s, vt = np.linalg.svd(logs)
        return u[:, :d] * s[:d], vt[:d].T

    assert failed("A5", factorised) == []
