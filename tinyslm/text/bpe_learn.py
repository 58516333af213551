"""Learning the merges of byte-pair encoding, with pair counts that are kept up to date instead of counted anew."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice, pairwise

Pair = tuple[int, int]


def learn_merges(words: list[list[int]], counts: list[int], room: int, min_count: int, first: int) -> list[Pair]:
    """Return up to `room` merges, most frequent pair first; the k-th merge makes the id first + k.

    words: the different words as lists of ids; counts: how often each occurs. Of equally frequent pairs the one with
    the lower ids comes first. It ends early when no pair occurs `min_count` times.
    """
    return list(islice(_Pairs(words, counts).merges(min_count, first), room))


class _Pairs:
    """How often each pair of neighbours occurs, and in which words: a merge visits only the words that hold it."""

    def __init__(self, words: list[list[int]], counts: list[int]) -> None:
        self.words = [list(word) for word in words]
        self.counts = counts
        self.totals: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        self.changed: set[Pair] = set()
        for i, word in enumerate(words):
            for pair in pairwise(word):
                self._change(pair, i, +1)
        # A heap of (-count, pair) yields the most frequent pair with the lowest ids. When a count changes a new entry
        # is pushed; the old one is recognised as stale when it comes up.
        self.heap: list[tuple[int, Pair]] = []
        self._push_changed()

    def merges(self, min_count: int, new: int) -> Iterator[Pair]:
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            if -count < min_count:
                return
            if self.totals[pair] == -count:
                self._merge(pair, new)
                new += 1
                yield pair

    def _merge(self, pair: Pair, new: int) -> None:
        for i in self.where.pop(pair):
            self._merge_in_word(i, pair, new)
        self.totals[pair] = 0
        self._push_changed()

    def _merge_in_word(self, i: int, pair: Pair, new: int) -> None:
        """Replace every `pair` in word i, taken from the left, by `new`; only the pairs around it change."""
        word = self.words[i]
        j = _find(word, pair, 0)
        while j >= 0:
            if j > 0:
                self._change((word[j - 1], pair[0]), i, -1)
                self._change((word[j - 1], new), i, +1)
            if j + 2 < len(word):
                self._change((pair[1], word[j + 2]), i, -1)
                self._change((new, word[j + 2]), i, +1)
            word[j : j + 2] = [new]
            j = _find(word, pair, j + 1)

    def _change(self, pair: Pair, i: int, sign: int) -> None:
        self.totals[pair] += sign * self.counts[i]
        self.changed.add(pair)
        if sign > 0:
            self.where[pair].add(i)

    def _push_changed(self) -> None:
        for pair in self.changed:
            heapq.heappush(self.heap, (-self.totals[pair], pair))
        self.changed.clear()


def _find(word: list[int], pair: Pair, start: int) -> int:
    """Return where `pair` stands in `word` from `start` on, or -1; list.index is faster than a loop of our own."""
    last = len(word) - 1
    try:
        while word[start := word.index(pair[0], start, last) + 1] != pair[1]:
            pass
    except ValueError:
        return -1
    return start - 1
