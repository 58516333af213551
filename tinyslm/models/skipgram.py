"""Word vectors by skip-gram with negative sampling, from a text file to nearest neighbours.

For each word w and each word c within a random distance of at most `window`, a step of descent on
L = -ln σ(u_w·v_c) - Σ_k ln σ(-u_{n_k}·v_c) with K words n_k drawn from the noise P(n) ∝ count(n)^0.75 (Mikolov et al.
2013b, eq. 4; `derivations/negative_sampling.py`). v are the vectors that one keeps, u the output vectors.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from .. import device, text
from ..checkpoint import load_model, save_model
from ..errors import CheckpointError, DataError, OptionError, require_rng, require_whole
from ..text import Vocabulary

KIND = "skip-gram"
PIECE = 10_000  # words: longer sentences are cut, since a window over the end of one hardly matters
BLOCK = 1 << 20  # characters that are read at a time
CHUNK = 200_000  # words that a worker trains on before it looks whether it should stop
NOISE_POWER = 0.75
END = "\0"  # behind each sentence, while its words are read

Sentences = Iterable[Iterable[str]]


class SkipGram:
    """Words and their vectors.

    Args:
        vocabulary: the words, by falling count.
        vectors: (V, D), one row per word.
        outputs: (V, D), the words' output vectors, which say near which vectors the word stands.
    """

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray, outputs: np.ndarray):
        self.vocabulary, self.vectors, self.outputs = vocabulary, vectors, outputs

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector (D,) of a word; DataError if the model does not know it."""
        return self.vectors[self.vocabulary.index(word)]

    def similarity(self, word: str, other: str) -> float:
        """The cosine of the angle between two words' vectors, from -1 to 1."""
        return float(_unit(self[word]) @ _unit(self[other]))

    def most_similar(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """The `count` words whose vectors have the largest cosine with that of `word`, and these; without the word."""
        require_whole(count, "count", 1)
        cosines = _unit(self.vectors) @ _unit(self[word])
        cosines[self.vocabulary.index(word)] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(count, len(self) - 1)]
        return [(self.vocabulary.tokens[i], float(cosines[i])) for i in best]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write both tables (safetensors) and the vocabulary (JSON) into `folder`."""
        arrays = {"vectors": self.vectors, "outputs": self.outputs}
        save_model(folder, arrays, {"kind": KIND, "vocabulary": self.vocabulary.to_json()})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SkipGram:
        """Read what `save` wrote. CheckpointError for anything missing, broken or of another kind."""
        arrays, config = load_model(folder)
        if config["kind"] != KIND:
            raise CheckpointError(f"{folder}: expected a {KIND} model, got {config['kind']!r}")
        vocabulary = Vocabulary.from_json(config.get("vocabulary"))
        shapes = {name: a.shape for name, a in arrays.items()}
        rows = {shape[0] for shape in shapes.values() if len(shape) == 2}
        if set(shapes) != {"vectors", "outputs"} or len(set(shapes.values())) > 1 or rows != {len(vocabulary)}:
            raise CheckpointError(
                f"{folder}: expected vectors and outputs of one shape ({len(vocabulary)}, D), got {shapes}"
            )
        return cls(vocabulary, arrays["vectors"], arrays["outputs"])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.finfo(vectors.dtype).tiny)


def english_words(line: str) -> list[str]:
    """The words of a line in lower case, by `text.words`."""
    return text.words(line.lower(), "en")


@dataclass(frozen=True)
class SkipGramSettings:
    """What `train_skipgram` does; its arguments say what each number means."""

    dim: int = 100
    window: int = 5
    negatives: int = 5
    epochs: int = 5
    min_count: int = 5
    subsample: float = 1e-3
    lr: float = 0.025
    min_lr: float = 1e-4
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("dim", "window", "negatives", "epochs", "min_count", "workers"):
            object.__setattr__(self, name, require_whole(getattr(self, name), name, 1))
        if not 0 <= self.subsample < np.inf:
            raise OptionError(f"subsample: expected a share of at least 0, such as 1e-3; got {self.subsample}")
        if not 0 < self.min_lr <= self.lr < np.inf:
            raise OptionError(f"lr: expected 0 < min_lr <= lr, got min_lr = {self.min_lr} and lr = {self.lr}")


def train_skipgram(
    source: str | os.PathLike[str] | Sentences,
    dim: int = 100,
    window: int = 5,
    negatives: int = 5,
    epochs: int = 5,
    min_count: int = 5,
    subsample: float = 1e-3,
    workers: int = 2,
    lr: float = 0.025,
    min_lr: float = 1e-4,
    split: Callable[[str], list[str]] = english_words,
    *,
    rng: np.random.Generator,
) -> SkipGram:
    """Learn word vectors.

    The defaults are those of word2vec and gensim. Where several workers share the tables, two runs differ slightly;
    with one, the same rng gives the same bits.

    Args:
        source: a text file (UTF-8) with a sentence per line, or sentences as lists of words. A str is a path.
        dim: D, the size of a vector.
        window: how far apart two words of a pair are at most; for each word, 1 to `window` is drawn.
        negatives: K, the words drawn against each true one.
        epochs: how often the text is gone through.
        min_count: rarer words are left out before windows are laid.
        subsample: words with a share f above it stay with probability sqrt(subsample/f) + subsample/f; 0: all stay.
        workers: threads; each has a part of the text and random numbers of its own.
        lr: the learning rate at the beginning; it falls linearly with the words that are done, as in word2vec (in
            gensim with the sentences, so what comes behind short lines is learned there with a smaller rate).
        min_lr: the learning rate at the end.
        split: makes words of a line of the file; `str.split` for a text that is cut into words already.
        rng: draws start values and seeds.

    Raises:
        DataError: the file can't be read, or fewer than two words are frequent enough.
        OptionError: a setting is outside its range.
    """
    settings = SkipGramSettings(dim, window, negatives, epochs, min_count, subsample, lr, min_lr, workers)
    require_rng(rng)
    corpus = _corpus(_blocks(source, split), min_count)
    size = len(corpus.vocabulary)
    # From -1/D to 1/D, as in gensim; word2vec's half of it learns a little more slowly at first.
    vectors = (rng.random((size, dim), np.float32) * np.float32(2) - np.float32(1)) / np.float32(dim)
    outputs = np.zeros((size, dim), np.float32)
    _train(corpus, vectors, outputs, settings, rng)
    return SkipGram(corpus.vocabulary, vectors, outputs)


# -- from a file to numbers -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """A text as numbers: sentence s is words[starts[s]:starts[s + 1]], numbers of the vocabulary."""

    vocabulary: Vocabulary
    words: np.ndarray
    starts: np.ndarray

    def counts(self) -> np.ndarray:
        """How often each word occurs (V,)."""
        return np.fromiter(self.vocabulary.counts.values(), np.int64, len(self.vocabulary))


def read_corpus(sentences: Sentences, min_count: int = 1) -> Corpus:
    """Number the words by falling count, of equal ones those seen first, and leave the rare ones out.

    DataError if fewer than two words are left.
    """
    return _corpus(_joined(sentences), min_count)


def _corpus(blocks: Iterable[list[str]], min_count: int) -> Corpus:
    """The same for words in blocks, with END behind each sentence."""
    words, names = _numbered(blocks)
    counts = np.bincount(words, minlength=len(names))
    counts[0] = 0  # END is no word
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count]
    if len(order) < 2:
        raise DataError(
            f"source: expected a text with two different words that occur at least min_count = {min_count} times\n"
            f"  Got: {counts.sum()} words, {len(names) - 1} different ones; a smaller min_count keeps more"
        )
    vocabulary = Vocabulary({names[i]: int(counts[i]) for i in order}, specials=())
    return Corpus(vocabulary, *_renumbered(words, order, len(names)))


def _numbered(blocks: Iterable[list[str]]) -> tuple[np.ndarray, list[str]]:
    """All words as numbers, END as 0, and the word of each number."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # a new word gets the next number
    # itemgetter looks up all words of a block by one call; END first, so that there are two at least.
    found = [np.array(itemgetter(END, *block)(numbers)[1:], np.int32) for block in blocks if block]
    return np.concatenate([*found, np.zeros(1, np.int32)]), list(numbers) or [END]


def _renumbered(words: np.ndarray, order: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The words of `order` by their places in it, and where the sentences that still have words begin."""
    new = np.full(size, -1, np.int32)
    new[order] = np.arange(len(order), dtype=np.int32)
    found = new[words]
    ends = np.append(0, (found >= 0).cumsum()[words == 0])
    return found[found >= 0], _with_cuts(ends[np.diff(ends, prepend=-1) > 0])


def _with_cuts(starts: np.ndarray) -> np.ndarray:
    """Starts of sentences, the long ones of which are cut."""
    cuts = [np.arange(starts[s] + PIECE, starts[s + 1], PIECE) for s in np.flatnonzero(np.diff(starts) > PIECE)]
    return np.sort(np.concatenate([starts, *cuts]))


def _blocks(source: Any, split: Callable[[str], list[str]]) -> Iterator[list[str]]:
    """The words of many sentences in a list, with END behind each sentence."""
    if not isinstance(source, str | os.PathLike):
        return _joined(source)
    if split is str.split:  # all lines of a part at once, which takes half the time
        return (_lines(part) for part in _parts(Path(source)))
    return _joined(split(line) for part in _parts(Path(source)) for line in part.split("\n"))


def _lines(part: str) -> list[str]:
    _refuse_end(END in part)
    return [*part.replace("\n", f" {END} ").split(), END]


def _refuse_end(found: bool) -> None:
    if found:
        raise DataError("source: expected text; got a NUL character (\\0), as in files that are no text")


def _joined(sentences: Sentences) -> Iterator[list[str]]:
    block: list[str] = []
    for words in sentences:
        if isinstance(words, str):
            raise DataError("source: expected a path, or sentences as lists of words; got a list of texts, not yet cut")
        words = list(words)
        _refuse_end(END in words)
        block += words
        block.append(END)
        if len(block) > PIECE:
            yield block
            block = []
    yield block


def _parts(path: Path) -> Iterator[str]:
    """A file in parts that end with a line; in very long lines at a space, if they have one."""
    rest = ""
    try:
        with path.open(encoding="utf-8") as file:
            while block := file.read(BLOCK):
                rest += block
                end = rest.rfind("\n") + 1
                if not end and len(rest) > BLOCK:
                    end = rest.rfind(" ") + 1 or len(rest)
                if end:
                    yield rest[:end]
                    rest = rest[end:]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"source: expected a text file in UTF-8, got {path}: {error}") from error
    yield rest


# -- training ---------------------------------------------------------------------------------------------------------


def _train(
    corpus: Corpus, vectors: np.ndarray, outputs: np.ndarray, settings: SkipGramSettings, rng: np.random.Generator
) -> None:
    """Let every worker go through its part of the sentences, all epochs."""
    counts = corpus.counts()
    noise = alias_table(counts**NOISE_POWER)
    fixed = (keep_probabilities(counts, settings.subsample), *noise, settings.window, settings.negatives)
    stop = threading.Event()

    def work(chunks: list[np.ndarray], own: np.random.Generator) -> None:
        rounds = chunks * settings.epochs
        sizes = np.array([starts[-1] - starts[0] for starts in rounds])
        rates = settings.lr + (settings.min_lr - settings.lr) * np.append(0, sizes.cumsum()) / sizes.sum()
        for starts, ends in zip(rounds, pairwise(rates.tolist()), strict=True):
            if stop.is_set():
                return
            _train_part(vectors, outputs, corpus.words, starts, *fixed, ends, own.integers(2**64, dtype=np.uint64))

    shares = [_chunks(starts) for starts in _shares(corpus.starts, settings.workers)]
    _in_threads(work, list(zip(shares, rng.spawn(len(shares)), strict=True)), stop)


def _in_threads(work: Callable[..., None], tasks: list[tuple], stop: threading.Event) -> None:
    """Run the tasks side by side; an error or Ctrl-C ends them all."""
    if len(tasks) == 1:
        work(*tasks[0])
        return
    with ThreadPoolExecutor(len(tasks), thread_name_prefix="skip-gram") as pool:
        try:
            for job in as_completed([pool.submit(work, *task) for task in tasks]):
                job.result()
        finally:
            stop.set()


def _shares(starts: np.ndarray, count: int) -> list[np.ndarray]:
    """Cut sentences, given by their starts, into at most `count` runs with about equally many words."""
    wanted = starts[0] + (starts[-1] - starts[0]) * np.arange(1, count) / count
    cuts = np.unique(np.concatenate([[0], np.searchsorted(starts, wanted), [len(starts) - 1]]))
    return [starts[a : b + 1] for a, b in pairwise(cuts)]


def _chunks(starts: np.ndarray) -> list[np.ndarray]:
    return _shares(starts, -(-int(starts[-1] - starts[0]) // CHUNK))


def keep_probabilities(counts: np.ndarray, subsample: float) -> np.ndarray:
    """min(1, sqrt(t/f) + t/f) for a word's share f of the text and t = `subsample`, as in word2vec's code; 0: all 1."""
    if subsample == 0:
        return np.ones(len(counts))
    ratio = subsample / (counts / counts.sum())
    return np.minimum(1.0, np.sqrt(ratio) + ratio)


def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's table (1977) for draws with probabilities proportional to `weights` (V,), in constant time each.

    V cells are equally likely; cell i stands for word i in limits[i] of 2³² cases, and for word others[i] else. Each
    step fills a cell that is too small from a word that has more than its cell (Vose 1991). OptionError unless the
    weights are finite, not negative, and one is above 0.
    """
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise OptionError(f"weights: expected finite numbers of at least 0 and one above 0, got {weights}")
    share = weights / weights.sum() * len(weights)
    others = np.arange(len(weights), dtype=np.int32)
    small, large = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
    while small and large:
        cell, giver = small.pop(), large[-1]
        others[cell] = giver
        share[giver] -= 1 - share[cell]
        if share[giver] < 1:
            small.append(large.pop())
    return np.minimum(share * 2.0**32, 2.0**32).astype(np.uint64), others


# -- the same as formulas on arrays, slowly; `kernels/cpu/skipgram.py` has the loops -----------------------------------


def train_part(
    vectors: np.ndarray, outputs: np.ndarray, words: np.ndarray, starts: np.ndarray, keep: np.ndarray,
    limits: np.ndarray, others: np.ndarray, window: int, negatives: int, rates: tuple[float, float], seed: int,
) -> None:  # fmt: skip
    """Train on the sentences words[starts[s]:starts[s + 1]]; changes vectors and outputs in place."""
    rng = np.random.default_rng(seed)
    noise = _probabilities(limits, others)
    for begin, end in pairwise(starts):
        rate = rates[0] + (rates[1] - rates[0]) * (begin - starts[0]) / (starts[-1] - starts[0])
        sentence = words[begin:end][rng.random(end - begin) < keep[words[begin:end]]]
        for i, word in enumerate(sentence):
            reach = rng.integers(1, window + 1)
            for near in (*sentence[max(0, i - reach) : i], *sentence[i + 1 : i + 1 + reach]):
                drawn = rng.choice(len(noise), negatives, p=noise)
                train_pair(vectors[near], outputs, np.append(word, drawn[drawn != word]), rate)


_train_part = device.Loops("skipgram:train_part", train_part)


def _probabilities(limits: np.ndarray, others: np.ndarray) -> np.ndarray:
    own = limits / 2.0**32
    return (own + np.bincount(others, 1 - own, len(own))) / len(own)


def train_pair(vector: np.ndarray, outputs: np.ndarray, targets: np.ndarray, rate: float) -> None:
    """One step of descent for one pair: targets[0] is the true word, the others are drawn.

    e = σ(U_w v) - y, y = (1, 0, ..., 0); v -= rate U_wᵀ e and U_w -= rate e vᵀ, both from the old values.
    """
    rows = outputs[targets]
    errors = 1 / (1 + np.exp(-(rows @ vector))) - (np.arange(len(targets)) == 0)
    np.subtract.at(outputs, targets, (rate * np.outer(errors, vector)).astype(outputs.dtype))
    vector -= rate * (errors @ rows)


def skipgram_loss(vectors: np.ndarray, outputs: np.ndarray, pairs: np.ndarray, drawn: np.ndarray) -> float:
    """The mean loss of pairs (P, 2) of a word and its neighbour, with drawn words (P, K): L as in the module's text."""
    near = vectors[pairs[:, 1]].astype(np.float64)
    true = (outputs[pairs[:, 0]] * near).sum(-1)
    false = (outputs[drawn] * near[:, None]).sum(-1)
    return float((np.logaddexp(0, -true) + np.logaddexp(0, false).sum(-1)).mean())
