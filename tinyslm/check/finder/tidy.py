"""Code that was put together from parts, as a person would write it: x.T.T is x, range(2 + 1) is range(3)."""

from __future__ import annotations

import ast
from typing import Any


def tidy(text: str) -> str:
    """An expression without what cancels; any other text as it is."""
    try:
        return ast.unparse(_Tidy().visit(ast.parse(text, mode="eval")))
    except SyntaxError:
        return text


def with_operand(text: str, slot: int, new: str) -> str:
    """A sum, product or call with one operand replaced; the new operand alone where the text is something else."""
    try:
        tree: Any = ast.parse(text, mode="eval").body
        value = ast.parse(new, mode="eval").body
    except SyntaxError:
        return new
    if isinstance(tree, ast.BinOp):
        setattr(tree, ("left", "right")[slot], value)
    elif isinstance(tree, ast.Call) and slot < len(tree.args):
        tree.args[slot] = value
    else:
        return new
    return ast.unparse(tree)


class _Tidy(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        inner = node.value
        return inner.value if node.attr == "T" and isinstance(inner, ast.Attribute) and inner.attr == "T" else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        inner = node.operand
        twice = isinstance(inner, ast.UnaryOp) and isinstance(inner.op, ast.USub) and isinstance(node.op, ast.USub)
        return inner.operand if twice and isinstance(inner, ast.UnaryOp) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        left, right = _number(node.left), _number(node.right)
        if isinstance(node.op, ast.Pow):
            return node.left if right == 1 else node
        if isinstance(node.op, (ast.Mult, ast.Div)):
            one = isinstance(node.op, ast.Mult) and left == 1
            return node.right if one else node.left if right == 1 else node
        if not isinstance(node.op, (ast.Add, ast.Sub)):
            return node
        if left == 0 and isinstance(node.op, ast.Add):
            return node.right
        return _whole(node, right) if right is not None else node


def _whole(node: ast.BinOp, right: int) -> ast.AST:
    """base + shift, with everything that is known taken together."""
    base: ast.expr = node.left
    shift = right if isinstance(node.op, ast.Add) else -right
    inner = _number(base.right) if isinstance(base, ast.BinOp) and isinstance(base.op, (ast.Add, ast.Sub)) else None
    if inner is not None and isinstance(base, ast.BinOp):
        shift += inner if isinstance(base.op, ast.Add) else -inner
        base = base.left
    alone = _number(base)
    if alone is not None:
        return ast.Constant(alone + shift)
    op: ast.operator = ast.Add() if shift > 0 else ast.Sub()
    return base if shift == 0 else ast.BinOp(base, op, ast.Constant(abs(shift)))


def _number(node: ast.expr) -> int | None:
    value = getattr(node, "value", None)
    return value if isinstance(node, ast.Constant) and isinstance(value, int) and not isinstance(value, bool) else None
