"""W8, skip-gram with negative sampling from a text file to vectors, against gensim."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data import load_table, load_text
from ...kernels.cpu._parallel import get_num_threads
from ...models.skipgram import NOISE_POWER, english_words, read_corpus, skipgram_loss, train_skipgram
from ..workload import Arrays, Session, Workload

PAIRS = 2000
WORKERS = 2


@dataclass(frozen=True)
class SkipGramText(Workload):
    """`epochs` over `lines` lines, from the file to the vectors, vocabulary included, by two workers.

    One epoch is what reading and counting weigh most in; five are the default of both libraries.

    The order of drawn numbers is each library's own, so the trained vectors differ; compared is their loss on the same
    pairs and the same drawn words. How both do on a similarity set: `tests/benchmarks/skipgram_quality.py`.
    """

    lines: int = 25_000
    dim: int = 100
    window: int = 5
    negatives: int = 5
    min_count: int = 5
    epochs: int = 5
    folder: str = ""
    first_tolerance: ClassVar[float] = 0.05
    later_tolerance: ClassVar[float] = 0.05
    steps: ClassVar[int] = 1

    def prepared(self, settings: Any) -> Workload:
        """With the text from the shared data sets, where they are."""
        return replace(self, folder=str(settings.folder or ""))

    def threads(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Two workers, unless only other numbers are wanted."""
        return (WORKERS,) if WORKERS in wanted else wanted

    def amount(self, arrays: Arrays) -> tuple[float | None, str]:
        """The words of the file, once per epoch."""
        return float(len(arrays["text"].tobytes().split()) * self.epochs), "words"

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The file, words between spaces, as bytes; pairs of near words, and drawn ones, as numbers of `names`."""
        lines = [" ".join(words) for words in map(english_words, texts(self.folder)) if words]
        chosen = [lines[i % len(lines)] for i in range(self.lines)]
        corpus = read_corpus(map(str.split, chosen), self.min_count)
        places = rng.integers(0, len(corpus.words) - self.window, PAIRS)
        pairs = corpus.words[np.stack([places, places + rng.integers(1, self.window + 1, PAIRS)], 1)]
        noise = corpus.counts() ** NOISE_POWER
        drawn = rng.choice(len(noise), (PAIRS, self.negatives), p=noise / noise.sum())
        text = np.frombuffer("\n".join(chosen).encode("utf-8"), np.uint8)
        names = np.array(corpus.vocabulary.tokens)
        return {"text": text, "pairs": pairs, "drawn": drawn, "names": names}

    def tinyslm(self, arrays: Arrays) -> Session:
        """Ours."""
        return OurSkipGram(self, arrays)

    def gensim(self, arrays: Arrays) -> Session:
        """Gensim's, which reads the file by its own compiled code."""
        return GensimSkipGram(self, arrays)


def texts(folder: str) -> Iterator[str]:
    """Shakespeare's lines and the movie reviews from the shared data sets, else the bundled stories."""
    if not folder:
        yield from load_text("stories").splitlines()
        return
    yield from load_text("tinyshakespeare", folder).splitlines()
    yield from load_table("mr_polarity", folder).texts


class _SkipGram:
    """What both share: the file on the disk, and the loss of the vectors that were learned last."""

    def __init__(self, sizes: SkipGramText, arrays: Arrays):
        self.sizes, self.workers, self.runs = sizes, get_num_threads(), 0
        self.pairs, self.drawn, self.names = arrays["pairs"], arrays["drawn"], arrays["names"].tolist()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "text.txt"
        self.path.write_bytes(arrays["text"].tobytes())

    def step(self) -> float:
        """Learn vectors from the file; their loss on the sample, which takes no time worth mentioning."""
        self.runs += 1
        words, vectors, outputs = self.learn()
        index = {word: i for i, word in enumerate(words)}
        rows = np.array([index[name] for name in self.names])
        return skipgram_loss(vectors[rows], outputs[rows], self.pairs, self.drawn)

    def learn(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """Words, vectors, output vectors."""
        raise NotImplementedError

    def tensors(self) -> dict[str, np.ndarray]:
        """Nothing beside the loss."""
        return {}

    def outcome(self, loss: float) -> np.ndarray:
        """The loss."""
        return np.asarray(loss)


class OurSkipGram(_SkipGram):
    """`train_skipgram` of tinyslm."""

    def learn(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """Learn."""
        s = self.sizes
        model = train_skipgram(
            self.path, s.dim, s.window, s.negatives, s.epochs, s.min_count, workers=self.workers, split=str.split,
            rng=np.random.default_rng(self.runs),
        )  # fmt: skip
        return model.vocabulary.tokens, model.vectors, model.outputs


class GensimSkipGram(_SkipGram):
    """`Word2Vec` of gensim."""

    def learn(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """Learn."""
        from gensim.models import Word2Vec

        s = self.sizes
        model = Word2Vec(
            corpus_file=str(self.path), sg=1, vector_size=s.dim, window=s.window, negative=s.negatives, epochs=s.epochs,
            min_count=s.min_count, sample=1e-3, workers=self.workers, seed=self.runs,
        )  # fmt: skip
        return model.wv.index_to_key, model.wv.vectors, model.syn1neg


ROWS = [
    SkipGramText("W8-1", "skip-gram with negative sampling from a text file, two workers, 1 epoch", 2.0, 3.0, epochs=1),
    SkipGramText("W8-5", "skip-gram with negative sampling from a text file, two workers, 5 epochs", 2.0, 3.0),
]
