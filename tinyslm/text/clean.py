"""Cleaning: from text as found on the web to text that is only words and punctuation.

The first box of the articles' flowchart (A14). The order of the steps matters: markup goes first, because decoding an
entity may bring forth any character; lower case goes late, because compatibility forms may decode to capitals.
"""

import re
import unicodedata
from html.parser import HTMLParser
from typing import Literal, cast

from ._fields import require_choice, require_text

# Tags inside a word or sentence; every other tag separates what stands before it from what stands after it.
_INLINE = re.compile(
    "a|abbr|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|"
    "time|tt|u|var|wbr"
)
_DROPPED = ("script", "style")
# As in HTML 5, a comment that is never closed reaches to the end of the text.
_COMMENT = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))", re.DOTALL)
_DECLARATION = re.compile(r"<[!?][^<>]*>")
# A "<" that opens no complete tag ("a < b", "<3", "x <y") is text. Python's versions differ here, so it is settled
# before the parser sees it.
_STRAY = re.compile(r"""<(?!/?[a-zA-Z](?:"[^"]*"|'[^']*'|[^<>"'])*>)""")

# Control characters other than white space, soft hyphens, zero-width and direction marks, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
# Links are ASCII, so that Chinese text may follow without a space; closing punctuation is not part of them.
_URL = re.compile(r"(?<![a-z0-9])(?:(?:https?|ftp)://|www\.)[!#-;=?-~]+(?<![.,;:!?)\]}'])", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.%+-])[a-z0-9_.%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE | re.ASCII)
_HANDLE = re.compile(r"(?<![\w@.])@\w+", re.ASCII)

UnicodeForm = Literal["NFC", "NFKC"]


def clean(
    text: str,
    *,
    html: bool = True,
    urls: bool | str = True,
    emails: bool | str = True,
    handles: bool | str = True,
    lower: bool = True,
    unicode: UnicodeForm | None = "NFC",
) -> str:
    """Return `text` without markup, links and invisible characters, with single spaces, in lower case.

    html: drop tags, comments, scripts and styles, and decode entities once ("&amp;lt;" becomes "&lt;"). Inline tags
    vanish, all others become a space. A "<" that opens no tag stays.
    urls, emails, handles (@name): True removes them, False keeps them, a str such as "<url>" takes their place.
    unicode: "NFC" composes accents; "NFKC" also turns full-width letters, ligatures and the like into plain ones (and
    Chinese full-width punctuation into ASCII); None leaves all as it is. Unicode Standard Annex 15.
    Control and zero-width characters always go; that includes the joiners inside composed emoji.

    DataError if text is not a str, OptionError for another Unicode form.
    """
    require_text(text)
    require_choice(unicode, "unicode", ("NFC", "NFKC", None))
    text = _INVISIBLE.sub("", strip_html(text) if html else text)
    text = _normalize(text, unicode)
    for pattern, option in ((_URL, urls), (_EMAIL, emails), (_HANDLE, handles)):
        text = _replace(pattern, option, text)
    # Lower case can undo a composed form: İ becomes two characters.
    text = _normalize(text.lower(), unicode) if lower else text
    return " ".join(text.split())


def strip_html(text: str) -> str:
    """Return what a reader of the page would see of `text`; see `clean`."""
    require_text(text)
    if "<" not in text and "&" not in text:
        return text
    text = _DECLARATION.sub(" ", _COMMENT.sub("", text))
    parser = _TextOnly()
    parser.feed(_STRAY.sub("&lt;", text))
    parser.close()
    return "".join(parser.parts)


class _TextOnly(HTMLParser):
    """Collects the text between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside = tag if tag in _DROPPED else self._inside
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.parts.append(data)

    def _separate(self, tag: str) -> None:
        if not _INLINE.fullmatch(tag):
            self.parts.append(" ")


def _normalize(text: str, form: str | None) -> str:
    return text if form is None else unicodedata.normalize(cast(UnicodeForm, form), text)


def _replace(pattern: re.Pattern[str], option: bool | str, text: str) -> str:
    if option is False:
        return text
    # The spaces keep the neighbours apart; a function, because a backslash in the option must stay one.
    substitute = " " if option is True else f" {require_text(option, 'the replacement')} "
    return pattern.sub(lambda _: substitute, text)
