"""The mistake finder: right derivations pass, planted mistakes are found with their line, broken files get one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinyslm.check.finder import check_derivation, check_file, check_torch
from tinyslm.check.finder.learner import Forward, Point, from_file
from tinyslm.check.finder.templates import TEMPLATES

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
    ("x = (", "SyntaxError"),
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
    assert "not linear" in str(outcome)
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


def test_an_endless_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyslm.check.finder import runner

    monkeypatch.setattr(runner, "STARTUP", 1.0)
    text = TEMPLATES["dense"].replace("    da = g", "    while True:\n        pass\n    da = g")
    outcome = runner.run_limited(_write(tmp_path, text), 1.0, 0)
    assert outcome.code == 2 and "endless loop" in str(outcome)


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
