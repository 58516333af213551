"""W11: the articles' classifier, the whole command from a CSV file to a saved model."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from ...data import bundled_path, load_table
from ..commands import Commands, Finished, Run, finish, script
from ..measure import Settings

EPOCHS = "10"


@dataclass(frozen=True)
class WholeCommand(Commands):
    """`tinyslm train classifier` against scripts that do the same.

    The parts of the data and the start values are each library's own: accuracies are compared, not bits, and on the
    1,000 bundled reviews those scatter by some hundredths.
    """

    tolerance: float = 0.1
    others: ClassVar[tuple[str, ...]] = ("torch", "keras")

    def runs(self, folder: Path, threads: int, settings: Settings) -> Mapping[str, Run]:
        """Ours and the scripts; Keras on top of JAX where that is installed, which is its fastest on a CPU."""
        data = write_csv(folder / "data.csv", settings.folder)
        out = folder / "theirs"
        out.mkdir()
        backend = {"KERAS_BACKEND": keras_backend()}
        others = {
            name: partial(finish, script("w11_classifier.py", name, data, out, EPOCHS), threads, **env)
            for name, env in (("torch", {}), ("keras", backend))
        }
        # The result of each is the accuracy on the test part.
        return {"tinyslm": partial(train, data, folder / "ours", threads), **others}


def train(data: Path, out: Path, threads: int, **env: str) -> Finished:
    """The command; its answer is the test report's accuracy."""
    words = ["-m", "tinyslm", "train", "classifier", str(data), "--out", str(out), "--epochs", EPOCHS, "--force"]
    done = finish(words, threads, **env)
    report = json.loads((out / "test_report.json").read_text(encoding="utf-8"))
    done.out = str(report["accuracy"])
    return done


def write_csv(path: Path, folder: Path | None) -> Path:
    """The movie reviews as a CSV file, where the shared data sets are; else the bundled reviews."""
    if folder is None:
        return bundled_path("reviews")
    table = load_table("mr_polarity", folder)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(table.texts, table.labels or (), strict=True)])
    return path


def keras_backend() -> str:
    """JAX where it is installed, else PyTorch."""
    return "jax" if importlib.util.find_spec("jax") else "torch"


ROWS = [WholeCommand("W11", "the classifier, 10 epochs, from CSV to saved model", 1.5, 3.0)]
