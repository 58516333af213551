"""Layers and losses against PyTorch: outputs and every gradient, on both backends and in both precisions."""

import numpy as np
import pytest

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:reduction")]
torch = pytest.importorskip("torch")

from torch_parity import compare, share  # noqa: E402

import tinyslm as ts  # noqa: E402
from tinyslm import nn  # noqa: E402

B, T, D, H = 3, 5, 4, 6
LENGTHS = np.array([5, 2, 4])
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
CASES = {}


def case(function):
    """Enter a function of the number type that returns errors."""
    CASES[function.__name__] = function
    return function


def rngs():
    return np.random.default_rng(5), np.random.default_rng(6)


def torch_dtype(dtype):
    return getattr(torch, dtype)


@case
def linear(dtype):
    init, rng = rngs()
    ours, theirs = nn.Linear(D, H, rng=init, dtype=dtype), torch.nn.Linear(D, H, dtype=torch_dtype(dtype))
    share(ours, theirs)
    return compare(ours, theirs, [rng.normal(size=(B, T, D))], dtype)


@case
def embedding(dtype):
    init, _ = rngs()
    ours = nn.Embedding(7, D, padding_idx=2, rng=init, dtype=dtype)
    theirs = torch.nn.Embedding(7, D, padding_idx=2, dtype=torch_dtype(dtype))
    share(ours, theirs)
    return compare(ours, theirs, [np.array([[1, 2, 1], [6, 0, 2]])], dtype)


def recurrent(kind, dtype, how, **options):
    init, rng = rngs()
    ours = getattr(nn, kind)(D, H, rng=init, dtype=dtype, **options)
    theirs = getattr(torch.nn, kind)(D, H, batch_first=True, dtype=torch_dtype(dtype), **options)
    share(ours, theirs)
    layers = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    state = [rng.normal(size=(layers, B, H)) for _ in range(2 if kind == "LSTM" else 1)] if how != "plain" else []

    def our_call(x, *state):
        extra = (
            {"lengths": LENGTHS}
            if how == "lengths"
            else {"mask": np.arange(T) < LENGTHS[:, None]}
            if how == "mask"
            else {}
        )
        return ours(x, (state if len(state) > 1 else state[0]) if state else None, **extra)

    def their_call(x, *state):
        state = (state if len(state) > 1 else state[0]) if state else None
        if how in ("plain", "state"):
            return theirs(x, state)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
        )
        y, last = theirs(packed, state)
        return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=T)[0], last

    return compare(ours, theirs, [rng.normal(size=(B, T, D)), *state], dtype, our_call, their_call)


for _kind in ("RNN", "LSTM", "GRU"):
    for _how in ("plain", "state", "lengths", "mask"):
        for _layers, _both in [(1, False), (2, False), (1, True), (2, True)]:
            name = f"{_kind}-{_how}-{_layers}{'-both' if _both else ''}"
            CASES[name] = lambda dtype, k=_kind, h=_how, n=_layers, b=_both: recurrent(
                k, dtype, h, num_layers=n, bidirectional=b
            )


@case
def conv1d(dtype):
    errors = {}
    for i, options in enumerate([{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2, "bias": False}]):
        init, rng = rngs()
        ours = nn.Conv1d(D, H, 3, rng=init, dtype=dtype, **options)
        theirs = torch.nn.Conv1d(D, H, 3, dtype=torch_dtype(dtype), **options)
        share(ours, theirs)
        found = compare(ours, theirs, [rng.normal(size=(B, D, 8))], dtype)
        errors |= {f"{i} {k}": v for k, v in found.items()}
    return errors


@case
def pools(dtype):
    errors = {}
    for ours, theirs in [
        (nn.MaxPool1d(3), torch.nn.MaxPool1d(3)),
        (nn.MaxPool1d(2, 1), torch.nn.MaxPool1d(2, 1)),
        (nn.AvgPool1d(3, 2), torch.nn.AvgPool1d(3, 2)),
    ]:
        found = compare(ours, theirs, [rngs()[1].normal(size=(B, D, 8))], dtype)
        errors |= {f"{ours!r} {k}": v for k, v in found.items()}
    return errors


PADDING = np.array([[False] * 5, [False, False, False, True, True], [False, True, False, False, True]])


def attention(dtype, causal=False, padding=False, cross=False, additive=False, weights=False):
    init, rng = rngs()
    ours = nn.MultiHeadAttention(6, 3, rng=init, dtype=dtype)
    theirs = torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch_dtype(dtype))
    share(ours, theirs)
    x, keys, values = (rng.normal(size=(B, T, 6)) for _ in range(3))
    added = rng.normal(size=(T, T)).astype(dtype) if additive else None
    pad = PADDING if padding else None

    def our_call(q, *kv):
        return ours(q, *kv, mask=added, causal=causal, key_padding_mask=pad, need_weights=weights)

    def their_call(q, *kv):
        k, v = kv or (q, q)
        mask = (
            torch.tensor(added) if additive else torch.triu(torch.ones(T, T, dtype=torch.bool), 1) if causal else None
        )
        hidden = None if pad is None else torch.tensor(pad)
        if additive and pad is not None:  # PyTorch wants both masks of one type
            hidden = torch.zeros(pad.shape, dtype=torch_dtype(dtype)).masked_fill(hidden, -torch.inf)
        y, w = theirs(q, k, v, attn_mask=mask, key_padding_mask=hidden, average_attn_weights=False)
        return (y, w) if weights else y

    return compare(ours, theirs, [x, keys, values] if cross else [x], dtype, our_call, their_call)


for _options in (
    {},
    {"causal": True},
    {"padding": True},
    {"causal": True, "padding": True},
    {"cross": True},
    {"cross": True, "padding": True},
    {"additive": True},
    {"additive": True, "padding": True},
    {"weights": True},
    {"weights": True, "causal": True, "padding": True},
):
    CASES["attention-" + "-".join(_options)] = lambda dtype, o=_options: attention(dtype, **o)


def encoder(dtype, norm_first, activation):
    init, rng = rngs()
    options = {"dropout": 0.0, "activation": activation, "norm_first": norm_first}
    ours = nn.TransformerEncoderLayer(6, 2, 9, rng=init, dtype=dtype, **options)
    theirs = torch.nn.TransformerEncoderLayer(6, 2, 9, batch_first=True, dtype=torch_dtype(dtype), **options)
    share(ours, theirs)

    def their_call(x):
        return theirs(x, src_key_padding_mask=torch.tensor(PADDING))

    x = rng.normal(size=(B, T, 6))
    return compare(ours, theirs, [x], dtype, lambda x: ours(x, key_padding_mask=PADDING), their_call)


def decoder(dtype, norm_first, activation):
    init, rng = rngs()
    options = {"dropout": 0.0, "activation": activation, "norm_first": norm_first}
    ours = nn.TransformerDecoderLayer(6, 2, 9, rng=init, dtype=dtype, **options)
    theirs = torch.nn.TransformerDecoderLayer(6, 2, 9, batch_first=True, dtype=torch_dtype(dtype), **options)
    share(ours, theirs)
    hidden = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)

    def their_call(x, memory):
        return theirs(x, memory, tgt_mask=hidden, memory_key_padding_mask=torch.tensor(PADDING))

    inputs = [rng.normal(size=(B, 4, 6)), rng.normal(size=(B, T, 6))]
    return compare(ours, theirs, inputs, dtype, lambda x, m: ours(x, m, memory_key_padding_mask=PADDING), their_call)


for _pre in (False, True):
    for _act in ("relu", "gelu"):
        CASES[f"encoder-{'pre' if _pre else 'post'}-{_act}"] = lambda d, p=_pre, a=_act: encoder(d, p, a)
        CASES[f"decoder-{'pre' if _pre else 'post'}-{_act}"] = lambda d, p=_pre, a=_act: decoder(d, p, a)


@case
def stacks(dtype):
    init, rng = rngs()
    ours = nn.TransformerEncoder(2, 6, 2, 9, dropout=0.0, norm_first=True, rng=init, dtype=dtype)
    layer = torch.nn.TransformerEncoderLayer(6, 2, 9, 0.0, batch_first=True, norm_first=True, dtype=torch_dtype(dtype))
    theirs = torch.nn.TransformerEncoder(
        layer, 2, torch.nn.LayerNorm(6, dtype=torch_dtype(dtype)), enable_nested_tensor=False
    )
    share(ours, theirs)
    return compare(ours, theirs, [rng.normal(size=(B, T, 6))], dtype)


@case
def layer_norm(dtype):
    ours, theirs = nn.LayerNorm(D, dtype=dtype), torch.nn.LayerNorm(D, dtype=torch_dtype(dtype))
    share(ours, theirs)
    return compare(ours, theirs, [rngs()[1].normal(size=(B, T, D))], dtype)


@case
def rms_norm(dtype):
    ours, theirs = nn.RMSNorm(D, dtype=dtype), torch.nn.RMSNorm(D, eps=1e-6, dtype=torch_dtype(dtype))
    share(ours, theirs)
    return compare(ours, theirs, [rngs()[1].normal(size=(B, T, D))], dtype)


@case
def batch_norm(dtype):
    errors = {}
    for shape in [(8, D), (B, D, T)]:
        ours, theirs = nn.BatchNorm1d(D, dtype=dtype), torch.nn.BatchNorm1d(D, dtype=torch_dtype(dtype))
        share(ours, theirs)
        x = rngs()[1].normal(size=shape)
        errors |= {f"train {shape} {k}": v for k, v in compare(ours, theirs, [x], dtype).items()}
        for name, mine in ours.state_dict().items():
            ref = theirs.state_dict()[name].numpy()
            errors[f"{shape} {name}"] = float(np.abs(mine - ref).max())
        ours.zero_grad()
        theirs.zero_grad()
        errors |= {f"eval {shape} {k}": v for k, v in compare(ours.eval(), theirs.eval(), [x], dtype).items()}
    return errors


def loss(dtype, ours, theirs, x, target):
    """Errors of one loss; cross-entropy has the classes last here, and second in PyTorch."""

    def their_call(x):
        t = torch.tensor(target)
        return theirs(x.movedim(-1, 1) if isinstance(theirs, torch.nn.CrossEntropyLoss) else x, t)

    return compare(ours, theirs, [x], dtype, lambda x: ours(x, target), their_call)


@case
def cross_entropy(dtype):
    rng = rngs()[1]
    weight, errors = rng.uniform(0.5, 2, 7).astype(dtype), {}
    target = rng.integers(0, 7, (B, T))
    target[0, 2] = target[2, 1] = 3
    for weighted in (False, True):
        for options in ({}, {"label_smoothing": 0.1}, {"ignore_index": 3}, {"label_smoothing": 0.2, "ignore_index": 3}):
            for reduction in ("mean", "sum", "none"):
                ours = nn.CrossEntropyLoss(weight if weighted else None, reduction=reduction, **options)
                w = torch.tensor(weight) if weighted else None
                theirs = torch.nn.CrossEntropyLoss(w, reduction=reduction, **options)
                found = loss(dtype, ours, theirs, rng.normal(size=(B, T, 7)) * 3, target)
                errors |= {f"{weighted} {options} {reduction} {k}": v for k, v in found.items()}
    return errors


@case
def other_losses(dtype):
    rng, errors = rngs()[1], {}
    x = rng.normal(size=(B, T)) * 3
    probs = rng.dirichlet(np.ones(T), B).astype(dtype)
    logq = np.log(rng.dirichlet(np.ones(T), B))
    for name, inputs, target in [
        ("BCEWithLogitsLoss", x, probs),
        ("MSELoss", x, probs),
        ("KLDivLoss", logq, probs),
    ]:
        for reduction in ["mean", "sum", "none"] + ["batchmean"] * (name == "KLDivLoss"):
            ours, theirs = getattr(nn, name)(reduction=reduction), getattr(torch.nn, name)(reduction=reduction)
            found = loss(dtype, ours, theirs, inputs, target)
            errors |= {f"{name} {reduction} {k}": v for k, v in found.items()}
    return errors


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_all_gradients_agree(name, dtype, backend):
    errors = CASES[name](dtype)
    worst = max(errors, key=errors.get)
    assert errors[worst] <= TOLERANCE[dtype], f"{worst}: {errors[worst]:.3g}"


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_weights_move_both_ways_with_both_biases(kind):
    """A true PyTorch pair of biases is added up, and what we save makes PyTorch compute the same."""
    init, rng = rngs()
    ours = getattr(nn, kind)(D, H, 2, bidirectional=True, rng=init, dtype="float64")
    make = getattr(torch.nn, kind)
    theirs = make(D, H, 2, bidirectional=True, batch_first=True, dtype=torch.float64)
    share(ours, theirs, second_bias_zero=False)
    x = rng.normal(size=(B, T, D))
    want = theirs(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(ours(ts.tensor(x))[0].numpy(), want, rtol=0, atol=1e-12)
    again = make(D, H, 2, bidirectional=True, batch_first=True, dtype=torch.float64)
    again.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})
    np.testing.assert_allclose(again(torch.tensor(x))[0].detach().numpy(), want, rtol=0, atol=1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_state_dicts_have_the_names_of_pytorch():
    init = rngs()[0]
    pairs = [
        (nn.TransformerDecoderLayer(4, 2, 8, rng=init), torch.nn.TransformerDecoderLayer(4, 2, 8)),
        (nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)),
        (nn.Sequential(nn.Linear(2, 3, rng=init), nn.ReLU()), torch.nn.Sequential(torch.nn.Linear(2, 3))),
    ]
    for ours, theirs in pairs:
        assert set(ours.state_dict()) == set(theirs.state_dict())
