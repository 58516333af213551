"""Numbers of article A's records by other ways, and its measurement in small."""

import numpy as np

import tinyslm as ts
from tinyslm.audit.article_a import adam, recall, sizes, steps, words


def test_repaired_moments_and_step_are_those_of_the_library():
    rng = np.random.default_rng(0)
    theta = ts.tensor(np.zeros(4), requires_grad=True)
    optimizer = ts.optim.Adam([theta], lr=adam.ETA, betas=(adam.B1, adam.B2), eps=adam.EPS)
    ours, m, v = np.zeros(4), np.zeros(4), np.zeros(4)
    for t in range(1, 50):
        g = rng.normal(size=4)
        theta.grad = ts.tensor(g)
        optimizer.step()
        m, v = adam.m_repaired(m, g, t), adam.v_repaired(v, g, t)
        ours = adam.step_repaired(ours, m, v, t)
    np.testing.assert_allclose(ours, theta.numpy(), rtol=0, atol=1e-12)


def test_counts_are_known_ones():
    assert sizes.COUNTED["BERT-base"] == 109_482_240
    assert sizes.COUNTED["GPT-2"] == 1_557_611_200


def test_gpt_count_agrees_with_a_model_that_is_built():
    d, layers, vocabulary, positions = 12, 2, 17, 9
    block = ts.nn.TransformerEncoderLayer(d, 2, 4 * d, rng=np.random.default_rng(0))
    built = (vocabulary + positions) * d + layers * sum(p.size for p in block.parameters()) + 2 * d
    assert sizes.gpt_parameters(vocabulary, positions, d, layers) == built


def test_counts_of_neighbours_are_symmetric():
    c = words.COUNTS
    np.testing.assert_array_equal(c, c.T)
    assert c.sum() == 2 * (2 * len(words.TEXT) - 3)


def test_steps_four_and_five_give_ones():
    y = steps.times_v(steps.own_over_v)(*map(ts.tensor, (steps.Q, steps.K, steps.V))).numpy()
    np.testing.assert_allclose(y, 1, rtol=1e-15)


def test_recall_in_small(monkeypatch):
    monkeypatch.setattr(recall, "LAYERS", (1, 1))
    monkeypatch.setattr(recall, "WIDTHS", (8, 8))
    monkeypatch.setattr(recall, "DISTANCES", (2, 3))
    monkeypatch.setattr(recall, "accuracy", lambda kind, *rest, seed: 1.0 if kind == "attention" else 0.3)
    found = recall.measure()
    assert found.verdict == "measured: in part"
    assert [a.ok for _, a in found.answers] == [True, False, False]
    assert len(recall.picture(found.numbers).axes) == 2


def test_recall_learns_a_short_distance():
    assert recall.accuracy("RNN", 1, 16, 2, seed=0, steps=60) > 0.9
