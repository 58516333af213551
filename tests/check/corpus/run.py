"""Run the mistake finder over the corpus and print the table.

    python tests/check/corpus/run.py [--only TEXT] [--command] [--misses] [--targets] [--part K/N] [--jobs N]

Two files at a time, each in a process of this script; with --command each goes through
`python -m tinyslm check FILE --json`, as a learner would run it (the times then hold the start of Python).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from corpus.harness import right_files
from corpus.mistakes import DOUBLES, MISTAKES, Double, Mistake
from corpus.outcome import Outcome, judged, totals

Case = tuple[str, str, Mistake | Double | None]
TITLES = {
    0: "two mistakes",
    1: "sign",
    2: "constant factor",
    3: "size-dependent factor",
    4: "transpose",
    5: "broadcast sum",
    6: "activation slope",
    7: "softmax Jacobian",
    8: "dropped path",
    9: "carry lost",
    10: "= for +=",
    11: "wrong index or name",
    12: "counted twice",
    13: "cotangent ignored",
    14: "mask",
    15: "repeated ids",
    16: "kink convention",
    17: "border",
    18: "other function",
    19: "changed in place",
    20: "numerics",
    21: "randomness",
    22: "layout",
}

WIDTHS = (6, 9, 10, 6, 6, 6, 9, 9)


def cases() -> list[Case]:
    """(name, text, mistake or None) for every file of the corpus."""
    rights: list[Case] = [(f"right_{name}", text, None) for name, text in right_files().items()]
    return rights + [(m.name, m.text(), m) for m in (*MISTAKES, *DOUBLES)]


def in_process(path: Path) -> dict[str, Any]:
    """The report of one file without a subprocess."""
    from tinyslm.check.finder import check_file

    report = check_file(path, in_process=True).json()
    return json.loads(report) if isinstance(report, str) else report


def by_command(path: Path) -> dict[str, Any]:
    """The report of one file as a learner gets it."""
    command = [sys.executable, "-m", "tinyslm", "check", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)
    return json.loads(done.stdout)


def answered(check: Any, path: Path) -> dict[str, Any]:
    """The report; a finder that fails is told as `cannot run`."""
    try:
        return check(path)
    except Exception as failure:
        return {"verdict": "cannot run", "lines": [], "findings": [], "notes": [f"the finder failed: {failure!r}"]}


def timed(check: Any, path: Path) -> tuple[dict[str, Any], float]:
    """The report, and the seconds that it took."""
    start = time.perf_counter()
    return answered(check, path), time.perf_counter() - start


def run(chosen: list[Case], check: Any = in_process, jobs: int = 1) -> Iterator[Outcome]:
    """Check each case from a file of its own in a temporary folder, `jobs` of them at a time."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.py" for name, _, _ in chosen]
        for path, (_, text, _) in zip(paths, chosen, strict=True):
            path.write_text(text, encoding="utf-8", newline="\n")
        with contextlib.ExitStack() as stack:
            work: Any = map
            if jobs > 1:
                work = stack.enter_context(ProcessPoolExecutor(jobs)).map
            for (name, _, item), (report, seconds) in zip(chosen, work(partial(timed, check), paths), strict=True):
                yield judged(item, name, report, seconds)


def _row(title: str, group: list[Outcome]) -> str:
    t = totals(group)
    hits = sum(o.detected for o in group)
    lines = [f"{x:6d}" for x in (t.named, t.only, t.alone)] if t.located else ["     -"] * 3
    return f"{title:26s}{len(group):6d}{hits:9d}{t.undecided:10d}{''.join(lines)}{t.median:9.2f}{t.slowest:9.2f}"


def table(outcomes: list[Outcome]) -> str:
    """One line per class, then the totals."""
    heads = zip(("files", "as due", "undecided", "<=3", "only", "alone", "median", "max s"), WIDTHS, strict=True)
    rows = [f"{'class':26s}" + "".join(f"{head:>{width}s}" for head, width in heads)]
    plain = [o for o in outcomes if not o.accepted]
    rows += [_row("right derivations", plain)] if plain else []
    for klass, title in TITLES.items():
        group = [o for o in outcomes if o.accepted and o.klass == klass]
        rows += [_row(f"{klass or '':>2} {title}", group)] if group else []
    return "\n".join([*rows, "", summary(outcomes)])


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "none"


def summary(outcomes: list[Outcome]) -> str:
    """The numbers that the targets are about."""
    t = totals(outcomes)
    return "\n".join(
        [
            f"right ones accused       {_share(t.accused, t.right)}, undecided {t.unsure_right}",
            f"wrong ones detected      {_share(t.detected, t.wrong)}",
            f"undecided                {_share(t.undecided, t.right + t.wrong)}",
            f"right line among <= 3    {_share(t.named, t.located)}",
            f"nothing but right lines  {_share(t.only, t.located)} (forward, backward or both)",
            f"alone: one, the right    {_share(t.alone, t.located)}",
            f"seconds                  median {t.median:.2f}, longest {t.slowest:.2f}",
        ]
    )


def missed_targets(outcomes: list[Outcome]) -> list[str]:
    """The targets that do not hold; times are told and not judged, because a busy machine has others."""
    t = totals(outcomes)
    holds = {
        "no right one accused": t.accused == 0,
        "every wrong one detected": t.detected == t.wrong,
        "at most 2 % undecided": t.undecided <= 0.02 * (t.right + t.wrong),
        "the right line among at most 3 in 92 %": t.named >= 0.92 * t.located,
        "the right line alone in 75 %": t.alone >= 0.75 * t.located,
    }
    return [target for target, ok in holds.items() if not ok]


def misses(outcomes: list[Outcome]) -> str:
    """Every file that was not judged as due, or whose line was not named."""
    bad = [o for o in outcomes if not o.detected or (o.expect == "wrong" and not o.only)]
    rows = []
    for o in bad:
        state = "MISSED" if not o.detected else "line missed" if not o.named else "not only"
        accepted = " | ".join(str(sorted(s)) for s in o.accepted)
        rows.append(f"{state:12s}{o.name:52s}{o.verdict:12s} said {list(o.lines)} due {accepted}\n    {o.told[:300]}")
    return "\n".join(rows)


def main(files: list[Case]) -> int:
    """Parse the options, run the finder over the files, print."""
    options = argparse.ArgumentParser(description="The mistake finder's table over the corpus.")
    options.add_argument("--only", default="", help="run the files whose name contains this")
    options.add_argument("--command", action="store_true", help="one subprocess per file, as a learner runs it")
    options.add_argument("--misses", action="store_true", help="list what was missed, with what was said")
    options.add_argument("--targets", action="store_true", help="exit with 1 where a target is missed")
    options.add_argument("--part", default="1/1", help="K/N: every N-th file, beginning with the K-th")
    options.add_argument("--jobs", type=int, default=2, help="how many files at a time")
    chosen = options.parse_args()
    k, n = (int(v) for v in chosen.part.split("/"))
    picked = [c for c in files if chosen.only in c[0]][k - 1 :: n]
    outcomes = list(run(picked, by_command if chosen.command else in_process, chosen.jobs))
    print(table(outcomes))
    if chosen.misses:
        print("\n" + misses(outcomes))
    failed = missed_targets(outcomes) if chosen.targets else []
    print("".join(f"\nmissed: {target}" for target in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(cases()))
