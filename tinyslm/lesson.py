"""What a lesson uses to speak: `check` for a statement that numbers decide, `figure` for a picture.

A lesson is a plain script. Run by itself it prints its checks; run by `tinyslm lessons run` the same calls also go into
the report.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import TinyslmError
from .messages import column, say

OUT = "TINYSLM_LESSON_OUT"


class CheckFailed(TinyslmError, AssertionError):
    """A lesson's statement that its numbers do not bear out."""


def check(id: str, statement: str, holds: Any, error: float | None = None, verdict: str = "") -> None:
    """State something that was just computed, and stop the lesson if it is not so.

    Args:
        id: the formula's ID, such as "A6", or "" for a statement about none of them.
        statement: what holds, in one line.
        holds: True, or a gradcheck report, which brings its own largest error.
        error: the largest gradient error that the statement rests on, if it rests on one.
        verdict: the formula's verdict, such as "right" or "wrong: value", where the statement decides it.
    """
    good = bool(getattr(holds, "ok", holds))
    error = getattr(holds, "largest_error", error)
    shown = "" if error is None else say("lessons.error", error=error)
    mark = column(say("lessons.mark.ok" if good else "lessons.mark.failed"), 5)
    print(f"  {mark}{id:<4}{statement}{f' [{verdict}]' if verdict else ''}{shown}")
    _record("checks", {"id": id, "statement": statement, "ok": good, "error": error, "verdict": verdict})
    if not good:
        told = say("lessons.does_not_hold", id=id, statement=statement)
        raise CheckFailed(f"{told}\n{holds if hasattr(holds, 'ok') else ''}")


def figure(picture: Any, caption: str) -> Any:
    """Show a matplotlib Figure with a caption that says what to see; returns it, so that a notebook displays it.

    The figure gets the look of the others, in place (`plot.house_style`).
    """
    from .plot import house_style

    house_style(picture)
    folder = os.environ.get(OUT)
    if folder:
        number = len(list(Path(folder).glob("figure*.png"))) + 1
        path = Path(folder) / f"figure{number}.png"
        picture.savefig(path, dpi=110)
        _record("figures", {"file": path.name, "caption": caption})
    else:
        print(say("lessons.figure", caption=caption))
    return picture


def _record(kind: str, entry: dict[str, Any]) -> None:
    folder = os.environ.get(OUT)
    if folder:
        with (Path(folder) / f"{kind}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def minimise(optimizer: Any, loss_of: Callable[[], Any], steps: int) -> list[float]:
    """Make `steps` steps of an optimizer on the loss that `loss_of()` computes; the losses, each before its step."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.sum().backward()
        optimizer.step()
        losses.append(float(loss.sum().item()))
    return losses
