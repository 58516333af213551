"""How much would a gradient check catch? Plant single mistakes in the rules of the operations and count.

A rule is written with other operations, so it can be recorded like any computation: its tape. A mutant is the tape with
one node changed, by one of a fixed list of mistakes that people make. Its gradient goes through the same judge as the
rule's own; the share of mutants that are refused is the power of the check.

A mutant that gives the same numbers as the rule at three fresh random points is no mistake at all (g*y for y*g, say).
It is called equivalent and not counted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import Node, Op, apply
from ..tensor import METHODS, Tensor
from .judge import judge
from .reference import is_float, reference, signs
from .report import worst
from .tape import Tape, record, results_of

EACH = 25  # mutants of one kind for one sample; more are drawn at random
SAME = 1e-11

Change = Callable[[Tape, Node, tuple], Tensor]


# -- the mistakes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutation:
    """One mistake at one node of a tape."""

    operator: str
    node: int
    change: Change = field(compare=False)
    text: str = ""

    def __str__(self) -> str:
        return f"{self.operator} at {self.text}"


def _run(node: Node, inputs: tuple) -> Tensor:
    return apply(node.op, inputs, node.attrs)


def _scaled(factor: float) -> Callable[[Tape, int, Node], Iterator[tuple[str, Change]]]:
    def make(tape: Tape, i: int, node: Node) -> Iterator[tuple[str, Change]]:
        yield "", lambda t, n, ins: _run(n, ins) * factor

    return make


def _transpose(tape: Tape, i: int, node: Node) -> Iterator[tuple[str, Change]]:
    if _square(node.outputs):
        yield "result", lambda t, n, ins: _run(n, ins).mT
    for j, x in enumerate(node.inputs or ()):
        if _square(x) and is_float(x._data):
            yield f"operand {j}", _replaced(j, lambda t, ins, j: ins[j].mT)


def _replaced(j: int, other: Callable[[Tape, tuple, int], Tensor]) -> Change:
    """The node with another tensor in place of its operand j."""
    return lambda t, n, ins: _run(n, (*ins[:j], other(t, ins, j), *ins[j + 1 :]))


def _square(x: Any) -> bool:
    return len(x.shape) >= 2 and x.shape[-1] == x.shape[-2] > 1


def _dropped_path(tape: Tape, i: int, node: Node) -> Iterator[tuple[str, Change]]:
    if node.op.name in ("add", "sub"):
        sign = -1.0 if node.op.name == "sub" else 1.0
        shape = node.outputs.shape
        yield "second operand", lambda t, n, ins: METHODS["broadcast_to"](ins[0], shape=shape)
        yield "first operand", lambda t, n, ins: METHODS["broadcast_to"](ins[1] * sign, shape=shape)


def _lost_sum(tape: Tape, i: int, node: Node) -> Iterator[tuple[str, Change]]:
    if node.op.name not in ("sum", "mean", "sum_to") or not node.outputs.size:
        return
    x, out = node.inputs[0], node.outputs.shape  # type: ignore[index]
    addends = x.size // max(1, node.outputs.size)
    if addends > 1:
        factor = float(addends) if node.op.name == "mean" else 1.0 / addends
        yield "sum and mean exchanged", lambda t, n, ins: _run(n, ins) * factor
        yield "one slice", lambda t, n, ins: _first(ins[0], n, out)


def _first(x: Tensor, node: Node, out: tuple[int, ...]) -> Tensor:
    """The first of the slices that a sum would have added up."""
    if node.op.name == "sum_to":
        shape = (1,) * (x.ndim - len(out)) + out
        reduced = [d for d in range(x.ndim) if shape[d] == 1]
    else:
        dim = node.attrs["dim"]
        listed = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
        reduced = [d % x.ndim for d in listed]
    return Tensor.wrap(x._data[tuple(slice(0, 1) if d in reduced else slice(None) for d in range(x.ndim))].reshape(out))


def _wrong_axis(tape: Tape, i: int, node: Node) -> Iterator[tuple[str, Change]]:
    for attrs in _other_axes(node):
        try:
            out = apply(node.op, tuple(node.inputs or ()), attrs)
        except (ValueError, IndexError, TypeError):
            continue
        if out.shape == node.outputs.shape:
            yield _changed(node.attrs, attrs), _with_attrs(attrs)


def _with_attrs(attrs: dict[str, Any]) -> Change:
    return lambda t, n, ins: apply(n.op, ins, attrs)


def _other_axes(node: Node) -> Iterator[dict[str, Any]]:
    ndim = node.inputs[0].ndim  # type: ignore[index]
    for key in ("dim", "dims"):
        dims = node.attrs.get(key)
        if isinstance(dims, int):
            yield from ({**node.attrs, key: d} for d in range(ndim) if d != dims % ndim)
        elif isinstance(dims, tuple):
            choose = itertools.permutations if node.op.name == "permute" else itertools.combinations
            others = itertools.islice(choose(range(ndim), len(dims)), 30)
            yield from (
                {**node.attrs, key: d}
                for d in others
                if sorted(d) != sorted(dims) or choose is not itertools.combinations
            )
    if "dim0" in node.attrs:
        yield from ({**node.attrs, "dim0": a, "dim1": b} for a, b in itertools.combinations(range(ndim), 2))


def _changed(old: dict[str, Any], new: dict[str, Any]) -> str:
    return ", ".join(f"{k} {old[k]} -> {new[k]}" for k in new if new[k] != old[k])


def _wrong_operand(tape: Tape, i: int, node: Node) -> Iterator[tuple[str, Change]]:
    addresses = [("leaf", k) for k in range(len(tape.leaves))] + [("node", k) for k in range(i)]
    tensors = [(a, tape.at(a)) for a in addresses]
    for j, x in enumerate(node.inputs or ()):
        for address, other in tensors if is_float(x._data) else ():
            if other.shape == x.shape and other.dtype == x.dtype and other._data is not x._data:
                yield f"operand {j} is {address[0]} {address[1]}", _replaced(j, _fetch(address))


def _fetch(address: tuple[str, int]) -> Callable[[Tape, tuple, int], Tensor]:
    return lambda t, ins, j: t.at(address)


OPERATORS: dict[str, Callable[[Tape, int, Node], Iterator[tuple[str, Change]]]] = {
    "sign": _scaled(-1.0),
    "factor": _scaled(2.0),
    "zero": _scaled(0.0),
    "transpose": _transpose,
    "dropped path": _dropped_path,
    "lost sum": _lost_sum,
    "wrong axis": _wrong_axis,
    "wrong operand": _wrong_operand,
}


def mutants(
    op: Op,
    inputs: Sequence[np.ndarray],
    attrs: dict[str, Any] | None = None,
    *,
    each: int | None = None,
    rng: np.random.Generator | None = None,
) -> list[Mutation]:
    """All single mistakes of the fixed list in the rule of an operation, as it runs on these inputs.

    Args:
        op: the operation.
        inputs: arrays.
        attrs: its attributes.
        each: at most so many of one kind, drawn by `rng` (a fixed seed if left out); None for all.
        rng: draws them, and the cotangents.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    return _mutants_of(_tape(op, inputs, attrs or {}, rng), each, rng)


def _tape(op: Op, inputs: Sequence[np.ndarray], attrs: dict[str, Any], rng: np.random.Generator) -> Tape:
    results = results_of(op, inputs, {**op.defaults, **attrs})
    return record(op, inputs, attrs, [signs(rng, y.shape) for y in results])


def _mutants_of(tape: Tape, each: int | None, rng: np.random.Generator) -> list[Mutation]:
    found: list[Mutation] = []
    for operator, make in OPERATORS.items():
        kind = []
        for i, node in enumerate(tape.nodes):
            if isinstance(node.outputs, tuple) or not is_float(node.outputs):
                continue
            for text, change in make(tape, i, node):
                kind.append(Mutation(operator, i, change, f"node {i} ({node.op.name}) {text}".rstrip()))
        if each is not None and len(kind) > each:
            kind = [kind[j] for j in sorted(rng.choice(len(kind), each, replace=False))]
        found += kind
    return found


# -- the power of the check -------------------------------------------------------------------------------------------


@dataclass
class PowerReport:
    """What became of the mutants of one rule.

    A mistake that several samples can make (tapes with the same operations) counts once, as refused if any refuses it.

    Attributes:
        name: of the operation.
        fates: mistake -> "refused", "passed" or "equivalent".
    """

    name: str
    fates: dict[tuple, str] = field(default_factory=dict)

    def _texts(self, fate: str) -> list[str]:
        return [f"{operator} at {text}" for (_, operator, text), f in self.fates.items() if f == fate]

    @property
    def killed(self) -> int:
        """How many mistakes the check refused."""
        return len(self._texts("refused"))

    @property
    def survived(self) -> list[str]:
        """Mistakes that passed although their numbers are not the rule's."""
        return self._texts("passed")

    @property
    def equivalent(self) -> list[str]:
        """Mutants that gave the rule's numbers at three fresh random points, so no mistakes."""
        return self._texts("equivalent")

    @property
    def total(self) -> int:
        """All mutants that are mistakes."""
        return self.killed + len(self.survived)

    @property
    def share(self) -> float:
        """The share of mistakes that the check refuses; 1 if there are none."""
        return self.killed / self.total if self.total else 1.0

    def by_operator(self, operator: str) -> tuple[int, int]:
        """Refused and all mistakes of one kind."""
        fates = [f for (_, kind, _), f in self.fates.items() if kind == operator and f != "equivalent"]
        return fates.count("refused"), len(fates)

    def __str__(self) -> str:
        head = f"{self.name}: {self.killed} of {self.total} mutants refused, {len(self.equivalent)} equivalent"
        return "\n".join([head, *(f"  passed: {s}" for s in self.survived)])


def power(op: Op, *, rng: np.random.Generator | None = None, each: int = EACH, draws: int = 3) -> PowerReport:
    """Mutate the rule of an operation on each of its samples, and count which mutants the gradient check refuses.

    Args:
        op: an operation with samples.
        rng: for cotangents, sampled mutants and fresh points; a fixed seed if left out.
        each: at most so many mutants of one kind for one sample. Rules of few nodes have fewer; the long tapes of the
            recurrent layers and of attention, whose rules are compositions, are sampled.
        draws: how often the samples are drawn; what passed one draw (in a maximum the other side may be the larger one
            by chance) is tried on the next. The check of the registry draws its samples as often.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    report = PowerReport(op.name)
    assert op.samples_of is not None
    for draw in range(draws):
        if draw and not report.survived:
            break
        for k, (inputs, attrs) in enumerate(op.samples_of(rng)):
            if all(a.size for a in inputs) and any(map(is_float, inputs)):
                _one_sample(report, op, k, inputs, attrs, rng, each, again=draw > 0)
    return report


def _one_sample(report: PowerReport, op: Op, k: int, inputs: Any, attrs: Any, rng: Any, each: int, again: bool) -> None:
    tape = _tape(op, inputs, attrs, rng)
    full = {**op.defaults, **attrs}
    weights = np.concatenate([t._data.ravel() for t in tape.leaves[: op.outputs]])[None]
    expected = reference(lambda *ts: apply(op, ts, full), inputs, weights, rng)
    signature = tuple(n.op.name for n in tape.nodes)
    for mutation in _mutants_of(tape, each, rng):
        mistake = (signature, mutation.operator, mutation.text)
        before = report.fates.get(mistake)
        if before == "refused" or (again and before != "passed"):
            continue
        entries = judge([g[None] for g in tape.run(mutation)], expected)
        if worst([e.verdict for e in entries]).severity > 1:
            report.fates[mistake] = "refused"
        elif before != "passed":
            report.fates[mistake] = "equivalent" if _is_equivalent(op, k, tape, mutation) else "passed"


def _is_equivalent(op: Op, k: int, tape: Tape, mutation: Mutation) -> bool:
    if tape.fresh is None:
        tape.fresh = list(_fresh(op, k, tape))
    return bool(tape.fresh) and all(_agrees(t, mutation) for t in tape.fresh)


def _fresh(op: Op, k: int, tape: Tape) -> Iterator[Tape]:
    """The rule on the same sample with other random numbers, three times."""
    assert op.samples_of is not None
    for seed in (101, 102, 103):
        rng = np.random.default_rng(seed)
        inputs, attrs = next(itertools.islice(op.samples_of(rng), k, None))
        other = _tape(op, inputs, attrs, rng)
        if other.like(tape):
            yield other


def _agrees(tape: Tape, mutation: Mutation) -> bool:
    pairs = zip(tape.run(), tape.run(mutation), strict=True)
    return all(np.abs(a - b).max(initial=0.0) <= SAME * np.abs(a).max(initial=0.0) for a, b in pairs)


def power_table(reports: Sequence[PowerReport] | None = None) -> str:
    """One line per operation, worst first, then one per kind of mistake; all operations of the registry by default."""
    if reports is None:
        reports = [power(op) for op in Op.registry.values() if op.rule is not None and op.samples_of is not None]
    lines = [f"  {'operation':<34} {'refused':>8} {'of':>6} {'share':>7} {'equivalent':>11}"]
    for r in sorted(reports, key=lambda r: (r.share, r.name)):
        lines.append(f"  {r.name:<34} {r.killed:>8} {r.total:>6} {100 * r.share:>6.1f}% {len(r.equivalent):>11}")
    killed, total = sum(r.killed for r in reports), sum(r.total for r in reports)
    lines.append(f"  {'all':<34} {killed:>8} {total:>6} {100 * killed / max(1, total):>6.1f}%")
    for operator in OPERATORS:
        counts = [r.by_operator(operator) for r in reports]
        k, n = sum(c[0] for c in counts), sum(c[1] for c in counts)
        lines.append(f"  {operator:<34} {k:>8} {n:>6} {100 * k / n if n else math.nan:>6.1f}%")
    return "\n".join(lines)
