"""Checking a derivation from the first question to the report."""

from __future__ import annotations

import hashlib
import platform
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import TinyslmError
from ...messages import say
from ...tensor import Tensor, raw
from ..judge import judge as judged
from ..numeric import Line, ridders
from ..reference import reference
from ..report import Entry, Verdict, worst
from . import questions as ask
from .clock import BUDGET
from .diagnose import diagnose
from .graph import CannotTrace
from .learner import Backward, CannotRun, Forward, Learner, Point, from_functions
from .outcome import Finding, Outcome
from .trace import Trace
from .words import told

SEED = 0
BAR = 1e-8


def check_derivation(
    forward: Any,
    backward: Any,
    inputs: Any,
    sizes: dict[str, int] | None = None,
    seed: int = SEED,
    points: int = 2,
    budget: float = BUDGET,
) -> Outcome:
    """Check a hand-written backward pass, and look for the line that is wrong.

    Args:
        forward: p -> dict of named intermediates in order; the output is "out", else "loss", else the last.
        backward: (p, cache, g) -> dict of gradients by name, "dW" for W; g has the shape of the output.
        inputs: (rng, sizes) -> dict of arrays by name, or such a dict.
        sizes: orders of magnitude of the sizes that `inputs` asks for.
        seed: of the random numbers.
        points: at how many points the gradients are compared.
        budget: seconds for the search for a cause; the verdict does not depend on it.
    """
    return guarded("", lambda: from_functions(forward, backward, inputs, sizes), seed, points, budget)


def guarded(
    path: str,
    load: Callable[[], Learner],
    seed: int,
    points: int = 2,
    budget: float = BUDGET,
    megabytes: int = 0,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Check, and turn what a learner's code raises into a finding.

    `megabytes` is the limit of memory that was set; `tell` gets what is known before the end, should the time be over.
    """
    start = time.perf_counter()
    try:
        learner = load()
        path = path or learner.path
        outcome = _Check(learner, seed, points, budget, tell).run()
    except CannotRun as error:
        outcome = _cannot("finder.cannot.raises", error=str(error), where="")
    except SystemExit as error:
        outcome = _cannot("finder.cannot.exit", code=error.code)
    except MemoryError:
        outcome = _cannot("finder.cannot.memory" if megabytes else "finder.cannot.full", megabytes=megabytes)
    except Exception as error:  # whatever the learner's code raises is told, with its line
        outcome = _raised(path, error)
    outcome.path, outcome.seconds = path, time.perf_counter() - start
    return outcome


def _cannot(key: str, line: int | None = None, **fields: Any) -> Outcome:
    return Outcome("cannot run", [Finding(key, "cannot run", say(key, **fields), [line] if line else [])])


def _raised(path: str, error: BaseException) -> Outcome:
    name = str(Path(path).resolve()) if path else path
    line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == name), None)
    if isinstance(error, SyntaxError):
        line = error.lineno
    if line is None and not isinstance(error, (TinyslmError, OSError, SyntaxError, UnicodeError)):
        raise error  # no line of the learner's: this is ours
    # A SyntaxError says its file and line once more.
    text = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return _cannot("finder.cannot.raises", line, error=text, where=ask.at_line(line))


class _Check:
    """One run of all questions."""

    def __init__(self, learner: Learner, seed: int, points: int, budget: float, tell: Callable[[Outcome], None]):
        self.learner, self.seed, self.points, self.budget, self.tell = learner, seed, points, budget, tell
        self.left = 0
        self.notes: list[str] = []
        self.entries: list[tuple[str, float, Verdict]] = []
        self.forward: Forward | None = None
        self.backward: Backward | None = None

    def run(self) -> Outcome:
        """Ask everything in order."""
        point = Point(self.learner, self.seed)
        found = ask.repeatable(point)
        if found:
            return self.wrong(found)
        self.forward, why = self._traced(lambda: Forward(point))
        found = ask.finite_forward(point, self.forward)
        if found:
            return self.wrong(found)
        return self._at(point, why)

    def _traced(self, make: Any) -> tuple[Any, str]:
        if not self.learner.traced:
            return None, say("finder.trace.source")
        try:
            return make(), ""
        except CannotTrace as error:
            return None, str(error)
        except Exception as error:  # a stand-in that does not do what NumPy does must not accuse anyone
            return None, f"{type(error).__name__}: {error}"

    def _at(self, point: Point, why: str) -> Outcome:
        gradients = point.compared(point.run_backward(point.cotangent))
        self.tell(Outcome("undecided", [Finding("finder.slow", "undecided", say("finder.slow"))]))
        given = self._note_names(point)
        if not any(k in gradients for k in point.floats):
            names, got = (", ".join(k) for k in (("d" + k for k in point.floats), given))
            return _cannot("finder.cannot.none", names=names, got=got or "{}")
        self.backward, why_back = self._traced(lambda: Backward(point))
        for found in (ask.typed(gradients), ask.finite_backward(point, gradients, self.backward)):
            if found:
                return self.wrong(found)
        if why or why_back:
            self.notes.append(say("finder.note.not_traced", why=why or why_back))
        return self._compare(point, gradients)

    def _note_names(self, point: Point) -> list[str]:
        given = [str(k) for k in point.run_backward(point.cotangent)]
        missing = [k for k in point.floats if "d" + k not in given]
        unknown = sorted(k for k in given if k[1:] not in point.p and k[1:] not in point.cache)
        if missing:
            self.notes.append(say("finder.note.unchecked", names=", ".join(missing)))
        if unknown:
            self.notes.append(say("finder.note.unknown", names=", ".join(unknown)))
        return given

    def _compare(self, point: Point, gradients: dict[str, Any]) -> Outcome:
        linear = ask.linear(point, gradients)
        verdicts = self.judge(point, gradients)
        if self.all_right(verdicts) and not linear:
            return self._more_points(point)
        return self._explain(point, gradients, verdicts, linear)

    # -- comparing

    def judge(self, point: Point, gradients: dict[str, Any], forward: Forward | None = None) -> dict[str, Entry]:
        """The verdict on each gradient: by the recorded pass where differences bear it out, else by differences."""
        forward = forward or (self.forward if self.forward is not None and self.forward.point is point else None)
        if forward is not None and borne_out(point, forward) and not ask.at_a_kink(forward):
            return by_record(forward, gradients)
        return by_differences(point, gradients, forward)

    @staticmethod
    def all_right(verdicts: dict[str, Entry]) -> bool:
        """No gradient is wrong or undecided."""
        return worst([e.verdict for e in verdicts.values()]).severity < 2

    def _more_points(self, first: Point) -> Outcome:
        sizes, largest = [dict(first.sizes)], 0.0
        for k in range(1, self.points + 1):
            point = Point(self.learner, self.seed + k, 1 + (k - 1) % 2)
            forward, _ = self._traced(partial(Forward, point))
            gradients = point.compared(point.run_backward(point.cotangent))
            found = self._not_finite(point, forward, gradients)
            if found:
                return self.wrong(found)
            verdicts = self.judge(point, gradients, forward)
            sizes.append(dict(point.sizes))
            largest = max([largest, *(e.error for e in verdicts.values())])
            if not self.all_right(verdicts):
                self.forward = forward
                self.backward, _ = self._traced(partial(Backward, point))
                return self._explain(point, gradients, verdicts, None)
            self._conventions(verdicts)
        found = self._in_place(first) or ask.extremes(first)
        if found:
            return self.wrong(found)
        return Outcome("right", certificate=self._certificate(first, sizes, largest), notes=self.notes)

    def _not_finite(self, point: Point, forward: Forward | None, gradients: dict[str, Any]) -> Finding | None:
        found = ask.finite_forward(point, forward)
        if found or not any(map(ask.bad_number, gradients.values())):
            return found
        backward, _ = self._traced(partial(Backward, point))
        return ask.finite_backward(point, gradients, backward)

    def _conventions(self, verdicts: dict[str, Entry]) -> None:
        names = [k for k, e in verdicts.items() if e.verdict is Verdict.CONVENTION]
        if names:
            declared = f" ({self.learner.kinks})" if self.learner.kinks else ""
            note = say("finder.note.convention", names=", ".join(names), declared=declared)
            self.notes += [note] if note not in self.notes else []

    def _in_place(self, point: Point, gradients: dict[str, Any] | None = None) -> Finding | None:
        """What shared objects change: right with copies and wrong without, or different at a second call."""
        right = gradients or point.compared(point.run_backward(point.cotangent))
        first, second, changed = ask.shared_run(point)
        what, line = ask.written_line(point, self.forward, self.backward)
        names = [k for k in right if k in first and not _near(first[k], right[k])]
        if names and changed:
            return ask.finding(
                "stale.inputs", "in place", line, True, what=what, names=", ".join("d" + k for k in names)
            )
        again = [k for k in first if k in second and not _near(first[k], second[k])]
        if again:
            return ask.finding("stale.cache", "in place", line, name=again[0])
        return None

    def _certificate(self, point: Point, sizes: list[dict[str, int]], largest: float) -> dict[str, Any]:
        from ... import __version__

        versions = {"tinyslm": __version__, "numpy": np.__version__, "python": platform.python_version()}
        digest = hashlib.sha256(self.learner.source.encode("utf-8")).hexdigest()
        numbers = {"points": self.points + 1, "sizes": sizes, "largest_error": largest, "bar": BAR}
        given = point.compared(point.run_backward(point.cotangent))
        names = {"checked": ["d" + k for k in given], "unchecked": ["d" + k for k in point.floats if k not in given]}
        return {"seed": self.seed, "versions": versions, "sha256": digest, **numbers, **names}

    # -- explaining

    def wrong(self, *findings: Finding, tried: int = 0) -> Outcome:
        """The report of a derivation that is wrong."""
        nowhere = [f for f in findings if f.id == "finder.not_finite.forward"]  # no derivative to compare with
        return Outcome("cannot run" if nowhere else "wrong", list(findings), tried, notes=self.notes, left=self.left)

    def _explain(self, point: Point, gradients: dict[str, Any], verdicts: dict[str, Entry], linear: Any) -> Outcome:
        bad = {k: e for k, e in verdicts.items() if e.verdict.severity >= 2}
        structural = self._layout(point, gradients, bad)
        if structural:
            return self.wrong(structural)
        undecided = [k for k, e in bad.items() if e.verdict is Verdict.UNDECIDED]
        if bad and len(undecided) == len(bad) and not linear:
            return self._undecided(gradients, bad)
        written = self._written_before_use(linear, bad) or self._one_array_many_times(point, bad)
        if written:
            return self.wrong(written)
        first = [self._plain(gradients, k, e) for k, e in bad.items()]
        self.tell(Outcome("wrong", [*([linear] if linear else []), *_shortened(first)], notes=self.notes))
        findings, tried = self._diagnosed(point, bad)
        if linear:
            findings = [_with_lines(linear, findings), *findings]
        named = {k for f in findings for k in f.gradients}
        rest = [self._plain(gradients, k, e) for k, e in bad.items() if k not in named]
        return self.wrong(*findings, *_shortened(_without_lines(rest, bool(findings))), tried=tried)

    def _written_before_use(self, linear: Any, bad: dict[str, Entry]) -> Finding | None:
        """An input that backward changes in place, by which what it gives is no longer linear in g."""
        written = [w for w in (self.backward.graph.written if self.backward else ()) if w[0] != "g"]
        if not linear or not written:
            return None
        name, line = written[0]
        found = ask.finding("written", "in place", line, what=name, names=", ".join("d" + k for k in bad))
        found.gradients = list(bad)
        return found

    def _one_array_many_times(self, point: Point, bad: dict[str, Entry]) -> Finding | None:
        """A list of the cache that holds one buffer again and again, which forward went on writing into."""
        lines = {n.inner for n in self.forward.graph.nodes if n.name == "setitem"} if self.forward else set()
        name = next((k for k, v in point.cache.items() if isinstance(v, list) and ask.one_buffer(v)), None)
        if name is None or not lines:
            return None
        found = ask.finding("buffer", "in place", max(lines) if len(lines) == 1 else None, True, name=name)
        found.gradients = list(bad)
        return found

    def _undecided(self, gradients: dict[str, Any], bad: dict[str, Entry]) -> Outcome:
        name, entry = max(bad.items(), key=lambda x: x[1].error)
        line, dtype = _low_precision(self.backward)
        if dtype or np.asarray(gradients[name]).dtype.itemsize < 8:
            dtype = dtype or str(np.asarray(gradients[name]).dtype)
            return self.wrong(ask.finding("precision", "numerics", line, name=name, error=entry.error, dtype=dtype))
        texts = [say("finder.undecided", name=k, error=e.error) for k, e in bad.items()]
        found = [Finding("finder.undecided", "undecided", t, gradients=[k]) for k, t in zip(bad, texts, strict=True)]
        return Outcome("undecided", found, notes=self.notes)

    def _layout(self, point: Point, gradients: dict[str, Any], bad: dict[str, Entry]) -> Finding | None:
        if self.forward is None:
            return None
        right = {k: self.forward.right(k) for k in gradients}
        square = {k: v for k, v in right.items() if v is not None and v.ndim == 2 and v.size > 1}
        turned = [
            k for k, v in square.items() if k in bad and np.ndim(gradients[k]) and _near(np.transpose(gradients[k]), v)
        ]
        if len(turned) < 2 or any(k not in turned for k in (*bad, *square)):
            return None
        line = _end_line(self.backward, turned[0])
        found = ask.finding("layout", "layout", line, names=", ".join("d" + k for k in turned))
        found.lines = list(dict.fromkeys(n for k in turned if (n := _end_line(self.backward, k))))[:3]
        return found

    def _diagnosed(self, point: Point, bad: dict[str, Entry]) -> tuple[list[Finding], int]:
        if self.forward is None or self.backward is None:
            return [], 0
        base = Trace(point, self.forward, self.backward)
        base.wrong = [k for k in base.wrong if k in bad] or base.wrong
        try:
            diagnosis = diagnose(self.learner, base, self.budget)
        except Exception as error:  # the verdict stands, also where the search for a cause fails
            self.notes.append(say("finder.note.no_search", why=f"{type(error).__name__}: {error}"))
            return [], 0
        self.left = diagnosis.left
        if len(diagnosis.mistakes) > 1:
            self.notes.append(say("finder.note.two"))
        for name, (k, steps) in diagnosis.truncated.items():
            self.notes.append(say("finder.note.truncated", name=name, k=k, steps=steps))
        if not diagnosis.mistakes:
            left = say("finder.left", left=diagnosis.left) if diagnosis.left else ""
            self.notes.append(say("finder.note.tried", tried=diagnosis.tried, left=left))
        return [told(i, diagnosis, base) for i in range(len(diagnosis.mistakes))], diagnosis.tried

    def _plain(self, gradients: dict[str, Any], name: str, e: Entry) -> Finding:
        line = _end_line(self.backward, name)
        if not np.any(gradients[name]):
            found = ask.finding("zeros", "unknown", line, name=name, expected=e.expected, place=e.place)
            found.gradients = [name]
            return found
        got, wanted = np.shape(gradients[name]), e.method
        if e.index is None and e.method.startswith("("):
            found = ask.finding("shape", "shape", line, name=name, got=got, wanted=wanted)
        else:
            key = "finder.element" if e.error_bar > 1e-12 * abs(e.expected) else "finder.element.exact"
            place = say(key, given=e.given, place=e.place, expected=e.expected, bar=e.error_bar)
            found = ask.finding("wrong", "unknown", line, name=name, worst=place)
        found.gradients = [name]
        return found


def _without_lines(rest: list[Finding], caused: bool) -> list[Finding]:
    """Where a cause was found, the rest points at lines only if it is about one."""
    if caused and len({n for f in rest for n in f.lines}) > 1:
        for f in rest:
            f.lines = []
    return rest


def _shortened(rest: list[Finding]) -> list[Finding]:
    """Many gradients without a diagnosis: the first two, and the names of the others on one line."""
    if len(rest) <= 3:
        return rest
    names = [k for f in rest[2:] for k in f.gradients]
    text = say("finder.also", names=", ".join("d" + k for k in names))
    lines = list(dict.fromkeys(n for f in rest[2:] for n in f.lines))
    return [*rest[:2], Finding("finder.also", "unknown", text, lines, gradients=names)]


def _with_lines(linear: Finding, findings: list[Finding]) -> Finding:
    linear.lines = list(dict.fromkeys(n for f in findings for n in f.lines))[:3]
    return linear


def _near(a: Any, b: Any) -> bool:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0.0) <= BAR * np.abs(b).max(initial=0.0) + 1e-13)


def _end_line(backward: Backward | None, name: str) -> int | None:
    node = backward.ends.get(name) if backward else None
    return (node.inner or None) if node else None


def _low_precision(backward: Backward | None) -> tuple[int | None, str]:
    for n in backward.graph.nodes if backward else ():
        dtype = np.asarray(n.value).dtype if not isinstance(n.value, list) else None
        if dtype is not None and dtype.kind == "f" and dtype.itemsize < 8:
            return n.inner or None, str(dtype)
    return None, ""


# -- the reference ----------------------------------------------------------------------------------------------------


def borne_out(point: Point, forward: Forward, directions: int = 3) -> bool:
    """Whether differences of the plain forward agree with the recorded derivative, along random directions."""
    rng = np.random.default_rng(11)
    arrays = [point.p[k] for k in point.floats]

    def field(xs: Any) -> np.ndarray:
        return np.ravel(point.run_forward({**point.p, **dict(zip(point.floats, xs, strict=True))})[point.output])

    for _ in range(directions):
        moves: dict[int, Any] = {i: rng.choice([-1.0, 1.0], a.shape) for i, a in enumerate(arrays)}
        line = Line(field, arrays, moves, np.ravel(point.cotangent)[None])
        found = ridders(line)
        right = [np.asarray(forward.right(k)) for k in point.floats]
        wanted = sum(float(np.vdot(moves[i], g)) for i, g in enumerate(right))
        size = sum(float(np.abs(g).sum()) for g in right)
        if not abs(found.value[0] - wanted) <= 100 * found.error[0] + 1e-7 * size + 1e-10:
            return False
    return True


def by_record(forward: Forward, gradients: dict[str, Any]) -> dict[str, Entry]:
    """Each gradient against the recorded derivative, element by element."""
    right = {k: forward.right(k) for k in gradients}
    largest = max([1e-300, *(float(np.abs(v).max(initial=0.0)) for v in right.values() if v is not None)])
    return {k: _entry(k, np.asarray(gradients[k]), v, largest) for k, v in right.items() if v is not None}


def _entry(name: str, given: np.ndarray, right: np.ndarray, largest: float) -> Entry:
    if given.shape != right.shape:
        return Entry(name, Verdict.WRONG, None, error=1.0, method=str(right.shape))
    off = np.abs(given - right)
    size = float(np.abs(right).max(initial=0.0))
    floor = 1e-12 * largest
    largest_off = float(off.max(initial=0.0))
    error = largest_off / max(size, floor)
    verdict = (
        Verdict.RIGHT
        if error <= BAR or largest_off <= floor
        else Verdict.WRONG
        if error > ask.WRONG
        else Verdict.UNDECIDED
    )
    at = np.unravel_index(int(off.argmax()), off.shape) if off.size else ()
    index = tuple(int(i) for i in at)
    return Entry(name, verdict, index, float(given[at]), float(right[at]), 0.0, error, "record")


def by_differences(point: Point, gradients: dict[str, Any], forward: Forward | None) -> dict[str, Entry]:
    """Each gradient of an input against numerical derivatives, from both sides where there is a kink."""
    arrays = [point.p[k] for k in point.floats]

    def function(*tensors: Any) -> Tensor:
        xs = dict(zip(point.floats, map(raw, tensors), strict=True))
        return Tensor.wrap(np.asarray(point.run_forward({**point.p, **xs})[point.output]))

    analytic: Any = "auto" if forward is None else False
    rng = np.random.default_rng(5)
    expected = reference(function, arrays, np.ravel(point.cotangent)[None], rng, point.floats, analytic, 1500)
    found = {}
    for name, ref in zip(point.floats, expected, strict=True):
        if name in gradients and np.shape(gradients[name]) == ref.shape:
            found[name] = judged([np.asarray(gradients[name], float)[None]], [ref])[0]
        elif name in gradients:
            found[name] = Entry(name, Verdict.WRONG, None, error=1.0, method=str(ref.shape))
    return found
