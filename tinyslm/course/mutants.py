"""Single mistakes planted in the source of a lesson: a fixed list, in the spirit of `tinyslm.check.mutate`.

Mutated is what a lesson builds: the functions, methods and named lambdas of its cells. Left out, each with its reason,
are functions that draw random numbers, train, print, plot, read files or ask a check, those whose first line says in a
comment that they are wrong on purpose, an example, or measure something, and the solutions of exercises.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .lessons import Cell, cells
from .mistakes import mistakes

CALLS = {
    "draws random numbers": "normal integers random uniform choice permutation shuffle default_rng",
    "trains": "zero_grad",
    "prints, plots or reads": "print figure Figure open read_text write_text",
    "asks a check": "check gradcheck",
}
MARKS = ("wrong on purpose", "measures", "an example")


@dataclass(frozen=True)
class Mutant:
    """One mistake: the cell it is in, the function, the line in the file, what it does, and the cell's tree with it."""

    cell: int
    function: str
    line: int
    operator: str
    text: str
    tree: ast.Module = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"line {self.line}, {self.function}, {self.operator}: {self.text}"


@dataclass(frozen=True)
class Built:
    """A function of a lesson: its cell, its name ("Class.method" for a method), its node, and why it is left out."""

    cell: int
    name: str
    node: ast.FunctionDef | ast.Lambda
    tree: ast.Module
    why_not: str


def built(source: str) -> list[Built]:
    """The functions, methods and named lambdas of a lesson, in their order."""
    return [
        Built(i, name, node, tree, _why_not(node, source))
        for i, cell in enumerate(cells(source))
        if cell.kind == "code"
        for tree in [tree_of(cell)]
        for name, node in _functions(tree)
    ]


def tree_of(cell: Cell) -> ast.Module:
    """The cell's syntax tree, with the line numbers of the file."""
    return ast.increment_lineno(ast.parse(cell.text), cell.line - 1)


def mutants(source: str) -> list[Mutant]:
    """All single mistakes of the fixed list in what the lesson builds."""
    return [m for b in built(source) if not b.why_not for m in _of(b)]


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.Lambda]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{m.name}", m) for m in node.body if isinstance(m, ast.FunctionDef))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _why_not(node: ast.FunctionDef | ast.Lambda, source: str) -> str:
    first = source.split("\n")[node.lineno - 1]
    marked = [mark for mark in MARKS if re.search(rf"#.*\b{mark}\b", first)]
    called = {getattr(x.func, "attr", getattr(x.func, "id", "")) for x in ast.walk(node) if isinstance(x, ast.Call)}
    return next(iter(marked + [why for why, names in CALLS.items() if called & set(names.split())]), "")


def _of(b: Built) -> Iterator[Mutant]:
    for old, operator, new in mistakes(b.node):
        ast.copy_location(new, old)
        text = f"{_short(old)} -> {_short(new)}"
        yield Mutant(b.cell, b.name, old.lineno, operator, text, _planted(b.tree, old, new))


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _planted(tree: ast.Module, old: ast.AST, new: ast.AST) -> ast.Module:
    """A copy of the tree with `new` in place of `old`; the tree itself is as before."""
    _Swap(old, new).visit(tree)
    changed = copy.deepcopy(tree)
    _Swap(new, old).visit(tree)
    return ast.fix_missing_locations(changed)


def defines(statement: ast.stmt, name: str) -> bool:
    """Whether this statement defines `name`, or the class that it is a method of."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name == name.split(".")[0]
    is_lambda = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda)
    return is_lambda and ast.unparse(statement.targets[0]) == name  # type: ignore[attr-defined]
