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
from ..data.encodings import decode
from ..errors import DataError
from ..files import write_text
from ..metrics import class_report
from ..models import Classifier, Prediction
from ..recipes.classifier import class_numbers, style_scores
from .console import choose_backend, open_console, open_table
from .train import style_grid


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
    choose_backend(backend, None)
    classifier = Classifier.load(folder)
    console = open_console()
    wanted = list(texts or ()) or _lines(file, encoding)
    for text, prediction in zip(wanted, classifier.predict(wanted), strict=True):
        _show(console, text, prediction, as_json)


def _lines(file: Path | None, encoding: str) -> list[str]:
    if file is not None and not file.is_file():
        raise DataError(f"--file: expected a file with one text a line; there is none at {file}")
    if file is None and sys.stdin.isatty():
        raise DataError('expected a text: tinyslm predict FOLDER "text", --file PATH, or lines on standard input')
    content = file.read_bytes() if file is not None else sys.stdin.buffer.read()
    where = str(file or "standard input")
    lines = [line.strip() for line in decode(content, encoding, where).split("\n") if line.strip()]
    if not lines:
        raise DataError(f"{where}: expected at least one line with text, got none")
    return lines


def _show(console: Console, text: str, p: Prediction, as_json: bool) -> None:
    if as_json:
        record = {"text": text, "label": p.label, "probabilities": p.probabilities, "known": p.known, "words": p.words}
        console.print(json.dumps(record, ensure_ascii=False), markup=False, soft_wrap=True)
        return
    note = "" if p.known else "   (none of its words was seen in training: this is the model's bias)"
    console.print(f"{p.label}  {p.probability:.1%}  {text}{note}", markup=False, soft_wrap=True)


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
        Path | None, typer.Option(help="Where the report and picture go; the model folder if left out.")
    ] = None,
    backend: Annotated[str | None, typer.Option(help="numpy, numba or cuda.")] = None,
) -> None:
    """Accuracy, precision, recall and F1 of a trained model on labelled texts."""
    choose_backend(backend, None)
    classifier = Classifier.load(folder)
    table = open_table(data, text_column, label_column, encoding, delimiter, data_dir, quoting)
    table = table if split is None else table.where("split", split)
    if not len(table):
        raise DataError(f"{data}: expected rows to evaluate, got none")
    labels = list(classifier.config.labels)
    true = class_numbers(table, labels)
    found = np.asarray(classifier.probabilities(table.texts)).argmax(-1)
    report = class_report(true, found, labels)
    console = open_console()
    console.print(str(report), markup=False)
    by_style = style_scores(table, report, found)
    if by_style:
        console.print(style_grid(by_style))
    target = out or folder
    target.mkdir(parents=True, exist_ok=True)
    stem = f"evaluation_{Path(data).stem or 'stdin'}"
    write_text(target / f"{stem}.json", json.dumps(asdict(report), ensure_ascii=False, indent=1) + "\n")
    plot.save(plot.confusion(report.confusion, report.labels), target / f"{stem}.png")
    console.print(f"report and picture: {target / stem}.json, .png", markup=False)
