"""The same search in the text: small changes of the learner's source, run as Python runs it.

Some mistakes leave no operation behind that could be changed in a recording: a loop that ends a step early, a branch
never taken, two lines in the wrong order, a plain `da = dh`. So the syntax tree of the backward pass (and of helpers)
is changed in one place at a time, compiled and run.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import clock
from .edits import Edit
from .learner import Learner, Point
from .search import Fix
from .trace import Trace

BINARY: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add, ast.MatMult),
    ast.Div: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
COMPARED: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
METHODS = {"sum": ("mean",), "mean": ("sum",), "max": ("min",), "tril": ("triu",), "triu": ("tril",), "tanh": ("cosh",)}
SKIPPED = ("inputs", "forward")


@dataclass
class Change:
    """One change of the tree: where, what, and how to make and undo it."""

    kind: str
    cost: float
    says: str  # which message tells it
    line: int
    put: Callable[[Any], None]
    new: Any
    old: Any
    told: str = ""  # what a message about a whole statement names
    around: ast.expr | None = None  # the expression that holds a number or name that is changed

    def words(self) -> tuple[str, str]:
        """What was meant, and what stands there, as code."""
        if self.told or isinstance(self.old, list):
            return self.told, ""
        if self.around is None:
            return _code(self.new), _code(self.old)
        wanted = _code(self.around)  # with the change in place
        self.put(self.old)
        old = _code(self.around)
        self.put(self.new)
        return wanted, old


def _locate(change: Change) -> None:
    """Give new parts of the tree a place, as compile() asks for."""
    for node in change.new if isinstance(change.new, list) else [change.new]:
        if not hasattr(node, "lineno"):
            node.lineno = node.end_lineno = change.line
            node.col_offset = node.end_col_offset = 0
        ast.fix_missing_locations(node)


def _code(node: ast.AST) -> str:
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split("\n")[0]
    return text if len(text) <= 60 else text[:56] + " ..."


def changes(tree: ast.Module, keys: list[str]) -> Iterator[Change]:
    """All changes of the functions that the backward pass may run."""
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name not in SKIPPED and not _may_run_for_ever(function):
            local = sorted(
                {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            )
            local += [a.arg for a in function.args.args]
            yield from _statements(function)
            yield from _handed_on(function, local)
            yield from _expressions(function, local, keys)
            yield from _inserted(function, local)
            yield from _renamed(function, local)


def _may_run_for_ever(function: ast.FunctionDef) -> bool:
    """A changed `while` may never end."""
    return any(isinstance(n, ast.While) for n in ast.walk(function))


def _setter(parent: Any, name: str, i: int | None) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        if i is None:
            setattr(parent, name, value)
        else:
            getattr(parent, name)[i] = value

    return put


def _slots(tree: ast.AST) -> Iterator[tuple[Any, Any, Callable[[Any], None]]]:
    """Every expression below, with what holds it and a way to replace it."""
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, ast.expr):
                yield value, parent, _setter(parent, name, None)
            elif isinstance(value, list):
                for i, v in enumerate(value):
                    if isinstance(v, ast.expr):
                        yield v, parent, _setter(parent, name, i)


def _expressions(function: ast.FunctionDef, local: list[str], keys: list[str]) -> Iterator[Change]:
    for node, parent, put in list(_slots(function)):
        holds = isinstance(parent, (ast.BinOp, ast.Call, ast.Compare, ast.Subscript))
        around = parent if holds and isinstance(node, ast.Constant) else None
        for kind, cost, new in _others(node, keys):
            new = ast.copy_location(new, node)
            yield Change(kind, cost, "text", node.lineno, put, new, node, around=around)


Other = tuple[str, float, ast.expr]


def _others(node: Any, keys: list[str]) -> Iterator[Other]:
    if isinstance(node, ast.Constant):
        yield from _constants(node, keys)
    elif isinstance(node, ast.BinOp):
        for op in BINARY.get(type(node.op), ()):
            yield "operator", 1.2, ast.BinOp(node.left, op(), node.right)
        yield "factor too many", 1.4, node.left
        yield "factor too many", 1.4, node.right
        if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult)):
            yield "operator", 1.3, ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield "sign", 1.2, node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for compared in COMPARED.get(type(node.ops[0]), ()):
            yield "mask", 1.2, ast.Compare(node.left, [compared()], node.comparators)
    elif isinstance(node, ast.Attribute) and node.attr in METHODS:
        for other in METHODS[node.attr]:
            yield "sum", 1.3, ast.Attribute(node.value, other, node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transpose", 1.2, node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield from _ranges(node)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
        yield "index", 1.4, node.value


def _constants(node: ast.Constant, keys: list[str]) -> Iterator[Other]:
    v = node.value
    if isinstance(v, bool):
        yield "index", 1.3, ast.Constant(not v)
    elif isinstance(v, (int, float)):
        others = {v + 1, v - 1, -v, 0, 1, 2, 0.5 * v, 2 * v} if isinstance(v, float) else {v + 1, v - 1, -v, 0, 1, 2, 3}
        for other in sorted(others - {v}):
            yield "index", 1.2, ast.Constant(other)
    elif isinstance(v, str) and v in keys:
        for key in keys:
            if key != v:
                yield "operand", 1.3, ast.Constant(key)


def _one_more(a: ast.expr, op: ast.operator) -> ast.expr:
    """a + 1 or a - 1, where a = n - 1 or n + 1 may fall away."""
    other = ast.Add if isinstance(op, ast.Sub) else ast.Sub
    if isinstance(a, ast.BinOp) and isinstance(a.op, other) and getattr(a.right, "value", None) == 1:
        return a.left
    return ast.BinOp(a, op, ast.Constant(1))


def _ranges(node: ast.Call) -> Iterator[Other]:
    for i, a in enumerate(node.args):
        for op in (ast.Add(), ast.Sub()):
            yield "border", 1.1, ast.Call(node.func, [*node.args[:i], _one_more(a, op), *node.args[i + 1 :]], [])
    if len(node.args) > 1 and not isinstance(node.args[0], ast.Constant):
        yield "border", 1.2, ast.Call(node.func, [ast.Constant(0), *node.args[1:]], [])
    if len(node.args) == 3:
        yield "border", 1.2, ast.Call(node.func, [node.args[0], ast.Constant(-1), node.args[2]], [])
    if len(node.args) == 1:
        yield "border", 1.2, ast.Call(node.func, [ast.Constant(1), node.args[0]], [])
    elif isinstance(node.args[0], ast.Constant):
        yield "border", 1.1, ast.Call(node.func, [node.args[1]], [])


def _renamed(function: ast.FunctionDef, local: list[str]) -> Iterator[Change]:
    """Another variable for each that is read."""
    for node, _, put in list(_slots(function)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in local:
            for other in local:
                if other != node.id:
                    new = ast.copy_location(ast.Name(other, ast.Load()), node)
                    yield Change("operand", 1.65, "text", node.lineno, put, new, node)


def _inserted(function: ast.FunctionDef, local: list[str]) -> Iterator[Change]:
    """A further factor or term at the end of an assignment."""
    for node in list(ast.walk(function)):
        if isinstance(node, (ast.Assign, ast.AugAssign)) and not isinstance(
            node.value, (ast.Tuple, ast.Dict, ast.List)
        ):
            put = _setter(node, "value", None)
            for other in local:
                for op, kind, cost in ((ast.Mult(), "factor missing", 1.9), (ast.Add(), "path dropped", 2.0)):
                    new = ast.copy_location(ast.BinOp(node.value, op, ast.Name(other, ast.Load())), node.value)
                    yield Change(kind, cost, "text", node.lineno, put, new, node.value)


def _handed_on(function: ast.FunctionDef, local: list[str]) -> Iterator[Change]:
    """A variable that a loop reads and never sets: set it at the end of each turn."""
    for loop in [n for n in ast.walk(function) if isinstance(n, ast.For)]:
        inside = [n for s in loop.body for n in ast.walk(s) if isinstance(n, ast.Name)]
        stored = {n.id for n in inside if isinstance(n.ctx, ast.Store)}
        read = {n.id: n.lineno for n in reversed(inside) if isinstance(n.ctx, ast.Load) and n.id not in stored}
        for name, line in ((k, v) for k, v in read.items() if k in local):
            for other in sorted(stored):
                new = ast.copy_location(
                    ast.Assign([ast.Name(name, ast.Store())], ast.Name(other, ast.Load())), loop.body[-1]
                )
                put = _setter(loop, "body", None)
                told = f"{name} = {other}"
                yield Change("carry", 1.3, "handed", line, put, [*loop.body, new], loop.body, told)


def _statements(function: ast.FunctionDef) -> Iterator[Change]:
    for parent in ast.walk(function):
        for name in ("body", "orelse"):
            block = getattr(parent, name, None)
            if isinstance(block, list):
                for i, s in enumerate(block):
                    yield from _one_statement(parent, name, block, i, s)


def _one_statement(parent: Any, name: str, block: list[ast.stmt], i: int, s: Any) -> Iterator[Change]:
    put = _setter(parent, name, i)
    for kind, cost, says, new in _other_statements(s):
        yield Change(kind, cost, says, s.lineno, put, ast.copy_location(new, s), s)
    whole = _setter(parent, name, None)
    for j in range(i + 1, min(i + 5, len(block))):
        if not isinstance(block[j], ast.Return):
            moved = [*block[:i], *block[i + 1 : j + 1], s, *block[j + 1 :]]
            yield Change("order", 1.5, "after", s.lineno, whole, moved, block, str(block[j].lineno))
            if j > i + 1:
                back = [*block[:i], block[j], *block[i:j], *block[j + 1 :]]
                yield Change("order", 1.5, "before", block[j].lineno, whole, back, block, str(s.lineno))


def _other_statements(s: Any) -> Iterator[tuple[str, float, str, ast.stmt]]:
    if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], (ast.Name, ast.Subscript)):
        yield "overwritten", 1.1, "text", ast.AugAssign(s.targets[0], ast.Add(), s.value)
        yield "operation too many", 1.8, "line", ast.Pass()
    if isinstance(s, ast.AugAssign):
        yield "counted twice", 1.2, "text", ast.Assign([s.target], s.value)
        op = ast.Sub() if isinstance(s.op, ast.Add) else ast.Add()
        yield "sign", 1.2, "text", ast.AugAssign(s.target, op, s.value)
        yield "operation too many", 1.6, "line", ast.Pass()
    if isinstance(s, ast.If):
        yield "border", 1.1, "text", ast.If(ast.Constant(True), s.body, s.orelse)
        yield "border", 1.2, "text", ast.If(ast.Constant(False), s.body, s.orelse)
        yield "border", 1.3, "text", ast.If(ast.UnaryOp(ast.Not(), s.test), s.body, s.orelse)
    if isinstance(s, (ast.Break, ast.Continue)):
        yield "border", 1.1, "line", ast.Pass()
    if isinstance(s, ast.Expr):
        yield "operation too many", 1.6, "line", ast.Pass()


# -- the search -------------------------------------------------------------------------------------------------------


class SourceSearch:
    """Tries changes of the text at a small point; confirms at others."""

    def __init__(self, learner: Learner, trace: Trace, fresh: list[Trace]):
        self.learner, self.trace, self.fresh = learner, trace, fresh
        self.tried = self.skipped = 0
        self.tree = copy.deepcopy(learner.tree)
        self.names = dict(learner.functions["backward"].__globals__)
        keys = [*trace.point.p, *trace.point.cache]
        self.keys = list(dict.fromkeys([*keys, *("d" + k for k in trace.point.p)]))
        self.todo: list[Change] | None = None

    def run(self, wrong: list[str], most: float, lines: set[int], end: float) -> list[Fix]:
        """Changes that cost up to `most`, repair some of these gradients and harm none, confirmed at other points.

        With `lines`, changes of these lines only.
        """
        if self.todo is None:
            self.todo = sorted(changes(self.tree, self.keys), key=lambda c: c.cost)
        found = []
        while self.todo and self.todo[0].cost <= most and clock.now() < end:
            change = self.todo.pop(0)
            if lines and change.line not in lines:
                continue
            _locate(change)
            change.put(change.new)
            try:
                fix = self._attempt(change, wrong)
            finally:
                change.put(change.old)
            if fix:
                found.append(fix)
        self.skipped = len(self.todo)
        return found

    def _attempt(self, change: Change, wrong: list[str]) -> Fix | None:
        self.tried += 1
        run = self._compiled()
        repaired = run and repaired_by(run, self.trace, wrong)
        if not repaired or not all(repaired <= repaired_by(run, t, list(repaired)) for t in self.fresh):
            return None
        wanted, old = change.words()
        edit = Edit(change.kind, change.cost, change.says, wanted, lambda s: None, only="source")
        return Fix(((), "source"), edit, repaired, change.line, 10_000, old=old, patch=copy.deepcopy(self.tree))

    def _compiled(self) -> Any:
        body = [f for f in self.tree.body if isinstance(f, ast.FunctionDef) and f.name not in SKIPPED]
        module = ast.Module(list[ast.stmt](body), [])
        names = dict(self.names)
        try:
            exec(compile(module, self.learner.path, "exec"), names)
        except Exception:  # a change that is no valid Python
            return None
        return names.get("backward")


def repaired_by(run: Any, trace: Trace, wrong: list[str]) -> frozenset[str]:
    """The gradients that a changed backward pass gives right, nothing where it harms another."""
    point: Point = trace.point
    g = float(point.cotangent) if point.cotangent.ndim == 0 else point.cotangent.copy()
    p, cache = copy.deepcopy(point.p), copy.deepcopy(point.cache)
    try:
        with np.errstate(all="ignore"):
            found = point.compared(run(p, cache, g))
        if any(k not in found or not trace.matches(k, found[k]) for k in trace.right if k not in trace.wrong):
            return frozenset()
        return frozenset(k for k in wrong if k in found and trace.matches(k, found[k]))
    except Exception:  # what can't be run is no repair
        return frozenset()
