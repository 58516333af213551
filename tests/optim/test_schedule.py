"""Schedules: their values, how they compose, and the scheduler that applies them."""

import json
import math

import numpy as np
import pytest

from tinyslm import nn, optim
from tinyslm.errors import CheckpointError, OptionError


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (optim.constant(0.5), {0: 0.5, 99: 0.5}),
        (optim.linear(10), {0: 1, 5: 0.5, 10: 0, 11: 0}),
        (optim.linear(4, end=0.2), {0: 1, 2: 0.6, 4: 0.2, 50: 0.2}),
        (optim.cosine(10), {0: 1, 5: 0.5, 10: 0, 12: 0, 2: 0.5 * (1 + math.cos(0.2 * math.pi))}),
        (optim.cosine(10, end=0.1), {0: 1, 5: 0.55, 10: 0.1}),
        (optim.step_decay(3, 0.5), {0: 1, 2: 1, 3: 0.5, 6: 0.25}),
        (optim.inverse_sqrt(4), {0: 1, 12: 0.5}),
        (optim.warmup(4), {0: 0.25, 3: 1, 4: 1, 100: 1}),
        (optim.warmup(2, then=optim.linear(4)), {0: 0.5, 1: 1, 2: 1, 4: 0.5, 6: 0}),
        (optim.warmup(2, then=optim.warmup(2)), {2: 0.5, 3: 1}),
        (optim.product(optim.linear(10), optim.step_decay(5, 0.1), optim.constant(2)), {0: 2, 5: 0.1}),
    ],
)
def test_values(schedule, values):
    for step, value in values.items():
        assert schedule(step) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("make", [optim.linear, optim.cosine, optim.step_decay, optim.inverse_sqrt, optim.warmup])
def test_refusals(make):
    with pytest.raises(OptionError, match="at least 1"):
        make(0)


def optimizer():
    a, b = nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(2))
    return optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=1.0)


def test_the_scheduler_keeps_each_groups_own_rate():
    o = optimizer()
    scheduler = optim.LRScheduler(o, optim.linear(4))
    assert scheduler.get_last_lr() == [1.0, 0.5]
    scheduler.step()
    assert scheduler.get_last_lr() == [0.75, 0.375]
    for _ in range(9):
        scheduler.step()
    assert scheduler.get_last_lr() == [0.0, 0.0]


def test_a_saved_schedule_goes_on():
    scheduler = optim.LRScheduler(optimizer(), optim.cosine(7))
    for _ in range(3):
        scheduler.step()
    o = optimizer()
    o.load_state_dict(scheduler.optimizer.state_dict())
    other = optim.LRScheduler(o, optim.cosine(7))  # on rates that are already reduced
    other.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    for _ in range(3):
        assert other.get_last_lr() == scheduler.get_last_lr()
        scheduler.step()
        other.step()
    with pytest.raises(CheckpointError, match="2 groups"):
        other.load_state_dict({"last_step": 1, "base_lrs": [1.0]})


@pytest.mark.torch
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (optim.cosine(10), lambda o, s: s.CosineAnnealingLR(o, 10)),
        (optim.linear(10, 0.2), lambda o, s: s.LinearLR(o, 1.0, 0.2, 10)),
        (optim.step_decay(3, 0.5), lambda o, s: s.StepLR(o, 3, 0.5)),
    ],
)
def test_values_of_pytorch(ours, theirs):
    torch = pytest.importorskip("torch")
    ref = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.7)
    scheduler = theirs(ref, torch.optim.lr_scheduler)
    for step in range(10):
        assert ref.param_groups[0]["lr"] == pytest.approx(0.7 * ours(step), abs=1e-12)
        ref.step()
        scheduler.step()
