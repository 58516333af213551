"""The report of a run as one HTML file that opens offline: text, formulas, code, output and pictures inline."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import write_text
from ..messages import say
from .lessons import fingerprint, formula_lessons
from .power import Power, measured
from .run import Outcome

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #2a7d46; --bad: #c0392b; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
pre { background: var(--soft); padding: .7rem .9rem; overflow-x: auto; font-size: 13.5px; line-height: 1.45; }
pre.output { background: none; border-left: 3px solid var(--line); }
code { font-family: ui-monospace, Menlo, Consolas, monospace; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
td, th { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.ok { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
section { border-top: 2px solid var(--line); margin-top: 3rem; }
img.figure { max-width: 100%; background: white; } figcaption { font-size: 14.5px; opacity: .8; }
figure { margin: 1rem 0; } .math { height: auto; vertical-align: middle; }
p > .math.display { display: block; margin: .8rem auto; }
@media (prefers-color-scheme: dark) { .math { filter: invert(1); } }
"""


def write_report(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the page for a run."""
    body = [_summary(outcomes), *[_section(o) for o in outcomes]]
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>tinyslm: lessons</title><style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )
    write_text(path, page)


def _summary(outcomes: Sequence[Outcome]) -> str:
    failed = sum(not o.ok for o in outcomes)
    state = f'<span class="bad">{_say("some_failed", n=failed)}</span>' if failed else _good(_say("all_well"))
    rows = [
        [_link(o.lesson.name, o.lesson.title), ", ".join(o.lesson.ids), str(len(o.checks)), _error(o),
         f"{o.seconds:.1f} s", _mark(o.ok)]
        for o in outcomes
    ]  # fmt: skip
    heads = [say("lessons.head.lesson"), say("lessons.head.formulas"), *map(_say, ("checks", "error", "time")), ""]
    told = f"<h1>{_say('title')}</h1><p>{_say('sum', n=len(outcomes))} {state}</p>"
    return told + _table(heads, rows) + _formulas(outcomes) + _power(outcomes)


def _say(key: str, **fields: Any) -> str:
    return html.escape(say(f"lessons.page.{key}", **fields))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts that are HTML already."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"


def _link(name: str, text: str) -> str:
    return f'<a href="#{name}">{html.escape(text)}</a>'


def _good(text: str) -> str:
    return f'<span class="ok">{text}</span>'


def _formulas(outcomes: Sequence[Outcome]) -> str:
    """Each formula with the one lesson that builds it, and the verdicts that this lesson's checks reached."""
    ran = {o.lesson.name: o for o in outcomes}
    rows = []
    for id, lesson in formula_lessons().items():
        if (o := ran.get(lesson.name)) is not None:
            found = dict.fromkeys(c["verdict"] for c in o.checks if c["id"] == id and c["verdict"] and c["ok"])
            rows.append([id, html.escape(", ".join(found)), _link(lesson.name, lesson.name)])
        elif len(ran) > 1:
            rows.append([id, _say("not_run"), lesson.name])
    heads = [_say("formula"), _say("verdict"), _say("built_in")]
    return f"<h2>{_say('formulas')}</h2>{_table(heads, rows)}" if rows else ""


def _power(outcomes: Sequence[Outcome]) -> str:
    """How many of the mistakes planted in a lesson its checks caught, as measured before and stored."""
    known = measured()
    rows = [_power_row(known[o.lesson.name], o) for o in outcomes if o.lesson.name in known]
    heads = [say("lessons.head.lesson"), *map(_say, ("planted", "caught", "share", "survived"))]
    told = f"<h2>{_say('power')}</h2><p>{_say('power_said')}</p>"
    return told + _table(heads, rows) if rows else ""


def _power_row(p: Power, o: Outcome) -> list[str]:
    survived = [html.escape(text) for text in p.survived]
    if p.source != fingerprint(o.lesson):
        survived.append(f'<span class="bad">{_say("stale")}</span>')
    numbers = [str(p.caught + len(p.survived)), str(p.caught), f"{p.share:.0%}"]
    return [_link(p.lesson, p.lesson), *numbers, "<br>".join(survived)]


def _mark(ok: bool) -> str:
    return _good(say("lessons.verdict.ok")) if ok else f'<span class="bad">{say("lessons.verdict.failed")}</span>'


def _error(o: Outcome) -> str:
    return "" if o.largest_error is None else f"{o.largest_error:.1e}"


def _section(o: Outcome) -> str:
    parts = [_cell(cell, o) for cell in o.cells]
    trouble = f'<pre class="bad">{html.escape(o.trouble)}</pre>' if o.trouble and not o.ok else ""
    return f'<section id="{o.lesson.name}">{"".join(parts)}{trouble}</section>'


def _cell(cell: dict, o: Outcome) -> str:
    if cell["kind"] == "markdown":
        return markdown(cell["text"])
    output = f'<pre class="output">{html.escape(cell["output"])}</pre>' if cell["output"].strip() else ""
    pictures = "".join(_picture(o.folder / name, o.figures.get(name, "")) for name in cell["figures"])
    body = f"<pre><code>{html.escape(cell['text'].strip())}</code></pre>{output}{pictures}"
    return f"<details><summary>{_say('solution')}</summary>{body}</details>" if cell["kind"] == "solution" else body


def _picture(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = html.escape(caption)
    return (
        f'<figure><img class="figure" alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


# -- Markdown with formulas -------------------------------------------------------------------------------------------

_MATH = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)


def markdown(text: str) -> str:
    """Markdown to HTML; formulas between dollar signs become pictures, so that no script is needed to show them."""
    from markdown_it import MarkdownIt

    formulas: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        display = match.group(1) is not None
        formulas.append(formula((match.group(1) or match.group(2)).strip(), display))
        return f"\x02{len(formulas) - 1}\x03"

    page = str(MarkdownIt("commonmark").enable("table").render(_MATH.sub(take_out, text)))
    return re.sub("\x02(\\d+)\x03", lambda m: formulas[int(m.group(1))], page)


def formula(latex: str, display: bool = False) -> str:
    """A formula as an inline SVG picture, or as its LaTeX where the renderer lacks a command."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    picture = io.BytesIO()
    latex = " ".join(latex.split())
    shown = latex.replace(r"\frac", r"\dfrac") if display else latex
    try:
        math_to_image(f"${shown}$", picture, prop=FontProperties(size=13 if display else 11.5), format="svg")
    except ValueError:
        return f"<code>{html.escape(latex)}</code>"
    data = base64.b64encode(picture.getvalue()).decode("ascii")
    kind = "math display" if display else "math"
    return f'<img class="{kind}" alt="{html.escape(latex, quote=True)}" src="data:image/svg+xml;base64,{data}">'
