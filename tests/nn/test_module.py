"""Module: finding parameters, modes, saving and loading, the picture of the tree."""

import copy

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import nn, optim
from tinyslm.errors import CheckpointError, DTypeError, OptionError, ShapeError


def rng():
    return np.random.default_rng(0)


class Model(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(7, 4, padding_idx=0, rng=rng())
        self.layers = [nn.Linear(4, 4, rng=rng()), nn.Linear(4, 4, bias=False, rng=rng())]
        self.heads = {"a": nn.Linear(4, 2, rng=rng())}
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.register_buffer("seen", np.zeros(2, np.float32))

    def forward(self, ids):
        return self.heads["a"](self.layers[1](self.layers[0](self.embedding(ids))))


NAMES = ["scale", "embedding.weight", "layers.0.weight", "layers.0.bias", "layers.1.weight"]
NAMES += ["heads.a.weight", "heads.a.bias"]


def test_parameters_are_found_in_attributes_lists_and_dictionaries():
    model = Model()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert model.num_parameters() == sum(p.size for p in model.parameters()) == 28 + 20 + 16 + 10 + 3
    assert [name for name, _ in model.named_children()] == ["embedding", "layers.0", "layers.1", "heads.a"]
    assert len(list(model.modules())) == 5
    assert set(model.state_dict()) == {*NAMES, "seen"}


def test_a_shared_parameter_counts_once_and_trains_once():
    model = Model()
    model.heads["a"] = nn.Linear(4, 7, bias=False, rng=rng())
    model.heads["a"].weight = model.embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert "embedding.weight" in names and "heads.a.weight" not in names
    assert model.num_parameters() == 28 + 20 + 16 + 3
    assert len(optim.SGD(model.parameters()).parameters()) == len(names)
    model(np.array([1, 2])).sum().backward()
    assert model.embedding.weight.grad is model.heads["a"].weight.grad
    other = copy.deepcopy(model)
    assert other.embedding.weight is other.heads["a"].weight  # copying keeps the tie


def test_modes_reach_every_module():
    model = Model()
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_zero_grad_and_freezing():
    model = Model()
    model(np.array([1])).sum().backward()
    assert model.layers[0].weight.grad is not None
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    model.layers[0].requires_grad_(False)
    assert model.num_parameters(trainable=True) == model.num_parameters() - 20
    model(np.array([1])).sum().backward()
    assert model.layers[0].weight.grad is None and model.embedding.weight.grad is not None


def test_another_number_type():
    model = Model()
    model(np.array([1])).sum().backward()
    model.to("float64")
    assert {t.dtype for t in model.state_dict().values()} == {np.dtype("float64")}
    assert model(np.array([1])).dtype == np.float64
    with pytest.raises(OptionError, match="float type"):
        model.to("int32")


def test_to_keeps_counters_integers():
    assert nn.BatchNorm1d(2).to("float64").num_batches_tracked.dtype.kind == "i"


def test_state_dict_is_a_copy_and_loads_bit_for_bit():
    model, other = Model(), Model()
    for p in model.parameters():
        p.copy_(p._data + 0.1)
    state = model.state_dict()
    result = other.load_state_dict(state)
    assert result.missing == [] and result.unexpected == []
    for name, array in other.state_dict().items():
        assert array.tobytes() == state[name].tobytes()
        array += 1
    assert other.scale.numpy().max() < 2


def test_loading_lists_everything_that_does_not_fit():
    model = Model()
    before, state = model.state_dict(), model.state_dict()
    del state["layers.0.bias"], state["scale"]
    state["extra"] = np.zeros(1)
    state["layers.1.weight"] = np.zeros((4, 5))
    with pytest.raises(CheckpointError) as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "Missing (2): scale, layers.0.bias" in text
    assert "Not expected (1): extra" in text
    assert "layers.1.weight: expected (4, 4), got (4, 5)" in text
    assert all((before[n] == a).all() for n, a in model.state_dict().items())
    with pytest.raises(CheckpointError, match="Of another shape"):
        model.load_state_dict(state, strict=False)
    state["layers.1.weight"] = np.full((4, 4), 3.0)
    result = model.load_state_dict(state, strict=False)
    assert result.missing == ["scale", "layers.0.bias"] and result.unexpected == ["extra"]
    assert (model.layers[1].weight.numpy() == 3).all()


def test_loading_converts_the_number_type_and_invalidates_graphs():
    model = nn.Linear(2, 2, rng=rng())
    y = (model(ts.tensor([[1.0, 2.0]], requires_grad=True)) ** 2).sum()
    model.load_state_dict({"weight": np.eye(2), "bias": np.zeros(2)})
    assert model.weight.dtype == np.float32
    with pytest.raises(ts.errors.GraphError, match="changed"):
        y.backward()


def test_repr_shows_the_tree_with_counts():
    text = repr(Model())
    lines = text.splitlines()
    assert lines[0].startswith("Model(") and lines[0].endswith("77")
    assert "  embedding: Embedding(7, 4, padding_idx=0)" in lines[1] and lines[1].endswith("28")
    assert any("layers.1: Linear(4, 4, bias=False)" in line for line in lines)
    assert len({len(line) for line in lines}) == 1


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()()


def test_parameters_declared_at_the_class_can_be_read_before_any_instance():
    for layer in (nn.Linear, nn.Embedding, nn.LSTM, nn.Conv1d, nn.MultiHeadAttention, nn.LayerNorm):
        names = {n for c in layer.__mro__ for n in getattr(c, "__annotations__", {})}
        assert any("weight" in n for n in names)


def test_generators_are_found_once():
    shared = rng()
    model = nn.Sequential(nn.Dropout(rng=shared), nn.LSTM(2, 2, rng=shared), nn.Dropout(rng=rng()))
    assert len(model.generators()) == 2


def test_module_list_and_sequential():
    layers = nn.ModuleList(nn.Linear(2, 2, rng=rng()) for _ in range(3))
    assert len(layers) == 3 and layers[-1] is list(layers)[2]
    assert list(nn.ModuleList([nn.ReLU()]).append(nn.Linear(1, 1, rng=rng())).state_dict()) == ["1.weight", "1.bias"]
    chain = nn.Sequential(nn.Linear(2, 3, rng=rng()), nn.ReLU(), nn.Linear(3, 1, rng=rng()))
    assert chain(ts.tensor(np.ones((4, 2), np.float32))).shape == (4, 1)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (
            lambda: [nn.Embedding(10000, 64, rng=rng()), nn.LSTM(64, 128, rng=rng()), nn.Linear(128, 1, rng=rng())],
            738_945,
        ),
        (
            lambda: [
                nn.Embedding(10000, 50, rng=rng()),
                nn.LSTM(50, 128, rng=rng()),
                nn.LSTM(128, 128, rng=rng()),
                nn.Linear(128, 2, rng=rng()),
            ],
            723_490,
        ),
        (
            lambda: [nn.Embedding(10000, 50, rng=rng()), nn.LSTM(50, 128, rng=rng()), nn.Linear(128, 2, rng=rng())],
            591_906,
        ),
    ],
    ids=["A16", "B13", "B14"],
)
def test_parameter_counts_of_the_articles(model, count):
    assert nn.ModuleList(model()).num_parameters() == count


def test_parameter_refuses_integers():
    with pytest.raises(DTypeError):
        nn.Parameter([1, 2])


def test_linear_names_the_sizes():
    with pytest.raises(ShapeError, match="Expected"):
        nn.Linear(3, 2, rng=rng())(ts.tensor(np.ones((1, 4), np.float32)))
