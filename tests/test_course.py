"""The course's machinery, on tiny lessons made here; the true lessons are run by a step of their own."""

import ast
import html.parser
import importlib
import json
import os
import re
import sys

import numpy as np
import pytest

from tinyslm import cli
from tinyslm.course import power
from tinyslm.course.mutants import built, mutants
from tinyslm.course.power_runner import apart
from tinyslm.course.report import formula, markdown, write_report
from tinyslm.course.run import Outcome, run_lesson
from tinyslm.course.same import Recorder, same
from tinyslm.errors import DataError, TinyslmError
from tinyslm.lesson import minimise

course = importlib.import_module("tinyslm.course.lessons")  # the package has a function of this name

GOOD = """# %% [markdown]
# # A good lesson
#
# with $x^2$ and <b>markup</b> & [a link](https://example.org/page)

# %%
from tinyslm.lesson import check, figure
x = 3
print("x is", x, "<3")

# %% [markdown]
# $$y = x + 1$$

# %%
check("A6", "x is three", x == 3, error=2e-9, verdict="right")
import matplotlib.figure
picture = matplotlib.figure.Figure(figsize=(1, 1))
figure(picture, 'a caption with "quotes" & <signs>')
"""
FAILING = """from tinyslm.lesson import check
check("", "one is one", True)
check("A1", "one is [two]", 1 == 2)
# %%
print("never printed")
"""
CRASHING = """# %% [markdown]
# text
# %%
from tinyslm.lesson import check
check("", "fine", True)

# %%
y = 1

z = nothing_of_this_name
"""
DOUBLE = """# %%
from tinyslm.lesson import check
def double(x):
    return 2 * x
def plus(a, b):
    return a + b
def blurred(x, rng):
    return 3 * x * rng.normal()
"""
FAKES = {
    "strong": DOUBLE + "# %%\ncheck('', 'seven', double(7) == 14 and double(0) == 0 and plus(1, 2) == 3)\n",
    "weak": DOUBLE + "# %%\ncheck('', 'it has a sign', double(7) > 0)\n",
    "good": GOOD,
    "failing": FAILING,
    "crashing": CRASHING,
    "leaving": "from tinyslm.lesson import check\ncheck('', 'fine', True)\nraise SystemExit(0)\n",
    "checkless": "print('nothing is stated')\n",
    "slow": "import time\ntime.sleep(60)\n",
}


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """A folder with lessons of all fates, in place of the true one."""
    folder = tmp_path / "lessons"
    folder.mkdir()
    entries = [
        {
            "name": name,
            "title": f"Lesson [{name}]",
            "ids": ["A6"] if name == "good" else [],
            "minutes": 1,
            "seconds": 8,
            "part": "I",
        }
        for name in FAKES
    ]
    for name, text in FAKES.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    monkeypatch.setattr(course, "lessons_folder", lambda: folder)
    return {lesson.name: lesson for lesson in course.lessons()}


# -- the manifest -----------------------------------------------------------------------------------------------------


def test_the_manifest_names_every_lesson_once_and_nothing_else():
    found = course.lessons()
    files = {p.stem for p in course.lessons_folder().glob("*.py")}
    assert len({x.name for x in found}) == len(found) and {x.name for x in found} == files
    assert len({x.title for x in found}) == len(found)


def test_the_manifest_entries_are_sound():
    for lesson in course.lessons():
        assert lesson.path.is_file() and lesson.title.strip() == lesson.title != ""
        assert 1 <= lesson.minutes <= 60 and 1 <= lesson.seconds <= 60
        assert all(re.fullmatch(r"[A-C]\d+", i) for i in lesson.ids), lesson
    assert sum(lesson.seconds > 15 for lesson in course.lessons()) <= 4  # lessons that train


def test_every_lesson_can_be_cut_and_compiled_and_states_something():
    for lesson in course.lessons():
        source = lesson.path.read_text(encoding="utf-8")
        cells = course.cells(source)
        assert {"markdown", "code"} <= {c.kind for c in cells} <= {"markdown", "code", "solution"}, lesson.name
        calls = [
            node
            for cell in cells if cell.kind != "markdown"
            for node in ast.walk(ast.parse(cell.text))
            if isinstance(node, ast.Call) and "check" in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
        ]  # fmt: skip
        assert calls, f"{lesson.name} checks nothing"


# -- the skeleton of every lesson -------------------------------------------------------------------------------------

MOST_LINES = 120
LONGER = {  # lessons that build whole systems, or tell more than one experiment: their ceiling, so that they don't grow
    "tasks_classifier": 155,
    "tasks_compression": 204,
    "tasks_many": 156,
    "tasks_translation": 165,
    "attention_head": 125,
    "training_adam": 151,
    "training_classifier": 126,
    "training_kernels": 137,
    "training_parameters": 123,
    "words_glove": 127,
    "words_word2vec": 127,
}
EVERY_ID = [f"A{n}" for n in range(1, 21)] + [f"B{n}" for n in range(1, 22)]


def checks_of(text):
    """The calls of `check` in a cell."""
    return [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "check"
    ]


def code_lines(cells):
    """Lines of code: neither blank nor comment, solutions aside."""
    lines = [line.strip() for cell in cells if cell.kind == "code" for line in cell.text.split("\n")]
    return sum(bool(line) and not line.startswith("#") for line in lines)


@pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.name)
def test_every_lesson_has_the_skeleton(lesson):
    cells = course.cells(lesson.path.read_text(encoding="utf-8"))
    prose = [cell.text for cell in cells if cell.kind == "markdown"]
    code = [cell.text for cell in cells if cell.kind != "markdown"]
    assert prose[0].startswith("# ") and "?" in prose[0], "a title, and a question"
    assert any(text.startswith("## Your turn") for text in prose)
    assert any(re.match(r"## Limits and sources\n(.|\n)*\b(19|20)\d\d\b", text) for text in prose), "sources"
    assert any(checks_of(cell.text) for cell in cells if cell.kind == "solution"), "a solution with its own check"
    assert 1 <= sum(len(re.findall(r"^ *(?:lesson\.)?figure\(", text, re.MULTILINE)) for text in code) <= 3
    assert code_lines(cells) <= LONGER.get(lesson.name, MOST_LINES)


def test_every_formula_is_built_in_exactly_one_lesson():
    listed = [id for lesson in course.lessons() for id in lesson.ids]
    assert sorted(listed) == sorted(EVERY_ID)
    assert list(course.formula_lessons()) == EVERY_ID


@pytest.mark.parametrize(("id", "lesson"), course.formula_lessons().items())
def test_the_lesson_that_builds_a_formula_states_its_verdict(id, lesson):
    source = lesson.path.read_text(encoding="utf-8")
    calls = [call for cell in course.cells(source) if cell.kind != "markdown" for call in checks_of(cell.text)]
    own = [call for call in calls if ast.unparse(call.args[0]) == repr(id)]
    stated = [call for call in own if len(call.args) == 5 or any(k.arg == "verdict" for k in call.keywords)]
    assert stated, f"{lesson.name} states no verdict on {id}"


def test_choosing_by_name_and_by_formula(fakes):
    assert [x.name for x in course.choose([])] == list(FAKES)
    assert [x.name for x in course.choose(["failing.py", "a6"])] == ["good", "failing"]
    with pytest.raises(DataError, match=r"no lesson Nonesuch\.\n(.|\n)*lessons list` shows all"):
        course.choose(["good", "Nonesuch"])


# -- cells ------------------------------------------------------------------------------------------------------------


def test_cells_are_cut_at_their_marks():
    text = "# %% [markdown]\n# # Title\n#\n#   indented\n# text\n\n"
    source = f'"""Head."""\n\n{text}# %%\nx = 1\n# a comment\n# %%\n\n# %%\ny = 2'
    found = [(c.kind, c.text.strip(), c.line) for c in course.cells(source)]
    assert found == [
        ("code", '"""Head."""', 1),
        ("markdown", "# Title\n\n  indented\ntext", 4),
        ("code", "x = 1\n# a comment", 10),
        ("code", "y = 2", 15),
    ]


def test_no_cells_in_an_empty_file():
    assert course.cells("") == [] and course.cells("# %%\n\n# %% [markdown]\n") == []


def test_the_cells_of_a_file_are_all_of_its_code(fakes):
    lesson = fakes["good"]
    code = [c for c in course.cells(lesson.path.read_text(encoding="utf-8")) if c.kind != "markdown"]
    lines = lesson.path.read_text(encoding="utf-8").split("\n")
    for cell in code:
        assert lines[cell.line - 1 : cell.line - 1 + len(cell.text.split("\n"))] == cell.text.split("\n")


# -- running ----------------------------------------------------------------------------------------------------------


def test_a_good_lesson(fakes, tmp_path):
    outcome = run_lesson(fakes["good"], tmp_path / "out")
    assert outcome.ok and outcome.largest_error == 2e-9 and outcome.seconds > 0
    assert [(c["id"], c["ok"], c["verdict"]) for c in outcome.checks] == [("A6", True, "right")]
    assert [c["kind"] for c in outcome.cells] == ["markdown", "code", "markdown", "code"]
    assert outcome.cells[1]["output"] == "x is 3 <3\n"
    assert outcome.cells[3]["figures"] == ["figure1.png"] and list(outcome.figures) == ["figure1.png"]
    again = run_lesson(fakes["good"], tmp_path / "out")  # nothing of the first run is counted twice
    assert (len(again.checks), again.cells[3]["figures"]) == (1, ["figure1.png"])


@pytest.mark.parametrize(
    ("name", "checks", "words"),
    [
        ("failing", [True, False], "one is [two]: this does not hold"),
        ("crashing", [True], 'crashing.py", line 10'),
        ("leaving", [True], "SystemExit"),
        ("checkless", [], "expected at least one check"),
    ],
)
def test_lessons_that_do_not_go_well(fakes, tmp_path, name, checks, words):
    outcome = run_lesson(fakes[name], tmp_path)
    assert not outcome.ok and [c["ok"] for c in outcome.checks] == checks
    said = outcome.trouble + "".join(c["output"] for c in outcome.cells)
    assert words in said and "never printed\n" not in said


def test_a_lesson_that_hangs_is_stopped(fakes, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyslm.course.run.PATIENCE", 0.25)
    outcome = run_lesson(fakes["slow"], tmp_path)
    assert not outcome.ok and "stopped after 2 s" in outcome.trouble and outcome.cells == []


# -- the report -------------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What a page would load, and whether its tags are well nested where it matters."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.tags, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.loaded += [given[a] for a in ("src", "data", "srcset") if a in given]
        self.loaded += [given["href"]] if tag == "link" else []

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_one_page_that_loads_nothing(fakes, tmp_path):
    outcomes = [run_lesson(fakes[n], tmp_path / n) for n in ("good", "failing")]
    path = tmp_path / "index.html"
    write_report(outcomes, path)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.loaded and all(x.startswith("data:image/") for x in page.loaded)
    assert "script" not in page.tags and "link" not in page.tags and "@import" not in text and "url(" not in text
    said = "".join(page.text)
    assert "lessons: 2, 1 failed" in said and "x is 3 <3" in said and "one is [two]: this does not hold" in said
    assert 'alt="a caption with &quot;quotes&quot; &amp; &lt;signs&gt;"' in text
    assert page.tags.count("section") == 2


def outcome_of(lesson, tmp_path, verdict):
    check = {"id": "A6", "statement": "s", "ok": True, "error": None, "verdict": verdict}
    return Outcome(lesson, True, 1.0, [check], {}, [], tmp_path)


def test_the_report_takes_the_verdict_from_the_lesson_that_builds_the_formula(fakes, tmp_path):
    outcomes = [
        outcome_of(fakes["good"], tmp_path, "right"),
        outcome_of(fakes["failing"], tmp_path, "of another lesson"),
    ]
    for order in (outcomes, outcomes[::-1]):
        write_report(order, tmp_path / "page.html")
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert '<td>A6</td><td>right</td><td><a href="#good">good</a></td>' in text
        assert "of another lesson" not in text


def test_the_report_shows_the_power_and_says_when_it_is_stale(fakes, tmp_path, monkeypatch):
    known = power.Power("good", course.fingerprint(fakes["good"]), 9, 8, 5, 0, ["line 3 <here>"], ["line 4"], ["f"], {})
    monkeypatch.setattr("tinyslm.course.report.measured", lambda: {"good": known})
    write_report([outcome_of(fakes["good"], tmp_path, "right")], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<td>6</td><td>5</td><td>83%</td><td>line 3 &lt;here&gt;</td>" in text and "earlier form" not in text
    fakes["good"].path.write_text(GOOD + "# changed\n", encoding="utf-8")
    write_report([outcome_of(fakes["good"], tmp_path, "right")], tmp_path / "page.html")
    assert "measured on an earlier form of the lesson" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_formulas_become_pictures_and_what_the_renderer_lacks_stays_readable():
    assert formula("x^2").startswith('<img class="math" alt="x^2" src="data:image/svg+xml;base64,')
    assert formula(r"\unknowncommand{x}") == r"<code>\unknowncommand{x}</code>"
    page = markdown("# Head\n\n$a$ and $$b$$\n\n| x | y |\n|---|---|\n| 1 | 2 |\n")
    assert page.count('class="math') == 2 and "<table>" in page and "<h1>" in page and "$" not in page


# -- the command ------------------------------------------------------------------------------------------------------


def command(monkeypatch, capsys, *args):
    """Run `tinyslm lessons run` here; its exit code and what it printed."""
    return lessons_command(monkeypatch, capsys, "run", *args)


def lessons_command(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["tinyslm", "lessons", *map(str, args)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    captured = capsys.readouterr()
    return left.value.code or 0, captured.out, captured.err


def test_the_command_runs_lessons_and_says_what_failed(fakes, tmp_path, monkeypatch, capsys):
    out = tmp_path / "report"
    code, said, _ = command(monkeypatch, capsys, "A6", "--out", out)
    assert code == 0 and "lessons: 1, checks: 1" in said and (out / "index.html").is_file()
    code, said, _ = command(monkeypatch, capsys, "good", "failing", "--out", out)
    assert code == 1
    assert "ok Lesson [good]" in said and "failed Lesson [failing]" in said
    assert "FAIL A1  one is [two]" in said and "failed: failing" in said
    assert "CheckFailed" in said  # the traceback shows where


def test_ctrl_c_keeps_what_was_finished(fakes, tmp_path, monkeypatch, capsys):
    def pressed(lesson, folder):
        if lesson.name == "failing":
            raise KeyboardInterrupt
        return run_lesson(lesson, folder)

    monkeypatch.setattr("tinyslm.cli.lessons.run_lesson", pressed)
    page = tmp_path / "r" / "index.html"
    code, said, _ = command(monkeypatch, capsys, "good", "failing", "--out", page.parent)
    assert code == 130 and f"stopped; the report holds 1 of 2 lessons: {page}" in said
    assert 'id="good"' in page.read_text(encoding="utf-8")
    before = page.read_bytes()
    code, _, err = command(monkeypatch, capsys, "failing", "--out", page.parent)
    assert code == 130 and "interrupted" in err and page.read_bytes() == before  # nothing to put in its place


def test_the_command_refuses_what_it_cannot_use(fakes, tmp_path, monkeypatch, capsys):
    code, _, err = command(monkeypatch, capsys, "nonesuch", "--out", tmp_path / "r")
    assert code == 2 and "no lesson nonesuch" in err and not (tmp_path / "r").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, _, err = command(monkeypatch, capsys, "good", "--out", tmp_path / "file")
    assert code == 2 and "--out: expected a folder" in err


def test_the_command_measures_power(fakes, tmp_path, monkeypatch, capsys):
    code, said, err = lessons_command(monkeypatch, capsys, "power", "weak")
    assert code == 1 and "not noticed: line 4, double, factor 2" in said and "below 95%: weak" in err
    code, said, _ = lessons_command(monkeypatch, capsys, "power", "strong", "--json")
    (found,) = json.loads(said)
    assert code == 0 and found["lesson"] == "strong" and found["share"] == 1 and not found["survived"]


# -- the power of a lesson's checks -----------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs copies of a running process")
SOURCE = """import numpy as np
# %%
def mean(x, n):
    total = 0.0
    for i in range(n):
        total += x[i]
    return total / n

def noise(rng):
    return 2 * rng.normal()

def wrong(x):  # wrong on purpose
    return 2 * x

class Line:
    def at(self, x):
        return self.a @ x.T - np.exp(x).sum(axis=0) if x > 0 else -x
"""


def test_the_fixed_list_of_mistakes():
    found = [(m.function, m.line, m.operator, m.text) for m in mutants(SOURCE)]
    assert {name for name, *_ in found} == {"mean", "Line.at"}
    assert ("mean", 5, "off by one", "range(n) -> range(n + 1)") in found
    assert ("mean", 6, "overwritten", "total += x[i] -> total = x[i]") in found
    assert ("mean", 6, "off by one", "x[i] -> x[i - 1]") in found
    assert ("mean", 7, "dropped factor", "total / n -> total") in found
    assert ("mean", 7, "swapped operands", "total / n -> n / total") in found
    assert {o for name, _, o, _ in found if name == "Line.at"} >= {
        "sign", "factor 2", "factor 1/2", "zero", "dropped term", "swapped operands", "transpose", "wrong axis",
        "other function", "comparison",
    }  # fmt: skip
    why = {b.name: b.why_not for b in built(SOURCE)}
    assert why == {"mean": "", "noise": "draws random numbers", "wrong": "wrong on purpose", "Line.at": ""}


def test_a_mutant_changes_one_place_and_leaves_the_others():
    before = ast.unparse(ast.parse(SOURCE.split("# %%")[1]))
    texts = [ast.unparse(m.tree) for m in mutants(SOURCE)]
    assert len(set(texts)) > 0.9 * len(texts)
    for text in texts:
        pairs = list(zip(before.split("\n"), text.split("\n"), strict=True))
        assert sum(a != b for a, b in pairs) == 1


def test_same_compares_on_recorded_and_on_random_inputs():
    recorder = Recorder()
    record = recorder.wrap("f", lambda x, y: x + y)
    record(np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    calls = recorder.calls["f"]
    assert same(lambda x, y: x + y, lambda x, y: y + x, calls)
    assert not same(lambda x, y: x + y, lambda x, y: x + 2.0, calls)  # the same where y is 2
    assert not same(lambda x, y: x, lambda x, y: x, [])  # nothing was tried, so nothing is shown

    def changing(x, y):
        x += 1
        return x - 1 + y

    assert not same(lambda x, y: x + y, changing, calls)  # the result is right, the argument is not left alone


@needs_fork
def test_power_counts_what_is_caught_and_lists_the_rest(fakes):
    strong, weak = (power.measure(fakes[name], None) for name in ("strong", "weak"))
    assert strong.share == 1 and strong.survived == [] and strong.caught == strong.tried - len(strong.equivalent)
    assert [text.split(": ")[1] for text in strong.equivalent] == ["x[0] + x[1] -> x[1] + x[0]"][
        : len(strong.equivalent)
    ]
    assert strong.functions == ["double", "plus"] and strong.left_out == {"blurred": "draws random numbers"}
    assert (
        strong.stopped == 0 and weak.share < 0.5 and "line 4, double, factor 2: 2 * x -> 2 * (2 * x)" in weak.survived
    )
    few = power.measure(fakes["strong"], 3)
    assert few.tried == 3 and few.mutants == strong.mutants and few == power.measure(fakes["strong"], 3)


@needs_fork
def test_a_mutant_that_hangs_is_stopped():
    def hang():
        while True:
            pass

    assert apart(hang, 1) == "stopped"


@needs_fork
def test_power_refuses_a_lesson_that_fails_by_itself(fakes):
    with pytest.raises(TinyslmError, match=r"crashing does not run as it is(.|\n)*nothing_of_this_name"):
        power.measure(fakes["crashing"])


def test_power_without_fork_says_so(fakes, monkeypatch):
    monkeypatch.delattr(os, "fork", raising=False)
    with pytest.raises(TinyslmError, match="copies of a running process"):
        power.measure(fakes["strong"])


def test_power_is_kept_in_the_order_of_the_lessons(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyslm.course.power.lessons_folder", lambda: tmp_path)
    one, two, gone = (power.Power(name, "0", 1, 1, 1, 0, [], [], [], {}) for name in ("one", "two", "gone"))
    power.store([two, gone], ["two", "gone"])
    power.store([one], ["one", "two"])
    assert power.measured() == {"one": one, "two": two}
    assert [e["lesson"] for e in json.loads((tmp_path / "power.json").read_text(encoding="utf-8"))] == ["one", "two"]


def test_the_power_of_every_lesson_is_measured_and_high_enough():
    known = power.measured()
    assert set(known) == {lesson.name for lesson in course.lessons()}, "tinyslm lessons power NAME --store"
    for lesson in course.lessons():
        found = known[lesson.name]
        assert found.source == course.fingerprint(lesson), f"measure again: tinyslm lessons power {lesson.name} --store"
        assert found.share >= power.LEAST, (lesson.name, found.survived)
        assert found.tried == min(found.mutants, power.SAMPLE) and found.tried > 0, lesson.name


@needs_fork
@pytest.mark.parametrize("name", ["basics_broadcasting", "loss_cross_entropy"])
def test_mutants_of_quick_lessons_are_caught_again(name):
    (lesson,) = course.choose([name])
    found = power.measure(lesson, 8)
    assert found.share == 1 and found.stopped == 0 and found.caught >= 7, found.survived


# -- what lessons share -----------------------------------------------------------------------------------------------


def test_minimise_makes_steps_and_tells_the_losses():
    import tinyslm as ts

    x = ts.tensor(np.array([3.0, -2.0]), requires_grad=True)
    losses = minimise(ts.optim.SGD([x], lr=0.25), lambda: x**2, 3)
    assert np.allclose(losses, [13, 13 / 4, 13 / 16]) and np.allclose(x.numpy(), [3 / 8, -2 / 8])
