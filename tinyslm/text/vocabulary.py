"""The vocabulary: which token has which number."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CheckpointError, DataError, OptionError, require_whole
from ._fields import (
    FORMAT_VERSION,
    each_text,
    read_field,
    read_header,
    read_list,
    require_choice,
    require_many,
    require_specials,
)

UNKNOWN_TOKEN = "<unk>"
_MODES = ("drop", "unk", "error")


class Vocabulary:
    """Tokens and their ids 0 to V-1: first the special tokens, then words by falling count.

    The first special stands for padding, so it has id 0. `unknown` says what `encode` does with other tokens:
    "drop" leaves them out, as the article's Keras code does by default (A16); "unk" gives the id of "<unk>";
    "error" raises a DataError. None means "unk" where the specials hold "<unk>", otherwise "drop".
    A token spelled like a special is that special.

    tokens: the words in order, without the specials; counts: how often each occurred when the vocabulary was built.
    OptionError for another mode, or "unk" without "<unk>"; DataError for repeated words or wrong types.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        *,
        specials: Iterable[str] = ("<pad>", UNKNOWN_TOKEN),
        unknown: str | None = None,
    ) -> None:
        self.specials = require_specials(specials)
        self.unknown = _choose_unknown(unknown, self.specials)
        self.counts = dict(counts)
        self.tokens = (*self.specials, *each_text(list(counts), "tokens"))
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            raise DataError(f"Expected words other than the specials. Got {set(self.specials) & set(counts)} in both.")

    @classmethod
    def build(
        cls,
        token_lists: Iterable[Iterable[str]],
        size: int = 10000,
        min_count: int = 1,
        specials: Iterable[str] = ("<pad>", UNKNOWN_TOKEN),
        unknown: str | None = None,
    ) -> "Vocabulary":
        """Count the tokens of all texts and keep the most frequent; of equal ones, those seen first.

        size: the most entries, specials included, so that every id is below it, as with num_words in Keras.
        min_count: the least number of occurrences. With specials=("<pad>",) the ids are those of Keras.

        DataError for texts that are not yet split into tokens, OptionError for a size without room for a word.
        """
        specials = require_specials(specials)
        require_whole(size, "size", least=len(specials) + 1)
        require_whole(min_count, "min_count", least=1)
        texts = require_many(token_lists, "token_lists")
        counts = Counter(token for tokens in texts for token in each_text(tokens, "the tokens of a text"))
        words = ((word, n) for word, n in counts.most_common() if n >= min_count and word not in specials)
        kept = dict(pair for pair, _ in zip(words, range(size - len(specials)), strict=False))
        return cls(kept, specials=specials, unknown=unknown)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, specials={list(self.specials)}, unknown={self.unknown!r})"

    def index(self, token: str) -> int:
        """Return the id of one token; DataError if it has none."""
        if token not in self._ids:
            raise DataError(f"Expected a token of the vocabulary. Got {token!r}, which is not among its {len(self)}.")
        return self._ids[token]

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of the tokens; unknown ones go as `unknown` says. DataError unless tokens are str."""
        found = each_text(tokens, "tokens")
        if self.unknown == "error":
            return [self.index(token) for token in found]
        if self.unknown == "drop":
            return [self._ids[token] for token in found if token in self._ids]
        ids, unk = self._ids, self._ids[UNKNOWN_TOKEN]
        return [ids.get(token, unk) for token in found]

    def decode(self, ids: Iterable[int], *, skip_specials: bool = False) -> list[str]:
        """Return the tokens of the ids, on request without the specials. DataError for ids outside 0 to V-1."""
        kept = check_ids(ids, len(self))
        return [self.tokens[i] for i in kept if not (skip_specials and i < len(self.specials))]

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists for json.dump."""
        return {
            "type": "vocabulary",
            "format_version": FORMAT_VERSION,
            "specials": list(self.specials),
            "unknown": self.unknown,
            "words": list(self.counts),
            "counts": list(self.counts.values()),
        }

    @classmethod
    def from_json(cls, data: object) -> "Vocabulary":
        """Rebuild what `to_json` returned. CheckpointError for anything missing, misplaced or repeated."""
        saved = read_header(data, "vocabulary")
        words, counts = read_list(saved, "words", str), read_list(saved, "counts", int)
        if len(words) != len(counts) or len(set(words)) < len(words) or min(counts, default=1) < 1:
            raise CheckpointError(
                f"Expected different words with one positive count each. Got {len(words)} words, "
                f"{len(set(words))} of them different, and {len(counts)} counts."
            )
        return cls._restore(
            dict(zip(words, counts, strict=True)), read_list(saved, "specials", str), read_field(saved, "unknown", str)
        )

    @classmethod
    def _restore(cls, counts: dict[str, int], specials: list[str], unknown: str) -> "Vocabulary":
        try:
            return cls(counts, specials=specials, unknown=unknown)
        except (DataError, OptionError) as error:
            raise CheckpointError(f"The saved vocabulary contradicts itself. {error}") from error


def check_ids(ids: Iterable[int], size: int) -> list[int]:
    """Return token ids as a list of int; DataError unless they are whole numbers from 0 to size - 1."""
    return [_check_id(value, size) for value in require_many(ids, "ids")]


def _check_id(value: Any, size: int) -> int:
    value = value.item() if getattr(value, "ndim", 1) == 0 else value  # what a tensor's rows are made of
    try:
        number = require_whole(value, "id", least=0)
    except OptionError:
        number = size
    if number >= size:
        raise DataError(f"Expected ids as whole numbers from 0 to {size - 1}. Got {value!r}.")
    return number


def _choose_unknown(unknown: str | None, specials: tuple[str, ...]) -> str:
    if unknown is None:
        return "unk" if UNKNOWN_TOKEN in specials else "drop"
    require_choice(unknown, "unknown", _MODES)
    if unknown == "unk" and UNKNOWN_TOKEN not in specials:
        raise OptionError(f"Expected specials with {UNKNOWN_TOKEN!r} for unknown='unk'. Got {list(specials)}.")
    return unknown
