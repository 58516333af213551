"""Layers by themselves: dropout, recurrent options, pooling, positions, attention's masks, batch norm, embedding."""

import math
from functools import partial

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import nn
from tinyslm.errors import DTypeError, OptionError, ShapeError

B, T, D, H = 3, 6, 4, 5


def rng(seed=0):
    return np.random.default_rng(seed)


def sequence(dtype="float64", shape=(B, T, D)):
    return ts.tensor(rng(1).normal(size=shape).astype(dtype))


# -- dropout ----------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_rests_when_evaluating(backend):
    layer, x = nn.Dropout(0.3, rng=rng()), ts.tensor(np.ones((100, 100), np.float32))
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(y.mean() - 1) < 0.02
    assert not (y == layer(x).numpy()).all()
    assert layer.eval()(x) is x
    assert nn.Dropout(0.0, rng=rng())(x) is x
    assert (nn.Dropout(1.0, rng=rng())(x).numpy() == 0).all()


def test_sequence_dropout_has_one_mask_for_all_steps(backend):
    layer, x = nn.SequenceDropout(0.5, rng=rng()), ts.tensor(np.ones((8, T, 32)), requires_grad=True)
    y = layer(x)
    assert (y.numpy() == y.numpy()[:, :1]).all()
    assert len({row.tobytes() for row in y.numpy()[:, 0]}) == 8  # another mask for each sequence
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert layer.eval()(x) is x
    fresh = nn.Dropout(0.5, rng=rng())(x).numpy()
    assert not (fresh == fresh[:, :1]).all()


def test_one_seed_gives_the_same_masks_again():
    x = sequence()
    first, second = (nn.Dropout(0.5, rng=rng(4))(x).numpy() for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(OptionError, match="probability"):
        nn.Dropout(p, rng=rng())


# -- recurrent layers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_shapes_of_outputs_and_states(kind, backend):
    layer = kind(D, H, 2, bidirectional=True, rng=rng(), dtype="float64")
    y, state = layer(sequence())
    parts = state if kind is nn.LSTM else (state,)
    assert y.shape == (B, T, 2 * H) and all(s.shape == (4, B, H) for s in parts)
    np.testing.assert_allclose(parts[0].numpy()[2], y.numpy()[:, -1, :H])
    np.testing.assert_allclose(parts[0].numpy()[3], y.numpy()[:, 0, H:])


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_sequence_in_two_parts_is_the_whole(kind, backend):
    layer, x = kind(D, H, 2, rng=rng(), dtype="float64"), sequence()
    whole, _ = layer(x)
    first, state = layer(x[:, :2])
    second, _ = layer(x[:, 2:], state)
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()], 1), whole.numpy(), atol=1e-14)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_masked_steps_change_nothing(kind, backend):
    layer, x = kind(D, H, bidirectional=True, rng=rng(), dtype="float64"), sequence()
    y, _ = layer(x, lengths=[2, 6, 0])
    short, _ = layer(x[:1, :2])
    np.testing.assert_allclose(y.numpy()[0, :2], short.numpy()[0], atol=1e-14)
    assert (y.numpy()[0, 2:] == 0).all() and (y.numpy()[2] == 0).all()
    left = np.arange(T) >= 4  # padding on the left works as well
    z, _ = layer(x, mask=np.broadcast_to(left, (B, T)))
    np.testing.assert_allclose(z.numpy()[:, 4:], layer(x[:, 4:])[0].numpy(), atol=1e-14)


def test_dropout_between_layers_and_its_variational_form():
    x = sequence()
    plain = nn.LSTM(D, H, 2, dropout=0.5, rng=rng(), dtype="float64")
    assert not (plain(x)[0].numpy() == plain(x)[0].numpy()).all()
    plain.eval()
    assert (plain(x)[0].numpy() == plain(x)[0].numpy()).all()
    assert isinstance(nn.GRU(D, H, 2, dropout=0.5, variational=True, rng=rng()).dropout, nn.SequenceDropout)


def test_dropout_is_not_applied_after_the_last_layer():
    layer = nn.LSTM(D, H, dropout=0.9, rng=rng(), dtype="float64")
    assert (layer(sequence())[0].numpy() == layer.eval()(sequence())[0].numpy()).all()


def test_recurrent_dropout_drops_the_same_units_at_every_step():
    layer = nn.RNN(D, H, recurrent_dropout=0.5, rng=rng(), dtype="float64")
    dropped = layer._dropped(layer.weight_hh_l0).numpy()
    factor = dropped / layer.weight_hh_l0.numpy()
    assert (np.isclose(factor, 0) | np.isclose(factor, 2)).all()
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:1], factor.shape))
    layer(sequence())[0].sum().backward()
    assert layer.weight_hh_l0.grad is not None
    assert layer.eval()._dropped(layer.weight_hh_l0) is layer.weight_hh_l0


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_saving_writes_pytorchs_pair_and_loading_adds_it_up(kind):
    layer = kind(2, 3, rng=rng(), dtype="float64")
    for name, p in layer.own_parameters().items():
        if name.startswith("bias"):
            p.copy_(rng(2).normal(size=p.shape))
    state = layer.state_dict()
    second = state["bias_hh_l0"]
    assert (second[:6] == 0).all() and (second[6:] != 0).all() if kind is nn.GRU else (second == 0).all()
    other = kind(2, 3, rng=rng(9), dtype="float64")
    other.load_state_dict(state)
    assert all(other.state_dict()[n].tobytes() == a.tobytes() for n, a in state.items())
    state["bias_hh_l0"] = second + 1
    other.load_state_dict(state)
    added = other.bias_l0.numpy() - layer.bias_l0.numpy()
    np.testing.assert_allclose(added, [1] * 6 + [0] * 3 if kind is nn.GRU else 1.0)
    if kind is nn.GRU:
        np.testing.assert_allclose(other.bias_hn_l0.numpy(), layer.bias_hn_l0.numpy() + 1)


def test_recurrent_refusals():
    layer, x = nn.LSTM(D, H, rng=rng(), dtype="float64"), sequence()
    with pytest.raises(ShapeError, match="D = 4"):
        layer(x[:, :, :2])
    with pytest.raises(ShapeError, match="layers dirs"):
        layer(x, (x, x))
    with pytest.raises(ShapeError, match="lengths"):
        layer(x, lengths=[1, 2, 9])
    with pytest.raises(ShapeError, match="and a mask"):
        layer(x, lengths=[1, 2, 3], mask=np.ones((B, T), bool))
    with pytest.raises(ShapeError, match="mask"):
        layer(x, mask=np.ones((B, T + 1), bool))
    with pytest.raises(OptionError, match="at least 1"):
        nn.LSTM(D, 0, rng=rng())


# -- pooling ----------------------------------------------------------------------------------------------------------

MASK = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1], [0] * 6], bool)


@pytest.mark.parametrize("kind", ["last", "mean", "max"])
def test_pooling_with_a_mask_sees_only_what_counts(kind):
    x, pool = sequence(), nn.Pool(kind)
    reduce = {"last": lambda a: a[-1], "mean": lambda a: a.mean(0), "max": lambda a: a.max(0)}[kind]
    want = [reduce(a) for a in x.numpy()]
    np.testing.assert_allclose(pool(x).numpy(), want)
    y = pool(x, MASK).numpy()
    np.testing.assert_allclose(y[:2], [reduce(a[m]) for a, m in zip(x.numpy()[:2], MASK, strict=False)])
    assert (y[2] == 0).all()
    np.testing.assert_array_equal(pool(x, ts.tensor(MASK)).numpy(), y)


def test_pool_refuses_unknown_kinds():
    with pytest.raises(OptionError, match="last, mean, max"):
        nn.Pool("median")


@pytest.mark.parametrize("hidden", [None, 3])
def test_attention_pool_weighs_steps(hidden, backend):
    x, pool = sequence(), nn.AttentionPool(D, hidden, rng=rng(), dtype="float64")
    a = pool.weights(x).numpy()
    np.testing.assert_allclose(a.sum(1), 1)  # over time, not over features and not a single 1 (B10)
    assert a.shape == (B, T) and a.std() > 0.01
    np.testing.assert_allclose(pool(x).numpy(), np.einsum("bt,btd->bd", a, x.numpy()))
    masked = pool.weights(x, MASK).numpy()
    assert (masked[~MASK] == 0).all()
    np.testing.assert_allclose(masked.sum(1), [1, 1, 0])
    np.testing.assert_allclose(masked[0, :2], pool.weights(x[:1, :2]).numpy()[0])


def test_attention_pool_gradient():
    x, pool = sequence(), nn.AttentionPool(D, 3, rng=rng(), dtype="float64")

    def value():
        return float((pool(x, MASK) ** 2).sum())

    (pool(x, MASK) ** 2).sum().backward()
    for p in pool.parameters():
        v = rng(5).normal(size=p.shape)
        start, h, ends = p.numpy(), 1e-6, []
        for s in (1, -1):
            p.copy_(start + s * h * v)
            ends.append(value())
        p.copy_(start)
        assert abs((ends[0] - ends[1]) / (2 * h) - (p.grad.numpy() * v).sum()) < 1e-7


# -- positions --------------------------------------------------------------------------------------------------------


def test_sinusoidal_positions():
    table = nn.sinusoidal_positions(20, 6, "float64").numpy()
    assert table.shape == (20, 6)
    np.testing.assert_allclose(table[3, 0], np.sin(3))
    np.testing.assert_allclose(table[3, 5], np.cos(3 / 10000 ** (4 / 6)))
    gram = table @ table.T
    np.testing.assert_allclose(np.diag(gram, 4), gram[0, 4])  # depends on the distance alone
    assert nn.sinusoidal_positions(5, 3).shape == (5, 3)
    x = sequence()
    np.testing.assert_allclose(
        nn.SinusoidalPositions()(x, start=2).numpy(), x.numpy() + nn.sinusoidal_positions(8, D, "float64").numpy()[2:]
    )


def test_learned_positions():
    layer, x = nn.LearnedPositions(8, D, rng=rng(), dtype="float64"), sequence()
    np.testing.assert_allclose(layer(x, start=2).numpy(), x.numpy() + layer.weight.numpy()[2:])
    with pytest.raises(ShapeError, match="at most 8"):
        layer(x, start=3)


def test_rotary_keeps_lengths_and_sees_only_distances():
    q, k = ts.tensor(rng(1).normal(size=(1, 1, 8))), ts.tensor(rng(2).normal(size=(1, 1, 8)))

    def score(s, t):
        return float((nn.apply_rotary(q, q, start=s)[0] * nn.apply_rotary(k, k, start=t)[1]).sum())

    assert abs(score(3, 1) - score(10, 8)) < 1e-12
    assert abs(score(3, 1) - score(3, 2)) > 1e-3
    np.testing.assert_allclose(nn.apply_rotary(q, k, start=5)[0].norm().item(), q.norm().item())
    x = sequence()
    np.testing.assert_allclose(nn.apply_rotary(x, x)[0].numpy()[:, 0], x.numpy()[:, 0])
    with pytest.raises(ShapeError, match="even"):
        nn.apply_rotary(ts.tensor(np.ones((2, 3))), q)


# -- attention, norm, embedding ---------------------------------------------------------------------------------------


def test_attention_masks_say_who_may_see_whom(backend):
    layer, x = nn.MultiHeadAttention(D, 2, rng=rng(), dtype="float64"), sequence()
    _, weights = layer(x, causal=True, key_padding_mask=~MASK, need_weights=True)
    w = weights.numpy()
    assert w.shape == (B, 2, T, T)
    assert (w[..., np.triu_indices(T, 1)[0], np.triu_indices(T, 1)[1]] == 0).all()
    assert (w[0, :, :, 2:] == 0).all() and (w[2] == 0).all()
    mask = np.tril(np.ones((T, T), bool))
    np.testing.assert_allclose(layer(x, mask=mask).numpy(), layer(x, causal=True).numpy(), atol=1e-14)
    np.testing.assert_allclose(
        layer(x, mask=np.broadcast_to(mask, (B, T, T))).numpy(), layer(x, mask=ts.tensor(mask)).numpy(), atol=1e-14
    )
    np.testing.assert_allclose(layer(x, x, x).numpy(), layer(x).numpy(), atol=1e-14)


def test_attention_dropout_only_while_training():
    layer, x = nn.MultiHeadAttention(D, 2, dropout=0.5, rng=rng(), dtype="float64"), sequence()
    assert not (layer(x).numpy() == layer(x).numpy()).all()
    layer.eval()
    np.testing.assert_allclose(layer(x).numpy(), layer(x, need_weights=True)[0].numpy(), atol=1e-14)


def test_attention_refusals():
    with pytest.raises(OptionError, match="divisor"):
        nn.MultiHeadAttention(5, 2, rng=rng())
    layer = nn.MultiHeadAttention(D, 2, rng=rng(), dtype="float64")
    with pytest.raises(ShapeError, match="key_padding_mask"):
        layer(sequence(), key_padding_mask=np.ones((B, T + 1), bool))
    with pytest.raises(ShapeError, match="D = 4"):
        layer(sequence()[:, :, :2])


def test_transformer_without_positions_does_not_notice_the_order():
    layer, x = nn.TransformerEncoderLayer(D, 2, 8, dropout=0.0, rng=rng(), dtype="float64"), sequence()
    order = [3, 0, 5, 1, 4, 2]
    np.testing.assert_allclose(layer(x[:, order]).numpy(), layer(x).numpy()[:, order], atol=1e-13)


def test_decoder_is_causal_by_default():
    decoder = nn.TransformerDecoder(2, D, 2, 8, dropout=0.0, norm_first=True, rng=rng(), dtype="float64")
    assert decoder.norm is not None
    assert nn.TransformerDecoder(1, D, 2, 8, rng=rng()).norm is None
    x, memory = sequence(), sequence(shape=(B, 2, D))
    changed = x.numpy()
    changed[:, 4:] *= -2
    a, b = decoder(x, memory).numpy(), decoder(ts.tensor(changed), memory).numpy()
    np.testing.assert_allclose(a[:, :4], b[:, :4], atol=1e-14)
    assert np.abs(a[:, 4:] - b[:, 4:]).max() > 0.01
    with pytest.raises(OptionError, match="relu, gelu"):
        nn.TransformerEncoderLayer(D, 2, activation="tanh", rng=rng())


def test_the_layers_of_a_stack_start_with_weights_of_their_own():
    encoder = nn.TransformerEncoder(2, D, 2, 8, rng=rng())
    first, second = encoder.layers
    assert not (first.linear1.weight.numpy() == second.linear1.weight.numpy()).all()


def test_batch_norm_statistics():
    layer, x = nn.BatchNorm1d(D, momentum=0.5, dtype="float64"), sequence(shape=(50, D))
    layer(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.5 * x.numpy().mean(0))
    np.testing.assert_allclose(layer.running_var.numpy(), 0.5 + 0.5 * x.numpy().var(0, ddof=1))
    before = layer.state_dict()
    layer.eval()(x)
    assert all((layer.state_dict()[n] == a).all() for n, a in before.items())
    assert len(list(layer.parameters())) == 2
    with pytest.raises(ShapeError, match="two values"):
        layer.train()(x[:1])


def test_embedding_takes_arrays_and_refuses_what_is_no_index(backend):
    layer = nn.Embedding(5, 2, padding_idx=0, rng=rng())
    ids = np.array([[1, 0], [4, 1]])
    y = layer(ids)
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[ids])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [0, 2, 0, 0, 1])
    np.testing.assert_array_equal(layer([1, 2]).numpy(), layer.weight.numpy()[[1, 2]])
    for bad in ([5], [-1]):
        with pytest.raises(ShapeError):
            layer(np.array(bad)).numpy()  # a GPU says it with the next number
    with pytest.raises(DTypeError, match="integer"):
        layer(np.array([1.0]))
    with pytest.raises(OptionError, match="padding_idx"):
        nn.Embedding(5, 2, padding_idx=5, rng=rng())


def test_pretrained_embedding_is_frozen():
    layer = nn.Embedding.from_pretrained(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert not layer.weight.requires_grad and layer(np.array([2])).numpy().tolist() == [[4, 5]]
    assert nn.Embedding.from_pretrained(np.ones((3, 2)), freeze=False).weight.requires_grad


ACTIVATIONS = [nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.Tanh(), nn.Sigmoid()]


@pytest.mark.parametrize("layer", [*ACTIVATIONS, nn.Softmax(), nn.LogSoftmax(1)], ids=lambda m: type(m).__name__)
def test_activations_are_the_operations(layer):
    name = {"LeakyReLU": "leaky_relu", "LogSoftmax": "log_softmax"}.get(
        type(layer).__name__, type(layer).__name__.lower()
    )
    options = {"dim": 1} if name == "log_softmax" else {}
    np.testing.assert_array_equal(layer(sequence()).numpy(), getattr(ts, name)(sequence(), **options).numpy())


# -- what can't be a layer or an input --------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_linear_takes_lists_like_other_operations(bias):
    layer = nn.Linear(4, 3, bias, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(layer([[1, 2, 3, 4]]).numpy(), layer(ts.tensor([[1.0, 2, 3, 4]])).numpy())
    with pytest.raises(ShapeError, match="linear: the sizes differ"):
        layer([[1, 2, 3]])


@pytest.mark.parametrize("x", [None, [[[1.0, 2.0]]]])
def test_recurrent_layers_say_what_they_take(x):
    layer = nn.LSTM(2, 3, rng=np.random.default_rng(0))
    with pytest.raises(DTypeError, match=r"LSTM: x is no tensor(.|\n)*with D = 2(.|\n)*Got: (NoneType|list);"):
        layer(x)


def without_rng(make):
    return lambda *sizes, rng: make(*sizes)


@pytest.mark.parametrize(
    ("make", "sizes", "message"),
    [
        (nn.Embedding, (-1, 4), "Embedding: expected num_embeddings as a whole number of at least 0, got -1"),
        (nn.Linear, (2.5, 3), "Linear: expected in_features as a whole number of at least 0, got 2.5"),
        (nn.Linear, (2, "3"), "Linear: expected out_features as a whole number of at least 0, got '3'"),
        (nn.GRU, (2, 0), "GRU: expected hidden_size as a whole number of at least 1, got 0"),
        (nn.GRU, (2, 3, True), "GRU: expected num_layers as a whole number of at least 1, got True"),
        (nn.Conv1d, (0, 4, 2), "Conv1d: expected in_channels as a whole number of at least 1, got 0"),
        (nn.Conv1d, (3, "4", 2), "Conv1d: expected out_channels as a whole number of at least 1, got '4'"),
        (nn.Conv1d, (3, 4, 2.0), "Conv1d: expected kernel_size as a whole number of at least 1, got 2.0"),
        (nn.Conv1d, (3, 4, 2, 0), "Conv1d: expected stride as a whole number of at least 1, got 0"),
        (nn.Conv1d, (3, 4, 2, 1, "same"), "Conv1d: expected padding as a whole number of at least 0, got 'same'"),
        (nn.Conv1d, (3, 4, 2, 1, 0, 1.5), "Conv1d: expected dilation as a whole number of at least 1, got 1.5"),
        (
            nn.MultiHeadAttention,
            (0, 1),
            "MultiHeadAttention: expected embed_dim as a whole number of at least 1, got 0",
        ),
        (nn.MultiHeadAttention, (8, 2.0), "MultiHeadAttention: expected num_heads .* of at least 1, got 2.0"),
        (nn.MultiHeadAttention, (8, True), "MultiHeadAttention: expected num_heads .* of at least 1, got True"),
        (nn.LearnedPositions, (-1, 4), "LearnedPositions: expected max_time as a whole number of at least 0, got -1"),
        (nn.AttentionPool, (-1,), "AttentionPool: expected input_size as a whole number of at least 1, got -1"),
        (nn.AttentionPool, (4, 0), "AttentionPool: expected hidden_size as a whole number of at least 1, got 0"),
        (nn.TransformerEncoderLayer, (8, 2, -1), "TransformerEncoderLayer: expected dim_feedforward as a whole number"),
        (nn.TransformerDecoderLayer, (8.0, 2), "TransformerDecoderLayer: expected d_model as a whole number"),
        (nn.TransformerEncoder, (1.0, 8, 2), "TransformerEncoder: expected num_layers as a whole number of at least 0"),
        (nn.Embedding, (3, 4, 1.5), "padding_idx: expected a whole number from 0 to 2, got 1.5"),
        (without_rng(nn.LayerNorm), (-1,), "LayerNorm: expected normalized_shape as a whole number of at least 1, got"),
        (
            without_rng(nn.RMSNorm),
            ("a",),
            "RMSNorm: expected normalized_shape as a whole number of at least 1, got 'a'",
        ),
        (
            without_rng(nn.BatchNorm1d),
            (2.0,),
            "BatchNorm1d: expected num_features as a whole number of at least 1, got",
        ),
        (without_rng(nn.MaxPool1d), (2, 0), "MaxPool1d: expected stride as a whole number of at least 1, got 0"),
        (without_rng(nn.AvgPool1d), (2.5,), "AvgPool1d: expected kernel_size as a whole number of at least 1, got 2.5"),
    ],
)
def test_sizes_are_whole_numbers(make, sizes, message):
    with pytest.raises(OptionError, match=message):
        make(*sizes, rng=np.random.default_rng(0))


@pytest.mark.parametrize("rng", [0, None, np.random.RandomState(0)])
@pytest.mark.parametrize(
    "make",
    [
        partial(nn.Linear, 2, 3), partial(nn.Embedding, 2, 3), partial(nn.Conv1d, 2, 3, 2), partial(nn.LSTM, 2, 3),
        partial(nn.MultiHeadAttention, 4, 2), partial(nn.LearnedPositions, 2, 3), partial(nn.AttentionPool, 2),
        nn.Dropout,
    ],
)  # fmt: skip
def test_layers_want_a_generator(make, rng):
    with pytest.raises(OptionError, match=r"Expected rng as a generator, numpy\.random\.default_rng\(seed\)\. Got "):
        make(rng=rng)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (partial(nn.Dropout, "a"), "p"),
        (partial(nn.LSTM, 2, 3, dropout=True), "dropout"),
        (partial(nn.GRU, 2, 3, recurrent_dropout=2), "recurrent_dropout"),
        (partial(nn.TransformerEncoderLayer, 8, 2, dropout=None), "dropout"),
    ],
)
def test_probabilities_are_refused_by_name(make, name):
    with pytest.raises(OptionError, match=f"^{name}: expected a probability from 0 to 1, got "):
        make(rng=rng())


@pytest.mark.parametrize(
    ("layer", "args", "message"),
    [
        (partial(nn.LSTM, 2, 3), [(1, 2)], r"LSTM: .*a tuple of 2 tensors .* = \(1, 2, 3\)\n  Got: int, int$"),
        (partial(nn.LSTM, 2, 3), [np.zeros((1, 2, 3), "f")], r"LSTM: .*a tuple of 2 tensors .*\n  Got: \(1, 2, 3\)$"),
        (partial(nn.LSTM, 2, 3), [0], r"LSTM: .*a tuple of 2 tensors .*\n  Got: int$"),
        (partial(nn.GRU, 2, 3), [(np.zeros((1, 2, 3), "f"),)], r"GRU: .*, a tensor .*\n  Got: tuple$"),
        (partial(nn.GRU, 2, 3), [np.zeros((1, 2, 4), "f")], r"GRU: .*, a tensor .*\n  Got: \(1, 2, 4\)$"),
    ],
)
def test_states_are_what_the_layer_returns(layer, args, message):
    with pytest.raises(ShapeError, match=message):
        layer(rng=rng())(ts.tensor(np.zeros((2, 5, 2), "f")), *args)


def test_lengths_may_be_a_column_of_a_table():
    layer, x = nn.GRU(D, H, rng=rng(), dtype="float64"), sequence()
    one, other = (layer(x, lengths=np.array([2, 1, 3], kind))[0].numpy() for kind in (object, int))
    np.testing.assert_array_equal(one, other)


def test_a_pair_of_states_may_come_one_by_one():
    layer, x = nn.LSTM(D, H, rng=rng(), dtype="float64"), sequence()
    want, state = layer(x)
    found = [layer(x, given)[0].numpy() for given in ((s.detach() for s in state), list(state), ts.stack(list(state)))]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.array_equal(found[0], want.numpy())


def test_dropout_of_nothing_needs_no_generator_and_a_probability_is_a_float():
    x = sequence()
    assert nn.Dropout(0, rng=None)(x) is x
    assert type(nn.Dropout(np.array(0.5), rng=rng()).p) is float


def test_a_state_may_be_an_array():
    layer, x = nn.GRU(D, H, rng=rng(), dtype="float64"), sequence()
    _, state = layer(x[:, :2])
    np.testing.assert_array_equal(layer(x[:, 2:], state.numpy())[0].numpy(), layer(x[:, 2:], state)[0].numpy())


@pytest.mark.parametrize(
    ("lengths", "kind", "got"),
    [
        ([1.5, 2, 2], DTypeError, r"\[1\.5, 2\.0, 2\.0\]"),
        ([math.nan, 2, 2], DTypeError, r"\[nan, 2\.0, 2\.0\]"),
        (["a", "b", "c"], DTypeError, r"\['a', 'b', 'c'\]"),
        ([[1], [1, 2], [3]], DTypeError, r"'\[\[1\], \[1, 2\], \[3\]\]'"),
        ([True, False, True], DTypeError, r"\[True, False, True\]"),
        ([1, 2], ShapeError, r"\[1, 2\]"),
        ([-1, 2, 2], ShapeError, r"\[-1, 2, 2\]"),
        ([1, 2, T + 1], ShapeError, rf"\[1, 2, {T + 1}\]"),
    ],
)
def test_lengths_are_whole_numbers(lengths, kind, got):
    with pytest.raises(kind, match=rf"lengths: expected {B} whole numbers from 0 to {T}, one per .*\n  Got: {got}"):
        nn.LSTM(D, H, rng=rng(), dtype="float64")(sequence(), lengths=lengths)


@pytest.mark.parametrize("mask", [np.full((B, T), 0.3), np.ones((B, T), int)])
def test_masks_of_steps_are_bool(mask):
    x = sequence()
    for call in (
        lambda: nn.GRU(D, H, rng=rng(), dtype="float64")(x, mask=mask),
        lambda: nn.Pool("mean")(x, mask),
        lambda: nn.MultiHeadAttention(D, 2, rng=rng(), dtype="float64")(x, key_padding_mask=mask),
        lambda: ts.ops.rnn(x, *(np.zeros(shape) for shape in ((B, H), (H, D), (H, H), H)), mask=mask),
    ):
        with pytest.raises(
            DTypeError, match=rf"mask: expected bool .* Got: {mask.dtype} .*bool with np.asarray\(\w+\) != 0"
        ):
            call()


@pytest.mark.parametrize("x", [None, [[[1.0, 2.0]]]])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (partial(nn.Conv1d, 2, 3, 1), r"conv1d: x is no tensor\.\n  Expected: a tensor \(B, C, T\)"),
        (
            partial(nn.MultiHeadAttention, 2, 1),
            r"MultiHeadAttention: query is no tensor\.\n  Expected: a tensor \(B, T",
        ),
    ],
)
def test_other_layers_say_it_too(layer, message, x):
    with pytest.raises(DTypeError, match=rf"{message}(.|\n)*Got: {type(x).__name__};"):
        layer(rng=rng())(x)
