"""A lesson as a notebook (nbformat 4.5), written without any library: it is plain JSON."""

from __future__ import annotations

import json
from typing import Any

from .lessons import Cell, Lesson, cells


def notebook(lesson: Lesson) -> str:
    """The text of an .ipynb file; solutions are folded away."""
    found = cells(lesson.path.read_text(encoding="utf-8"))
    book = {
        "cells": [_cell(cell, f"{lesson.name}-{i}"[:64]) for i, cell in enumerate(found)],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, ensure_ascii=False, indent=1) + "\n"


def _cell(cell: Cell, id: str) -> dict[str, Any]:
    lines = cell.text.strip("\n").splitlines(keepends=True)
    if cell.kind == "markdown":
        return {"cell_type": "markdown", "id": id, "metadata": {}, "source": lines}
    folded = {"jupyter": {"source_hidden": True}} if cell.kind == "solution" else {}
    return {"cell_type": "code", "id": id, "metadata": folded, "execution_count": None, "outputs": [], "source": lines}
