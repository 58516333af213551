"""Word vectors of tinyslm and gensim from one text: correlation with human judgements, and the loss, over many seeds.

    python tests/benchmarks/skipgram_quality.py DATA_FOLDER --wikipedia --epochs 10 --seeds 6
    python tests/benchmarks/skipgram_quality.py DATA_FOLDER [--text FILE] [--workers 2] [--no-gensim]

DATA_FOLDER: the shared data sets. The text is that of row W8, all of it, unless FILE names another: a sentence per
line, words between spaces. From these 405,000 words nobody learns similarities (correlations near 0), so --wikipedia
adds 206 articles that come with gensim's tests and the English sentences of Tatoeba, 1 million words in all.

The lines are put in one random order. In gensim the learning rate falls with the sentences that are done, here, as in
word2vec's own code, with the words. W8's text begins with its short lines: in their order, gensim is through three
quarters of an epoch's fall when half of the words are done, and ends with a loss 1.3 % lower, for a reason that has
nothing to do with either's loops.

The judgements are WordSim-353 and SimLex-999. Both sides get the same settings; each seed is a training of its own,
and the last lines give means and standard errors over the seeds, and of the differences. The loss is the mean over the
same pairs and the same drawn words for both.
"""

import argparse
import bz2
import tempfile
from pathlib import Path

import numpy as np

from tinyslm.bench.workloads.w8_skipgram import texts
from tinyslm.cli.console import errors_in_words
from tinyslm.models.skipgram import NOISE_POWER, english_words, read_corpus, skipgram_loss, train_skipgram

WINDOW, NEGATIVES, PAIRS = 5, 5, 50_000
SETS = {"WordSim": "EN-WS-353-ALL.txt", "SimLex": "EN-SIMLEX-999.txt"}


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        compare(options, write_text(options, Path(folder) / "text.txt"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--wikipedia", action="store_true")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-gensim", action="store_true")
    return parser.parse_args()


def write_text(options, path):
    """The lines in one random order, in a file."""
    raw = options.text.read_text(encoding="utf-8").splitlines() if options.text else w8_lines(options)
    lines = [line for line in raw if line]
    order = np.random.default_rng(0).permutation(len(lines))
    path.write_text("\n".join(lines[i] for i in order), encoding="utf-8")
    return path


def w8_lines(options):
    """W8's lines, cut into words, and on request those of more texts."""
    more = [*wikipedia(), *tatoeba(options.data)] if options.wikipedia else []
    return [" ".join(words) for words in map(english_words, [*texts(str(options.data)), *more])]


def wikipedia():
    """The paragraphs of the articles that are installed with gensim, 460,000 words."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    with bz2.open(datapath("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2")) as file:
        pages = [filter_wiki(text) for _, text, _ in extract_pages(file, filter_namespaces=("0",))]
    return [line for page in pages for line in page.split("\n") if len(line.split()) > 5]


def tatoeba(data):
    """The English sentences of the pairs."""
    lines = (data / "tatoeba_cmn_eng" / "cmn_shared.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[0] for line in lines]


def compare(options, text):
    """Train both sides for every seed and print what came out."""
    judged = {name: judgements(options.data / "word_similarity" / file) for name, file in SETS.items()}
    case = evaluation(text)
    sides = {"tinyslm": ours} if options.no_gensim else {"tinyslm": ours, "gensim": gensim}
    found = {name: [] for name in sides}
    for seed in range(options.seeds):
        for name, train in sides.items():
            words, vectors, outputs = train(text, options.epochs, options.workers, seed)
            ranks = [correlation(words, vectors, pairs) for pairs in judged.values()]
            found[name].append([*ranks, loss(words, vectors, outputs, case)])
            print(f"{name:8} seed {seed}: {line(found[name][-1])}", flush=True)
    summarise({name: np.array(values) for name, values in found.items()})


def summarise(found):
    """Means, standard errors, and the differences where there are two sides."""
    for name, values in found.items():
        print(f"== {name:8} {line(values.mean(0), error(values))}")
    if len(found) == 2:
        a, b = found.values()  # the seeds of both have nothing to do with each other: errors add as squares
        print(f"== ours less theirs {line(a.mean(0) - b.mean(0), np.hypot(error(a), error(b)))}")


def error(values):
    """The standard error of the mean over the seeds."""
    return values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1], np.nan)


def line(values, errors=None):
    """Numbers with their names."""
    texts = [f"{v:.4f}" if errors is None else f"{v:.4f} +- {e:.4f}" for v, e in zip(values, _like(values, errors))]  # noqa: B905
    return ", ".join(f"{name} {text}" for name, text in zip((*SETS, "loss"), texts, strict=True))


def _like(values, errors):
    return values if errors is None else errors


def judgements(path):
    """Pairs of words and their score."""
    rows = (line.lower().split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [(a, b, float(score)) for a, b, score in rows]


def ours(text, epochs, workers, seed):
    """Words, vectors, output vectors."""
    model = train_skipgram(
        text, window=WINDOW, negatives=NEGATIVES, epochs=epochs, workers=workers, split=str.split,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return list(model.vocabulary.tokens), model.vectors, model.outputs


def gensim(text, epochs, workers, seed):
    """The same by gensim, with the same settings; its learning rate ends at the same value, too."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        corpus_file=str(text), sg=1, vector_size=100, window=WINDOW, negative=NEGATIVES, epochs=epochs, min_count=5,
        sample=1e-3, alpha=0.025, min_alpha=1e-4, workers=workers, seed=seed + 1,
    )  # fmt: skip
    return model.wv.index_to_key, model.wv.vectors, model.syn1neg


def evaluation(text):
    """Words of a sample of pairs within the window, and for each pair drawn words."""
    rng = np.random.default_rng(0)
    corpus = read_corpus((line.split() for line in Path(text).read_text(encoding="utf-8").splitlines()), 5)
    places = rng.choice(len(corpus.words) - WINDOW, PAIRS, replace=False)
    pairs = corpus.words[np.stack([places, places + rng.integers(1, WINDOW + 1, PAIRS)], 1)]
    noise = corpus.counts() ** NOISE_POWER
    drawn = rng.choice(len(noise), (PAIRS, NEGATIVES), p=noise / noise.sum())
    return corpus.vocabulary.tokens, pairs, drawn


def loss(words, vectors, outputs, case):
    """The mean loss of the sample, its words looked up in the model's own order."""
    index = {word: i for i, word in enumerate(words)}
    tokens, pairs, drawn = case
    rows = np.array([index[word] for word in tokens])
    return skipgram_loss(vectors[rows], outputs[rows], pairs, drawn)


def correlation(words, vectors, judged):
    """Spearman's rank correlation between cosines and scores, over the pairs of known words."""
    index = {word: i for i, word in enumerate(words)}
    known = [(index[a], index[b], score) for a, b, score in judged if a in index and b in index]
    a, b, scores = (np.array(column) for column in zip(*known, strict=True))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ranks = [mean_ranks(values) for values in ((unit[a] * unit[b]).sum(1), scores)]
    return np.corrcoef(*ranks)[0, 1]


def mean_ranks(values):
    """The rank of each value; equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[inverse]


if __name__ == "__main__":
    with errors_in_words():
        main()
