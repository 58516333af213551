"""The articles' classifier beside its PyTorch twin on real text: the same weights and batches, the same loss curve."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tinyslm import optim
from tinyslm.data import load_table
from tinyslm.recipes.classifier import ClassifierTraining, Options, config_for

sys.path.insert(0, str(Path(__file__).parent))
pytestmark = [pytest.mark.torch, pytest.mark.realdata]


def test_the_same_loss_curve_in_float64(real_data):
    pytest.importorskip("torch")
    from torch_twin import make_twin, twin_step

    table = load_table("mr_polarity", real_data)
    run = ClassifierTraining(table, config_for(table), Options(test=0.1, valid=0.1, seed=1, batch_size=8))
    model = run.classifier.model.to("float64")
    twin, twin_optimizer = make_twin(model)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    ids, classes = run.arrays["train"]
    differences = []
    for _, rows in zip(range(50), run.trainer.batches, strict=False):
        theirs = twin_step(twin, twin_optimizer, ids[rows], classes[rows])
        loss, _ = model.loss(ids[rows], classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.dtype == np.float64
        differences.append(abs(loss.item() - theirs))
    assert len(differences) == 50 and max(differences) < 1e-8
