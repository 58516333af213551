"""Twenty steps of a small LSTM classifier with each optimizer, against PyTorch, on both backends."""

import numpy as np
import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

import tinyslm as ts  # noqa: E402
from tinyslm import nn, optim  # noqa: E402

torch.set_num_threads(1)
TOLERANCE = {"float64": 1e-10, "float32": 2e-4}
V, D, H, C, B, T, STEPS = 11, 4, 5, 3, 6, 7, 20

OPTIMIZERS = {
    "adam": ("Adam", {"lr": 0.01}),
    "adam-decay": ("Adam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-4}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw-decay": ("AdamW", {"lr": 0.01, "weight_decay": 0.3, "betas": (0.8, 0.95)}),
    "sgd": ("SGD", {"lr": 0.5}),
    "sgd-momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    "sgd-nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop-centered": (
        "RMSprop",
        {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.01, "centered": True},
    ),
}


class Ours(nn.Module):
    def __init__(self, dtype):
        rng = np.random.default_rng(3)
        self.embedding = nn.Embedding(V, D, rng=rng, dtype=dtype)
        self.lstm = nn.LSTM(D, H, rng=rng, dtype=dtype)
        self.head = nn.Linear(H, C, rng=rng, dtype=dtype)

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0][:, -1])


class Theirs(torch.nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, D, dtype=dtype)
        self.lstm = torch.nn.LSTM(D, H, batch_first=True, dtype=dtype)
        self.head = torch.nn.Linear(H, C, dtype=dtype)
        self.lstm.bias_hh_l0.requires_grad_(False)  # the second bias stays at zero

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0][:, -1])


def run(name, dtype, clip=None):
    """The error of every parameter after the steps, and of the last loss."""
    kind, options = OPTIMIZERS[name]
    ours, theirs = Ours(dtype), Theirs(getattr(torch, dtype))
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    mine = getattr(optim, kind)(ours.parameters(), **options)
    ref = getattr(torch.optim, kind)([p for p in theirs.parameters() if p.requires_grad], **options)
    start = {n: p.numpy() for n, p in ours.named_parameters()}
    rng, errors = np.random.default_rng(4), {}
    for step in range(STEPS):
        ids, target = rng.integers(0, V, (B, T)), rng.integers(0, C, B)
        mine.zero_grad()
        ref.zero_grad()
        loss = ts.cross_entropy(ours(ids), target)
        want = torch.nn.functional.cross_entropy(theirs(torch.tensor(ids)), torch.tensor(target))
        loss.backward()
        want.backward()
        if clip:
            total = optim.clip_grad_norm_(ours.parameters(), clip)
            norm = float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip))
            errors[f"norm {step}"] = abs(total - norm) / norm
        mine.step()
        ref.step()
    for n, p in ours.named_parameters():  # otherwise the comparison would say nothing
        assert np.abs(p.numpy() - start[n]).max() > 0.02, n
    errors["loss"] = abs(loss.item() - want.item()) / abs(want.item())
    for n, a in ours.state_dict().items():
        b = theirs.state_dict()[n].numpy()
        errors[n] = float(np.abs(a - b).max() / (np.abs(b).max() or 1))
    return errors


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_agree(name, dtype, backend):
    errors = run(name, dtype)
    worst = max(errors, key=errors.get)
    assert errors[worst] <= TOLERANCE[dtype], f"{worst}: {errors[worst]:.3g}"


def test_clipped_steps_agree(backend):
    errors = run("sgd-momentum", "float64", clip=0.3)
    assert max(errors.values()) <= 1e-10, errors
