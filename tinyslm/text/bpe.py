"""Byte-pair encoding: subwords learned from how often neighbours meet.

Start from single bytes. Find the pair of neighbours that occurs most often, make it one new symbol, and repeat until
the vocabulary is full. Frequent words end as one symbol, rare ones as a few pieces, and nothing is ever unknown,
because every text is made of bytes.

Gage 1994, "A New Algorithm for Data Compression"; for words in texts: Sennrich, Haddow & Birch 2016, "Neural Machine
Translation of Rare Words with Subword Units"; on bytes: Radford et al. 2019.
"""

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from ..errors import CheckpointError, DataError, OptionError, require_whole
from ._fields import (
    FORMAT_VERSION,
    one_or_many,
    read_header,
    read_list,
    require_specials,
    require_text,
)
from .bpe_learn import Pair, learn_merges
from .vocabulary import check_ids

# A word, a number or a group of marks, each with the one space before it; other white space apart. Every character
# falls in exactly one group, so the pieces joined are the text.
_PIECE = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?= \S)|\s+")
_BYTES = 256
_CACHE_SIZE = 1 << 16


class BPE:
    """A byte-pair tokenizer. Ids: first the special tokens, then the 256 bytes, then one for each merge in order.

    decode(encode(text)) == text for every text. Merges stay within words, numbers and groups of marks.
    merges: the pairs of ids in the order they were learned. Usually made by `BPE.train` or `BPE.from_json`.
    OptionError for a merge of ids that do not exist yet, or one that is repeated.
    """

    def __init__(self, merges: Iterable[Sequence[int]] = (), specials: Iterable[str] = ()) -> None:
        self.specials = require_specials(specials)
        self.merges: list[Pair] = []
        self._first = len(self.specials) + _BYTES
        self._bytes = [name.encode("utf-8") for name in self.specials] + [bytes([i]) for i in range(_BYTES)]
        self._ids: dict[Pair, int] = {}
        self._cache: dict[str, list[int]] = {}
        for pair in merges:
            self._add(pair)

    def _add(self, merge: Sequence[int]) -> None:
        pair = tuple(merge)
        known = range(len(self.specials), len(self))
        if len(pair) != 2 or any(type(i) is not int or i not in known for i in pair) or pair in self._ids:
            raise OptionError(
                f"Expected merge {len(self.merges)} as a new pair of ids from {known.start} to {known.stop - 1}. "
                f"Got {list(merge)}."
            )
        self._ids[pair] = len(self)
        self.merges.append(pair)
        self._bytes.append(self._bytes[pair[0]] + self._bytes[pair[1]])

    @classmethod
    def train(
        cls, text: str | Iterable[str], vocab_size: int, *, specials: Iterable[str] = (), min_count: int = 2
    ) -> "BPE":
        """Learn merges from one text or several until there are `vocab_size` ids, specials and bytes included.

        It stops early when no pair occurs `min_count` times. Of equally frequent pairs the one with the lower ids is
        taken, so the same text gives the same merges. Counts are kept up to date pair by pair, so a merge costs only
        as much as the words it touches.

        OptionError for a vocab_size below 256 plus the specials, DataError for no text at all.
        """
        specials = require_specials(specials)
        room = require_whole(vocab_size, "vocab_size", least=_BYTES + len(specials)) - _BYTES - len(specials)
        require_whole(min_count, "min_count", least=1)
        pieces = Counter(piece for part in one_or_many(text) for piece in _PIECE.findall(part))
        if not pieces:
            raise DataError("Expected text to learn merges from. Got none, or only empty strings.")
        bpe = cls(specials=specials)
        words = [bpe._to_bytes(piece) for piece in pieces]
        for pair in learn_merges(words, list(pieces.values()), room, min_count, bpe._first):
            bpe._add(pair)
        return bpe

    def __len__(self) -> int:
        return self._first + len(self.merges)

    def __repr__(self) -> str:
        return f"BPE({len(self)} ids: {len(self.specials)} special, {_BYTES} bytes, {len(self.merges)} merges)"

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        """Return the ids of `text`. The merges are made in the order they were learned.

        specials: also read the names of the special tokens in `text` as such. Leave it off for text from outside.
        DataError if text is not a str, or holds a lone surrogate (`clean` removes those).
        """
        require_text(text)
        if not (specials and self.specials):
            return self._encode_plain(text)
        names = "|".join(re.escape(name) for name in sorted(self.specials, key=len, reverse=True))
        parts = re.split(f"({names})", text)
        return [i for part in parts for i in self._encode_part(part)]

    def _encode_part(self, part: str) -> list[int]:
        return [self.specials.index(part)] if part in self.specials else self._encode_plain(part)

    def _encode_plain(self, text: str) -> list[int]:
        return [i for piece in _PIECE.findall(text) for i in self._encode_piece(piece)]

    def _encode_piece(self, piece: str) -> list[int]:
        found = self._cache.get(piece)
        if found is None:
            found = _merge_all(self._to_bytes(piece), self._ids)
            if len(self._cache) < _CACHE_SIZE:
                self._cache[piece] = found
        return found

    def _to_bytes(self, piece: str) -> list[int]:
        try:
            return [len(self.specials) + byte for byte in piece.encode("utf-8")]
        except UnicodeEncodeError as error:
            raise DataError(f"Expected text without lone surrogates. Got {piece!r}: clean() removes them.") from error

    def decode(self, ids: Iterable[int], *, skip_specials: bool = False) -> str:
        """Return the text of the ids; bytes that are no UTF-8, such as half a character, become U+FFFD.

        DataError for ids outside 0 to V-1.
        """
        kept = (i for i in check_ids(ids, len(self)) if not (skip_specials and i < len(self.specials)))
        return b"".join(self._bytes[i] for i in kept).decode("utf-8", errors="replace")

    def tokens(self, text: str) -> list[str]:
        r"""Return the pieces that `encode` cuts `text` into, with partial characters shown as \xe4 and the like."""
        return [self._bytes[i].decode("utf-8", errors="backslashreplace") for i in self.encode(text)]

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists for json.dump."""
        return {
            "type": "bpe",
            "format_version": FORMAT_VERSION,
            "specials": list(self.specials),
            "merges": [list(pair) for pair in self.merges],
        }

    @classmethod
    def from_json(cls, data: object) -> "BPE":
        """Rebuild what `to_json` returned. CheckpointError for anything missing, or merges that do not fit."""
        saved = read_header(data, "bpe")
        try:
            return cls(read_list(saved, "merges", list), read_list(saved, "specials", str))
        except OptionError as error:
            raise CheckpointError(f"The saved tokenizer contradicts itself. {error}") from error


def _merge_all(ids: list[int], merged: dict[Pair, int]) -> list[int]:
    """Make the merges that occur in `ids`, the earliest learned first and each from the left: T log T steps.

    Ids that a merge used up become -1; `left` and `right` lead to the neighbours that remain. A -1 stands at both
    ends, too: it is in no pair, so neither end needs a test.
    """
    ids = [-1, *ids, -1]
    left, right = list(range(-1, len(ids) - 1)), list(range(1, len(ids) + 1))
    heap = [(merged[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in merged]
    heapq.heapify(heap)
    while heap:
        new, i = heapq.heappop(heap)
        gone = right[i]
        if merged.get((ids[i], ids[gone])) != new:
            continue
        ids[i], ids[gone] = new, -1
        right[i], left[right[gone]] = right[gone], i
        for k in (left[i], i):
            pair = (ids[k], ids[right[k]])
            if pair in merged:
                heapq.heappush(heap, (merged[pair], k))
    return [i for i in ids if i >= 0]
