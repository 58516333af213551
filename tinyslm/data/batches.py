"""Rows in batches, shuffled by an explicit generator, and resumable in the middle of an epoch bit for bit."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import CheckpointError, DTypeError, OptionError, ShapeError, require_lengths, require_rng, require_whole

# A pool is shuffled as a whole and sorted by length inside: large enough that neighbours have nearly the same length,
# small enough that an epoch does not become one long sorted list.
POOL_BATCHES = 50


class Batches:
    """The row numbers 0 .. rows-1 in batches, one epoch per loop.

    rows: N. batch_size: B rows a batch; the last one of an epoch may be smaller, or is left out with `drop_last`.
    rng: shuffles each epoch anew; None keeps the order. bucket: rows of similar `lengths` (N integers, in tokens)
    share a batch, so that little padding is needed: the shuffled rows are cut into pools of 50 batches, each pool
    is sorted by length, and the batches of the epoch are shuffled again.

    A loop runs what is left of the current epoch, so a loop that was left early goes on where it stopped:

        while batches.epoch < epochs:
            for rows in batches: ...            # int64 arrays of at most B row numbers

    `epoch` counts finished epochs and `index` the batches handed out in this one. Raises OptionError for a
    size that makes no batches, ShapeError or DTypeError unless `lengths` are one whole number per row.
    """

    def __init__(
        self,
        rows: int,
        batch_size: int,
        rng: np.random.Generator | None = None,
        lengths: Sequence[int] | np.ndarray | None = None,
        bucket: bool = False,
        drop_last: bool = False,
    ) -> None:
        self.rows, self.batch_size = require_whole(rows, "rows", 0), require_whole(batch_size, "batch_size", 1)
        self.rng, self.drop_last = None if rng is None else require_rng(rng, ", or None"), drop_last
        if bucket and lengths is None:
            raise OptionError("Expected lengths, one per row, to bucket the rows by. Got bucket=True alone.")
        found = None if lengths is None else require_lengths(lengths, self.rows)
        self.lengths = found if bucket else None
        self.epoch = 0
        self.index = 0
        self._seed: int | None = None
        self._order: list[np.ndarray] | None = None
        if len(self) == 0:
            raise OptionError(
                f"Expected batch_size to be from 1 to the number of rows. Got {batch_size} for {rows} rows"
                f"{' with drop_last' if drop_last else ''}."
            )

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(self.rows, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[np.ndarray]:
        order = self._current_order()
        while self.index < len(order):
            # Counted before the batch is handed out: a state saved inside the loop says that this batch is done.
            self.index += 1
            yield order[self.index - 1]
        self.epoch, self.index, self._seed, self._order = self.epoch + 1, 0, None, None

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, in plain JSON types: epoch, index, the seed of this epoch's order, the generator.

        The generator may be shared with dropout and others: the order of an epoch hangs on its own seed alone.
        """
        state: dict[str, Any] = {"rows": self.rows, "batch_size": self.batch_size, "drop_last": self.drop_last}
        state |= {"bucket": self.lengths is not None, "epoch": self.epoch, "index": self.index, "seed": self._seed}
        return state | {"rng": None if self.rng is None else _plain(self.rng.bit_generator.state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken. Raises CheckpointError when it is of other data or settings."""
        mine = self.state_dict()
        for name in ("rows", "batch_size", "drop_last", "bucket"):
            if state.get(name) != mine[name]:
                raise CheckpointError(
                    f"Expected a saved position in batches with {name}={mine[name]}. Got {name}={state.get(name)}. "
                    "Resume with the data and the settings of the interrupted run, or start a new one."
                )
        _load_generator(self.rng, state["rng"])
        self.epoch, self.index, self._seed, self._order = state["epoch"], state["index"], state["seed"], None

    def _current_order(self) -> list[np.ndarray]:
        if self._order is None:
            if self._seed is None and self.rng is not None:
                self._seed = int(self.rng.integers(2**63))
            shuffler = None if self._seed is None else np.random.default_rng(self._seed)
            self._order = self._make_order(shuffler)
        return self._order

    def _make_order(self, rng: np.random.Generator | None) -> list[np.ndarray]:
        rows = np.arange(self.rows) if rng is None else rng.permutation(self.rows)
        # Rows are dropped before they are sorted, or the longest ones would always be the ones to go.
        rows = rows[: len(self) * self.batch_size]
        if self.lengths is not None:
            rows = _sort_pools(rows, self.lengths, self.batch_size * POOL_BATCHES)
        chunks = np.split(rows, range(self.batch_size, len(rows), self.batch_size))
        if rng is None or self.lengths is None:
            return chunks
        return [chunks[i] for i in rng.permutation(len(chunks))]


def batches(
    ids: np.ndarray | Sequence[Any],
    labels: np.ndarray | Sequence[Any] | None,
    batch_size: int,
    rng: np.random.Generator | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
    bucket: bool = False,
    drop_last: bool = False,
) -> Iterator[tuple[Any, Any]]:
    """One epoch of (ids, labels) pairs; labels are None when there are none.

    ids: an array (N, ...), cut to (B, ...), or a list of N sequences, cut to a list of B. labels: N, likewise.
    The rest as for `Batches`, which training uses because it can be resumed; without `lengths`, a list of
    sequences is bucketed by their own lengths. Raises ShapeError unless there are as many labels as rows.
    """
    rows = _count(ids, "ids")
    if labels is not None and _count(labels, "labels") != rows:
        raise ShapeError(f"Expected as many labels as rows of ids ({rows}). Got {len(labels)} labels.")
    if bucket and lengths is None and not isinstance(ids, np.ndarray):
        lengths = [len(row) for row in ids]
    order = Batches(rows, batch_size, rng, lengths, bucket, drop_last)
    return ((_pick(ids, batch), None if labels is None else _pick(labels, batch)) for batch in order)


def _pick(values: np.ndarray | Sequence[Any], rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


def _count(values: Any, name: str) -> int:
    try:
        return len(values)
    except TypeError:
        got = type(values).__name__
        raise DTypeError(f"Expected {name} as an array (N, ...) or a list of N, one per row. Got {got}.") from None


def _sort_pools(rows: np.ndarray, lengths: np.ndarray, pool: int) -> np.ndarray:
    pools = np.split(rows, range(pool, len(rows), pool))
    return np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in pools])


def _plain(value: Any) -> Any:
    """A generator's state with Python's own numbers, lists and strings instead of NumPy's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _like(value: Any, pattern: Any) -> Any:
    """The inverse of `_plain`: `value` with arrays wherever `pattern` has them."""
    if isinstance(pattern, dict):
        return {key: _like(value[key], item) for key, item in pattern.items()}
    return np.asarray(value, dtype=pattern.dtype) if isinstance(pattern, np.ndarray) else value


def _load_generator(rng: np.random.Generator | None, saved: dict[str, Any] | None) -> None:
    now = None if rng is None else rng.bit_generator.state["bit_generator"]
    then = None if saved is None else saved["bit_generator"]
    if now != then:
        raise CheckpointError(f"Expected the saved state of a generator of kind {now}. Got {then}.")
    if rng is not None and saved is not None:
        rng.bit_generator.state = _like(saved, rng.bit_generator.state)
