"""The training loop: bit for bit through every interruption, and nothing lost when something goes wrong."""

import csv
import errno
import json
import os
import signal

import numpy as np
import pytest

from tinyslm import nn, optim
from tinyslm.checkpoint import load_state, save_model
from tinyslm.data import Batches
from tinyslm.errors import CheckpointError, OptionError
from tinyslm.tensor import Tensor
from tinyslm.training import Trainer, TrainingError, forget_checkpoint

EPOCHS, STEPS = 3, 4
X = np.random.default_rng(1).normal(size=(7, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


class Net(nn.Module):
    """Two linear layers with dropout between them."""

    def __init__(self, rng):
        self.first, self.drop, self.last = nn.Linear(3, 5, rng=rng), nn.Dropout(0.3, rng=rng), nn.Linear(5, 1, rng=rng)

    def forward(self, x):
        return self.last(self.drop(self.first(x).tanh()))


def make(folder=None, epochs=EPOCHS, seed=0, **options):
    """A small run with everything that has a state: dropout, momentum, a schedule, clipping, shuffling."""
    rng = np.random.default_rng(seed)
    model = Net(rng)
    optimizer = optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)

    def step(rows):
        difference = model(Tensor.wrap(X[rows])) - Tensor.wrap(Y[rows])
        return (difference * difference).mean(), float(len(rows)), len(rows) * 3

    def validate():
        difference = model(Tensor.wrap(X)).numpy() - Y
        return {"loss": float((difference**2).mean()), "accuracy": 0.5}

    settings = {
        "validate": validate,
        "scheduler": optim.LRScheduler(optimizer, optim.cosine(max(epochs, 1) * STEPS)),
        "clip_norm": 1.0,
        "generators": {"model": rng},
        "folder": folder,
        "save_seconds": 1e9,
        "read_every": 1,  # also on a GPU
    }
    return Trainer(model, optimizer, Batches(7, 2, np.random.default_rng(2)), step, epochs, **(settings | options))


def weights(trainer):
    return {name: np.array(value) for name, value in trainer.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def stop_at(trainer, step):
    """Ask for a stop at this step of the whole run, as Ctrl-C does."""

    def listener(progress):
        if (progress.epoch - 1) * progress.steps + progress.step == step:
            trainer.stop_requested = True

    trainer.listener = listener
    return trainer


@pytest.fixture(scope="module")
def whole():
    """Weights and history of a run that was not interrupted."""
    trainer = make()
    result = trainer.run()
    assert len(result.history) == EPOCHS and not result.interrupted
    return weights(trainer), result


def without_times(history):
    return [{k: v for k, v in r.items() if k not in ("seconds", "tokens_per_second")} for r in history]


# -- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, EPOCHS * STEPS))
def test_stopped_after_any_step_and_resumed_it_ends_with_the_same_bits(tmp_path, whole, step):
    stopped = stop_at(make(tmp_path), step).run()
    assert stopped.interrupted and len(stopped.history) == step // STEPS
    trainer = make(tmp_path, seed=99)  # other start weights: everything must come from the checkpoint
    assert trainer.resume()
    result = trainer.run()
    assert same(weights(trainer), whole[0])
    assert without_times(result.history) == without_times(whole[1].history)
    assert result.best_epoch == whole[1].best_epoch


def test_stopped_again_and_again(tmp_path, whole):
    for step in range(1, EPOCHS * STEPS):
        trainer = stop_at(make(tmp_path, seed=step - 1), step)
        assert trainer.resume() == (step > 1)
        assert trainer.run().interrupted
    trainer = make(tmp_path, seed=99)
    trainer.resume()
    trainer.run()
    assert same(weights(trainer), whole[0])


@pytest.mark.parametrize("step", [1, 3, 4, 5, 11, 12])
def test_a_crash_loses_only_what_came_after_the_last_checkpoint(tmp_path, whole, step):
    def crash(progress):
        if (progress.epoch - 1) * STEPS + progress.step == step:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(tmp_path, save_seconds=-1, listener=crash).run()
    trainer = make(tmp_path, seed=99)
    assert trainer.resume()
    # Saved after every step: the one that crashed is the only one to be done again.
    assert trainer.batches.epoch * STEPS + trainer.batches.index == step - 1
    trainer.run()
    assert same(weights(trainer), whole[0])


def test_between_checkpoints_inside_an_epoch_some_time_passes(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Trainer, "save", lambda self: saved.append(self.batches.index))
    make(tmp_path, save_seconds=1e9).run()
    assert saved == [0] * (EPOCHS + 1)  # at the start, and after each epoch


def test_ctrl_c_finishes_the_step_and_saves(tmp_path, whole):
    def press(progress):
        if progress.epoch == 2 and progress.step == 1:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    assert make(tmp_path, listener=press).run().interrupted
    assert signal.getsignal(signal.SIGINT) is before
    trainer = make(tmp_path, seed=99)
    trainer.resume()
    assert (trainer.batches.epoch, trainer.batches.index) == (1, 1)
    trainer.run()
    assert same(weights(trainer), whole[0])


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def press(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=press).run()
    assert make(tmp_path).resume()


def test_ctrl_c_in_the_last_step_changes_nothing(tmp_path, whole):
    trainer = stop_at(make(tmp_path), EPOCHS * STEPS)
    assert not trainer.run().interrupted
    assert same(weights(trainer), whole[0])


def test_a_finished_run_resumed_is_finished(tmp_path, whole):
    make(tmp_path).run()
    trainer = make(tmp_path, seed=99, listener=lambda p: pytest.fail("a step was made"))
    assert trainer.resume()
    assert trainer.run().best_epoch == whole[1].best_epoch
    assert same(weights(trainer), whole[0])


# -- the best epoch ---------------------------------------------------------------------------------------------------


def scored(trainer, accuracies, losses=None):
    """Let validation report these numbers, and keep the weights it saw."""
    seen = []
    losses = losses or [1.0] * len(accuracies)

    def validate():
        seen.append(weights(trainer))
        return {"loss": losses[len(seen) - 1], "accuracy": accuracies[len(seen) - 1]}

    trainer.validate = validate
    return seen


@pytest.mark.parametrize(
    ("accuracies", "losses", "best"),
    [
        ([0.5, 0.9, 0.7], None, 2),
        ([0.9, 0.9, 0.9], None, 1),
        ([0.9, 0.9, 0.9], [3.0, 2.0, 1.0], 3),
        ([0.1, 0.2, 0.3], None, 3),
    ],
)
def test_the_best_epochs_weights_are_kept(accuracies, losses, best):
    trainer = make()
    seen = scored(trainer, accuracies, losses)
    assert trainer.run().best_epoch == best
    assert same(weights(trainer), seen[best - 1])


def test_without_validation_the_last_epoch_counts(whole):
    trainer = make(validate=None)
    result = trainer.run()
    assert result.best_epoch == EPOCHS and set(result.history[0]) & {"valid_loss"} == set()


def test_patience_stops_early_and_a_resumed_run_does_not_go_on(tmp_path):
    trainer = make(tmp_path, epochs=9, patience=2)
    seen = scored(trainer, [0.5, 0.8, 0.7, 0.8])
    result = trainer.run()
    assert result.stopped_early and not result.interrupted
    assert (len(result.history), result.best_epoch) == (4, 2)
    assert same(weights(trainer), seen[1])
    again = make(tmp_path, epochs=9, patience=2, seed=99, listener=lambda p: pytest.fail("a step was made"))
    assert again.resume() and again.run().stopped_early
    assert same(weights(again), seen[1])


def test_the_best_weights_survive_a_resume(tmp_path):
    first = stop_at(make(tmp_path), 2 * STEPS + 1)
    seen = scored(first, [0.9, 0.1])
    assert first.run().interrupted
    second = make(tmp_path, seed=99)
    scored(second, [0.2])
    second.resume()
    assert second.run().best_epoch == 1
    assert same(weights(second), seen[0])


# -- what can go wrong ------------------------------------------------------------------------------------------------


def broken_at(trainer, step, spoil):
    """Let the numbers go bad at this step: spoil(trainer, loss) gives the loss."""
    honest, count = trainer.step, [0]

    def worse(rows):
        count[0] += 1
        loss, hits, tokens = honest(rows)
        return (spoil(trainer, loss) if count[0] == step else loss), hits, tokens

    trainer.step = worse
    return trainer


def poison(trainer, loss):
    trainer.model.last.weight._data[:] = np.inf
    return loss


def test_a_loss_that_is_nan_keeps_the_last_checkpoint(tmp_path):
    trainer = broken_at(make(tmp_path), STEPS + 2, lambda trainer, loss: loss * float("nan"))
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 2, step 2(.|\n)*Expected(.|\n)*--lr(.|\n)*kept"):
        trainer.run()
    again = make(tmp_path)
    assert again.resume() and again.batches.epoch == 1
    assert all(np.isfinite(w).all() for w in weights(again).values())


def test_weights_that_are_not_finite_never_reach_the_disk(tmp_path):
    trainer = broken_at(make(tmp_path, save_seconds=-1, validate=None), STEPS, poison)
    with pytest.raises(TrainingError, match="epoch 1"):
        trainer.run()
    arrays, state = load_state(tmp_path)
    assert all(np.isfinite(a).all() for a in arrays.values()) and state["batches"]["index"] == STEPS - 1


def test_a_validation_loss_that_is_not_finite_is_refused(tmp_path):
    trainer = make(tmp_path)
    scored(trainer, [0.5, 0.5], [1.0, float("inf")])
    with pytest.raises(TrainingError, match="validation loss became inf in the end of epoch 2"):
        trainer.run()
    assert len(load_state(tmp_path)[1]["history"]) == 1


def test_overflows_do_not_spill_warnings(recwarn):
    with pytest.raises(TrainingError):
        broken_at(make(), 2, poison).run()
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch, whole):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(progress):
        if progress.epoch == 2:
            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises((CheckpointError, OSError), match="(?i)no space|disk is full"):
        make(tmp_path, listener=fill).run()
    monkeypatch.undo()
    trainer = make(tmp_path, seed=99)
    assert trainer.resume() and trainer.batches.epoch == 1
    trainer.run()
    assert same(weights(trainer), whole[0])


def test_a_folder_that_cannot_be_written_shows_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    trainer = make(tmp_path / "file", listener=lambda p: pytest.fail("a step was made"))
    with pytest.raises(CheckpointError, match="file stands where a folder"):
        trainer.run()


def test_resume_without_a_checkpoint(tmp_path):
    assert not make(tmp_path / "nothing").resume()
    assert not make(None).resume()
    assert list(tmp_path.iterdir()) == []


def test_resume_refuses_other_settings_by_name(tmp_path):
    make(tmp_path, settings={"lr": 0.1, "layers": 2, "seed": 0}).run()
    with pytest.raises(CheckpointError, match=r"other settings(.|\n)*Expected(.|\n)*lr was 0.1, now 0.2; layers was 2"):
        make(tmp_path, settings={"lr": 0.2, "layers": 3, "seed": 0}).resume()
    assert make(tmp_path, settings={"lr": 0.1, "layers": 2, "seed": 0}).resume()


@pytest.mark.parametrize("key", ["batches", "optimizer", "scheduler", "generators", "history", "sums", "best_epoch"])
@pytest.mark.parametrize("value", [None, 5, "x", [], {}, {"a": 1}])
def test_a_checkpoint_with_a_broken_part_is_refused_in_words(tmp_path, key, value):
    make(tmp_path, epochs=1).run()
    path = next(tmp_path.glob("checkpoint/*/state.json"))
    state = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(state | {key: value}), encoding="utf-8")
    trainer = make(tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match=r"(?i)expected"):
        trainer.resume()


def test_the_mean_loss_of_an_epoch_counts_rows_and_not_batches():
    trainer, seen = make(epochs=1), []
    step = trainer.step

    def remember(rows):
        loss, hits, tokens = step(rows)
        seen.append((loss.item(), len(rows)))
        return loss, hits, tokens

    trainer.step = remember
    record = trainer.run().history[0]
    assert [n for _, n in seen] == [2, 2, 2, 1]
    assert record["train_loss"] == pytest.approx(sum(loss * n for loss, n in seen) / 7, rel=1e-12)
    assert record["train_accuracy"] == 1


def test_the_model_ends_without_dropout():
    for validate in (None, lambda: {"loss": 1.0, "accuracy": 0.5}):
        trainer = make(epochs=1, validate=validate)
        trainer.run()
        assert not trainer.model.training


def test_a_second_run_goes_on_after_an_interruption(whole):
    trainer = make()
    plain = trainer.step

    def stop_once(rows):
        trainer.stop_requested, trainer.step = True, plain
        return plain(rows)

    trainer.step = stop_once
    assert trainer.run().interrupted
    assert not trainer.run().interrupted
    assert same(weights(trainer), whole[0])


def test_settings_and_folder_in_any_form(tmp_path):
    make(str(tmp_path / "run"), settings={"sizes": (1, 2)}).run()
    assert make(tmp_path / "run", settings={"sizes": [1, 2]}).resume()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"epochs": 1.5}, "epochs"), ({"read_every": 0}, "read_every"), ({"epochs": True}, "epochs")],
)
def test_counts_are_whole_numbers(options, message):
    with pytest.raises(OptionError, match=f"Expected {message} as a whole number"):
        make(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": -1.0}, "clip_norm: expected a length"),
        ({"clip_norm": float("nan")}, "clip_norm: expected a length"),
        ({"settings": {"a": np.int64(3)}}, "settings: expected text, numbers"),
    ],
)
def test_settings_that_would_fail_later_are_refused_now(options, message):
    with pytest.raises(OptionError, match=message):
        make(**options)


def test_a_validation_without_a_loss_is_refused():
    with pytest.raises(OptionError, match="validate: expected"):
        make(validate=dict).run()


def test_epochs_must_be_at_least_one():
    with pytest.raises(OptionError, match="Expected epochs as a whole number of at least 1. Got 0"):
        make(epochs=0, scheduler=None)


# -- what is told and written -----------------------------------------------------------------------------------------


def test_progress_counts_and_estimates():
    told = []
    make(listener=told.append).run()
    assert [(p.epoch, p.step) for p in told] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4)]
    assert all(p.epochs == EPOCHS and p.steps == STEPS and p.accuracy == 1 for p in told)
    assert all(p.seconds_left > 0 for p in told[:-1]) and told[-1].seconds_left == 0
    assert all(p.tokens_per_second > 0 and np.isfinite(p.loss) for p in told)


def test_the_log_is_written_in_both_forms(tmp_path):
    records = []
    result = make(tmp_path, epoch_listener=records.append).run()
    lines = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == result.history == records
    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == result.history
    assert list(rows[0]) == [
        "epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds", "tokens_per_second",
    ]  # fmt: skip


def test_the_log_can_go_elsewhere(tmp_path):
    result = make(tmp_path / "run", log_folder=tmp_path / "a" / "log").run()
    lines = (tmp_path / "a" / "log" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(x) for x in lines] == result.history
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint"]


def test_forgetting_leaves_the_model_and_what_is_not_ours(tmp_path):
    make(tmp_path).run()
    save_model(tmp_path, {}, {"kind": "k"})
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    forget_checkpoint(tmp_path)
    kept = ["config.json", "log.csv", "log.jsonl", "model.safetensors", "notes.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == kept
    forget_checkpoint(tmp_path)


def test_the_loop_runs_outside_the_main_thread():
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(make().run()))
    thread.start()
    thread.join()
    assert len(results[0].history) == EPOCHS
