"""The planted mistakes: a right file, the text that a student got wrong, and the lines a teacher would point at.

Each entry names the class of mistake (1 to 22), the base file, and `old -> new` edits. `forward` and `backward` are
pieces of lines of the mutated file: the forward lines whose derivative is wrong, and the backward lines that hold the
mistake. Without `backward` these are the lines that `new` brings in. What the finder should say is `expect`:

    wrong       the gradient is wrong and a line is to be named
    right       a convention at a kink: not a mistake (class 16)
    layout      everything transposed consistently: a convention, to be told as such (class 22)
    numerics    right algebra that breaks in floating point (class 20)
    random      two runs differ (class 21)
"""

from __future__ import annotations

from dataclasses import dataclass

from .harness import right_files

EXPECT = {16: "right", 20: "numerics", 21: "random", 22: "layout"}


@dataclass(frozen=True)
class Mistake:
    """One planted mistake."""

    name: str
    base: str
    klass: int
    right: str  # the base file's text
    edits: tuple[tuple[str, str], ...]
    forward: tuple[str, ...]
    backward: tuple[str, ...]

    @property
    def expect(self) -> str:
        """The verdict that is due."""
        return EXPECT.get(self.klass, "wrong")

    def text(self) -> str:
        """The learner's file with the mistake in it."""
        return edited(self.right, self.edits)

    def lines(self, text: str | None = None) -> set[int]:
        """The accepted lines, forward and backward, in the mutated file."""
        return self.forward_lines(text) | self.backward_lines(text)

    def forward_lines(self, text: str | None = None) -> set[int]:
        """The forward lines whose derivative is wrong."""
        return _find(text or self.text(), self.forward)

    def backward_lines(self, text: str | None = None) -> set[int]:
        """The backward lines that hold the mistake."""
        return _find(text or self.text(), self.backward)


@dataclass(frozen=True)
class Double:
    """Two independent mistakes in one file."""

    name: str
    base: str
    first: Mistake
    second: Mistake
    expect: str = "wrong"
    klass: int = 0

    def text(self) -> str:
        """The learner's file with both mistakes in it."""
        return edited(self.first.right, self.first.edits + self.second.edits)

    def lines(self) -> set[int]:
        """The accepted lines of either mistake."""
        return self.spots()[0] | self.spots()[1]

    def spots(self) -> tuple[set[int], set[int]]:
        """The accepted lines of each of the two."""
        text = self.text()
        return self.first.lines(text), self.second.lines(text)


def edited(text: str, edits: tuple[tuple[str, str], ...]) -> str:
    """The text after the edits; each old piece must stand there exactly once."""
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"Expected this text once in the base file. Got {text.count(old)} times: {old!r}")
        text = text.replace(old, new)
    return text


def _find(text: str, pieces: tuple[str, ...]) -> set[int]:
    lines = text.splitlines()
    found = {piece: {n for n, line in enumerate(lines, 1) if piece in line} for piece in pieces}
    vague = {piece: sorted(where) for piece, where in found.items() if len(where) != 1}
    if vague:
        raise ValueError(f"Expected one line that contains each piece. Got {vague}")
    return set().union(*found.values()) if found else set()


def _tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _fresh(right: str, edits: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The lines of the mutated file that the right one does not have."""
    before = set(right.splitlines())
    return tuple(line.strip() for line in edited(right, edits).splitlines() if line not in before and line.strip())


class Table:
    """The mistakes planted in one folder of right files."""

    def __init__(self, right_files: dict[str, str]):
        self.right_files = right_files
        self.mistakes: list[Mistake] = []

    def plant(
        self,
        klass: int,
        base: str,
        name: str,
        old: str,
        new: str,
        forward: str | tuple[str, ...] = (),
        backward: str | tuple[str, ...] = (),
        more: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Add one mistake."""
        edits, right = ((old, new), *more), self.right_files[base]
        back = _tuple(backward) or _fresh(right, edits)
        self.mistakes.append(Mistake(f"{klass:02d}_{base}_{name}", base, klass, right, edits, _tuple(forward), back))

    def doubles(self, pairs: tuple[tuple[str, str], ...]) -> list[Double]:
        """Files with two of the mistakes each, named by pairs."""
        by_name = {m.name: m for m in self.mistakes}
        chosen = [(by_name[a], by_name[b]) for a, b in pairs]
        return [Double(f"two_{a.name}__{b.name[3:]}", a.base, a, b) for a, b in chosen]


CORPUS = Table(right_files())
MISTAKES, plant = CORPUS.mistakes, CORPUS.plant
