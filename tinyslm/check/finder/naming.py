"""What a learner calls things: the source of a recorded operation, by its place in the file."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

from .graph import Node

LONGEST = 48
Place = tuple[int, int]
TAKEN = ("p", "cache", "g")


class Names:
    """Expressions by their place, and variables by what was assigned to them."""

    def __init__(self, source: str):
        self.lines = source.splitlines()
        self.double_quotes = source.count('"') > source.count("'")
        self.parts: dict[Place, str] = {}
        self.returned: set[Place] = set()  # what helpers return: called by the call
        self.expressions: dict[Place, str] = {}  # the same, variables aside
        self.unpacked: dict[Place, list[str]] = {}
        self.leaves: list[tuple[re.Pattern[str], str]] = []
        self._stored: dict[str, int] = {}
        self.spelled: dict[str, str] = {}
        self.taken = dict(zip(TAKEN, TAKEN, strict=True))  # p, cache and g as backward calls them
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.expr):
                self.parts.setdefault(_place(node), _short(ast.unparse(node)))
        self.expressions = dict(self.parts)
        for node in ast.walk(tree):
            if isinstance(node, ast.Return) and node.value is not None:
                self.returned.add(_place(node.value))
            for target, value in _assigned(node):
                self.parts[_place(value)] = ast.unparse(target)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                self.unpacked[_place(node.value)] = [ast.unparse(t) for t in node.targets[0].elts]
        self._stored = {k: line for node in ast.walk(tree) for k, line in _stored(node)}
        self.spelled = {text: name for node in ast.walk(tree) for text, name in _spelled(node)}
        backward = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "backward")
        self.taken |= {k: a.arg for n in backward for k, a in zip(TAKEN, n.args.args, strict=False)}
        meant = {**{k: k for k in TAKEN[:2]}, **{self.taken[k]: k for k in TAKEN[:2]}}
        self.leaves = [pair for node in ast.walk(tree) for pair in _leaf_names(node, meant)]

    @staticmethod
    @functools.lru_cache(maxsize=8)
    def of(source: str) -> Names:
        """The names of a file; made once."""
        return Names(source)

    def of_node(self, node: Node) -> str:
        """What the learner would call a recorded value, with the learner's quotation marks."""
        return self.quoted(self._of_node(node))

    def _of_node(self, node: Node) -> str:
        if node.leaf:
            return next((name for pattern, name in self.leaves if pattern.fullmatch(node.leaf)), self.own(node.leaf))
        place = node.site[-1] if node.site else (0, 0)
        if node.name == "pick" and place in self.unpacked:
            return self.unpacked[place][node.args[1]]
        if len(node.site) > 1 and place in self.returned:
            place = node.site[-2]
        part = self.parts.get(place)
        return part or self.line(node.inner) or node.name

    def expression(self, node: Node) -> str:
        """How the learner computes a recorded value, where that is short enough to be told; else its name."""
        text = self.expressions.get(node.site[-1], "") if node.site and not node.leaf else ""
        whole = self.of_node(node)
        if not text or text.endswith(" ...") or (len(node.site) > 1 and node.site[-1] in self.returned):
            return whole
        return self.quoted(text)

    def quoted(self, text: str) -> str:
        """Code with the learner's quotation marks."""
        return text.replace("'", '"') if self.double_quotes and '"' not in text else text

    def of_step(self, pattern: str, ahead: int) -> str:
        """What the learner calls the entry of a list for step t (or `ahead` of it)."""
        index = f"[t + {ahead}]" if ahead > 0 else "[t]"
        leaf = self.own(pattern.replace("[*]", index, 1))
        return self.spelled.get(leaf, leaf)

    def own(self, leaf: str) -> str:
        """cache["hs"] with the learner's name for the cache."""
        name, bracket, rest = leaf.partition("[")
        return self.taken.get(name, name) + bracket + rest

    def stored(self, name: str) -> int:
        """The line on which a gradient gets its name: `d["dx"] = ...` or `{"dx": ...}`; 0 where that is not plain."""
        return self._stored.get(name, 0)

    def line(self, number: int) -> str:
        """A line of the file without its margin and comment."""
        if not 0 < number <= len(self.lines):
            return ""
        return _short(self.lines[number - 1].split("  #")[0].strip(), 100)


def _place(node: ast.expr | ast.stmt) -> Place:
    return node.lineno, (node.col_offset or 0) * 10_000 + (node.end_col_offset or 0)


def _short(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else text[: most - 4] + " ..."


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | ast.stmt]]:
    """(variable, what it is the name of): the value of `x = value`, and the whole of `x += value`."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        if not isinstance(node.value, ast.Name):
            yield node.targets[0], node.value
    elif isinstance(node, ast.AugAssign):
        yield node.target, node


def _pairs(node: ast.AST) -> Iterator[tuple[ast.Name, ast.expr, int | None]]:
    """(variable, value, which part of it) of every assignment, also by unpacking: `i, f = cache["gates"][t]`."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name):
        yield target, value, None
    elif isinstance(target, ast.Tuple):
        for j, t in enumerate(target.elts):
            if isinstance(t, ast.Name) and isinstance(value, ast.Tuple) and j < len(value.elts):
                yield t, value.elts[j], None
            elif isinstance(t, ast.Name) and not isinstance(value, ast.Tuple):
                yield t, value, j


def _leaf_names(node: ast.AST, meant: dict[str, str]) -> Iterator[tuple[re.Pattern[str], str]]:
    """Names given to parts of p and cache."""
    for name, value, j in _pairs(node):
        pattern = _pattern(value, meant)
        if pattern:
            yield re.compile(pattern + (rf"\[{j}\]" if j is not None else "")), name.id


def _spelled(node: ast.AST) -> Iterator[tuple[str, str]]:
    for name, value, j in _pairs(node):
        yield ast.unparse(value) + (f"[{j}]" if j is not None else ""), name.id


def _pattern(value: ast.expr, meant: dict[str, str]) -> str | None:
    if isinstance(value, ast.Name):
        return meant.get(value.id)
    if isinstance(value, ast.Subscript):
        base = _pattern(value.value, meant)
        key = re.escape(repr(value.slice.value)) if isinstance(value.slice, ast.Constant) else r"[^\]]+"
        return base and base + rf"\[{key}\]"
    return None


def _stored(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Constant):
        yield str(node.slice.value), node.lineno
    elif isinstance(node, ast.Dict):
        for k in node.keys:
            if isinstance(k, ast.Constant):
                yield str(k.value), k.lineno
