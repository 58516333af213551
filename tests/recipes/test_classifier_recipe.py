"""The classifier recipe: the three parts, every option with every model, resuming, and what becomes of a folder."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinyslm as ts
from tinyslm import plot
from tinyslm.checkpoint import load_model, load_state
from tinyslm.data import Table, load_table
from tinyslm.errors import CheckpointError, DataError, OptionError
from tinyslm.models import Classifier, ClassifierConfig
from tinyslm.models.classifier import MODELS, POOLINGS
from tinyslm.recipes.classifier import (
    OPTIMIZERS,
    SCHEDULES,
    TOKENIZERS,
    ClassifierTraining,
    Options,
    config_for,
    split_table,
)  # fmt: skip
from tinyslm.training import TrainingError

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["good", "bad", "film", "plot", "the", "a", "actor", "scene", "dull", "bright"]
TINY = {"vocabulary": 50, "embedding": 4, "hidden": 3, "length": 6, "heads": 2}
FILES = {
    "config.json", "confusion.png", "curves.png", "log.csv", "log.jsonl", "model.safetensors", "test_report.json",
    "training.json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def numpy_backend():
    with ts.use("numpy"):
        yield


@pytest.fixture
def pictures():
    """Asks for real pictures."""


@pytest.fixture(autouse=True)
def quick_pictures(request, monkeypatch):
    """Pictures take longer than everything else here; only who asks for them gets real ones."""
    if "pictures" not in request.fixturenames:
        for name in ("curves", "confusion"):
            monkeypatch.setattr(plot, name, lambda *args: None)
        monkeypatch.setattr(plot, "save", lambda figure, path: path.write_bytes(b"picture"))


def table(labels=("bad", "good"), rows=40, seed=0):
    """Texts of which the first word gives the class away."""
    rng = np.random.default_rng(seed)
    names = [labels[i % len(labels)] for i in range(rows)]
    texts = [f"{WORDS[i % len(labels)]} {' '.join(rng.choice(WORDS[3:], rng.integers(1, 6)))} {i}" for i in range(rows)]
    return Table(texts, names, lines=list(range(2, rows + 2)), source="made.csv")


def training(data=None, folder=None, options=None, **config):
    data = data or table()
    return ClassifierTraining(data, config_for(data, **(TINY | config)), options or Options(epochs=2), folder)


def weights(run):
    return {k: np.array(v) for k, v in run.classifier.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("batch_size", 0), ("ngrams", 0), ("min_count", 0), ("seed", -1), ("warmup", -1),
        ("patience", -1), ("weight_decay", -0.1), ("weight_decay", float("nan")), ("clip", float("inf")),
        ("lr", 0), ("lr", float("nan")), ("lr", float("inf")), ("test", 0), ("test", 1), ("valid", float("nan")),
        ("test", 0.95), ("optimizer", "adams"), ("schedule", ""), ("tokenizer", "bert"),
    ],
)  # fmt: skip
def test_options_outside_their_range_are_refused_by_name(name, value):
    with pytest.raises(OptionError, match=rf"^{name}: .*expected .*got"):
        Options(**{name: value})


def test_every_option_with_every_model():
    """Each pair (model, value of an option) occurs; the others vary along in a fixed order."""
    choices = {
        "pooling": POOLINGS, "bidirectional": (False, True), "masked": (False, True), "layers": (1, 2),
        "dropout": (0.0, 0.4), "outputs": ("auto", "softmax"), "length": (1, 6), "embedding": (4, 2),
    }  # fmt: skip
    training_choices = {
        "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "tokenizer": TOKENIZERS, "weight_decay": (0.0, 0.1),
        "clip": (0.0, 0.5), "warmup": (0, 3), "patience": (0, 1), "batch_size": (7, 1000), "ngrams": (1, 2),
        "drop_stop_words": (False, True), "min_count": (1, 2),
    }  # fmt: skip
    tables = [table(), table(("very, good", "不 好", "[x]"))]
    for model, i in itertools.product(MODELS, range(4)):
        config = {name: values[(i + k // 2) % len(values)] for k, (name, values) in enumerate(choices.items())}
        options = {name: values[(i + k) % len(values)] for k, (name, values) in enumerate(training_choices.items())}
        run = training(tables[i % 2], options=Options(epochs=1, **options), model=model, **config)
        report = run.run().report
        assert report.support == len(run.parts.test), (model, config, options)
        assert 0 <= report.accuracy <= 1


def test_the_length_counts_words_and_n_grams_are_joined_within(tmp_path):
    data = table(rows=60)
    long = Table([f"{t} and then {t} the long end of a plot" for t in data.texts], data.labels)
    run = training(long, options=Options(epochs=1, ngrams=2), folder=tmp_path, length=6, vocabulary=200, model="bow")
    run.run()
    for classifier in (run.classifier, Classifier.load(tmp_path)):
        ids = classifier.encode([long.texts[0]])
        words = ["the", "long", "end", "of", "a", "plot"]
        pairs = [" ".join(pair) for pair in itertools.pairwise(words)]
        assert ids.shape == (1, 12) and classifier.config.length == 12
        assert classifier.tokenizer.decode(ids[0], skip_specials=True).split() == " ".join([*words, *pairs]).split()
    assert training(long, options=Options(ngrams=2, tokenizer="keras"), length=6).classifier.config.length == 6


@pytest.mark.parametrize("model", MODELS)
def test_each_model_learns_which_word_gives_the_class_away(model):
    data = table(("a", "b", "c"), rows=90)
    settings = {"embedding": 8, "hidden": 8, "masked": True, "vocabulary": 30, "length": 8, "pooling": "max"}
    run = training(data, options=Options(epochs=12, lr=0.03, batch_size=16), model=model, **settings)
    assert run.run().report.accuracy >= 0.9


# -- the parts of the data --------------------------------------------------------------------------------------------


def test_the_parts_share_no_row_and_keep_the_classes():
    parts = split_table(table(rows=100), Options(test=0.3, valid=0.2))
    assert [len(p) for p in (parts.train, parts.valid, parts.test)] == [50, 20, 30]
    assert not set(parts.train.lines) & set(parts.test.lines) | set(parts.valid.lines) & set(parts.test.lines)
    assert parts.test.classes() == {"bad": 15, "good": 15} and parts.notes == []
    again = split_table(table(rows=100), Options(test=0.3, valid=0.2, seed=1))
    assert again.test.lines != parts.test.lines


def test_a_column_split_decides():
    data = table(rows=12)
    data.extra["split"] = ["train"] * 6 + ["valid"] * 2 + ["test"] * 4
    parts = split_table(data, Options())
    assert [p.lines for p in (parts.train, parts.valid, parts.test)] == [
        list(range(2, 8)), [8, 9], [10, 11, 12, 13],
    ]  # fmt: skip
    data.extra["split"] = ["train"] * 8 + ["test"] * 4
    parts = split_table(data, Options(test=0.2, valid=0.2))
    assert (len(parts.train), len(parts.valid), parts.test.lines) == (6, 2, [10, 11, 12, 13])
    data.extra["split"] = ["fold 1"] * 12
    with pytest.raises(DataError, match=r"made.csv, column split: expected train, test.*'fold 1'.*rename it"):
        split_table(data, Options())


def test_equal_texts_in_train_and_test_are_counted():
    data = table(rows=10)
    data.extra["split"] = ["train"] * 4 + ["valid"] * 2 + ["test"] * 4
    data.texts[6] = data.texts[0].upper()
    data.texts[7] = f"  {data.texts[5]}"
    assert split_table(data, Options()).notes[0].startswith("2 of 4 test texts also stand in the training or valid")


def test_classes_missing_from_a_part_are_named():
    data = table(("a", "b"), rows=10)
    data.labels[9] = "rare"
    data.extra["split"] = ["train"] * 6 + ["valid"] * 2 + ["test"] * 2
    notes = split_table(data, Options()).notes
    assert "no row of 'rare' is in the training part" in notes and "no row of 'b' is in the test part" in notes


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "expected rows with labels, got none"),
        (["a"], "at least two classes, got only 'a'.*--label-column"),
        (["a"] * 9, "at least two classes, got only 'a'"),
        (["a", "b"], r"made.csv: can't be divided(.|\n)*Got 2 rows(.|\n)*Add rows"),
        (["a", "b", "b"], r"made.csv: can't be divided(.|\n)*Got 3 rows"),
    ],
)
def test_too_little_data_is_refused_in_words(labels, message):
    data = Table([f"text {i}" for i in range(len(labels))], labels, source="made.csv")
    with pytest.raises(DataError, match=message):
        split_table(data, Options())


def test_six_rows_are_enough():
    assert training(table(rows=6)).run().report.support == 2


def test_notes_on_empty_texts_and_idle_options():
    data = table()
    data.texts[3], data.texts[4] = "<br>", "http://x.org"
    run = training(data, model="bow", layers=3, options=Options(epochs=1, drop_stop_words=True))
    assert any(n.startswith("2 of 40 texts have no word left") for n in run.parts.notes), run.parts.notes
    assert "--layers does nothing for --model bow" in run.parts.notes
    run = training(options=Options(epochs=1, tokenizer="keras", drop_stop_words=True))
    assert "--drop-stop-words does nothing for --tokenizer keras" in run.parts.notes


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(OptionError, match="min_count: expected a number that some words reach, got 999"):
        training(options=Options(min_count=999))


def test_labels_that_the_model_does_not_know():
    from tinyslm.recipes.classifier import class_numbers

    with pytest.raises(DataError, match="labels that the model knows, 'x', 'y'; got also 'bad', 'good'.*--label-colu"):
        class_numbers(table(), ["x", "y"])


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="hiden"):
        config_for(table(), hiden=3)


# -- the run ----------------------------------------------------------------------------------------------------------


def test_the_folder_of_a_finished_run(tmp_path, pictures):
    run = training(folder=tmp_path / "a" / "model")
    trained = run.run()
    folder = tmp_path / "a" / "model"
    assert {p.name for p in folder.iterdir()} == FILES  # no checkpoint: it would be larger than the model
    report = json.loads((folder / "test_report.json").read_text(encoding="utf-8"))
    assert report["accuracy"] == trained.report.accuracy and np.sum(report["confusion"]) == len(run.parts.test)
    settings = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert (settings["epochs"], settings["hidden"], settings["labels"]) == (2, 3, ["bad", "good"])
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    found = Classifier.load(folder).probabilities(run.parts.test.texts).argmax(1)
    assert (found == run.arrays["test"][1]).mean() == trained.report.accuracy


def test_the_seed_decides_everything():
    first, second, third = (training(options=Options(epochs=1, seed=s), dropout=0.5) for s in (1, 1, 2))
    for run in (first, second, third):
        run.run()
    assert same(weights(first), weights(second)) and not same(weights(first), weights(third))


OPTIONS = Options(epochs=2, batch_size=5, lr=0.01, optimizer="adamw", weight_decay=0.01, clip=1, schedule="cosine")
CONFIG = {"dropout": 0.5, "layers": 2, "bidirectional": True, "pooling": "attention"}


@pytest.mark.parametrize("model", MODELS)
def test_resumed_inside_an_epoch_the_model_is_the_same(tmp_path, model):
    whole = training(folder=tmp_path / "whole", options=OPTIONS, model=model, **CONFIG)
    whole.run()
    first = training(folder=tmp_path / "part", options=OPTIONS, model=model, **CONFIG)

    def stop(progress):
        first.trainer.stop_requested = (progress.epoch, progress.step) == (2, 3)

    first.trainer.listener = stop
    assert first.run().result.interrupted and not (tmp_path / "part" / "model.safetensors").exists()
    second = training(folder=tmp_path / "part", options=OPTIONS, model=model, **CONFIG)
    second.run(resume=True)
    assert same(load_model(tmp_path / "part")[0], load_model(tmp_path / "whole")[0])


KILLED = """
import sys
sys.path.insert(0, sys.argv[3])
from test_classifier_recipe import CONFIG, OPTIONS, training
from pathlib import Path
run = training(folder=Path(sys.argv[1]), options=OPTIONS, **CONFIG)
run.trainer.save_seconds = -1
run.trainer.listener = lambda p: print("step", flush=True)
import tinyslm as ts
with ts.use("numpy"):
    run.run(resume=sys.argv[2] == "resume")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_random_moments_and_resumed_the_model_is_the_same(tmp_path):
    training(folder=tmp_path / "whole", options=OPTIONS, **CONFIG).run()
    rng, folder = np.random.default_rng(0), tmp_path / "part"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    for how in ("start", "resume"):
        command = [sys.executable, "-c", KILLED, str(folder), how, str(Path(__file__).parent)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            for _ in range(4):
                assert process.stdout.readline() == b"step\n"
            time.sleep(rng.uniform(0, 0.03))
            process.kill()
        arrays, state = load_state(folder)
        assert arrays and state["settings"]["epochs"] == 2
    training(folder=folder, options=OPTIONS, **CONFIG).run(resume=True)
    assert same(load_model(folder)[0], load_model(tmp_path / "whole")[0])
    assert {p.name for p in folder.iterdir()} == FILES


def test_resume_needs_an_interrupted_run_with_the_same_settings_and_data(tmp_path):
    with pytest.raises(CheckpointError, match="no interrupted run(.|\n)*Got: no folder"):
        training(folder=tmp_path / "m").run(resume=True)
    assert not (tmp_path / "m").exists()
    run = training(folder=tmp_path / "m")
    run.trainer.stop_requested = True
    assert run.run().result.interrupted
    with pytest.raises(CheckpointError, match="hidden was 3, now 5"):
        training(folder=tmp_path / "m", hidden=5).run(resume=True)
    with pytest.raises(CheckpointError, match="epochs was 2, now 9"):
        training(folder=tmp_path / "m", options=Options(epochs=9)).run(resume=True)
    with pytest.raises(CheckpointError, match="data_hash was"):
        training(table(seed=1), folder=tmp_path / "m").run(resume=True)
    training(folder=tmp_path / "m").run(resume=True)
    with pytest.raises(CheckpointError, match="no interrupted run(.|\n)*Got: a finished model"):
        training(folder=tmp_path / "m").run(resume=True)


def test_an_old_model_stays_until_the_new_one_is_whole(tmp_path):
    training(folder=tmp_path).run()
    (tmp_path / "evaluation_x.json").write_text("{}", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    old = {p.name: p.read_bytes() for p in tmp_path.iterdir() if not p.name.startswith("log")}
    run = training(folder=tmp_path, hidden=5)
    run.trainer.listener = lambda p: run.classifier.model.head.weight._data.fill(np.nan)
    with pytest.raises(TrainingError):
        run.run()
    assert {n: (tmp_path / n).read_bytes() for n in old} == old
    training(folder=tmp_path, hidden=5).run()
    assert Classifier.load(tmp_path).config.hidden == 5
    assert {p.name for p in tmp_path.iterdir()} == {*FILES, "notes.txt"}  # the old model's evaluation is gone


def test_a_run_killed_while_it_writes_the_model_can_be_resumed(tmp_path, monkeypatch):
    run = training(folder=tmp_path)

    def no_more(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.classifier, "save", no_more)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    training(folder=tmp_path).run(resume=True)
    assert {p.name for p in tmp_path.iterdir()} == FILES


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert training().run().report and list(tmp_path.iterdir()) == []


def test_the_bundled_chinese_reviews():
    data = load_table("reviews_zh")
    trained = training(data, model="bow", vocabulary=4000, length=60, options=Options(epochs=10, lr=0.01)).run()
    assert trained.report.accuracy > 0.6
    assert sum(rows for _, rows in trained.by_style.values()) == trained.report.support
    known = trained.classifier.predict([data.texts[0]])[0]
    assert known.known > 5 and known.label in data.classes()


def test_the_defaults_are_the_articles():
    config, options = ClassifierConfig(("a", "b")), Options()
    assert (config.vocabulary, config.embedding, config.hidden, config.length) == (10_000, 64, 128, 100)
    assert (options.epochs, options.batch_size, options.optimizer, options.lr) == (10, 32, "adam", 1e-3)
