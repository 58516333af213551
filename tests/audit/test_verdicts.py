"""The verdicts are computed: as documented, and exchanged when the printed and the repaired callable are."""

import dataclasses
import functools
import inspect

import numpy as np
import pytest

from tinyslm.audit import IDS, Reading, audit, chosen, examine, judge, questions, record
from tinyslm.audit.verdict import FACT, NOTATION, RIGHT, TASK, TO_MEASURE
from tinyslm.errors import BackendError

RECORDS = chosen()
WITH_FORMULA = [r for r in RECORDS if r.readings]


@functools.cache
def result(id):
    return audit(record(id), measure=False)


@pytest.mark.parametrize("id", [r.id for r in RECORDS])
def test_verdict_is_the_documented_one(id):
    found = result(id)
    assert found.verdict == record(id).expected
    assert all(answer.ok for _, answer in found.findings), [a.text for _, a in found.findings if not a.ok]
    assert found.ok


@pytest.mark.parametrize("id", [r.id for r in WITH_FORMULA])
def test_the_repair_holds(id):
    assert result(id).repair.verdict == RIGHT


@pytest.mark.parametrize("id", [r.id for r in WITH_FORMULA])
def test_exchanging_printed_and_repaired_exchanges_the_verdicts(id):
    r = record(id)
    if r.expected in (NOTATION, FACT):
        pytest.skip("notation and facts are about how it is written")
    swapped = dataclasses.replace(
        r, readings=(Reading("repaired", r.repair),), repair=r.readings[0].formula, findings=()
    )
    found = audit(swapped)
    assert found.verdict == RIGHT
    assert found.repair.verdict == r.expected


def test_every_id_once_and_in_order():
    ids = [r.id for r in RECORDS]
    assert ids == [id for id in IDS if id in ids]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("id", [r.id for r in RECORDS])
def test_questions_take_one_callable_and_nothing_else(id):
    r = record(id)
    for question in r.questions:
        needed = [p for p in inspect.signature(question.test).parameters.values() if p.default is p.empty]
        assert len(needed) == 1
        # Nor is the repair hidden in what the question has closed over.
        closed = [c.cell_contents for c in question.test.__closure__ or ()]
        assert r.repair is None or not any(c is r.repair for c in closed)


def test_a_backend_that_is_missing_is_no_answer():
    def missing(*inputs):
        raise BackendError("no GPU can be seen")

    question = questions.within([np.ones(2)], 0, 1, "Is it from 0 to 1?")
    with pytest.raises(BackendError, match="no GPU can be seen"):
        question.ask(missing)


def test_records_without_a_formula_are_tasks_or_measured():
    for r in RECORDS:
        if not r.readings:
            assert r.expected in (TASK, TO_MEASURE)
            assert r.said


def test_what_is_said_is_in_our_words():
    # The articles are Chinese: a copied sentence would show.
    for r in RECORDS:
        assert not any("一" <= c <= "鿿" for c in r.said + r.note)


def test_the_rule():
    by_name = {q.kind: q for q in record("A6").questions}
    q = by_name["shapes"]
    fails = examine("fails", lambda *x: 1 / 0, [q])
    right = examine("right", record("A6").repair, [q])
    excluded = examine("excluded", record("A6").repair, [q], "because")
    assert judge([fails]) == "wrong: shape"
    assert judge([fails, right]) == RIGHT
    assert judge([fails, excluded]) == NOTATION
