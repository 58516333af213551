"""The power of the check: single mistakes planted in every rule, and how many of them the check refuses."""

import numpy as np
import pytest

import tinyslm as ts
from tinyslm.check.mutate import OPERATORS, mutants, power, power_table
from tinyslm.check.tape import record

OPS = [op for op in ts.Op.registry.values() if op.rule is not None and op.samples_of is not None]


@pytest.fixture(scope="module")
def reports():
    return {op.name: power(op) for op in OPS}


def test_nearly_all_mistakes_are_refused(reports):
    killed, total = sum(r.killed for r in reports.values()), sum(r.total for r in reports.values())
    print("\n" + power_table(list(reports.values())))
    passed = "\n".join(str(r) for r in reports.values() if r.survived)
    print(passed)
    assert total > 3000
    assert killed >= 0.98 * total, passed


@pytest.mark.parametrize("name", [op.name for op in OPS])
def test_of_each_rule_nine_of_ten_mistakes_are_refused(reports, name):
    report = reports[name]
    assert report.total >= 3
    assert report.share >= 0.9, str(report)


def test_every_kind_of_mistake_is_tried(reports):
    for operator in OPERATORS:
        assert sum(r.by_operator(operator)[1] for r in reports.values()) >= 20, operator


def test_equivalent_mutants_are_few(reports):
    equivalent = sum(len(r.equivalent) for r in reports.values())
    assert equivalent <= 0.1 * sum(r.total for r in reports.values())


def tape_of(op, inputs, attrs=None):
    full = {**op.defaults, **(attrs or {})}
    y = ts.engine.apply(op, tuple(map(ts.Tensor.wrap, inputs)), full)
    g = np.random.default_rng(1).normal(size=y.shape)
    return record(op, inputs, full, [g]), g


@pytest.mark.parametrize("op", [op for op in OPS if op.outputs == 1], ids=lambda op: op.name)
def test_a_tape_without_a_mutation_is_the_rule(op):
    inputs, attrs = next(iter(op.samples_of(np.random.default_rng(0))))
    tape, g = tape_of(op, inputs, attrs)
    floats = [i for i, a in enumerate(inputs) if a.dtype.kind == "f"]
    leaves = [ts.Tensor.wrap(a) for a in inputs]
    for i in floats:
        leaves[i].requires_grad_()
    y = ts.engine.apply(op, tuple(leaves), {**op.defaults, **attrs})
    right = ts.grad(y, [leaves[i] for i in floats], g)
    for a, b in zip(tape.run(), right, strict=True):
        assert np.allclose(a, b.numpy(), rtol=1e-13, atol=1e-15)


def test_a_mutation_changes_what_it_says():
    x = np.array([[0.3, -1.0], [0.5, 2.0]])
    tape, _ = tape_of(ts.tanh, [x])
    (right,) = tape.run()
    found = mutants(ts.tanh, [x])
    assert {m.operator for m in found} == {"sign", "factor", "zero", "transpose", "dropped path", "wrong operand"}
    last = len(tape.nodes) - 1
    by_operator = {m.operator: m for m in found if m.node == last}
    assert np.allclose(tape.run(by_operator["sign"])[0], -right)
    assert np.allclose(tape.run(by_operator["factor"])[0], 2 * right)
    assert not tape.run(by_operator["zero"])[0].any()
    assert str(by_operator["sign"]).startswith("sign at node")


def test_an_input_that_was_repeated_has_its_lost_sum():
    found = mutants(ts.add, [np.ones((3, 2)), np.ones(2)])
    assert [m.text for m in found if m.operator == "lost sum"] == [
        "node 0 (sum_to) sum and mean exchanged",
        "node 0 (sum_to) one slice",
    ]


def test_equal_numbers_at_fresh_points_are_called_equivalent():
    report = power(ts.sub)
    assert report.share == 1
    # sub's rule is (g, -g): nothing in it is equivalent; a softmax over one class is always 1, and all is.
    assert not report.equivalent
    assert power(ts.softmax).equivalent


def test_mutants_of_a_rule_that_is_always_zero_are_all_equivalent():
    @ts.op(r"y = 0 x")
    def nothing_for_this_test(xp, x):
        return 0 * x

    @nothing_for_this_test.vjp
    def rule(g, y, x):
        return g * 0

    nothing_for_this_test.samples(lambda rng: iter([((rng.normal(size=3),), {})]))
    try:
        report = power(nothing_for_this_test)
        assert report.total == 0  # whatever is done to 0 leaves it 0
        assert len(report.equivalent) >= 3
    finally:
        del ts.Op.registry["nothing_for_this_test"]


def test_the_same_seed_gives_the_same_mutants():
    inputs, attrs = next(iter(ts.attention.samples_of(np.random.default_rng(0))))
    one, two = (list(map(str, mutants(ts.attention, inputs, attrs, each=5))) for _ in range(2))
    assert one == two
    assert len(one) <= 5 * len(OPERATORS)
