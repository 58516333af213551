"""LaTeX formulas as plain Unicode, for a terminal: not typeset, but readable."""

import re

WORDS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "eta": "η", "theta": "θ",
    "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "Phi": "Φ", "Delta": "Δ",
    "Sigma": "Σ", "Omega": "Ω", "omega": "ω", "sum": "∑", "prod": "∏", "int": "∫", "partial": "∂", "nabla": "∇",
    "infty": "∞", "cdot": "·", "times": "×", "odot": "⊙", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥",
    "neq": "≠", "ne": "≠", "approx": "≈", "equiv": "≡", "propto": "∝", "in": "∈", "to": "→", "rightarrow": "→",
    "leftarrow": "←", "mapsto": "↦", "top": "ᵀ", "ldots": "…", "dots": "…", "cdots": "⋯", "quad": "  ", "qquad": "    ",
    "mid": "|", "ell": "ℓ", "forall": "∀", "sqrt": "√", "|": "‖", "{": "{", "}": "}", ",": " ", ";": " ", "!": "",
}  # fmt: skip
UP = dict(zip("0123456789+-=()nit", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵗ", strict=True))
DOWN = dict(zip("0123456789+-=()aeijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"


_IN_TEXT = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+?)\$", re.DOTALL)


def in_unicode(text: str) -> str:
    """Markdown with its formulas between dollar signs made plain; displayed ones stand on a line of their own."""

    def plain(match: re.Match[str]) -> str:
        # As code, so that Markdown leaves stars and underscores alone.
        return f"\n\n    {to_unicode(match.group(1))}\n\n" if match.group(1) else f"`{to_unicode(match.group(2))}`"

    return _IN_TEXT.sub(plain, text)


def to_unicode(latex: str) -> str:
    """The formula with its Greek letters, fractions, indices and exponents as characters."""
    text = re.sub(r"\\(?:d|t)frac", r"\\frac", latex)
    while "\\frac" in text and (new := re.sub(r"\\frac" + _GROUP + _GROUP, r"(\1)/(\2)", text)) != text:
        text = new
    text = re.sub(r"\\(?:mathrm|operatorname|mathbf|mathbb|mathcal|text|left|right|big|Big)\b\*?", "", text)
    text = re.sub(r"\\(?:hat|bar|tilde)" + _GROUP, lambda m: m.group(1) + "\u0302", text)
    text = re.sub(r"\\([A-Za-z]+|[^A-Za-z\s])", lambda m: WORDS.get(m.group(1), m.group(1)), text)
    text = re.sub(r"\^" + _GROUP + r"|\^(\S)", lambda m: _small(m, UP, "^"), text)
    text = re.sub(r"_" + _GROUP + r"|_(\S)", lambda m: _small(m, DOWN, "_"), text)
    return " ".join(text.replace("{", "").replace("}", "").split())


def _small(match: re.Match[str], table: dict[str, str], mark: str) -> str:
    inner = match.group(1) if match.group(1) is not None else match.group(2)
    plain = inner.replace(" ", "")
    if all(c in table or c == "ᵀ" for c in plain):
        return "".join(table.get(c, c) for c in plain)
    return f"{mark}({inner})" if len(plain) > 1 else mark + inner
