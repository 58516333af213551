"""Sequences of different lengths as one array."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DTypeError, ShapeError, require_whole
from ._fields import require_choice, require_many

Side = Literal["left", "right"]


def pad(
    sequences: Iterable[Sequence[int] | NDArray[np.integer]],
    length: int | None = None,
    side: Side = "left",
    cut: Side = "left",
    value: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (ids, lengths): ids (B, T) int64 with one sequence a row, lengths (B,) int64 of what is no padding.

    length: T; None takes the longest sequence. side: where `value` fills up. cut: where a longer sequence loses ids.
    Both are on the left by default, as in the article's Keras code (A16): the last word stands at the last step, where
    an LSTM's final state is read, and of a long text the end is kept. With padding on the left, row b holds its
    sequence in ids[b, T - lengths[b]:]; on the right, in ids[b, :lengths[b]]. Whether index 0 is masked is the model's
    business.

    OptionError for a length below 1, another side or a fractional value; DTypeError for ids that are not whole numbers;
    ShapeError for nested sequences.
    """
    require_choice(side, "side", ("left", "right"))
    require_choice(cut, "cut", ("left", "right"))
    require_whole(value, "value", least=-(2**63))
    rows = [_as_ids(row, i) for i, row in enumerate(require_many(sequences, "sequences"))]
    steps = max(map(len, rows), default=0) if length is None else require_whole(length, "length", least=1)
    rows = [row[:steps] if cut == "right" else row[max(0, len(row) - steps) :] for row in rows]
    ids = np.full((len(rows), steps), value, dtype=np.int64)
    for filled, row in zip(ids, rows, strict=True):
        start = steps - len(row) if side == "left" else 0
        filled[start : start + len(row)] = row
    return ids, np.array([len(row) for row in rows], dtype=np.int64)


def _as_ids(row: object, i: int) -> NDArray[np.integer]:
    if isinstance(row, str | bytes):
        raise DTypeError(f"Expected sequences[{i}] as a sequence of ids. Got {type(row).__name__}: encode it first.")
    array = _to_array(row, i)
    if array.ndim != 1:
        raise ShapeError(
            f"Expected sequences[{i}] with 1 dimension. Got shape {array.shape}: pass a list of sequences."
        )
    if array.size and array.dtype.kind not in "iu":
        raise DTypeError(f"Expected sequences[{i}] as whole numbers. Got {array.dtype}.")
    return array.astype(np.int64)


def _to_array(row: object, i: int) -> NDArray[np.generic]:
    try:
        return np.asarray(row)
    except ValueError as error:
        raise ShapeError(f"Expected sequences[{i}] as a flat sequence of ids. Got rows of unequal length.") from error
