"""Every message that a learner reads, by its ID. Another language is a second catalogue, as messages_zh.py.

TINYSLM_LANG=zh selects Chinese. What a catalogue lacks is said in English.
"""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from typing import Any

LANGUAGE = "TINYSLM_LANG"

MESSAGES: dict[str, str] = {
    # -- derivations, step by step ------------------------------------------------------------------------------------
    "derivation.verdict.start": "start",
    "derivation.verdict.holds": "holds",
    "derivation.verdict.special": "only for special sizes",
    "derivation.verdict.approximate": "only approximately",
    "derivation.verdict.undecided": "undecided",
    "derivation.verdict.refuted": "refuted",
    "derivation.link.start": "start",
    "derivation.link.equal": "equals {of}",
    "derivation.link.close": "is within {within:g} of {of}",
    "derivation.link.gradient": "gradient of {of} with respect to {wrt}",
    "derivation.link.at_most": "{of} is at most this",
    "derivation.link.at_least": "{of} is at least this",
    "derivation.link.limit": "limit of {of} as {parameter} tends to {to}",
    "derivation.link.sample": "a random sample",
    "derivation.link.mean": "mean of {of}",
    "derivation.link.variance": "variance of {of}",
    "derivation.given": "given {given}",
    "derivation.agree": "largest difference {error:.1e}",
    "derivation.digits": "with {digits} digits, too",
    "derivation.off_by": "off by up to {error:.2g} of its size",
    "derivation.only_for": "holds only for {settings}",
    "derivation.exact_for": "exact for {settings}",
    "derivation.digits_off": "equal in float64, but off by {error:.1e} with {digits} digits: an approximation, "
    "or a rounded constant",
    "derivation.digits_rounded": "with {digits} digits off by {error:.0e}, the rounding of a constant",
    "derivation.no_digits": "compared in float64 only",
    "derivation.largest_gap": "closest to the bound: {gap:.3g}",
    "derivation.bound_broken": "{place}: {a} gives {va}, {b} gives {vb}",
    "derivation.limit_reached": "difference {first:.1e} falls to {last:.1e} at {parameter} = {at:.6g}",
    "derivation.limit_missed": "difference stays at {last:.2g} of its size up to {parameter} = {at:.6g}",
    "derivation.limit_open": "difference still falls at {parameter} = {at:.6g}, to {last:.1e} so far",
    "derivation.expectation": "{draws} draws, {z:.2g} of {bound:.2g} standard errors off (error probability {p:g}); "
    "{resolution:.1%} of its size or spread would show",
    "derivation.expectation_off": "{place}: {draws} draws give {got:.6g} +- {se:.1g}, claimed {claimed:.6g}, "
    "{z:.3g} standard errors off (bound {bound:.2g})",
    "derivation.expectation_blunt": "{draws} draws would not notice less than {resolution:.0%} of its size",
    "derivation.gradient_off": "the gradient of {place}: given {given:.8g}, numerically {expected:.8g} +- {bar:.1g}",
    "derivation.convention": "right by convention at a kink",
    "derivation.at_sizes": "sizes {sizes}",
    "derivation.element": "result",
    "derivation.differ": "{place}: {a} gives {va}, {b} gives {vb}",
    "derivation.shapes": "{what} shapes differ: {a} gives {sa}, {b} gives {sb}",
    "derivation.counts": "{a} gives {na} results, {b} gives {nb}",
    "derivation.not_finite": "{step} gives NaN or infinity here",
    "derivation.blunt": "rounding is so large here that nothing can be told",
    "derivation.undefined": "{step} has no value at these sizes ({why})",
    "derivation.step_failed": "step {step!r} stopped with {error}; mend it before its link can be checked",
    "derivation.not_numbers": "step {step!r}: expected numbers or a tuple of arrays, got {got}",
    "derivation.several": "step {step!r}: this link needs a step with one result, got {count}",
    "derivation.not_repeatable": "step {step!r} gives other numbers when called again; "
    "a random step belongs under .sample",
    "derivation.all_hold": "all {n} links hold",
    "derivation.first_failure": "the first step that does not follow is {number} of {n} ({name}): {verdict}",
    "derivation.judged": "{mark}: {evidence}",
    "derivation.aside": " ({text})",
    "derivation.as_expected": "as it should be",
    "derivation.unexpected": "expected: {expected}",
    "derivation.mark.start": "start",
    "derivation.mark.checked": "checked",
    "derivation.unknown": "no derivation is called {name!r}. Expected one of: {known}.",
    # -- the gradient check -------------------------------------------------------------------------------------------
    "gradcheck.verdict.right": "right",
    "gradcheck.verdict.convention": "right by convention",
    "gradcheck.verdict.undecided": "undecided",
    "gradcheck.verdict.wrong": "wrong",
    "gradcheck.along": "{name} along a random direction",
    "gradcheck.direction": "direction",
    "gradcheck.second_order": "{name} (2nd)",
    "gradcheck.head.input": "input",
    "gradcheck.head.verdict": "verdict",
    "gradcheck.head.worst_at": "worst at",
    "gradcheck.head.given": "given",
    "gradcheck.head.numerical": "numerical",
    "gradcheck.head.bar": "+-",
    "gradcheck.head.error": "error",
    "gradcheck.head.by": "by",
    "gradcheck.method.complex step": "complex step",
    "gradcheck.method.Ridders": "Ridders",
    "gradcheck.method.no elements": "no elements",
    "gradcheck.no_gradient": "no input has a gradient",
    "gradcheck.largest_error": "the largest error is {error:.1e} of the gradient's scale",
    "gradcheck.off": "{place} is {given:.8g}, numerically {expected:.8g} +- {bar:.1e} (error {error:.1e} of the "
    "gradient's scale)",
    "gradcheck.between": "{place} is {given:.8g}, numerically {expected:.8g} +- {bar:.1e}; between the derivatives "
    "from both sides",
    "gradcheck.which": "result {number}",
    "gradcheck.the_result": "the result",
    "gradcheck.finding.changes": "the function changes its input {name} in place",
    "gradcheck.finding.random": "the function is not repeatable: two calls at one point differ (dropout without a "
    "seed?)",
    "gradcheck.finding.dtype": "{which} is {dtype}, expected float64: convert inside the function",
    "gradcheck.finding.not_finite": "{which} of the function holds {kind}: no derivative there",
    "gradcheck.finding.count": "the backward gave {got} gradients for {wanted} inputs",
    "gradcheck.finding.gradient_random": "the gradient of {name} is not repeatable: two backward passes differ",
    "gradcheck.finding.shape": "the gradient of {name} has shape {got}, expected the input's {wanted}",
    "gradcheck.finding.gradient_dtype": "the gradient of {name} is {dtype}, expected float64",
    "gradcheck.finding.gradient_not_finite": "the gradient of {name} holds {kind}, first at {place}",
    "gradcheck.finding.linear": "the gradient of {name} is not linear in the cotangent: {law} is off by {off:.2g}",
    # -- the audit of the articles' formulas ---------------------------------------------------------------------------
    "audit.title": "The audit of every formula",
    "audit.verdict.right": "right",
    "audit.verdict.incomplete": "incomplete",
    "audit.verdict.wrong: value": "wrong: value",
    "audit.verdict.wrong: shape": "wrong: shape",
    "audit.verdict.wrong: notation": "wrong: notation",
    "audit.verdict.wrong: fact": "wrong: fact",
    "audit.verdict.task": "task",
    "audit.verdict.to measure": "to measure",
    "audit.verdict.measured: holds": "measured: holds",
    "audit.verdict.measured: in part": "measured: in part",
    "audit.verdict.measured: no": "measured: no",
    "audit.verdict.measured: more data helps, little does not suffice here": "measured: more data helps, little does "
    "not suffice here",
    "audit.verdict.measured: little data suffices here": "measured: little data suffices here",
    "audit.verdict.measured: neither claim holds for all models": "measured: neither claim holds for all models",
    "audit.mark.yes": "yes",
    "audit.mark.no": "NO",
    "audit.mark.none": "-",
    "audit.kind.shapes": "shapes",
    "audit.kind.scaling": "scaling",
    "audit.kind.range": "range",
    "audit.kind.symmetry": "symmetry",
    "audit.kind.limits": "limits",
    "audit.kind.gradient": "gradient",
    "audit.kind.learnability": "learnability",
    "audit.kind.value": "value",
    "audit.kind.complete": "complete",
    "audit.kind.fact": "fact",
    "audit.where": "Article {article}, {heading}",
    "audit.printed": "as printed",
    "audit.said": "said beside it",
    "audit.repaired": "repaired",
    "audit.source": "source",
    "audit.note": "note",
    "audit.run": "to run it",
    "audit.reading": 'as printed, read as "{name}"',
    "audit.repair_name": "the repair, asked the same questions",
    "audit.excluded": " (this reading is excluded by the article itself: {why})",
    "audit.numbers": "The numbers:",
    "audit.picture": "picture: {path}",
    "audit.picture_option": "picture: tinyslm audit {id} --out FOLDER writes it",
    "audit.count": "{n} IDs, {seconds:.0f} s.",
    "audit.command": "run it with: {command}",
    "audit.no_command": "no command of tinyslm runs this yet",
    "audit.waits": "measured on request: tinyslm audit {id}",
    "audit.differs": "documented as {expected}, computed {got}",
    "audit.repair_fails": "the repair itself gets {got}",
    "audit.finding_fails": "this number is not the one that we state: {text}",
    "audit.all": "All verdicts are as documented.",
    "audit.not_all": "Not as documented: {ids}.",
    "audit.answer.shape": "shape {got}, wanted {wanted}",
    "audit.answer.ratio": "{factor:g} times the input gives {ratio:.4g} times the result, wanted {wanted:g}",
    "audit.answer.range": "from {low:.4g} to {high:.4g}",
    "audit.answer.gap": "they differ by {gap:.2g} of the result's size",
    "audit.answer.change": "the result changes by {change:.2g}",
    "audit.answer.known": "{got}, wanted {wanted}",
    "audit.answer.no_gradient": "not made of operations with a gradient",
    "audit.answer.gradient": "{verdict}, error {error:.1e}",
    "audit.answer.undefined": "undefined: {why}",
    # -- the lessons ---------------------------------------------------------------------------------------------------
    "lessons.head.part": "part",
    "lessons.head.lesson": "lesson",
    "lessons.head.title": "title",
    "lessons.head.formulas": "formulas",
    "lessons.head.minutes": "minutes",
    "lessons.head.state": "state",
    "lessons.state.done": "done",
    "lessons.state.not_yet": "not yet",
    "lessons.solution": "(a solution: --solution shows it)",
    "lessons.notebook": "notebook: {path}",
    "lessons.count": "lessons: {n}, checks: {checks}, {seconds:.0f} s",
    "lessons.report": "report: {path}",
    "lessons.interrupted": "stopped; the report holds {n} of {all} lessons: {path}",
    "lessons.failed": "failed:",
    "lessons.verdict.ok": "ok",
    "lessons.verdict.failed": "failed",
    "lessons.checks": "checks: {n}",
    "lessons.largest_error": ", largest gradient error {error:.1e}",
    "lessons.mark.ok": "ok",
    "lessons.mark.failed": "FAIL",
    "lessons.page.title": "Lessons",
    "lessons.page.sum": "lessons: {n},",
    "lessons.page.all_well": "all well",
    "lessons.page.some_failed": "{n} failed",
    "lessons.page.checks": "checks",
    "lessons.page.error": "largest gradient error",
    "lessons.page.time": "time",
    "lessons.page.formulas": "Formulas",
    "lessons.page.formula": "formula",
    "lessons.page.verdict": "verdict",
    "lessons.page.built_in": "built in",
    "lessons.page.not_run": "not run",
    "lessons.page.solution": "Solution",
    "lessons.page.power": "The power of the checks",
    "lessons.page.power_said": "Single mistakes of a fixed list were planted in the source of what each lesson builds, "
    "and its checks run again. Counted are those that a check or an error caught. Mutants that give the same results "
    "on the lesson's own and on random inputs are no mistakes and not counted.",
    "lessons.page.planted": "mistakes",
    "lessons.page.caught": "caught",
    "lessons.page.share": "share",
    "lessons.page.survived": "not noticed",
    "lessons.page.stale": "measured on an earlier form of the lesson",
    "lessons.does_not_hold": "{id} {statement}: this does not hold",
    "lessons.error": "   (largest gradient error {error:.1e})",
    "lessons.figure": "  figure: {caption}",
    "lessons.no_check": "expected at least one check, got none; call check() from tinyslm.lesson",
    "lessons.stopped": "stopped after {after:g} s; it should take at most {seconds} s",
    "lessons.power": "{name}: {caught} of {mistakes} mistakes caught ({share:.0%}), {equivalent} equivalent, "
    "{tried} of {mutants} mutants tried",
    "lessons.power.survived": "   not noticed: {text}",
    "lessons.power.low": "below {least:.0%}: {names}",
    # -- the mistake finder --------------------------------------------------------------------------------------------
    "finder.random.forward": "forward is not repeatable: two calls at one point differ{where}; a random mask belongs "
    "in inputs",
    "finder.random.backward": "backward is not repeatable: two calls on fresh copies differ{where}; it must not draw "
    "random numbers",
    "finder.not_finite.forward": "{name} of forward holds {what}{where}: no derivative there, choose other inputs",
    "finder.not_finite.backward": "d{name} holds {what}, first at {place}{where}",
    "finder.numerics": "right at moderate numbers, but d{name} holds {what} where the inputs are {scale:g} times as "
    "large and forward is finite: a question of numerics, not of algebra{where}",
    "finder.precision": "d{name} is right to {error:.0e} only: {dtype} in backward{where}; compute in float64",
    "finder.stale.inputs": "{what} is changed in place{where}: backward then works with other numbers than forward; "
    "with copies the gradients of {names} are right",
    "finder.stale.cache": "backward changes the cache or the inputs in place{where}: a second call on the same cache "
    "gives another d{name}",
    "finder.linear.zero": "d{name} is not 0 for g = 0, but {off:.2g}: some term in backward lacks the factor g{where}",
    "finder.linear.sum": "d{name} for g1 + g2 is not the sum of those for g1 and for g2 (off by {off:.2g}): g is there "
    "more than once, or inside of a function{where}",
    "finder.linear.scale": "d{name} for -1.7 g is not -1.7 times that for g (off by {off:.2g}): g is there more than "
    "once, or inside of a function such as abs{where}",
    "finder.zeros": "d{name} is 0 everywhere, expected {expected:.6g} at {place}: is it computed at all, and handed "
    "on?{where}",
    "finder.buffer": "all entries of the list {name} are one and the same array, which forward writes into{where}: "
    "backward sees only what was written last; keep a copy for each step",
    "finder.written": "backward changes {what} in place{where} and uses it afterwards: {names} are computed with the "
    "changed numbers",
    "finder.layout": "every matrix gradient is the transpose of the right one ({names}): the numerator layout, kept "
    "consistently; expected the input's own shape{where}",
    "finder.shape": "d{name} has shape {got}, expected {wanted} as {name} itself{where}",
    "finder.type": "d{name} is {got}. Expected: an array of floats",
    "finder.wrong": "d{name} is wrong: {worst}{where}; no diagnosis",
    "finder.element": "{given:.6g} at {place}, expected {expected:.6g} +- {bar:.0e}",
    "finder.element.exact": "{given:.6g} at {place}, expected {expected:.6g}",
    "finder.also": "also wrong, without a diagnosis: {names}",
    "finder.where": " at line {line}",
    "finder.undecided": "d{name}: error {error:.1e} is between rounding (1e-8) and a mistake (1e-5)",
    "finder.note.not_traced": "no diagnosis: the code could not be followed ({why}); compared with differences only",
    "finder.note.unchecked": "not checked, no gradient given: {names}",
    "finder.note.unknown": "ignored, no input or intermediate has that name: {names}",
    "finder.note.convention": "right by convention at a kink: {names}{declared}",
    "finder.note.prints": "the file prints: {text}",
    "finder.note.two": "more than one mistake: the places were told apart one after the other",
    "finder.cause": "line {line}: {code} -- {cause}{forward}. Repairs {names}, to {error:.0e} at {points} "
    "points; {tried} changes tried{left}{others}",
    "finder.others": "; as likely: line {lines}",
    "finder.more": "{count} more",
    "finder.left": ", about {left} more were not tried for lack of time",
    "finder.evidence": "{count} gradients, {tried} changes tried",
    "finder.forward": " (derivative of line {line}: {code})",
    "finder.note.truncated": "d{name} is right for the last {k} of {steps} steps only: before them the gradient "
    "through time is truncated or wrong",
    "finder.note.no_search": "no diagnosis: {why}",
    "finder.cannot.timeout": "still running after {seconds:g} s, and forward and backward have not come to their end "
    "once: an endless loop, or far too much to compute?",
    "finder.slow": "forward and backward run, but the time was over before their results could be compared; smaller "
    "arrays are enough for a check, and --seconds gives more time",
    "finder.fix.sign": "{part} needs the other sign",
    "finder.fix.factor": "{part} must be multiplied by {wanted}",
    "finder.fix.zero": "{part} must not be there",
    "finder.fix.instead": "expected {wanted} in place of {part}",
    "finder.fix.operand": "expected {wanted} in place of {operand}",
    "finder.fix.operand.same": "another {operand} is meant than the one that stands here: as it was before it was "
    "changed, or as it is afterwards",
    "finder.fix.term": "{operand} is a term too much in {part}: counted twice?",
    "finder.at_column": "{part} (column {column})",
    "finder.fix.missing": "the factor {wanted} is missing in {part}",
    "finder.fix.normaliser": "the share of the normaliser or mean is missing in {part}: - {wanted}",
    "finder.fix.add": "+= expected: each use adds its share, here the last one wins",
    "finder.fix.add.again": "each use should add its share, and only the last one is left: is the array that it is "
    "added to made anew, or an index repeated (np.add.at)?",
    "finder.fix.scatter": "{wanted} expected: where an index repeats, only the last write counts",
    "finder.fix.unbroadcast": "{part} must be summed over the dimensions along which {wanted} was repeated",
    "finder.fix.index": "{part} needs another index: {wanted}",
    "finder.index.earlier": "one step earlier",
    "finder.index.later": "one step later",
    "finder.index.end": "counted from the end",
    "finder.index.exchanged": "the two indices exchanged",
    "finder.index.all": "all of it",
    "finder.index.block.before": "the block before",
    "finder.index.block.after": "the block after",
    "finder.index.block.before2": "two blocks before",
    "finder.index.block.after2": "two blocks after",
    "finder.fix.carry.factor": "{operand}, carried from one step to the next, lacks the factor {wanted} of "
    "the step before",
    "finder.fix.carry.instead": "{operand} is not carried on: expected {wanted} of the step before",
    "finder.fix.carry.instead.same": "{operand} begins anew in each step: what the steps before gave is lost",
    "finder.fix.name": "under the name {wanted} stands the gradient that belongs to {value}",
    "finder.fix.path": "a term is missing in {part}: the share that comes back through line {line}: {code}",
    "finder.fix.path.input": "a term is missing in {part}",
    "finder.fix.twice": "a term is too much in {part}: the share that comes back through line {line}: {code}",
    "finder.fix.twice.input": "a term is too much in {part}",
    "finder.fix.other": "{spot} is {given:.4g} and should be {expected:.4g}, as what comes back through line "
    "{line}: {code}",
    "finder.fix.other.input": "{spot} is {given:.4g} and should be {expected:.4g}",
    "finder.fix.text": "expected {wanted} in place of {old}",
    "finder.fix.line": "this line must not be there",
    "finder.fix.handed": "{wanted} is missing at the end of each step of the loop",
    "finder.fix.after": "this line belongs after line {wanted}",
    "finder.fix.before": "this line belongs before line {wanted}",
    "finder.verdict.right": "right",
    "finder.verdict.part": "right as far as given",
    "finder.verdict.wrong": "wrong",
    "finder.verdict.undecided": "undecided",
    "finder.verdict.cannot run": "cannot run",
    "finder.note": "note: {text}",
    "finder.certificate": "largest error {largest_error:.1e} (bar {bar:.0e}) at {points} points, sizes "
    "{sizes}; seed {seed}, {versions}, sha256 {sha256}",
    "finder.certificate.written": "certificate: {path}",
    "finder.certificate.none": "no certificate: only a passed check has one",
    "finder.sizes": "as given",
    "finder.kind": "a value of type {name}",
    "finder.nothing": "nothing (is a return missing?)",
    "finder.note.tried": "no single change explains it: {tried} tried{left}",
    "finder.trace.many": "more than {limit} array operations",
    "finder.trace.after": "an array was used after the function had returned",
    "finder.trace.foreign": "an array was handed to code that is not NumPy's",
    "finder.trace.number": "an array's number was taken out by float(), int() or .item()",
    "finder.trace.attribute": ".{name} of an array",
    "finder.trace.written": "a result was written into an array made outside NumPy's usual functions",
    "finder.trace.other": "when followed, {name} gives other numbers",
    "finder.trace.output": "the output does not come out of the recorded operations",
    "finder.trace.source": "there is no source to follow",
    "finder.cannot.full": "not enough memory: smaller arrays are enough for a check",
    "finder.cannot.inputs": "inputs() gave {got}. Expected: a dict of arrays by name",
    "finder.cannot.function": "the file defines no function {name}. Expected: inputs, forward and backward",
    "finder.cannot.floats": "inputs() holds no float array. Expected: at least one, to be differentiated",
    "finder.cannot.output": "the output {name!r} is {got}. Expected: an array of floats or a number",
    "finder.cannot.forward": "forward() gave {got}. Expected: a dict of named intermediates, the output last",
    "finder.cannot.backward": "backward() gave {got}. Expected: a dict of gradients by name, like 'dW'",
    "finder.cannot.library": "{name} is not installed: pip install {name}",
    "finder.cannot.memory": "not enough memory (limit {megabytes} MB): smaller arrays are enough for a check",
    "finder.cannot.exit": "the file calls sys.exit({code}). Expected: only inputs, forward and backward",
    "finder.cannot.text": "line {line} holds the byte {byte}, which is no UTF-8 text: save the file as UTF-8; is it a "
    "Python file?",
    "finder.cannot.crash": "the process stopped with code {code}{said}",
    "finder.cannot.ended": "the file itself ended the process, with code {code}{said}, before the check was done: "
    "remove that call (os._exit or the like)",
    "finder.cannot.signal": "the process crashed ({name}){said}",
    "finder.cannot.signature": "the file defines {name}{got}. Expected: {name}({wanted})",
    "finder.cannot.raises": "{error}{where}",
    "finder.cannot.none": "backward() gave no gradient of an input, only {got}. Expected: the keys {names}",
}


def say(key: str, /, **fields: Any) -> str:
    """The message with this ID in the chosen language, its fields filled in."""
    return catalogue(os.environ.get(LANGUAGE, ""))[key].format(**fields)


def one_of(family: str, name: str) -> str:
    """The words for `name` in a family of IDs such as "audit.verdict"; the name itself where there are none."""
    return catalogue(os.environ.get(LANGUAGE, "")).get(f"{family}.{name}", name)


def column(text: str, width: int) -> str:
    """`text` filled up to so many columns of a terminal, in which Chinese characters take two; flush right below 0."""
    space = " " * (abs(width) - sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text))
    return text + space if width > 0 else space + text


@cache
def catalogue(language: str) -> dict[str, str]:
    """All messages in a language ("zh", "zh_CN", "zh-Hant", ...); English where there is no other catalogue."""
    if language.lower().startswith("zh"):
        from .messages_zh import MESSAGES as chinese

        return {**MESSAGES, **chinese}
    return MESSAGES
