"""`tinyslm predict` and `tinyslm evaluate`: use a model folder."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from .. import plot
from ..data import Table
from ..data.encodings import decode
from ..errors import DataError, OptionError
from ..metrics import ClassReport, class_report
from ..models import Classifier, Prediction
from ..recipes.classifier import class_numbers, quiet_fonts, style_scores, write_json
from .console import PATH, choose_backend, open_console, open_table, out_folder
from .scores import show_scores


def predict(
    folder: Annotated[Path, typer.Argument(help="A model folder.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; from standard input, one a line, if left out.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A file with one text a line.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the file.")] = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    backend: Annotated[str | None, typer.Option(help="numpy, numba or cuda.")] = None,
) -> None:
    """Label texts with a trained model."""
    choose_backend(backend)
    classifier = Classifier.load(folder)
    console = open_console()
    if texts and file is not None:
        raise OptionError("--file: expected texts from one place, got a file and texts on the command line")
    wanted = texts or _lines(file, encoding)
    for text, prediction in zip(wanted, classifier.predict(wanted), strict=True):
        if as_json:
            print(_as_json(text, prediction))
        else:
            _show(console, text, prediction)


def _lines(file: Path | None, encoding: str) -> list[str]:
    if file is not None and not file.is_file():
        got = "a folder" if file.is_dir() else "nothing"
        raise DataError(f"--file: expected a file with one text a line; got {got} at {file}")
    if file is None and (sys.stdin is None or sys.stdin.isatty()):
        raise DataError('expected a text: tinyslm predict FOLDER "text", --file PATH, or lines on standard input')
    content = file.read_bytes() if file is not None else sys.stdin.buffer.read()
    where = str(file or "standard input")
    lines = [line.strip() for line in decode(content, encoding, where).split("\n") if line.strip()]
    if not lines:
        raise DataError(f"{where}: expected at least one line with text, got none")
    return lines


def _as_json(text: str, p: Prediction) -> str:
    record = {"text": text, "label": p.label, "probabilities": p.probabilities, "known": p.known, "words": p.words}
    readable = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(record, ensure_ascii=not readable)


def _show(console: Console, text: str, p: Prediction) -> None:
    why = "none of its words was seen in training" if p.words else "there is no word in it"
    note = "" if p.known else f"   ({why}: this is only the model's bias)"
    console.print(f"{p.label}  {p.probability:.1%}  {text}{note}", markup=False)


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A model folder.")],
    data: Annotated[str, typer.Argument(help="A CSV file with columns text and label, or the name of a data set.")],
    text_column: Annotated[str, typer.Option(help="Name of the column with the texts.")] = "text",
    label_column: Annotated[str, typer.Option(help="Name of the column with the labels.")] = "label",
    encoding: Annotated[str, typer.Option(help="Encoding of the file.")] = "utf-8",
    delimiter: Annotated[str | None, typer.Option(help="Character between columns.")] = None,
    quoting: Annotated[str, typer.Option(help="minimal, or none where quotes are ordinary characters.")] = "minimal",
    data_dir: Annotated[Path | None, typer.Option(help="Folder with local copies of the data sets.")] = None,
    split: Annotated[str | None, typer.Option(help="Only rows whose column split has this value.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the report and picture go; the model folder if left out.", **PATH)
    ] = None,
    backend: Annotated[str | None, typer.Option(help="numpy, numba or cuda.")] = None,
) -> None:
    """Accuracy, precision, recall and F1 of a trained model on labelled texts."""
    choose_backend(backend)
    target = out_folder(out or folder)
    classifier = Classifier.load(folder)
    table = open_table(data, text_column, label_column, encoding, delimiter, data_dir, quoting)
    table = table if split is None else _part(table, split)
    labels = list(classifier.config.labels)
    true = class_numbers(table, labels)
    found = np.asarray(classifier.probabilities(table.texts)).argmax(-1)
    report = class_report(true, found, labels)
    console = open_console()
    for note in table.warnings:
        console.print(f"note: {note}", markup=False)
    show_scores(console, report, style_scores(table, report, found))
    stem = f"evaluation_{'stdin' if data == '-' else Path(data).stem}"
    _write_report(report, target, stem)
    console.print(f"report and picture: {target / stem}.json, .png", markup=False)


def _part(table: Table, split: str) -> Table:
    column = table.extra.get("split")
    if column is None or split not in column:
        found = "no such column" if column is None else ", ".join(sorted(set(column))[:10])
        raise DataError(f"--split: expected rows with {split!r} in the column split of {table.source}; got {found}")
    return table.where("split", split)


def _write_report(report: ClassReport, folder: Path, stem: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{stem}.json", asdict(report))
    with quiet_fonts():
        plot.save(plot.confusion(report.confusion, report.labels), folder / f"{stem}.png")
