"""Dividing rows into parts that share classes but no texts."""

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, OptionError, ShapeError, require_rng


def stratified_split(
    labels: Sequence[str] | Sequence[int] | np.ndarray,
    fractions: Sequence[float] = (0.8, 0.2),
    *,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Divide the rows 0 .. N-1 at random into parts that hold each class in the same share.

    labels: N class names or numbers. fractions: the size of each part, above 0, with the sum 1.
    Returns one ascending int64 array of row numbers per part; each row is in exactly one part.

    Within a class of n rows a part of fraction f gets floor(n f) rows; the rows left over go one each to the parts with
    the largest remainder n f - floor(n f), the earlier part first when they tie. A part left without the class then
    takes one row from the part that has most, as long as that one keeps a row: a class with fewer rows than
    there are parts is missing from the last ones.

    Raises DataError for fewer than two rows or classes, or when a part would be empty; OptionError for bad fractions.
    """
    require_rng(rng)
    shares = _check_fractions(fractions)
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    _check_classes(names, len(codes))
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for code in range(len(names)):
        rows = rng.permutation(np.flatnonzero(codes == code))
        ends = np.cumsum(_counts(len(rows), shares))[:-1]
        for part, piece in zip(parts, np.split(rows, ends), strict=True):
            part.append(piece)
    return _check_parts([np.sort(np.concatenate(part)).astype(np.int64) for part in parts], len(codes))


def _check_fractions(fractions: Sequence[float]) -> np.ndarray:
    shares = np.asarray(fractions, dtype=np.float64)
    good = shares.ndim == 1 and len(shares) >= 2 and bool(np.all(shares > 0)) and abs(shares.sum() - 1) < 1e-9
    if not good:
        raise OptionError(f"Expected fractions to be two or more numbers above 0 with the sum 1. Got {fractions!r}.")
    return shares


def _check_classes(names: np.ndarray, rows: int) -> None:
    if rows < 2:
        raise DataError(f"labels: Expected at least 2 rows to split. Got {rows}. Add rows.")
    if len(names) < 2:
        raise DataError(
            f"labels: Expected at least 2 classes. Got only {names[0].item()!r} in all {rows} rows. "
            "Add rows of another class, or check that the right column holds the labels."
        )


def _counts(rows: int, shares: np.ndarray) -> np.ndarray:
    """How many of `rows` rows of one class go to each part."""
    exact = rows * shares
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(np.round(counts - exact, 9), kind="stable")  # the largest remainder first
    counts[order[: rows - counts.sum()]] += 1
    for part in np.flatnonzero(counts == 0):
        most = int(np.argmax(counts))
        if counts[most] > 1:
            counts[most] -= 1
            counts[part] += 1
    return counts


def _check_parts(parts: list[np.ndarray], rows: int) -> list[np.ndarray]:
    sizes = [len(part) for part in parts]
    if 0 in sizes:
        raise DataError(
            f"labels: Expected enough rows of each class for {len(parts)} parts. Got {rows} rows, which make parts of "
            f"{sizes} rows. Add rows, or split into fewer parts."
        )
    return parts


def check_leak(train_texts: Sequence[str], test_texts: Sequence[str]) -> int:
    """How many of the test texts also stand in the training texts, upper case and white space apart.

    A score on such rows measures memory, not understanding. Use it for a warning, and `drop_duplicates` as the cure.
    """
    seen = {_key(words) for words in train_texts}
    return sum(_key(words) in seen for words in test_texts)


def drop_duplicates(texts: Sequence[str], labels: Sequence[str] | None = None) -> np.ndarray:
    """The ascending row numbers to keep so that each text stands once, upper case and white space apart.

    Of equal texts the first stays. Where `labels` contradict each other, no row of that text stays: nobody can say
    which of them is right. Raises ShapeError unless there are as many labels as texts.
    """
    if labels is not None and len(labels) != len(texts):
        raise ShapeError(f"Expected as many labels as texts ({len(texts)}). Got {len(labels)} labels.")
    first: dict[str, int] = {}
    torn: set[str] = set()
    for row, key in enumerate(map(_key, texts)):
        start = first.setdefault(key, row)
        if labels is not None and labels[start] != labels[row]:
            torn.add(key)
    return np.array([row for key, row in first.items() if key not in torn], dtype=np.int64)


def _key(words: str) -> str:
    return " ".join(words.casefold().split())
