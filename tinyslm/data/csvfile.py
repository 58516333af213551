"""Reading texts and labels from a CSV or TSV file, with faults named by file and line."""

import csv
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import DataError, OptionError
from .encodings import decode
from .table import Table

if TYPE_CHECKING:
    from _csv import Reader

# One field may be this long. Python's own limit, 131,072 characters, is less than one long document.
FIELD_LIMIT = 64 * 2**20

_QUOTING: dict[str, Literal[0, 3]] = {"minimal": csv.QUOTE_MINIMAL, "none": csv.QUOTE_NONE}

Row = tuple[int, list[str]]


def read_csv(
    path: str | Path,
    text: str = "text",
    label: str | None = "label",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quoting: str = "minimal",
    columns: Sequence[str] | None = None,
) -> Table:
    """Read a table of texts from `path`, or from standard input when `path` is "-".

    text, label: names of the two columns; label=None reads texts alone. The other columns go to `Table.extra`.
    delimiter: one character; None means a tab for .tsv and .tab files and a comma for the rest.
    quoting: "minimal" (fields may stand in double quotes) or "none" (quotes are ordinary characters).
    columns: the column names of a file that has no header line.

    Rows with an empty text are skipped and counted in `Table.warnings`, as are repeated and contradicting rows.
    Raises DataError for every fault of the file, with the line; OptionError for an unusable delimiter or quoting.
    """
    if text == label:
        raise OptionError(f"Expected text and label to be two different columns. Got {text!r} for both.")
    where = "standard input" if str(path) == "-" else str(path)
    content = decode(_read_bytes(path), encoding, where)
    _check_content(content, where)
    rows = _parse(content, where, _delimiter(path, delimiter), _quoting(quoting))
    header = _header(rows, columns, where)
    _check_columns(header, [text] if label is None else [text, label], where, delimiter)
    return _build(rows, header, text, label, where)


def _read_bytes(path: str | Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{file}: Expected a CSV file. Got a folder. Name one file inside it.")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise DataError(_missing(file)) from None
    except OSError as error:
        raise DataError(f"{file}: The file cannot be read: {error.strerror}.") from None


def _missing(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f"{file}: Expected a CSV file. There is no such file, and the folder {folder} does not exist either."
    here = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".tab"))[:10]
    tables = ", ".join(here) or "none"
    return f"{file}: Expected a CSV file. There is no such file. CSV and TSV files in {folder}: {tables}."


def _check_content(content: str, where: str) -> None:
    if not content.strip():
        raise DataError(f"{where}: Expected a header line and rows. Got an empty file.")
    nul = content.find("\0")
    if nul >= 0:
        line = content.count("\n", 0, nul) + 1
        raise DataError(
            f"{where}, line {line}: Expected text. Got a NUL character. The file is damaged, or it is not plain text "
            "(a spreadsheet must be exported as CSV), or it is UTF-16: try encoding='utf-16' (--encoding utf-16)."
        )


def _delimiter(path: str | Path, delimiter: str | None) -> str:
    if delimiter is None:
        return "\t" if Path(path).suffix.lower() in (".tsv", ".tab") else ","
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise OptionError(f"Expected delimiter to be one character such as ',' ';' or a tab. Got {delimiter!r}.")
    return delimiter


def _quoting(name: str) -> Literal[0, 3]:
    if name not in _QUOTING:
        raise OptionError(f"Expected quoting to be one of: {', '.join(_QUOTING)}. Got {name!r}.")
    return _QUOTING[name]


def _parse(content: str, where: str, delimiter: str, quoting: Literal[0, 3]) -> list[Row]:
    # newline="" leaves line ends alone, so that a line break inside quotes survives as it is.
    # strict: a stray quote is a fault with a line number, not a row quietly glued to the next.
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    with _field_limit(FIELD_LIMIT):
        return list(_numbered(reader, where))


def _numbered(reader: "Reader", where: str) -> Iterator[Row]:
    start = 1
    try:
        for fields in reader:
            if fields:  # a blank line has no fields
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{where}, line {start}: {_csv_fault(str(error))}") from None


def _csv_fault(message: str) -> str:
    if "field larger" in message:
        return (
            f"Expected fields of at most {FIELD_LIMIT:,} characters. Got a longer one. "
            "Usually a double quote was opened here and never closed; else cut the text into smaller rows."
        )
    if "unexpected end" in message:
        return "The field that opens with a double quote in this row is never closed. Close it." + _UNQUOTED
    return (
        f'The quotes of this row do not match ({message}). Write a double quote inside a quoted field twice: "".'
        + _UNQUOTED
    )


_UNQUOTED = " If quotes are ordinary characters in this file, pass quoting='none' (--quoting none)."


@contextmanager
def _field_limit(size: int) -> Iterator[None]:
    # The limit of the csv module is global; it is put back for whoever else uses the module.
    before = csv.field_size_limit(size)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(rows: list[Row], columns: Sequence[str] | None, where: str) -> list[str]:
    names = list(columns) if columns is not None else [name.strip() for name in rows.pop(0)[1]]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{where}: Expected different column names. Got {twice[0]!r} more than once. Rename one.")
    if not rows:
        raise DataError(f"{where}: Expected rows below the header. Got the header alone: {', '.join(names)}.")
    return names


def _check_columns(header: list[str], wanted: list[str], where: str, delimiter: str | None) -> None:
    missing = [name for name in wanted if name not in header]
    if not missing:
        return
    found = ", ".join(repr(name[:40]) for name in header)
    raise DataError(
        f"{where}: Expected a column named {missing[0]!r}. Got the columns: {found}. "
        f"{_delimiter_hint(header, delimiter)}{_capitals_hint(header, wanted)}"
        "Choose with text=..., label=... (--text-column NAME --label-column NAME). "
        "To a file without a header line add one, such as text,label (in Python: columns=[...])."
    )


def _capitals_hint(header: list[str], wanted: list[str]) -> str:
    same = {option: h for option, w in zip(("text", "label"), wanted, strict=False) for h in header
            if h != w and h.lower() == w.lower() and w not in header}  # fmt: skip
    if not same:
        return ""
    python = ", ".join(f"{option}={name!r}" for option, name in same.items())
    command = " ".join(f"--{option}-column {name}" for option, name in same.items())
    return f"Only the capitals differ: pass {python} ({command}). "


def _delimiter_hint(header: list[str], delimiter: str | None) -> str:
    if len(header) > 1 or delimiter is not None:
        return ""
    for mark, shown in ((";", "';'"), ("\t", r"'\t'"), ("|", "'|'"), (",", "','")):
        if mark in header[0]:
            return f"The fields seem to be separated by {shown}: pass delimiter={shown} (--delimiter {shown}). "
    return ""


def _build(rows: list[Row], header: list[str], text: str, label: str | None, where: str) -> Table:
    for line, fields in rows:
        _check_width(fields, header, line, where)
    at = header.index(text)
    kept = [row for row in rows if row[1][at].strip()]
    if not kept:
        raise DataError(f"{where}: Expected texts in the column {text!r}. Got {len(rows)} rows, all of them empty.")
    cells = {name: [fields[i] for _, fields in kept] for i, name in enumerate(header)}
    lines = [line for line, _ in kept]
    table = Table(cells.pop(text), None if label is None else cells.pop(label), cells, lines, source=where)
    _check_labels(table, label)
    _note_empty(table, [line for line, fields in rows if not fields[at].strip()])
    _note_repeats(table)
    return table


def _check_width(fields: list[str], header: list[str], line: int, where: str) -> None:
    if len(fields) == len(header):
        return
    cause = "a text that contains the delimiter must stand in double quotes" if len(fields) > len(header) else ""
    raise DataError(
        f"{where}, line {line}: Expected {len(header)} fields ({', '.join(header)}). Got {len(fields)}"
        f"{': ' + cause if cause else ''}. The row begins: {fields[0][:60]!r}."
    )


def _check_labels(table: Table, label: str | None) -> None:
    if table.labels is None:
        return
    table.labels = [name.strip() for name in table.labels]
    empty = [line for line, name in zip(table.lines, table.labels, strict=True) if not name]
    if empty:
        raise DataError(
            f"{table.source}, line {empty[0]}: Expected a label in the column {label!r}. Got an empty one "
            f"({_count(len(empty), 'row')} in all). Fill them in or remove the rows."
        )


def _note_empty(table: Table, lines: list[int]) -> None:
    table.skipped = len(lines)
    if lines:
        table.warnings.append(f"{_count(len(lines), 'row')} with an empty text skipped (the first in line {lines[0]}).")


def _note_repeats(table: Table) -> None:
    labels = table.labels or [""] * len(table)
    seen = defaultdict(set)
    for words, name in zip(table.texts, labels, strict=True):
        seen[words].add(name)
    table.duplicates = len(table) - sum(map(len, seen.values()))
    torn = sum(len(names) > 1 for names in seen.values())
    if table.duplicates:
        table.warnings.append(f"{_count(table.duplicates, 'row')} repeated: the same text and label came before.")
    if torn:
        table.warnings.append(f"{_count(torn, 'text')} with more than one label: no model can learn both.")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
