"""How good the classifiers are on real text, and that PyTorch's twin is neither better nor worse.

    python tests/benchmarks/classifier_quality.py FOLDER twin          # LSTM and its twin, five seeds, mr_polarity
    python tests/benchmarks/classifier_quality.py FOLDER mr_polarity   # lstm, cnn, bow
    python tests/benchmarks/classifier_quality.py FOLDER sms_spam cnn

The epoch is chosen on the validation part, the test part is opened once. Duplicates are removed before splitting.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from tinyslm.cli.console import errors_in_words
from tinyslm.data import drop_duplicates, load_table
from tinyslm.metrics import paired_difference, t_interval
from tinyslm.recipes.classifier import ClassifierTraining, Options, config_for

SEEDS = range(5)
MODELS = {
    "lstm": ({"model": "lstm"}, {"epochs": 6}),
    "cnn": ({"model": "cnn", "dropout": 0.5, "hidden": 64, "length": 60}, {"epochs": 4}),
    "bow": ({"model": "bow", "vocabulary": 20_000}, {"epochs": 10, "lr": 5e-3}),
}


def table_of(name, folder):
    """A data set without repeated texts."""
    table = load_table(name, folder)
    keep = drop_duplicates(table.texts, table.labels)
    return table.take(list(keep))


def quality(name, folder, kinds):
    """Print test accuracy and F1 of the last class for each model and seed."""
    table = table_of(name, folder)
    for kind in kinds:
        (config, options), scores = MODELS[kind], []
        for seed in SEEDS:
            start = time.perf_counter()
            run = ClassifierTraining(
                table, config_for(table, **config), Options(test=0.1, valid=0.1, seed=seed, **options)
            )
            report = run.run().report
            scores.append((report.accuracy, report.rows[-1].f1))
            print(f"{kind} seed {seed}: accuracy {scores[-1][0]:.4f}, F1 {report.rows[-1].label} {scores[-1][1]:.4f}"
                  f"   ({time.perf_counter() - start:.0f} s)", flush=True)  # fmt: skip
        accuracy, f1 = np.array(scores).T
        print(f"== {name} {kind}: accuracy {t_interval(accuracy)}, F1 {t_interval(f1)}", flush=True)


def twin(folder):
    """Train the LSTM and its twin with the same weights and batches; print both accuracies and their difference."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
    from torch_twin import make_twin, twin_accuracy, twin_step

    table = table_of("mr_polarity", folder)
    ours, theirs = [], []
    for seed in SEEDS:
        options = Options(test=0.1, valid=0.1, seed=seed, epochs=4)
        run = ClassifierTraining(table, config_for(table), options)
        twin, optimizer = make_twin(run.classifier.model)
        batches = ClassifierTraining(table, config_for(table), options).trainer.batches
        best = (0.0, 0.0)
        while batches.epoch < options.epochs:
            for rows in batches:
                ids, classes = run.arrays["train"]
                twin_step(twin, optimizer, ids[rows], classes[rows])
            valid = twin_accuracy(twin, *run.arrays["valid"])
            if valid > best[0]:
                best = (valid, twin_accuracy(twin, *run.arrays["test"]))
        theirs.append(best[1])
        ours.append(run.run().report.accuracy)
        print(f"seed {seed}: ours {ours[-1]:.4f}, PyTorch {theirs[-1]:.4f}", flush=True)
    print(f"== ours {t_interval(ours)}, PyTorch {t_interval(theirs)}, difference {paired_difference(ours, theirs)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the data sets; `tinyslm doctor` shows where")
    parser.add_argument("what", metavar="WHAT", help="mr_polarity, sms_spam, or twin")
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", default=list(MODELS), help=f"some of {', '.join(MODELS)}; all if left out"
    )
    options = parser.parse_args()
    if unknown := set(options.models) - set(MODELS):
        parser.error(f"models: expected some of {', '.join(MODELS)}; got {', '.join(unknown)}")
    return options


def main():
    options = parse()
    if options.what == "twin":
        twin(options.folder)
    else:
        quality(options.what, options.folder, options.models)


if __name__ == "__main__":
    with errors_in_words():
        main()
