"""A table of texts with labels: what a classification file becomes once it is read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import OptionError


@dataclass
class Table:
    """Rows of one file, in its order.

    texts: N strings. labels: N strings, or None for a file without labels. extra: the other columns by name, N strings
    each. lines: N line numbers, counted from 1, of the file. warnings: sentences for the reader about rows that were
    skipped, repeated or contradict each other. source: where the rows come from.
    """

    texts: list[str]
    labels: list[str] | None = None
    extra: dict[str, list[str]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    source: str = ""
    duplicates: int = 0
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> "Table":
        """The rows with these numbers (counted from 0), in the order given, as a new table without warnings."""
        return Table(
            texts=[self.texts[i] for i in rows],
            labels=None if self.labels is None else [self.labels[i] for i in rows],
            extra={name: [column[i] for i in rows] for name, column in self.extra.items()},
            lines=[self.lines[i] for i in rows] if self.lines else [],
            source=self.source,
        )

    def where(self, column: str, value: str) -> "Table":
        """The rows whose extra column `column` equals `value`. Raises OptionError for a column that is not there."""
        if column not in self.extra:
            known = ", ".join(self.extra) or "none"
            raise OptionError(f"Expected column to be one of: {known}. Got {column!r}.")
        return self.take([i for i, cell in enumerate(self.extra[column]) if cell == value])

    def classes(self) -> dict[str, int]:
        """The labels in alphabetical order, each with its number of rows."""
        return dict(sorted(Counter(self.labels or ()).items()))
