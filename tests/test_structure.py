"""The house: imports run one way, and every public name says what it is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import tinyslm

ROOT = Path(tinyslm.__file__).parent
# From the ground up; a part may import what stands in an earlier row or in its own.
FLOORS = [
    {"_start", "errors", "files", "kernels", "messages", "messages_zh", "unicode_math"},
    {"device", "precision"},
    {"tensor"},
    {"engine"},
    {"ops"},
    {"nn", "check", "plot", "text", "data", "metrics", "checkpoint", "course", "lesson"},
    {"optim"},
    {"models", "derivations"},
    {"training"},
    {"recipes"},
    {"audit"},
    {"bench"},
    {"cli"},
]


@cache
def modules():
    """Every module of the package by dotted name, with its syntax tree."""
    return list(_modules())


def _modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in ("lessons", "kernels"):
            name = ".".join(p for p in parts if p != "__init__")
            yield name, path.name == "__init__.py", ast.parse(path.read_text(encoding="utf-8"))


def imports(name, is_package, tree):
    """The tinyslm modules that a module names in its import statements, wherever they stand."""
    parts = name.split(".") if name else []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            up = len(parts) - node.level + (1 if is_package else 0)
            base = parts[: max(up, 0)] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                yield ".".join([*base, alias.name]), ".".join(base)


@cache
def graph():
    """Module -> modules that it imports."""
    known = {name: (package, tree) for name, package, tree in modules()}
    found = {}
    for name, (package, tree) in known.items():
        targets = {whole if whole in known else base for whole, base in imports(name, package, tree)}
        found[name] = {t for t in targets if t in known and t not in ("", name)}
    return found


def test_there_are_no_import_circles():
    edges = {k: v for k, v in graph().items() if k not in ("", "__main__")}
    done: set[str] = set()

    def visit(name, path):
        assert name not in path, f"import circle: {' -> '.join([*path, name])}"
        if name not in done:
            for target in edges.get(name, ()):
                visit(target, [*path, name])
            done.add(name)

    for name in edges:
        visit(name, [])


def test_imports_run_one_way():
    floor = {part: i for i, parts in enumerate(FLOORS) for part in parts}
    for name, targets in graph().items():
        part = name.split(".")[0]
        if part in ("", "__main__"):
            continue
        assert part in floor, f"{part} has no floor yet"
        for target in targets:
            assert floor[target.split(".")[0]] <= floor[part], f"{name} imports {target}, which stands above it"


def test_public_functions_and_classes_have_docstrings():
    missing = []
    for name, _, tree in modules():
        for node in tree.body:
            # A derivation's steps carry their formula in the decorator, in place of a docstring.
            steps = name.startswith("derivations.")
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and not steps:
                rule = isinstance(node, ast.FunctionDef) and node.name.endswith("_vjp")
                if not rule and not ast.get_docstring(node):
                    missing.append(f"{name}.{node.name}")
    assert not missing


def test_functions_are_short():
    lengths = []
    for name, _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                lengths.append(((body[-1].end_lineno or 0) - body[0].lineno + 1, f"{name}.{node.name}"))
    lengths.sort()
    assert lengths[len(lengths) // 2][0] <= 6
    assert lengths[int(0.9 * len(lengths))][0] <= 20
    assert lengths[-1][0] <= 50, lengths[-1]


def test_every_package_is_listed_for_the_wheel():
    project = ROOT.parent / "pyproject.toml"
    if not project.is_file():
        pytest.skip("the project file is not here: this is an installed copy")
    text = project.read_text(encoding="utf-8")
    listed = set(re.findall(r'"(tinyslm[\w.]*)",\n', text.split("packages = [")[1].split("]")[0]))
    found = {".".join(("tinyslm", *p.parent.relative_to(ROOT).parts)) for p in ROOT.rglob("__init__.py")}
    assert listed == found | {"tinyslm.kernels.cpu", "tinyslm.kernels.cuda", "tinyslm.lessons"}
