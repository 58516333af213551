"""Where a wrong value came up: the way back from it to the first values that are wrong."""

from __future__ import annotations

from .graph import Node
from .trace import Trace, fingerprint

PASSED_ON = ("getitem", "alias", "given", "constant", "copy", "transpose", "swapaxes", "reshape", "cast", "pick")


def region(index: int, line: int, trace: Trace) -> list[int]:
    """Lines, the likeliest first: of the earliest wrong values that went into this node, then its own."""
    if not 0 <= index < len(trace.nodes):
        return [line]
    origins, plain = _origins(trace.nodes[index], trace)
    if origins:
        built = [n.inner for n in plain if n.name in ("setitem", "diag")]  # a matrix that was put together by hand
        return [*built[:1], *(n.inner for n in sorted(origins, key=lambda n: n.index)), line]
    others = [n.inner for n in sorted(plain, key=lambda n: -n.index) if n.inner != line]
    return [*others[:1], line]


def around(index: int, trace: Trace) -> set[int]:
    """All lines that may be to blame for a wrong value: its own, and those of what went into it."""
    node = trace.nodes[index]
    lines, stack, seen = {n for n, _ in node.site}, [node], {node}
    right = trace.right_lines()
    while stack:
        for p in stack.pop().parents:
            known = p.leaf or p in seen or (trace.carries(p) and fingerprint(p.value)[1:] in right)
            if not known or p.name in ("alias", "given", "getitem"):
                lines |= {n for n, _ in p.site}
            if not known:
                seen.add(p)
                stack.append(p)
    return lines


def _origins(node: Node, trace: Trace) -> tuple[list[Node], list[Node]]:
    """The earliest wrong values that carry the cotangent, and the values without it that went into them."""
    right, seen = trace.right_lines(), {node}
    origins: list[Node] = []
    plain: list[Node] = []
    stack = [node]
    while stack:
        n = stack.pop()
        wrong = [p for p in n.parents if trace.carries(p) and not p.leaf and fingerprint(p.value)[1:] not in right]
        plain += [p for p in n.parents if not trace.carries(p) and not p.leaf and p.name not in PASSED_ON]
        if not wrong and n is not node:
            origins.append(n)
        stack += [p for p in wrong if p not in seen]
        seen.update(wrong)
    return origins, plain
