"""From text to tokens: words, Chinese characters, Chinese words from a list, n-grams."""

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from ..errors import DataError, require_whole
from ._fields import each_text, require_choice, require_text
from .script import HAN, HAN_RANGES

# 3.14 and 1,000 are one token; 2nd is a word. Combining accents (U+0300 to U+036F) belong to the letter before them.
_MARK = r"[^\w\s]|_"


def _word_pattern(excluded: str) -> str:
    letter = f"[^\\W_{excluded}]"
    number = f"\\d+(?:[.,]\\d+)*(?!{letter})"
    word = f"{letter}(?:{letter}|[\u0300-\u036f])*"
    return f"{number}|{word}(?:'{word})*"


_SPLIT_HAN = re.compile(f"{_word_pattern(HAN_RANGES)}|[{HAN_RANGES}]+|{_MARK}")
_WHOLE_RUNS = re.compile(f"{_word_pattern('')}|{_MARK}")
_IS_MARK = re.compile(_MARK)


class WordList:
    """A list of words for `max_match`, with the length of the longest kept beside it.

    DataError for an empty list, an empty word, or anything but strings.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = frozenset(each_text(entries, "word_list"))
        if not self.entries or "" in self.entries:
            raise DataError(
                f"Expected a word_list of non-empty words. Got {len(self.entries)} words, some empty or none."
            )
        self.longest = max(map(len, self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, word: object) -> bool:
        return word in self.entries


def words(
    text: str, lang: str = "auto", *, punctuation: bool = False, word_list: WordList | Iterable[str] | None = None
) -> list[str]:
    """Return the words of `text` in order, in the case they are written in.

    English words keep their apostrophes (don't; a curly one is written straight), numbers their points and commas.
    Chinese comes as single characters, or with a `word_list` as the words that `max_match` finds. Both may be mixed:
    the script tells them apart, so "auto" and "zh" are the same; "en" leaves Chinese runs whole.
    punctuation: also return every punctuation mark and symbol, emoji included, as a token of its own.

    DataError if text is not a str, OptionError for another language.
    """
    text = require_text(text).replace("’", "'")
    require_choice(lang, "lang", ("en", "zh", "auto"))
    entries = None if word_list is None else as_word_list(word_list)
    whole = lang == "en" or not HAN.search(text)
    found = (_WHOLE_RUNS if whole else _SPLIT_HAN).findall(text)
    kept = found if punctuation else [token for token in found if not _IS_MARK.match(token)]
    if whole:
        return kept
    return list(chain.from_iterable(_split_token(token, entries) for token in kept))


def characters(text: str) -> list[str]:
    """Return the characters of `text` except white space. DataError if text is not a str."""
    return [character for character in require_text(text) if not character.isspace()]


def max_match(text: str, word_list: WordList | Iterable[str]) -> list[str]:
    """Cut `text` into words by forward maximum matching: at each place, the longest word of the list that fits.

    A character that begins no listed word is a token by itself, so that joining the tokens gives `text` again. The
    method is greedy: with 研究, 研究生, 生命 and 起源 in the list, 研究生命起源 becomes 研究生 / 命 / 起源,
    although 研究 / 生命 / 起源 was meant. Pass a `WordList` where many texts are cut by the same list.

    DataError if text is not a str, or the list holds no words.
    """
    return list(_longest_matches(require_text(text), as_word_list(word_list)))


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return the max(0, T - n + 1) runs of n neighbouring tokens. OptionError unless n is at least 1."""
    count = require_whole(n, "n", least=1)
    tokens = list(each_text(tokens, "tokens"))
    return list(zip(*(tokens[i:] for i in range(count)), strict=False))


def keras_words(text: str) -> list[str]:
    """Return the words of `text` as the article's Keras `Tokenizer` sees them by default (A16).

    Lower case; every ASCII punctuation mark except the apostrophe, tab and line feed become spaces; what stands
    between spaces is a word. So 3.14 falls apart, and a Chinese sentence is one word. DataError if text is not a str.
    """
    return [word for word in require_text(text).lower().translate(_KERAS_FILTER).split(" ") if word]


_KERAS_FILTER = dict.fromkeys(map(ord, string.punctuation.replace("'", "") + "\t\n"), " ")


def as_word_list(entries: WordList | Iterable[str]) -> WordList:
    """Return `entries` as a `WordList`, made once where it is one already."""
    return entries if isinstance(entries, WordList) else WordList(entries)


def _split_token(token: str, entries: WordList | None) -> Iterable[str]:
    if not HAN.match(token):
        return (token,)
    return token if entries is None else _longest_matches(token, entries)


def _longest_matches(text: str, entries: WordList) -> Iterator[str]:
    start = 0
    while start < len(text):
        ends = range(min(len(text), start + entries.longest), start + 1, -1)
        end = next((end for end in ends if text[start:end] in entries), start + 1)
        yield text[start:end]
        start = end
