"""LaTeX formulas as plain Unicode, for a terminal: not typeset, but readable. And in ASCII, where there is no more."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Callable

WORDS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "ell": "ℓ",
    "sum": "∑", "prod": "∏", "int": "∫", "partial": "∂", "nabla": "∇", "infty": "∞", "cdot": "·", "times": "×",
    "odot": "⊙", "otimes": "⊗", "circ": "∘", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠",
    "ne": "≠", "ll": "≪", "gg": "≫", "approx": "≈", "equiv": "≡", "sim": "~", "propto": "∝", "in": "∈", "notin": "∉",
    "forall": "∀", "varnothing": "∅", "emptyset": "∅", "to": "→", "rightarrow": "→", "leftarrow": "←", "mapsto": "↦",
    "Rightarrow": "⇒", "top": "ᵀ", "langle": "⟨", "rangle": "⟩", "ldots": "…", "dots": "…", "cdots": "⋯", "mid": "|",
    "quad": "  ", "qquad": "    ", "|": "‖", ",": " ", ";": " ", ":": " ", " ": " ", "!": "", "\\": " ",
}  # fmt: skip
SILENT = {"left", "right", "big", "Big", "bigg", "Bigg", "displaystyle", "textstyle", "limits"}
FONTS = {"mathrm", "operatorname", "mathbf", "mathcal", "mathrel", "boldsymbol"}
MARKS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "overline": "\u0305", "vec": "\u20d7"}
UP = dict(zip("0123456789+-=()nitxkjmTK", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵗˣᵏʲᵐᵀᴷ", strict=True))
DOWN = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|.", re.DOTALL)
_IN_TEXT = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)
# Ends of what must not run into a neighbour: of a fraction, and of a word or an index. They become a space or nothing.
_BEFORE, _AFTER, _WORD = "\x00", "\x01", "\x02"
_ENDS = re.compile(f"[{_BEFORE}{_AFTER}{_WORD}]")
_SMALL = "".join({*UP.values(), *DOWN.values(), *MARKS.values()})

Tokens = deque[str]


def in_unicode(text: str) -> str:
    """Markdown with its formulas between dollar signs made plain; displayed ones stand on a line of their own."""

    def plain(match: re.Match[str]) -> str:
        # As code, so that Markdown leaves stars and underscores alone.
        return f"\n\n    {to_unicode(match.group(1))}\n\n" if match.group(1) else f"`{to_unicode(match.group(2))}`"

    return _IN_TEXT.sub(plain, text)


def to_unicode(latex: str) -> str:
    """The formula with its Greek letters, fractions, indices and exponents as characters."""
    text = _sequence(deque(_TOKEN.findall(latex)))
    text = re.sub(rf"(?<=[\w)\]⟩]){_BEFORE}|{_AFTER}(?=[\w(\[⟨√∑∏])", " ", text)
    text = re.sub(rf"(?<=[\w)]){_WORD}+(?=[^\W_{_SMALL}])", " ", text)
    text = _ENDS.sub("", text)
    text = re.sub(r"([(\[⟨]) +| +(?=[)\]⟩,;:])|(?<=∂) +", r"\1", " ".join(text.split()))
    return text.strip()


# -- reading ----------------------------------------------------------------------------------------------------------


def _sequence(tokens: Tokens) -> str:
    """What follows, up to the closing brace or the end."""
    text = ""
    while tokens and (token := tokens.popleft()) != "}":
        text += _piece(token, tokens)
    return text


def _piece(token: str, tokens: Tokens) -> str:
    if token == "{":
        return _sequence(tokens)
    if token in ("^", "_"):
        return _script(_argument(tokens), UP if token == "^" else DOWN, token)
    if token.startswith("\\"):
        return _command(token[1:].rstrip("*"), tokens)
    return " " if token.isspace() or token == "~" else "" if token == "&" else token


def _argument(tokens: Tokens) -> str:
    """The next group, or the next single sign."""
    while tokens and tokens[0].isspace():
        tokens.popleft()
    return _piece(tokens.popleft(), tokens).strip() if tokens else ""


def _raw(tokens: Tokens) -> str:
    """The next group as it stands: words, names of functions in code."""
    depth, text = 0, ""
    while tokens:
        token = tokens.popleft()
        depth += {"{": 1, "}": -1}.get(token, 0)
        text += token[1:] if len(token) == 2 and token[0] == "\\" else "" if token in "{}" else token
        if depth == 0 and token == "}":
            break
    return text


def _command(name: str, tokens: Tokens) -> str:
    if name in ("frac", "dfrac", "tfrac"):
        above, below = _argument(tokens), _argument(tokens)
        return f"{_BEFORE}{_bracketed(above)}/{_bracketed(below)}{_AFTER}"
    if name == "sqrt":
        return "√" + _bracketed(_argument(tokens), _is_one_sign)
    if name in MARKS:
        return _marked(_argument(tokens), MARKS[name], name == "overline")
    if name in ("text", "texttt"):
        return _raw(tokens)
    if name == "mathbb":
        return _argument(tokens).replace("R", "ℝ")
    if name in FONTS:
        return _WORD + _argument(tokens) + _WORD
    if name in SILENT:
        return ""
    return WORDS.get(name, _WORD + name + _WORD)


# -- writing ----------------------------------------------------------------------------------------------------------


def _bracketed(text: str, simple: Callable[[str], bool] | None = None) -> str:
    return text if (simple or _is_simple)(_plain(text)) else f"({text})"


def _plain(text: str) -> str:
    return _ENDS.sub("", text).replace("∂ ", "∂")


def _is_simple(text: str) -> bool:
    """Whether nothing binds weaker than a fraction outside of brackets, so that the line needs none around it."""
    inner = None
    while inner != text:
        inner, text = text, re.sub(r"\([^()]*\)|\[[^\[\]]*\]|⟨[^⟨⟩]*⟩", "", text)
    return not re.search(r"[\s+\-=/·×⊙,∑∏]", text)


def _is_one_sign(text: str) -> bool:
    """Whether it is a letter with its marks and indices, or a number."""
    return len([c for c in text if c not in _SMALL]) <= 1 or text.isdecimal()


def _marked(text: str, mark: str, throughout: bool) -> str:
    if throughout:
        return "".join(c + mark if c.isprintable() and c != " " and c not in _SMALL else c for c in _plain(text))
    return text[:1] + mark + text[1:]


def _script(inner: str, table: dict[str, str], sign: str) -> str:
    inner = _plain(inner)
    tight = inner.replace(" ", "")
    if all(c in table or c == "ᵀ" for c in tight):
        return "".join(table.get(c, c) for c in tight)
    return f"{sign}{inner}{_WORD}" if inner.isalnum() and (inner.isascii() or len(inner) == 1) else f"{sign}({inner})"


# -- ASCII ------------------------------------------------------------------------------------------------------------

NAMES = {
    "∑": "sum", "∏": "prod", "∫": "int", "∂": "d", "∇": "grad ", "√": "sqrt", "∞": "inf", "·": "*", "×": "x",
    "⊙": "(*)", "⊗": "(x)", "∘": "o", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "≪": "<<", "≫": ">>", "≈": "~=",
    "≡": "==", "∝": "~", "∈": "in", "∉": "not in", "∀": "for all", "∅": "{}", "→": "->", "←": "<-", "↦": "|->",
    "⇒": "=>", "⟨": "<", "⟩": ">", "…": "...", "⋯": "...", "‖": "||", "ℓ": "l", "ℝ": "R", "−": "-", "–": "-", "—": "-",
    "’": "'", "‘": "'", "“": '"', "”": '"', "\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar",
    "\u20d7": "vec",
}  # fmt: skip
_SIGNS = {small: ("^", c) for c, small in UP.items()} | {small: ("_", c) for c, small in DOWN.items()}


def in_ascii(text: str) -> str:
    """What a formula's characters are called where they can't be shown; the codes of all others, such as Chinese."""
    return "".join(f"{sign}({part})" if sign and not part.isalnum() else sign + part for sign, part in _runs(text))


def _runs(text: str) -> list[tuple[str, str]]:
    """Small characters side by side, as ("_" or "^", the plain ones); every other character as ("", its name)."""
    runs: list[tuple[str, str]] = []
    for c in text:
        sign, plain = _SIGNS.get(c, ("", _spelled(c)))
        if sign and runs and runs[-1][0] == sign:
            runs[-1] = (sign, runs[-1][1] + plain)
        else:
            runs.append((sign, plain))
    return runs


def _spelled(c: str) -> str:
    if c in NAMES or c.isascii():
        return NAMES.get(c, c)
    letter = unicodedata.normalize("NFD", c)[0]
    if letter.isascii():
        return letter  # without its accent
    words = unicodedata.name(c, "").split()
    if words[:1] == ["GREEK"] and words[-2:-1] == ["LETTER"]:
        return words[-1].lower() if "SMALL" in words else words[-1].capitalize()
    return c.encode("ascii", "backslashreplace").decode("ascii")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelled = in_ascii(error.object[error.start : error.end])
    runs_on = error.object[error.end - 1].isalpha() and error.object[error.end : error.end + 1].isalpha()
    return spelled + " " * (runs_on and spelled[-1].isalpha()), error.end


SPELLED = "tinyslm.spelled"  # for the `errors` of an encoder
codecs.register_error(SPELLED, _replace)
