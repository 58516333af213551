"""All records, in the order of the articles. A module is imported when one of its records is asked for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable

from ..errors import OptionError
from .record import Record

IDS = tuple([f"A{i}" for i in range(1, 21)] + [f"B{i}" for i in range(1, 22)])

# Which module of article_a/ or article_b/ holds which IDs, as numbers; each module has a tuple RECORDS.
MODULES = {
    "article_a.loss": ("A1",),
    "article_a.adam": ("A2", "A3", "A4"),
    "article_a.words": ("A5",),
    "article_a.attention": ("A6",),
    "article_a.steps": ("A7", "A8", "A9", "A10", "A11", "A12"),
    "article_a.block": ("A13",),
    "article_a.pipeline": ("A14",),
    "article_a.scores": ("A15",),
    "article_a.systems": ("A16", "A17", "A18"),
    "article_a.sizes": ("A19",),
    "article_a.recall": ("A20",),
    "article_b.words": ("B1", "B2"),
    "article_b.vectors": ("B3", "B4"),
    "article_b.lstm_gates": ("B5", "B6", "B7"),
    "article_b.lstm_cell": ("B8", "B9"),
    "article_b.attention": ("B10", "B11"),
    "article_b.gru": ("B12",),
    "article_b.listings": ("B13", "B14", "B15"),
    "article_b.start": ("B16",),
    "article_b.facts": ("B17",),
    "article_b.tasks": ("B18", "B20"),
    "article_b.recurrent_dropout": ("B19",),
    "article_b.learning_curve": ("B21",),
}


def record(id: str) -> Record:
    """The record of an ID such as "A6" or "a6".

    Raises:
        OptionError: for an ID that there isn't.
    """
    wanted = id.strip().upper()
    for module, ids in MODULES.items():
        if wanted in ids:
            records = importlib.import_module(f".{module}", __package__).RECORDS
            return next(r for r in records if r.id == wanted)
    raise OptionError(f"Expected a formula's ID: A1 to A20 or B1 to B21. Got: {id}")


def chosen(names: Iterable[str] = ()) -> list[Record]:
    """Records by ID, by article ("A") or by a range ("A1-A6"); all of them for no name."""
    listed = {id for ids in MODULES.values() for id in ids}
    names = list(names)
    wanted = [id for name in names for id in _expand(name)] if names else [id for id in IDS if id in listed]
    return [record(id) for id in dict.fromkeys(wanted)]


def _expand(name: str) -> list[str]:
    name = name.strip().upper()
    if name in ("A", "B"):
        return [id for id in IDS if id[0] == name]
    match = re.fullmatch(r"([AB]\d+)(?:-|\.\.)([AB]\d+)", name)
    if not match:
        return [name]
    ends = [id for id in match.groups() if id in IDS]
    if len(ends) != 2 or IDS.index(ends[0]) > IDS.index(ends[1]):
        raise OptionError(f"Expected a range of IDs such as A1-A6. Got: {name}")
    return list(IDS[IDS.index(ends[0]) : IDS.index(ends[1]) + 1])
