"""The fixed list of mistakes, as changes of Python's syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Found = Iterator[tuple[str, ast.AST]]

PAIRS = (
    "tanh sigmoid", "log exp", "sin cos", "max min", "maximum minimum", "argmax argmin", "sum mean", "sqrt square",
    "softmax log_softmax", "ones zeros", "ones_like zeros_like", "any all", "triu tril", "log2 exp2", "floor ceil",
    "startswith endswith", "reversed list", "relu abs", "cumsum cumprod",
)  # fmt: skip
# `reversed` becomes `list`; a `list` stays, for what it is given often has no order to reverse (a zip, a set).
OTHER = {a: b for pair in PAIRS for a, b in (pair.split(), pair.split()[::-1])} | {"list": "list"}
FLIPPED: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.GtE, ast.LtE), ast.LtE: (ast.Gt, ast.Lt), ast.Gt: (ast.LtE, ast.GtE), ast.GtE: (ast.Lt, ast.Gt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}  # fmt: skip
PRODUCT = (ast.Mult, ast.Div, ast.MatMult, ast.Pow)
NO_NUMBER = (ast.List, ast.Tuple, ast.ListComp, ast.JoinedStr, ast.Dict, ast.Set)
REDUCE = {"sum", "mean", "max", "min", "argmax", "argmin", "cumsum", "softmax", "std", "var", "unsqueeze", "prod"}


def mistakes(function: ast.FunctionDef | ast.Lambda) -> Iterator[tuple[ast.expr | ast.stmt, str, ast.AST]]:
    """Every (node, kind of mistake, what stands in its place) in the body of a function."""
    nodes = list(_nodes(function))
    inner = {id(part) for n in nodes for part in _factors(n)}
    steps = {x.id for n in nodes if isinstance(n, ast.For) for x in ast.walk(n.target) if isinstance(x, ast.Name)}
    for node in nodes:
        if id(node) not in inner:
            yield from ((node, *found) for found in _scaled(node))
        for kind in KINDS:
            yield from ((node, *found) for found in kind(node))
        yield from ((node, *found) for found in _index(node, steps))


def _nodes(function: ast.FunctionDef | ast.Lambda) -> Iterator[ast.expr | ast.stmt]:
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.JoinedStr, ast.Raise, ast.Assert)):
            continue  # words for people
        if isinstance(node, (ast.expr, ast.stmt)):
            yield node
        waiting[:0] = list(ast.iter_child_nodes(node))


def _factors(node: ast.AST) -> tuple[ast.expr, ...]:
    """The operands of a product, on which a factor would be a factor of the product."""
    is_product = isinstance(node, ast.BinOp) and isinstance(node.op, PRODUCT[:3]) and _is_number(node)
    return (node.left, node.right) if is_product else ()  # type: ignore[attr-defined]


def _is_number(node: ast.BinOp) -> bool:
    parts = (node.left, node.right)
    return not any(isinstance(p, NO_NUMBER) or isinstance(getattr(p, "value", None), str) for p in parts)


def _times(factor: float, node: ast.expr) -> ast.expr:
    return ast.BinOp(ast.Constant(factor), ast.Mult(), node)


def _scaled(node: ast.AST) -> Found:
    if isinstance(node, ast.BinOp) and isinstance(node.op, PRODUCT) and _is_number(node):
        yield "sign", ast.UnaryOp(ast.USub(), node)
        yield "factor 2", _times(2, node)
        yield "factor 1/2", _times(0.5, node)
        yield "zero", _times(0, node)


def _terms(node: ast.AST) -> Found:
    if not (isinstance(node, ast.BinOp) and _is_number(node)):
        return
    a, op, b = node.left, node.op, node.right
    if isinstance(op, (ast.Add, ast.Sub)):
        minus = isinstance(op, ast.Sub)
        yield "sign", ast.BinOp(a, ast.Add() if minus else ast.Sub(), b)
        yield "dropped term", a
        yield "dropped term", ast.UnaryOp(ast.USub(), b) if minus else b
    if isinstance(op, (ast.Mult, ast.Div)):
        yield "dropped factor", a
    if isinstance(op, ast.Mult):
        yield "dropped factor", b
    if isinstance(op, (ast.Sub, ast.Div, ast.MatMult, ast.Pow)):
        yield "swapped operands", ast.BinOp(b, op, a)
    yield from (("constant", new) for new in _constants(node))


def _constants(node: ast.BinOp) -> Iterator[ast.AST]:
    """A constant beside plus, minus or a power, one larger; beside times it would be a factor."""
    if isinstance(node.op, (ast.Add, ast.Sub, ast.Pow)):
        if _is_constant(node.left):
            yield ast.BinOp(_plus(node.left), node.op, node.right)
        if _is_constant(node.right):
            yield ast.BinOp(node.left, node.op, _plus(node.right))


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _plus(node: ast.expr, by: int = 1) -> ast.expr:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return ast.Constant(node.value + by)
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _negation(node: ast.AST) -> Found:
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        if isinstance(node.op, ast.USub):
            yield "sign", node.operand
        elif isinstance(node.op, ast.Not):
            yield "condition", node.operand


def _transpose(node: ast.AST) -> Found:
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield "transpose", node.value
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("transpose", "swapaxes", "permute"):
        yield "transpose", node.func.value  # type: ignore[attr-defined]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult) and isinstance(node.right, ast.Name):
        yield "transpose", ast.BinOp(node.left, node.op, ast.Attribute(node.right, "T", ast.Load()))


def _axis(node: ast.AST) -> Found:
    if not isinstance(node, ast.Call):
        return
    for i, word in enumerate(node.keywords):
        if word.arg in ("axis", "dim") and (new := _other_axis(word.value)):
            words = [*node.keywords[:i], ast.keyword(word.arg, new), *node.keywords[i + 1 :]]
            yield "wrong axis", ast.Call(node.func, node.args, words)
    if getattr(node.func, "attr", "") in REDUCE and node.args and (new := _other_axis(node.args[-1])):
        yield "wrong axis", ast.Call(node.func, [*node.args[:-1], new], node.keywords)


def _other_axis(node: ast.expr) -> ast.expr | None:
    try:
        axis = ast.literal_eval(node)
    except ValueError:
        return None
    return ast.Constant(-1 if axis in (0, -2) else 0) if isinstance(axis, int) else None


def _index(node: ast.AST, steps: set[str]) -> Found:
    """An index or a bound that is one off; names count as indices where a loop counts with them."""
    if isinstance(node, ast.Subscript):
        for new in _shifted(node.slice, steps):
            yield "off by one", ast.Subscript(node.value, new, node.ctx)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range":
        for i, bound in enumerate(node.args[:2]):
            yield "off by one", ast.Call(node.func, [*node.args[:i], _plus(bound), *node.args[i + 1 :]], [])


def _shifted(where: ast.expr, steps: set[str]) -> Iterator[ast.expr]:
    if isinstance(where, ast.Tuple):
        for i, part in enumerate(where.elts):
            yield from (
                ast.Tuple([*where.elts[:i], n, *where.elts[i + 1 :]], ast.Load()) for n in _shifted(part, steps)
            )
    elif isinstance(where, ast.Slice):
        yield from _shifted_slice(where)
    elif isinstance(where, ast.Name) and where.id in steps:
        yield _plus(where, -1)
    elif _is_int(where):
        yield ast.Constant(ast.literal_eval(where) + 1)


def _shifted_slice(where: ast.Slice) -> Iterator[ast.expr]:
    low, high, step = where.lower, where.upper, where.step
    if low:
        yield ast.Slice(_plus(low), high, step)
    if high:
        yield ast.Slice(low, _plus(high), step)
    if step:
        yield ast.Slice(low, high, None)


def _is_int(node: ast.expr) -> bool:
    try:
        return type(ast.literal_eval(node)) is int
    except ValueError:
        return False


def _function(node: ast.AST) -> Found:
    """Another function of the same kind, also where it is handed on without being called."""
    name = getattr(node, "attr", getattr(node, "id", ""))
    other = OTHER.get(name, name)
    if other != name and isinstance(node, ast.Attribute):
        yield "other function", ast.Attribute(node.value, other, node.ctx)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and OTHER.get(node.func.id, node.func.id) != node.func.id
    ):
        yield "other function", ast.Call(ast.Name(OTHER[node.func.id], ast.Load()), node.args, node.keywords)


def _condition(node: ast.AST) -> Found:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for op in FLIPPED.get(type(node.ops[0]), ()):
            yield "comparison", ast.Compare(node.left, [op()], node.comparators)
    if isinstance(node, ast.BoolOp):
        yield "condition", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _accumulate(node: ast.AST) -> Found:
    if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield "sign", ast.AugAssign(node.target, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.value)
        yield "overwritten", ast.Assign([node.target], node.value)


KINDS: tuple[Callable[[ast.AST], Found], ...] = (
    _terms, _negation, _transpose, _axis, _function, _condition, _accumulate,
)  # fmt: skip
