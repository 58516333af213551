"""The mistake finder: right derivations pass, planted mistakes are found with their line, broken files get one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import learners
import numpy as np
import pytest

from tinyslm.check.finder import Outcome, check_derivation, check_file, check_jax, check_torch
from tinyslm.check.finder.learner import Forward, Point, from_file
from tinyslm.check.finder.runner import _read
from tinyslm.check.finder.templates import TEMPLATES
from tinyslm.check.finder.tidy import tidy
from tinyslm.errors import OptionError

# file, what stands there, what the learner wrote instead
MISTAKES = [
    ("dense", "g * (1 - cache", "-g * (1 - cache"),
    ("dense", '(1 - cache["y"] ** 2)', '(1 - cache["a"] ** 2)'),
    ("dense", "da.sum(axis=0)", "da.mean(axis=0)"),
    ("softmax_ce", "dz[rows", "dz[rows - 1"),
    ("layer_norm", "dxhat - mean - xhat * along", "dxhat - mean"),
    ("rnn", "dh_next = da @", "dh_next = 0 * da @"),
    ("rnn", "dU += h[t].T @ da", "dU = h[t].T @ da"),
    ("lstm", "dc * c[t] * f", "dc * c[t + 1] * f"),
    ("gru", "dh * (before - n)", "dh * (n - before)"),
    ("attention", "dscores = dscores / np.sqrt(q.shape[-1])", "dscores = dscores / q.shape[-1]"),
    ("attention", "dscores = w * (dw - (dw * w).sum(axis=-1, keepdims=True))", "dscores = w * (1 - w) * dw"),
]


def _write(folder: Path, text: str) -> str:
    file = folder / "mine.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_right(tmp_path: Path, name: str) -> None:
    outcome = check_file(_write(tmp_path, TEMPLATES[name]), in_process=True)
    assert outcome.verdict == "right", str(outcome)
    assert outcome.certificate is not None and outcome.certificate["largest_error"] < 1e-9
    assert outcome.code == 0 and not outcome.lines


@pytest.mark.parametrize(("name", "right", "wrong"), MISTAKES)
def test_the_line_is_found(tmp_path: Path, name: str, right: str, wrong: str) -> None:
    text = TEMPLATES[name]
    assert text.count(right) == 1
    text = text.replace(right, wrong)
    line = text[: text.index(wrong)].count("\n") + 1
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert outcome.verdict == "wrong" and outcome.code == 1
    assert line in outcome.lines and len(outcome.lines) <= 3, str(outcome)
    assert outcome.hypotheses > 0


BROKEN = [
    ("", "no function inputs"),
    ("x = (", "SyntaxError: '(' was never closed at line 1"),
    (
        TEMPLATES["dense"].replace('    return {"a": a, "y": y}', "    return [a, y]"),
        "forward() gave a value of type list. Expected: a dict",
    ),
    ("import sys\nsys.exit(3)", "sys.exit"),
    (TEMPLATES["dense"].replace('return {"a": a, "y": y}', "pass"), "forward() gave nothing"),
    (TEMPLATES["dense"].replace('return {"da"', 'return [0] and 1 and {"q"') + "\n", "no gradient"),
    (TEMPLATES["dense"].replace('p["x"] @ p["W"]', 'p["x"] @ p["V"]'), "KeyError"),
]


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_what_cannot_run(tmp_path: Path, text: str, told: str) -> None:
    if "no gradient" in told:
        text = TEMPLATES["dense"].split('    return {"da"')[0] + '    return {"dnothing": da}\n'
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert outcome.verdict == "cannot run" and outcome.code == 2
    assert told in str(outcome)


def test_chance_is_told_with_its_line(tmp_path: Path) -> None:
    text = TEMPLATES["dense"].replace("y = np.tanh(a)", "y = np.tanh(a) * (np.random.rand() + 1)")
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert "not repeatable" in str(outcome)
    assert outcome.lines == [text[: text.index("np.random")].count("\n") + 1]


def test_an_ignored_cotangent(tmp_path: Path) -> None:
    text = TEMPLATES["dense"].replace("da = g * (1", "da = (1")
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert "lacks the factor g" in str(outcome)
    assert text[: text.index("da = (1")].count("\n") + 1 in outcome.lines


def test_a_kink_is_a_convention(tmp_path: Path) -> None:
    text = """import numpy as np
KINKS = "relu at 0: 0"
def inputs(rng):
    return {"x": np.array([[-1.0, 0.0, 2.0]])}
def forward(p):
    return {"y": np.maximum(p["x"], 0)}
def backward(p, cache, g):
    return {"dx": g * (p["x"] > 0)}
"""
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert outcome.verdict == "right", str(outcome)
    assert any("convention" in n for n in outcome.notes)


def test_two_mistakes_are_told_apart(tmp_path: Path) -> None:
    text = TEMPLATES["attention"].replace("dv = w.transpose(0, 2, 1) @ g", "dv = -w.transpose(0, 2, 1) @ g")
    text = text.replace("np.sqrt(q.shape[-1])\n    return", "q.shape[-1]\n    return")
    outcome = check_file(_write(tmp_path, text), in_process=True)
    wanted = {text[: text.index(part)].count("\n") + 1 for part in ("dv = -w", "dscores / q.shape")}
    assert wanted <= set(outcome.lines), str(outcome)


def test_functions_and_html() -> None:
    def forward(p):
        return {"y": np.sin(p["x"])}

    def backward(p, cache, g):
        return {"dx": g * np.cos(p["x"])}

    def mistaken(p, cache, g):
        return {"dx": -g * np.cos(p["x"])}

    inputs = {"x": np.arange(3.0)}
    assert check_derivation(forward, backward, inputs).ok
    outcome = check_derivation(forward, mistaken, inputs)
    assert outcome.verdict == "wrong"
    assert "<li>" in outcome._repr_html_() and outcome.json()["code"] == 1


def test_code_that_cannot_be_traced_is_compared_with_differences(tmp_path: Path) -> None:
    text = TEMPLATES["dense"].replace(
        "y = np.tanh(a)", "import math\n    y = np.array([[math.tanh(v) for v in r] for r in a.tolist()])"
    )
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert outcome.verdict == "right", str(outcome)
    assert any("no diagnosis" in n for n in outcome.notes)


def test_the_recorded_derivative_is_the_engines(tmp_path: Path) -> None:
    import tinyslm as ts

    point = Point(from_file(_write(tmp_path, TEMPLATES["attention"])), 0)
    q, k, v = (ts.Tensor.wrap(point.p[n]).requires_grad_() for n in "qkv")
    out = ts.attention(q, k, v, mask=point.p["allowed"])
    wanted = ts.grad(out, [q, k, v], point.cotangent)
    for name, g in zip("qkv", wanted, strict=True):
        np.testing.assert_allclose(Forward(point).right(name), g.numpy(), rtol=1e-10, atol=1e-13)


def test_a_process_with_limits(tmp_path: Path) -> None:
    from tinyslm.check.finder.runner import run_limited

    text = TEMPLATES["dense"].replace("da = g", "print('hello')\n    da = g")
    outcome = run_limited(_write(tmp_path, text), 20, 0)
    assert outcome.verdict == "right" and any("hello" in n for n in outcome.notes), str(outcome)
    huge = TEMPLATES["dense"].replace("a = p[", "np.ones((10**6, 10**6))\n    a = p[", 1)
    assert "memory" in str(run_limited(_write(tmp_path, huge), 20, 0)).lower()


def test_an_endless_loop(tmp_path: Path) -> None:
    from tinyslm.check.finder.runner import run_limited

    text = TEMPLATES["dense"].replace("    da = g", "    while True:\n        pass\n    da = g")
    outcome = run_limited(_write(tmp_path, text), 2.5, 0)
    assert outcome.code == 2 and "still running after 2.5 s" in str(outcome)


def test_the_verdict_stands_when_the_time_for_a_cause_is_over(tmp_path: Path) -> None:
    text = TEMPLATES["lstm"].replace("dc * c[t] * f", "dc * c[t] * f * h[t].mean()")
    outcome = check_file(_write(tmp_path, text), in_process=True, budget=0.0)
    assert outcome.verdict == "wrong" and outcome.code == 1


def test_truncation_is_told(tmp_path: Path) -> None:
    text = TEMPLATES["rnn"].replace("dh_next = da @", "dh_next = 0 * da @")
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert "for the last 1 of 5 steps only" in str(outcome), str(outcome)


OPS = """import numpy as np
import tinyslm as ts
sizes = {"B": 2, "D": 3, "H": 5}
def inputs(rng, sizes):
    B, D, H = (sizes[k] for k in "BDH")
    return {"x": rng.normal(size=(B, D)), "W": rng.normal(size=(D, H)), "b": rng.normal(size=H)}
def forward(p):
    z = ts.tensor(p["x"]) @ p["W"] + p["b"]
    y = z.tanh().sum(dim=1, keepdim=True)
    return {"z": z, "y": y}
def backward(p, cache, g):
    dz = g * (1 - np.tanh(np.asarray(cache["z"])) ** 2)
    return {"dz": dz, "dx": dz @ p["W"].T, "dW": p["x"].T @ dz, "db": dz.sum(0)}
"""


def test_a_forward_in_tinyslm_operations_gets_a_diagnosis(tmp_path: Path) -> None:
    assert check_file(_write(tmp_path, OPS), in_process=True).ok
    text = OPS.replace('(np.asarray(cache["z"])) ** 2)', '(np.asarray(cache["z"])))')
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert outcome.verdict == "wrong" and "no diagnosis" not in str(outcome)
    assert outcome.lines == [12], str(outcome)


def test_gradients_under_each_others_names(tmp_path: Path) -> None:
    text = OPS.replace('"b": rng.normal(size=H)', '"b": rng.normal(size=H), "c": rng.normal(size=H)')
    text = text.replace('+ p["b"]', '+ p["b"] + 2 * p["c"]').replace(
        '"db": dz.sum(0)', '"db": 2 * dz.sum(0), "dc": dz.sum(0)'
    )
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert outcome.findings[0].kind == "wrong name" and outcome.findings[0].gradients == ["b", "c"], str(outcome)
    assert outcome.lines == [13]


def test_a_message_speaks_the_learners_names(tmp_path: Path) -> None:
    text = TEMPLATES["dense"].replace('g * (1 - cache["y"] ** 2)', "g")
    outcome = check_file(_write(tmp_path, text), in_process=True)
    assert 'the factor 1 - cache["y"] ** 2 is missing' in str(outcome).replace("'", '"'), str(outcome)


class _Jax:
    """As much of jax as the adapter calls: vjp of a function that brings its own rule, and numpy.asarray."""

    class numpy:
        asarray = staticmethod(np.asarray)

    @staticmethod
    def vjp(function, *xs):
        return function(*xs), lambda g: tuple(g * slope for slope in Squared.slopes(*xs))


class Squared:
    factor = 2.0

    def __call__(self, x):
        return x * x

    @classmethod
    def slopes(cls, x):
        return (cls.factor * x,)


def test_a_jax_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", _Jax)
    x = {"x": np.arange(1.0, 4.0)}
    assert check_jax(Squared(), x).ok
    monkeypatch.setattr(Squared, "factor", 1.0)
    assert check_jax(Squared(), x).verdict == "wrong"


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(OptionError, match="pip install jax"):
        check_jax(Squared(), {"x": np.ones(2)})


@pytest.mark.torch
def test_a_torch_function() -> None:
    torch = pytest.importorskip("torch")

    class Square(torch.autograd.Function):
        factor = 2.0

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @classmethod
        def backward(cls, ctx, g):
            return cls.factor * g * ctx.saved_tensors[0]

    class Mistaken(Square):
        factor = 1.0

    x = {"x": np.arange(1.0, 4.0)}
    assert check_torch(Square, x).ok
    assert check_torch(Mistaken, x).verdict == "wrong"


# -- sizes, time, layouts ---------------------------------------------------------------------------------------------


def _found(tmp_path: Path, text: str) -> Outcome:
    return check_file(_write(tmp_path, text), in_process=True)


def test_declared_sizes_are_kept_where_others_do_not_run(tmp_path: Path) -> None:
    outcome = _found(tmp_path, learners.GROUPS)
    assert outcome.ok and outcome.certificate is not None, str(outcome)
    sizes = outcome.certificate["sizes"]
    assert {s["D"] for s in sizes} == {12} and len({s["B"] for s in sizes}) == 3
    text = learners.GROUPS.replace(" - h * (dn * h).mean(axis=2, keepdims=True)", "")
    assert _found(tmp_path, text).verdict == "wrong"


def test_sizes_with_a_default_count_as_declared(tmp_path: Path) -> None:
    text = learners.GROUPS.replace('sizes = {"B": 4, "D": 12, "G": 3}', "sizes = {}")
    text = text.replace('(sizes[k] for k in "BDG")', '(sizes.get(k, n) for k, n in zip("BDG", (4, 12, 3)))')
    assert _found(tmp_path, text).ok


def test_a_verdict_that_was_reached_in_time_stands(tmp_path: Path) -> None:
    from tinyslm.check.finder.runner import run_limited

    outcome = run_limited(_write(tmp_path, learners.SLOW), 4.0, 0)
    assert outcome.verdict == "wrong" and "endless" not in str(outcome), str(outcome)


def test_the_numerator_layout_with_columns(tmp_path: Path) -> None:
    outcome = _found(tmp_path, learners.COLUMNS)
    assert outcome.findings[0].id == "finder.layout", str(outcome)


# text, what stands there, what the learner wrote, a part of the report, the line
KINDS = {
    "carry in a helper": ("BOTH_WAYS", "        carry = da @ U.T\n", "", "a term is missing", 22),
    "row of a loop": ("BOTH_WAYS", "reversed(range(len(x)))", "reversed(range(1, len(x)))", "range(0, len(x))", 21),
    "first step": ("BOTH_WAYS", "if t > 0", "if t > 1", "t >= 1", 25),
    "direct path in a helper": ("HELPER", "    dx = dx + dy\n", "", "Repairs dx, dW1, dg1, dh", 22),
    "norm taken as constant": (
        "HELPER", "(dn - n * (dn * n).mean(axis=1, keepdims=True)) / s", "dn / s", "a term is missing in dx", 22,
    ),
    "one buffer": ("BUFFER", "h = np.tanh(", "h[:] = np.tanh(", "one and the same array", 12),
    "batch": ("HINGE", "g / n)", "g)", "dm must be multiplied by 1 / p", 11),
    "a constant with a name": ("ATTENTION", "    ds = ds / TEMP\n", "", "1 / TEMP", 21),
    "size of a group": ("GROUP_NORM", " / c.shape[2]", "", "must be multiplied by 1 / 4", 24),
    "weights changed before use": (
        "MLP", "    dh = g", "    p[\"W2\"] -= 0.1 * dW2\n    dh = g", "uses it afterwards", 14,
    ),
    "no factor g": ("MLP", "da = dh * (1", "da = dh + (1", "is not 0 for g = 0", 15),
    "float32": ("MLP", "dh = g @", "dh = g.astype(np.float32) @", "float32 in backward", 14),
    "+= with repeated ids": ("ROWS", "", "", "np.add.at expected", 10),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_mistake_and_its_words(tmp_path: Path, kind: str) -> None:
    name, old, new, said, line = KINDS[kind]
    text = getattr(learners, name)
    assert old in text
    outcome = _found(tmp_path, text.replace(old, new, 1))
    assert outcome.verdict == "wrong" and outcome.lines[:1] == [line] and said in str(outcome), str(outcome)
    assert "more than one mistake" not in str(outcome)


@pytest.mark.parametrize("name", ["HELPER", "BOTH_WAYS", "BUFFER", "HINGE", "ATTENTION", "MLP", "GROUP_NORM"])
def test_these_are_right_before_they_are_changed(tmp_path: Path, name: str) -> None:
    assert _found(tmp_path, getattr(learners, name)).ok


def test_nan_at_one_of_the_points(tmp_path: Path) -> None:
    outcome = _found(tmp_path, learners.LATE_NAN)
    assert outcome.verdict == "wrong" and "dx holds NaN" in str(outcome) and "between rounding" not in str(outcome)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("w.T.T @ da", "w @ da"),
        ("range(2 + 1)", "range(3)"),
        ("dim - 1 + 1", "dim"),
        ("m - 0", "m"),
        ("--x * 1", "x"),
        ("x ** 1", "x"),
        ("t + 2 - 3", "t - 1"),
        ("sigmoid'(x)", "sigmoid'(x)"),
    ],
)
def test_code_is_told_as_a_person_would_write_it(text: str, wanted: str) -> None:
    assert tidy(text) == wanted


@pytest.mark.parametrize(("name", "right", "wrong"), [("CLASS", "y ** 2", "y"), ("BEST", "= g", "= 2 * g")])
def test_a_class_and_an_index_of_arrays(tmp_path: Path, name: str, right: str, wrong: str) -> None:
    text = getattr(learners, name)
    assert _found(tmp_path, text).ok
    outcome = _found(tmp_path, text.replace(right, wrong))
    assert outcome.verdict == "wrong" and text[: text.index(right)].count("\n") + 1 in outcome.lines, str(outcome)
    assert "no diagnosis" not in str(outcome)


@pytest.mark.parametrize("taken", ["p, g", "p, cache, g, more"])
def test_a_function_that_takes_something_else(tmp_path: Path, taken: str) -> None:
    outcome = _found(tmp_path, TEMPLATES["dense"].replace("backward(p, cache, g)", f"backward({taken})"))
    assert outcome.verdict == "cannot run"
    assert f"the file defines backward({taken}). Expected: backward(p, cache, g)" in str(outcome)


def test_a_crash_is_told_with_its_last_words(tmp_path: Path) -> None:
    text = "import os\nos.write(2, b'first\\nlast words\\n')\nos._exit(3)\n"
    outcome = check_file(_write(tmp_path, text))
    assert "code 3 (last words)" in str(outcome) and outcome.seconds > 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x = 1\ny = '\xe9'\n", "line 2 holds the byte 0xe9, which is no UTF-8 text: save the file as UTF-8"),
        (b"\x7fELF\x00\x01", "line 1 holds the byte 0x00"),
    ],
)
def test_a_file_that_is_no_utf_8(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "x.py").write_bytes(content)
    outcome = check_file(str(tmp_path / "x.py"), in_process=True)
    assert outcome.verdict == "cannot run" and told in str(outcome)
    assert "UnicodeDecodeError" not in str(outcome)


def test_who_ended_the_process_is_told(tmp_path: Path) -> None:
    ended = str(check_file(_write(tmp_path, "import os\nos._exit(0)\n")))
    assert "the file itself ended the process, with code 0" in ended
    assert "(segmentation fault)" in str(_read("x.py", b"", "", 0xC0000005, 1))
    assert "stopped with code 1 (KeyError: 1)" in str(_read("x.py", b"", "Traceback ...\nKeyError: 1\n", 1, 1))


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_crash_by_a_signal_is_named(tmp_path: Path) -> None:
    text = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    assert "the process crashed (segmentation fault" in str(check_file(_write(tmp_path, text)))


def test_a_part_of_the_gradients(tmp_path: Path) -> None:
    text = TEMPLATES["dense"].split('    return {"da"')[0] + '    return {"dx": da @ p["W"].T}\n'
    outcome = _found(tmp_path, text)
    assert outcome.ok and outcome.word == "right as far as given" and outcome.certificate is not None
    assert outcome.certificate["checked"] == ["dx"] and outcome.certificate["unchecked"] == ["dW", "db"]


def test_a_forward_without_numbers_accuses_nobody(tmp_path: Path) -> None:
    outcome = _found(tmp_path, TEMPLATES["dense"].replace("y = np.tanh(a)", "y = np.log(-a * a)"))
    assert outcome.verdict == "cannot run" and "choose other inputs" in str(outcome)


READ = ", ".join(f'cache["{k}"][t]' for k in ("before", "z", "r", "n"))


@pytest.mark.parametrize("read", [READ, '(cache[k][t] for k in ("before", "z", "r", "n"))'])
def test_a_factor_of_one_use(tmp_path: Path, read: str) -> None:
    text = TEMPLATES["gru"].replace('(cache[k][t] for k in ("before", "z", "r", "n"))', read)
    outcome = _found(tmp_path, text.replace("dh * z + dgated * r +", "dh * z + dgated +"))
    assert outcome.lines[0] == text[: text.index("dgated * r")].count("\n") + 1
    assert len([f for f in outcome.findings if f.kind != "unknown"]) == 1  # what follows from it is not diagnosed anew
    assert ('expected dgated * cache["r"][t]' in str(outcome)) == (read == READ)


@pytest.mark.parametrize(
    ("name", "right", "wrong", "told"),
    [
        ("attention", "dscores = dscores / np.sqrt(q.shape[-1])", "dscores = dscores * 1", "sqrt(params["),
        ("dense", '1 - cache["y"] ** 2', "1 - g ** 2", 'kept["y"]'),
    ],
)
def test_the_learners_own_parameters(tmp_path: Path, name: str, right: str, wrong: str, told: str) -> None:
    assert right in TEMPLATES[name].replace("**2", " ** 2")
    head, back = TEMPLATES[name].replace("**2", " ** 2").replace(right, wrong).split("def backward(p, cache, g):")
    for old, new in (("p[", "params["), ("cache[", "kept["), (" g", " grad"), ("(p", "(params")):
        back = back.replace(old, new)
    outcome = _found(tmp_path, head + "def backward(params, kept, grad):" + back)
    assert told in str(outcome) and "cache[" not in str(outcome) and "raises" not in str(outcome)
