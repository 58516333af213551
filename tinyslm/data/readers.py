"""How each public data set is read: the quirks of its files, one function each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .csvfile import read_csv
from .table import Table

_SENTIMENT = {"1": "positive", "0": "negative"}


def plain_text(name: str) -> Callable[[Path], str]:
    """A reader of one UTF-8 file as it is."""
    return lambda folder: (folder / name).read_bytes().decode("utf-8").replace("\r\n", "\n")


def movie_reviews(folder: Path) -> Table:
    """Pang and Lee's sentences: one file per label, cp1252.

    The files are split at line feeds alone: they hold the byte 0x85, a line end to `str.splitlines` under latin-1.
    """
    texts: list[str] = []
    labels: list[str] = []
    for name, label in (("rt-polarity.pos", "positive"), ("rt-polarity.neg", "negative")):
        lines = (folder / name).read_bytes().rstrip(b"\n").split(b"\n")
        texts += [line.decode("cp1252").strip() for line in lines]
        labels += [label] * len(lines)
    return Table(texts, labels, source=str(folder))


def sms(folder: Path) -> Table:
    """Messages as tab-separated lines without a header; their double quotes are ordinary characters."""
    return read_csv(folder / "sms.tsv", delimiter="\t", quoting="none", columns=("label", "text"))


def hotel_reviews(folder: Path) -> Table:
    """Chinese hotel reviews; the labels 1 and 0 become positive and negative, one empty review is skipped."""
    table = read_csv(folder / "ChnSentiCorp_htl_all.csv", text="review", label="label")
    return replace(table, labels=[_SENTIMENT[label] for label in table.labels or ()])
