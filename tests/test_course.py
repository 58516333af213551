"""The course's machinery, on tiny lessons made here; the true lessons are run by a step of their own."""

import ast
import html.parser
import importlib
import json
import re
import sys

import pytest

from tinyslm import cli
from tinyslm.course.report import formula, markdown, write_report
from tinyslm.course.run import run_lesson
from tinyslm.errors import DataError

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
FAKES = {
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


def test_choosing_by_name_and_by_formula(fakes):
    assert [x.name for x in course.choose([])] == list(FAKES)
    assert [x.name for x in course.choose(["failing.py", "a6"])] == ["good", "failing"]
    with pytest.raises(DataError, match=r"no lesson nonesuch(.|\n)*Expected: one of good, failing"):
        course.choose(["good", "nonesuch"])


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
    assert not outcome.ok and "stopped after 2.0 s" in outcome.trouble and outcome.cells == []


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
    assert "2 lessons, 1 failed" in said and "x is 3 <3" in said and "one is [two]: this does not hold" in said
    assert 'alt="a caption with &quot;quotes&quot; &amp; &lt;signs&gt;"' in text
    assert page.tags.count("section") == 2


def test_formulas_become_pictures_and_what_the_renderer_lacks_stays_readable():
    assert formula("x^2").startswith('<img class="math" alt="x^2" src="data:image/svg+xml;base64,')
    assert formula(r"\unknowncommand{x}") == r"<code>\unknowncommand{x}</code>"
    page = markdown("# Head\n\n$a$ and $$b$$\n\n| x | y |\n|---|---|\n| 1 | 2 |\n")
    assert page.count('class="math') == 2 and "<table>" in page and "<h1>" in page and "$" not in page


# -- the command ------------------------------------------------------------------------------------------------------


def command(monkeypatch, capsys, *args):
    """Run `tinyslm lessons run` here; its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["tinyslm", "lessons", "run", *map(str, args)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    captured = capsys.readouterr()
    return left.value.code or 0, captured.out, captured.err


def test_the_command_runs_lessons_and_says_what_failed(fakes, tmp_path, monkeypatch, capsys):
    out = tmp_path / "report"
    code, said, _ = command(monkeypatch, capsys, "A6", "--out", out)
    assert code == 0 and "1 lessons, 1 checks" in said and (out / "index.html").is_file()
    code, said, _ = command(monkeypatch, capsys, "good", "failing", "--out", out)
    assert code == 1
    assert "ok Lesson [good]" in said and "failed Lesson [failing]" in said
    assert "FAIL A1  one is [two]" in said and "failed: failing" in said
    assert "CheckFailed" in said  # the traceback shows where


def test_the_command_refuses_what_it_cannot_use(fakes, tmp_path, monkeypatch, capsys):
    code, _, err = command(monkeypatch, capsys, "nonesuch", "--out", tmp_path / "r")
    assert code == 2 and "no lesson nonesuch" in err and not (tmp_path / "r").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, _, err = command(monkeypatch, capsys, "good", "--out", tmp_path / "file")
    assert code == 2 and "--out: expected a folder" in err
