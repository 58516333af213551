"""Stop words: frequent words that say little about the topic, and their removal."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from ._fields import each_text, require_choice

_LISTS = {"en": ("en",), "zh": ("zh",), "auto": ("en", "zh")}


@cache
def stop_words(lang: str = "auto") -> frozenset[str]:
    """Return our stop words of a language, in lower case; "auto" returns both lists together.

    Both hold the negations (not, no, never, don't; 不, 没, 没有), as the usual lists do: taking them out turns
    "not good" into "good", which A14 measures. Keep them with `remove_stop_words(..., keep=("not", "no"))`.
    The Chinese list is for words as a segmentation gives them; of single characters only the one-character words match.

    OptionError for another language.
    """
    require_choice(lang, "lang", tuple(_LISTS))
    return frozenset().union(*(_read(name) for name in _LISTS[lang]))


def remove_stop_words(tokens: Iterable[str], lang: str = "auto", keep: Iterable[str] = ()) -> list[str]:
    """Return the tokens that are no stop words, in order; case does not matter.

    keep: words that stay although they are on the list, such as the negations.
    DataError unless tokens and keep are collections of str, OptionError for another language.
    """
    dropped = stop_words(lang) - {word.lower() for word in each_text(keep, "keep")}
    return [token for token in each_text(tokens, "tokens") if token.lower() not in dropped]


def _read(name: str) -> frozenset[str]:
    text = files(__package__).joinpath(f"stop_{name}.txt").read_text(encoding="utf-8")
    return frozenset(text.split())
