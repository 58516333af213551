"""Splitting a text into sentences, English and Chinese."""

import re

from ._fields import require_choice, require_text
from .script import detect_language

_ENGLISH_END = re.compile(r"""[.!?…]+["'”’)\]]*(?=\s|$)|\n\s*\n""")
_CHINESE_END = re.compile(r"""[。！？；…!?;]+[”’」』）】》"')\]]*|\n+""")
_NEXT = re.compile(r"""\s*["'“‘(\[]*(\S?)""")
_LAST_WORD = re.compile(r"""[^\s"'“‘(\[]*$""")

# Abbreviations that a name or an example follows; that a number follows; that may also stand last in a sentence.
_BEFORE_NAME = re.compile(r"mr|mrs|ms|dr|prof|st|gen|col|capt|lt|sgt|rev|hon|messrs|e\.g|i\.e|cf|vs|viz")
_BEFORE_NUMBER = re.compile(r"no|nos|fig|figs|vol|p|pp|ch|sec|eq|art|approx|ca")
_ANYWHERE = re.compile(
    r"etc|inc|ltd|co|corp|jr|sr|al|dept|est|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|(?:[a-z]\.)+[a-z]"
)


def sentences(text: str, lang: str = "auto") -> list[str]:
    """Return the sentences of `text`, each with its closing marks, without white space around it.

    English ("en"): a sentence ends at . ! ? before white space, but not after titles (Dr.), initials (J. Smith) and
    the like, nor where lower case goes on after a closing quote or an ellipsis; decimals hold no white space. A blank
    line always ends one. These are rules of thumb: "plan B. Then" is taken for an initial.
    Chinese ("zh"): at 。！？；… and their ASCII forms with closing quotes, and at line ends.
    "auto" asks `detect_language`. An empty text has no sentences.

    DataError if text is not a str, OptionError for another language.
    """
    require_text(text)
    require_choice(lang, "lang", ("en", "zh", "auto"))
    lang = detect_language(text) if lang == "auto" else lang
    ends = _chinese_ends(text) if lang == "zh" else _english_ends(text)
    parts = (text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return [part for part in parts if part]


def _chinese_ends(text: str) -> list[int]:
    return [match.end() for match in _CHINESE_END.finditer(text)]


def _english_ends(text: str) -> list[int]:
    return [match.end() for match in _ENGLISH_END.finditer(text) if _is_end(text, match)]


def _is_end(text: str, match: re.Match[str]) -> bool:
    found, after = match.group(), _NEXT.match(text, match.end())
    follows = after.group(1) if after else ""
    if found.isspace() or not follows:
        return True
    if found != ".":
        plain_end = found[-1] in "!?." and not found.endswith("..")
        return plain_end or not follows.islower()
    return not _is_abbreviation(_word_before(text, match.start()), follows)


def _word_before(text: str, end: int) -> str:
    # No abbreviation is longer than the window, which keeps this linear.
    match = _LAST_WORD.search(text[max(0, end - 20) : end])
    return match.group() if match else ""


def _is_abbreviation(word: str, follows: str) -> bool:
    name = word.lower()
    if _BEFORE_NAME.fullmatch(name) or (len(word) == 1 and word.isupper() and word != "I"):
        return True
    if _BEFORE_NUMBER.fullmatch(name):
        return follows.isdigit()
    return _ANYWHERE.fullmatch(name) is not None and not follows.isupper()
