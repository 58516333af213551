"""Article B: the decisive numbers, legitimate variants, and that each question has power."""

import numpy as np
import pytest
from tinyslm.kernels.cpu._blas import one_thread

import tinyslm as ts
from tinyslm.audit import audit, examine, record
from tinyslm.audit.article_b import (
    attention,
    facts,
    gru,
    learning_curve,
    listings,
    lstm_cell,
    lstm_gates,
    recurrent_dropout,
    start,
    vectors,
    words,
)


@one_thread  # as in an audit: many small products
def verdict(id, formula):
    return examine("variant", formula, record(id).questions).verdict


@one_thread
def failed(id, formula):
    found = examine("variant", formula, record(id).questions)
    return [(q.kind, q.text, a.text) for q, a in found.answers if a.ok is False]


# -- decisive numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_tf_idf_sums_to_the_entropy(seed):
    rng = np.random.default_rng(seed)
    corpus = [list(rng.choice(list("abcdefg"), size=n, p=rng.dirichlet(np.ones(7)))) for n in (5, 9, 30)]
    assert words.mean_product(corpus) == pytest.approx(words.entropy(corpus), abs=1e-14)


def test_half_and_quarter_have_the_same_number():
    assert len(set(vectors.root(words.over_tokens)(vectors.HALVES))) == 1
    assert len({tuple(row) for row in vectors.glove(vectors.HALVES)}) == 3


def test_the_vocabulary_reading_has_no_root():
    assert words.over_vocabulary("na", words.REFRAIN) == -1
    assert np.isnan(vectors.root(words.over_vocabulary)(words.REFRAIN)).sum() == 1


def test_co_occurrences_are_symmetric_and_weighted_by_distance():
    X = vectors.co_occurrences([["a", "b", "c", "a"]], window=2)
    assert np.array_equal(X, X.T)
    assert X[0].tolist() == [0, 1.5, 1.5]  # a b at 1, a c at 2; b a at 2, c a at 1


def test_printed_cell_is_never_negative():
    cells, outputs = lstm_cell.random_run(lstm_cell.with_sigmoid)
    assert cells.min() > 0
    assert 0 < outputs.min() < outputs.max() < 1
    assert lstm_cell.random_run(lstm_cell.with_tanh)[1].min() < -0.5


def test_gradient_check_does_not_refute_the_printed_cell():
    answers = {q.kind: a.ok for q, a in examine("x", lstm_cell.with_sigmoid, lstm_cell.CELL_QUESTIONS[-2:]).answers}
    assert answers == {"gradient": True, "learnability": True}


def test_one_score_per_step_is_one():
    a = attention.one_score(ts.tensor(attention.STATES), ts.tensor(attention.PARAMETERS)).numpy()
    assert (a == 1).all()


@pytest.mark.parametrize(("layers", "expected"), [(2, 723_490), (1, 591_906)])
def test_parameters_of_the_listings(layers, expected):
    assert sum(listings.parameters(layers).values()) == expected == listings.Network(layers, 0).num_parameters()


def test_twenty_steps_are_far_from_sure():
    p = listings.as_run(0)
    assert p.shape == (2, 2)
    assert p.max() < 0.9
    assert listings.PRINTED.max() > 0.9999


def test_the_printed_shape_can_only_hold_ones():
    assert (ts.softmax(ts.tensor(np.random.default_rng(0).normal(size=(2, 2, 1)))).numpy() == 1).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_variances_stay_with_the_width(activation, seed):
    for course in start.variances(start.by_width, 100, activation, seed):
        assert 1 / 30 < course[-1] < 30


def test_sizes_and_years():
    assert facts.COUNTED["BERT-base"] == 109_482_240
    assert facts.IN_PRINT["recurrent network"][0] == 1990
    assert "1992" in record("B17").note


def test_one_mask_keeps_more():
    assert recurrent_dropout.always_there().ok
    assert recurrent_dropout.masks_per_sequence().ok


# -- legitimate variants ----------------------------------------------------------------------------------------------


def test_both_grus_are_not_condemned():
    assert failed("B12", gru.with_reset_before) == []
    assert failed("B12", {"RNN": gru.rnn, "GRU": gru.gru_after}.get) == []


def test_gru_with_the_other_sign_of_the_update_gate_is_not_condemned():
    def other(x, h, w, u, b):
        r, z, x_n = gru._gates(x, h, w, u, b)
        n = ts.tanh(x_n + (r * h) @ u[2 * gru.H :].mT)
        return z * n + (1 - z) * h

    assert failed("B12", lambda name: {"RNN": gru.rnn, "GRU": other}[name]) == []


def test_peephole_lstm_is_not_condemned():
    c = ts.tensor(np.array([0.7, -1.2]))

    def gate(W, h, x, b):
        return ts.sigmoid(W @ ts.cat([h, x], dim=-1) + 0.5 * c + b)

    for id in ("B5", "B6", "B7"):
        assert failed(id, gate) == []
    assert failed("B8", lambda f, i, c, z: f * c + i * ts.tanh(z)) == []


def test_coupled_gates_are_not_condemned():
    assert failed("B8", lambda f, i, c, z: f * c + (1 - f) * ts.tanh(z)) == []


def test_additive_attention_is_not_condemned():
    H = attention.H

    def additive(states, p):
        hidden = ts.tanh(states @ p[: H * H].reshape(H, H))
        return ts.softmax(hidden @ p[H * H : H * H + H])

    assert failed("B10", additive) == []


def test_orthogonal_start_is_not_condemned_where_nothing_is_cut_off():
    def orthogonal(fan_in, fan_out, activation, rng):
        W = ts.tensor(np.zeros((fan_out, fan_in)))
        return ts.nn.init.orthogonal_(W, gain=2**0.5 if activation == "relu" else 1.0, rng=rng).numpy()

    assert failed("B16", orthogonal) == []


def test_natural_logarithm_and_smoothing_are_not_condemned():
    assert failed("B2", lambda word, corpus: words.over_documents(word, corpus) * np.log(2)) == []


# -- power: mistakes that are not in the article are refused ----------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "formula"),
    [
        ("B1", lambda word, document, corpus: float(word in document)),
        ("B2", lambda word, corpus: 0.0),
        ("B3", lambda corpus: np.eye(len(words.vocabulary(corpus)))),
        ("B4", lambda x, t: x[0]),
        ("B5", lambda W, h, x, b: ts.tanh(W @ ts.cat([h, x], dim=-1) + b)),
        ("B5", lambda W, h, x, b: ts.sigmoid(W[:, :2] @ h + b)),
        ("B5", lambda W, h, x, b: ts.softmax(W @ ts.cat([h, x], dim=-1) + b)),
        ("B8", lambda f, i, c, z: f * c + i * ts.relu(z)),
        ("B8", lambda f, i, c, z: i * c + f * ts.tanh(z)),
        ("B8", lambda f, i, c, z: c + i * ts.tanh(z)),
        ("B9", lambda o, c: o * ts.sigmoid(c)),
        ("B9", lambda o, c: ts.tanh(o * c) * 2),
        ("B10", lambda states, p: ts.sigmoid(states @ p[:3])),
        ("B11", lambda a, states, t: states.mean(0)),
        ("B11", lambda a, states, t: states.sum(0)),
        ("B16", lambda i, o, activation, rng: np.full((o, i), i**-0.5)),
    ],
)
def test_other_mistakes_are_refused(id, formula):
    assert verdict(id, formula) not in ("right", "incomplete")


# -- the measurement, in small ----------------------------------------------------------------------------------------


def test_learning_curve_in_small(monkeypatch):
    monkeypatch.setattr(learning_curve, "STEPS", 3)
    monkeypatch.setattr(learning_curve, "SIZES", (20, 150))
    monkeypatch.setattr(learning_curve, "SEEDS", (0,))
    measured = one_thread(learning_curve.measure)()
    assert measured.verdict.startswith("measured: ")
    assert set(measured.numbers["curves"]) == {"bag of words", "LSTM", "Transformer"}
    assert all(0.3 < v < 0.9 for curve in measured.numbers["curves"].values() for v in curve)
    assert learning_curve.picture(measured.numbers) is not None


def test_learning_curve_waits_until_it_is_asked_for():
    assert audit(record("B21"), measure=False).verdict == "to measure"


@pytest.mark.parametrize(
    "draw",
    [lstm_gates.picture, lstm_cell.picture, attention.picture, gru.picture, start.picture, recurrent_dropout.picture],
)
def test_pictures_are_drawn(draw):
    assert draw({}).axes
