"""The report of a run as one HTML file that opens offline: text, formulas, code, output and pictures inline."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

from ..files import write_text
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
    state = f'<span class="bad">{failed} failed</span>' if failed else '<span class="ok">all well</span>'
    rows = "".join(
        f'<tr><td><a href="#{o.lesson.name}">{html.escape(o.lesson.title)}</a></td><td>{", ".join(o.lesson.ids)}</td>'
        f"<td>{len(o.checks)}</td><td>{_error(o)}</td><td>{o.seconds:.1f} s</td><td>{_mark(o.ok)}</td></tr>"
        for o in outcomes
    )
    head = "<tr><th>lesson<th>formulas<th>checks<th>largest gradient error<th>time<th></tr>"
    table = f"<table>{head}{rows}</table>"
    return f"<h1>Lessons</h1><p>{len(outcomes)} lessons, {state}.</p>{table}{_formulas(outcomes)}"


def _formulas(outcomes: Sequence[Outcome]) -> str:
    """Which lesson decides which formula, and how."""
    found: dict[str, dict[str, str]] = {}
    for o in outcomes:
        for check in o.checks:
            if check["id"] and check["verdict"]:
                found.setdefault(check["id"], {})[check["verdict"]] = o.lesson.name
    rows = "".join(
        f"<tr><td>{id}</td><td>{html.escape(verdict)}</td><td><a href='#{name}'>{name}</a></td></tr>"
        for id in sorted(found, key=lambda i: (i[0], int(i[1:])))
        for verdict, name in found[id].items()
    )
    head = "<tr><th>formula<th>verdict<th>shown in</tr>"
    return f"<h2>Formulas</h2><table>{head}{rows}</table>" if rows else ""


def _mark(ok: bool) -> str:
    return '<span class="ok">ok</span>' if ok else '<span class="bad">failed</span>'


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
    return f"<details><summary>Solution</summary>{body}</details>" if cell["kind"] == "solution" else body


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
