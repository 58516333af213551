"""One token a character: the smallest tokenizer there is."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from ..errors import CheckpointError, DataError
from ._fields import FORMAT_VERSION, one_or_many, read_field, read_header, require_text
from .vocabulary import UNKNOWN_TOKEN, Vocabulary


class CharTokenizer:
    """Characters to ids and back, with the interface of `BPE`. Works for any script; nothing is cleaned or lowered.

    decode(encode(text)) == text for texts whose characters were all seen in training. Usually made by
    `CharTokenizer.train` or `CharTokenizer.from_json`.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int | None = None,
        *,
        specials: Iterable[str] = ("<pad>", UNKNOWN_TOKEN),
    ) -> "CharTokenizer":
        """Collect the characters of one text or several, the most frequent first.

        vocab_size: the most ids, specials included; None keeps every character. With "<unk>" among the specials other
        characters get its id, without it they are a DataError when encoding.

        DataError for no text at all, OptionError for a vocab_size without room for a character.
        """
        specials = tuple(specials)
        parts = list(one_or_many(text))
        distinct = len(set(chain.from_iterable(parts)))
        if not distinct:
            raise DataError("Expected text to collect characters from. Got none, or only empty strings.")
        size = distinct + len(specials) if vocab_size is None else vocab_size
        unknown = "unk" if UNKNOWN_TOKEN in specials else "error"
        return cls(Vocabulary.build([chain.from_iterable(parts)], size, specials=specials, unknown=unknown))

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"CharTokenizer({len(self)} ids)"

    def encode(self, text: str) -> list[int]:
        """Return one id a character. DataError if text is not a str, or unknown characters have no id."""
        return self.vocabulary.encode(list(require_text(text)))

    def decode(self, ids: Iterable[int], *, skip_specials: bool = False) -> str:
        """Return the text of the ids. DataError for ids outside 0 to V-1."""
        return "".join(self.vocabulary.decode(ids, skip_specials=skip_specials))

    def tokens(self, text: str) -> list[str]:
        """Return the pieces that `encode` cuts `text` into."""
        return self.vocabulary.decode(self.encode(text))

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists for json.dump."""
        return {"type": "char", "format_version": FORMAT_VERSION, "vocabulary": self.vocabulary.to_json()}

    @classmethod
    def from_json(cls, data: object) -> "CharTokenizer":
        """Rebuild what `to_json` returned. CheckpointError for anything missing or broken."""
        vocabulary = Vocabulary.from_json(read_field(read_header(data, "char"), "vocabulary", dict))
        if any(len(token) != 1 for token in vocabulary.counts):
            raise CheckpointError("Expected single characters in the saved char tokenizer. Got longer words.")
        return cls(vocabulary)
