"""Run the mistake finder over the held-out files and print the corpus's table for them.

python tests/check/corpus/held_out/run.py [--only TEXT] [--command] [--misses] [--part K/N]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from corpus import run as corpus_run
from corpus.held_out.planted import DOUBLES, MISTAKES, held_out_right


def cases() -> list[corpus_run.Case]:
    """(name, text, mistake or None) for every held-out file."""
    rights: list[corpus_run.Case] = [(f"right_{name}", text, None) for name, text in held_out_right().items()]
    return rights + [(m.name, m.text(), m) for m in (*MISTAKES, *DOUBLES)]


if __name__ == "__main__":
    raise SystemExit(corpus_run.main(cases()))
