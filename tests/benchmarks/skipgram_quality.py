"""Word vectors of tinyslm and gensim from one text: correlation with human judgements, and the loss.

    python tests/benchmarks/skipgram_quality.py TEXT SIMILARITIES [--seeds 3] [--epochs 5] [--no-gensim]

TEXT: a sentence per line, words between spaces. SIMILARITIES: lines "word <TAB> word <TAB> score", such as WordSim-353.
The loss is the mean over the same pairs and the same drawn words for both.
"""

import argparse
from pathlib import Path

import numpy as np

from tinyslm.models.skipgram import NOISE_POWER, read_corpus, skipgram_loss, train_skipgram

WINDOW, NEGATIVES, PAIRS = 5, 5, 50_000


def main():
    options = parse()
    judged = [line.lower().split("\t") for line in Path(options.similarities).read_text(encoding="utf-8").splitlines()]
    judged = [(a, b, float(score)) for a, b, score in judged]
    case = evaluation(options.text)
    sides = {"tinyslm": ours} if options.no_gensim else {"tinyslm": ours, "gensim": gensim}
    for seed in range(options.seeds):
        for name, train in sides.items():
            words, vectors, outputs = train(options.text, options.epochs, seed)
            rank, used = correlation(words, vectors, judged)
            found = f"Spearman {rank:.4f} on {used} pairs, loss {loss(words, vectors, outputs, case):.4f}"
            print(f"{name:8} seed {seed}: {found}", flush=True)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("similarities")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--no-gensim", action="store_true")
    return parser.parse_args()


def ours(text, epochs, seed):
    """Words, vectors, output vectors."""
    rng = np.random.default_rng(seed)
    model = train_skipgram(text, window=WINDOW, negatives=NEGATIVES, epochs=epochs, split=str.split, rng=rng)
    return list(model.vocabulary.tokens), model.vectors, model.outputs


def gensim(text, epochs, seed):
    """The same by gensim, with the same settings; its learning rate ends at the same value, too."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        corpus_file=text, sg=1, vector_size=100, window=WINDOW, negative=NEGATIVES, epochs=epochs, min_count=5,
        sample=1e-3, workers=2, seed=seed,
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
    """Spearman's rank correlation between cosines and scores, and on how many pairs of known words."""
    index = {word: i for i, word in enumerate(words)}
    known = [(index[a], index[b], score) for a, b, score in judged if a in index and b in index]
    a, b, scores = (np.array(column) for column in zip(*known, strict=True))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ranks = [mean_ranks(values) for values in ((unit[a] * unit[b]).sum(1), scores)]
    return np.corrcoef(*ranks)[0, 1], len(known)


def mean_ranks(values):
    """The rank of each value; equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[inverse]


if __name__ == "__main__":
    main()
