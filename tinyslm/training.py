"""The training loop: steps, validation, early stopping, logging, and checkpoints from which it goes on bit for bit.

The loop knows nothing of text. It is given a function that computes the loss of some rows, and one that validates; the
recipes bring both. A checkpoint holds everything that decides the next step: weights, optimizer, random generators,
the position in the data, the running averages. So a run that was killed and resumed ends with the same weights, bit
for bit, as one that was not.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from . import device
from .checkpoint import load_state, save_state
from .data import Batches
from .errors import CheckpointError, OptionError, ShapeError, TinyslmError, require_whole
from .files import write_text
from .nn import Module
from .optim import LRScheduler, Optimizer, clip_factor
from .tensor import Tensor

Rows = np.ndarray
Metrics = dict[str, float]
LOGS = ("log.jsonl", "log.csv")


class TrainingError(TinyslmError, RuntimeError):
    """Training that cannot go on, such as a loss that is not a number."""


@dataclass
class Progress:
    """What a listener is told after each step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    tokens_per_second: float
    seconds_left: float


@dataclass
class Result:
    """What a run gave: one record per epoch, the best epoch (counted from 1), and whether it was interrupted."""

    history: list[dict[str, float]]
    best_epoch: int
    interrupted: bool = False
    stopped_early: bool = False


@dataclass
class Sums:
    """Running sums of an epoch, so that its averages survive a resume."""

    loss: float = 0.0
    hits: float = 0.0
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def add(self, loss: float, hits: float, rows: int, tokens: int) -> None:
        """Count one batch; `loss` is its mean."""
        self.loss += loss * rows
        self.hits += hits
        self.rows += rows
        self.tokens += tokens

    def averages(self) -> Metrics:
        """Mean loss and accuracy so far."""
        n = max(self.rows, 1)
        return {"loss": self.loss / n, "accuracy": self.hits / n}


@dataclass
class Unread:
    """What a step gave, while its numbers may still be on their way: on a GPU, asking for them means waiting."""

    step: int
    loss: Any
    hits: Any
    rows: int
    tokens: int


@dataclass
class Trainer:
    """Trains a model; see the module's docstring.

    Args:
        model: what is trained.
        optimizer: over the model's parameters.
        batches: the rows of the training data.
        step: rows -> (mean loss as a tensor, number of hits, number of tokens); on a GPU the hits may lie there.
        epochs: how many passes over the data.
        validate: () -> {"loss": ..., "accuracy": ...} on data not trained on, or None.
        scheduler: changes the learning rate after each step, or None.
        clip_norm: largest norm of the whole gradient, or None.
        patience: stop when this many epochs brought no better validation accuracy; 0 never stops early, and without
            `validate` there is nothing to wait for.
        generators: random generators whose states belong to a checkpoint (dropout), by name.
        settings: what a resumed run must share with the one it goes on with: text, numbers, lists of them.
        folder: where checkpoints and the log go; None keeps nothing.
        log_folder: where the log goes, if not into `folder`; made when it is needed.
        save_seconds: time between checkpoints inside an epoch; one is written after every epoch anyway.
        read_every: on a GPU, losses and hits are read in one go after so many steps, and at the end of an epoch; in
            between the host never waits for them. An index outside its range is said then, too, with the steps that
            it can have happened in. On the CPU they are read in each step.
        listener: called with a `Progress` after each step; on a GPU, each time the losses were read.
        epoch_listener: called with the record of each finished epoch.
    """

    model: Module
    optimizer: Optimizer
    batches: Batches
    step: Callable[[Rows], tuple[Tensor, Any, int]]
    epochs: int
    validate: Callable[[], Metrics] | None = None
    scheduler: LRScheduler | None = None
    clip_norm: float | None = None
    patience: int = 0
    generators: Mapping[str, np.random.Generator] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    log_folder: Path | None = None
    save_seconds: float = 30.0
    read_every: int = 20
    listener: Callable[[Progress], None] | None = None
    epoch_listener: Callable[[dict[str, float]], None] | None = None

    def __post_init__(self) -> None:
        self.epochs = require_whole(self.epochs, "epochs", 1)
        self.read_every = require_whole(self.read_every, "read_every", 1)
        self.folder = None if self.folder is None else Path(self.folder)
        self.log_folder = None if self.log_folder is None else Path(self.log_folder)
        self.settings = _as_saved(self.settings)
        if self.clip_norm is not None and not self.clip_norm >= 0:
            raise OptionError(f"clip_norm: expected a length of at least 0, or None; got {self.clip_norm}")
        self.history: list[dict[str, float]] = []
        self._unread: list[Unread] = []
        self.sums = Sums()
        self.best: dict[str, np.ndarray] = {}
        self.best_epoch = 0
        self.stop_requested = False
        self._saved_at = time.monotonic()

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """Train to the end, or until Ctrl-C or early stopping; a second call goes on after Ctrl-C.

        The model ends with its best epoch's weights and without dropout (`eval`).

        Raises:
            TrainingError: the loss or a weight is not finite. The last checkpoint stays.
            CheckpointError: a checkpoint can't be written. The one before stays.
        """
        self.save()  # a full or read-only disk shows now, not after an epoch
        # Overflows are no news here: losses and weights are checked, and a sentence says what to do.
        with self._interruptible(), np.errstate(all="ignore"):
            while not self._done() and not self.stop_requested:
                if self._run_epoch():
                    self._finish_epoch()
        if not self._done():
            self.stop_requested = False
            self.save()
            return Result(self.history, self.best_epoch, interrupted=True)
        self.model.load_state_dict(self.best)
        self.model.eval()
        return Result(self.history, self.best_epoch, stopped_early=self.batches.epoch < self.epochs)

    def _done(self) -> bool:
        waited = len(self.history) - self.best_epoch
        return self.batches.epoch >= self.epochs or (self.patience > 0 and waited >= self.patience)

    def _run_epoch(self) -> bool:
        """Run what is left of an epoch; False when it was interrupted."""
        self.model.train()
        for rows in self.batches:
            start = time.perf_counter()
            self._one_step(rows)
            self.sums.seconds += time.perf_counter() - start
            if not self._unread:
                self._tell()
            unfinished = self.batches.index < len(self.batches)
            if unfinished and self.stop_requested:
                return False
            if unfinished and time.monotonic() - self._saved_at > self.save_seconds:
                self.save()
        return True

    def _one_step(self, rows: Rows) -> None:
        loss, hits, tokens = self.step(rows)
        self._unread.append(Unread(self.batches.index, loss._data, hits, len(rows), tokens))
        if device.backend() != "cuda":
            self._read()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step(1.0 if self.clip_norm is None else clip_factor(self.model.parameters(), self.clip_norm))
        if self.scheduler is not None:
            self.scheduler.step()
        if len(self._unread) >= self.read_every or self.batches.index == len(self.batches):
            self._read()

    def _read(self) -> None:
        """Fetch the numbers of all unread steps, with one wait; they are added up here, so the sums have one order."""
        unread, self._unread = self._unread, []
        try:
            values = device.fetch([u.loss for u in unread] + [u.hits for u in unread])
        except ShapeError as error:
            raise self._late(str(error), unread) from None
        for u, loss, hits in zip(unread, values[: len(unread)], values[len(unread) :], strict=True):
            if not math.isfinite(loss):
                raise self._not_finite("The loss", loss, u.step)
            self.sums.add(loss, hits, u.rows, u.tokens)

    def _late(self, words: str, unread: list[Unread]) -> TrainingError:
        steps = f"{unread[0].step} to {unread[-1].step}" if unread else f"up to {self.batches.index}"
        return TrainingError(f"{words}\n  It happened in epoch {self.batches.epoch + 1}, in one of the steps {steps}")

    def _finish_epoch(self) -> None:
        record: dict[str, float] = {"epoch": self.batches.epoch}
        record |= {f"train_{k}": v for k, v in self.sums.averages().items()}
        if self.validate is not None:
            self.model.eval()
            record |= {f"valid_{k}": v for k, v in self.validate().items()}
            if "valid_loss" not in record:
                raise OptionError(f'validate: expected {{"loss": ..., "accuracy": ...}}, got {record}')
            if not math.isfinite(record["valid_loss"]):
                raise self._not_finite("The validation loss", record["valid_loss"])
        record["seconds"] = round(self.sums.seconds, 3)
        record["tokens_per_second"] = round(self.sums.tokens / max(self.sums.seconds, 1e-9))
        self.history.append(record)
        self._keep_best(record)
        self.sums = Sums()
        self._write_log()
        self.save()
        if self.epoch_listener is not None:
            self.epoch_listener(record)

    def _keep_best(self, record: dict[str, float]) -> None:
        # Without a validation part the last epoch counts.
        if self.validate is None or not self.best or _score(record) > _score(self.history[self.best_epoch - 1]):
            self.best_epoch = len(self.history)
            self.best = {k: np.array(v) for k, v in self.model.state_dict().items()}

    def _not_finite(self, what: str, value: object, step: int | None = None) -> TrainingError:
        place = f"epoch {self.batches.epoch + 1}, step {step or self.batches.index}"
        place = place if self.batches.index else f"the end of epoch {self.batches.epoch}"
        kept = "" if self.folder is None else f"\n  The checkpoint before it is kept in {self.folder}"
        return TrainingError(
            f"{what} became {value} in {place}.\n  Expected: finite numbers; start again with a smaller learning rate "
            f"(--lr), or limit the gradient (--clip 1). ts.detect_anomaly() names the operation{kept}"
        )

    def _tell(self) -> None:
        if self.listener is None:
            return
        done = self.batches.index / len(self.batches)
        pace = self.sums.seconds / done
        left = pace * (1 - done) + pace * (self.epochs - self.batches.epoch - 1)
        speed = self.sums.tokens / max(self.sums.seconds, 1e-9)
        mean = self.sums.averages()
        self.listener(
            Progress(
                self.batches.epoch + 1,
                self.epochs,
                self.batches.index,
                len(self.batches),
                mean["loss"],
                mean["accuracy"],
                speed,
                left,
            )
        )

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C finishes the step in hand, so that what is saved is whole; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def request(number: int, frame: object) -> None:
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True

        before = signal.signal(signal.SIGINT, request)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint, if there is a folder. Weights that are not finite never replace a good checkpoint."""
        self._read()  # the sums belong to the checkpoint
        self._saved_at = time.monotonic()
        weights = self.model.state_dict()
        for name, value in weights.items():
            if not np.isfinite(value).all():
                raise self._not_finite(f"The weight {name}", "NaN or infinite")
        if self.folder is None:
            return
        arrays = {f"model/{k}": v for k, v in weights.items()}
        arrays |= {f"optimizer/{k}": v for k, v in self.optimizer.state_arrays().items()}
        arrays |= {f"best/{k}": v for k, v in self.best.items()}
        save_state(self.folder, arrays, self._plain_state())

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False if there is none.

        Raises:
            CheckpointError: it is damaged, or of a run with other settings; nothing was changed on the disk.
        """
        found = load_state(self.folder) if self.folder is not None else None
        if found is None:
            return False
        arrays, state = found
        self._check_settings(state.get("settings"))
        try:
            self._restore(arrays, state)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"The checkpoint in {self.folder} does not fit ({type(error).__name__}: {error}).\n"
                "  Expected: what training wrote there; start anew without --resume"
            ) from None
        return True

    def _check_settings(self, saved: Any) -> None:
        before = saved if isinstance(saved, dict) else {}
        changed = [f"{k} was {before.get(k)!r}, now {v!r}" for k, v in self.settings.items() if before.get(k) != v]
        if changed:
            raise CheckpointError(
                f"The interrupted run in {self.folder} had other settings.\n  Expected: the same, so that the result "
                f"is that of a run without a break\n  Got: {'; '.join(changed)}"
            )

    def _plain_state(self) -> dict[str, Any]:
        return {
            "batches": self.batches.state_dict(),
            "optimizer": self.optimizer.state_json(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generators": {name: g.bit_generator.state for name, g in self.generators.items()},
            "history": self.history,
            "best_epoch": self.best_epoch,
            "sums": vars(self.sums),
            "settings": dict(self.settings),
        }

    def _restore(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        self.model.load_state_dict(_under("model/", arrays))
        self.optimizer.load_state(_under("optimizer/", arrays), state["optimizer"])
        self.best = _under("best/", arrays)
        self.batches.load_state_dict(state["batches"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        for name, generator in self.generators.items():
            generator.bit_generator.state = state["generators"][name]
        self.sums = Sums(**{f.name: state["sums"][f.name] for f in fields(Sums)})
        self.history, self.best_epoch = state["history"], state["best_epoch"]
        recorded, finished = [record["epoch"] for record in self.history], self.batches.epoch
        if recorded != [*range(1, finished + 1)] or not 0 <= self.best_epoch <= finished:
            raise ValueError(f"{finished} epochs, records of {recorded}, best {self.best_epoch}")

    def _write_log(self) -> None:
        if self.folder is not None:
            write_log(self.log_folder or self.folder, self.history)


def _as_saved(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a checkpoint."""
    try:
        return dict(json.loads(json.dumps(dict(settings))))
    except TypeError as error:
        raise OptionError(f"settings: expected text, numbers, and lists of them; {error}") from None


def _score(record: dict[str, float]) -> tuple[float, float]:
    return record.get("valid_accuracy", 0.0), -record.get("valid_loss", 0.0)


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def write_log(folder: Path, history: list[dict[str, float]]) -> None:
    """Write the records of a run's epochs into `folder`, as log.jsonl and log.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / LOGS[0], "".join(json.dumps(r) + "\n" for r in history))
    names = list(history[0])
    rows = [",".join(names), *(",".join(f"{r.get(n, '')}" for n in names) for r in history)]
    write_text(folder / LOGS[1], "\n".join(rows) + "\n")


def forget_checkpoint(folder: Path) -> None:
    """Remove the checkpoints from `folder`, and nothing else: a model that lies there stays.

    A finished run needs them no more, and they are larger than the model.
    """
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
