"""B1 and B2: word counts and their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np

from ..questions import Answer, asks
from ..record import Finding, Formula, Reading, Record

Corpus = Sequence[Sequence[str]]  # documents, each a list of words

WEATHER: Corpus = tuple(
    text.split()
    for text in (
        "the rain falls and the wind blows",
        "the wind falls and the rain stops",
        "snow falls when the wind stops",
        "the sun shines and snow melts",
    )
)
REFRAIN: Corpus = (["na", "na", "na", "na", "hey"], ["na", "na", "hey", "ho"])  # 3 different words, one of them 6 times


def words_in(corpus: Corpus) -> list[str]:
    """All words of all documents, in order, repeated as they occur."""
    return list(chain.from_iterable(corpus))


def vocabulary(corpus: Corpus) -> list[str]:
    """The different words, in alphabetical order."""
    return sorted(set(words_in(corpus)))


# -- B1: (word, document, corpus) -> count ----------------------------------------------------------------------------


def count_in_corpus(word: str, document: Sequence[str], corpus: Corpus) -> float:
    """As printed."""
    return float(words_in(corpus).count(word))


def count_in_document(word: str, document: Sequence[str], corpus: Corpus) -> float:
    """Repaired: term frequency is a property of a word in one document."""
    return float(list(document).count(word))


@asks("symmetry", "Does a word have a higher count in a document where it occurs more often?")
def tells_documents_apart(tf: Formula) -> Answer:
    """Where the counts in two documents differ, so must tf."""
    first, last = (tf("the", WEATHER[k], WEATHER) for k in (0, 3))
    return Answer(first > last, f"'the' in a document that holds it twice, then once: {first:g} and {last:g}")


@asks("limits", "Is it 0 for a word that the document does not hold?")
def zero_if_absent(tf: Formula) -> Answer:
    """A word of another document."""
    got = tf("sun", WEATHER[0], WEATHER)
    return Answer(got == 0, f"'sun' in a document without it: {got:g}")


@asks("scaling", "Does the count of a document stay when the corpus grows by other documents?")
def own_to_document(tf: Formula) -> Answer:
    """The same document in a corpus of twice the size."""
    before, after = (tf("the", WEATHER[0], corpus) for corpus in (WEATHER, (*WEATHER, *WEATHER)))
    return Answer(before == after, f"{before:g}, then {after:g}")


def two_documents() -> Answer:
    """What the printed count and the count per document say about two documents."""
    printed, repaired = ([f("the", WEATHER[k], WEATHER) for k in (0, 3)] for f in (count_in_corpus, count_in_document))
    text = f"'the': printed {printed[0]:g} and {printed[1]:g}, per document {repaired[0]:g} and {repaired[1]:g}"
    return Answer(printed == [6, 6] and repaired == [2, 1], text)


# -- B2: (word, corpus) -> weight -------------------------------------------------------------------------------------


def over_tokens(word: str, corpus: Corpus) -> float:
    """As printed, N the number of words with their repeats: the surprisal -log2 p(word)."""
    words = words_in(corpus)
    return float(np.log2(len(words) / words.count(word)))


def over_vocabulary(word: str, corpus: Corpus) -> float:
    """As printed, N the number of different words."""
    return float(np.log2(len(vocabulary(corpus)) / words_in(corpus).count(word)))


def over_documents(word: str, corpus: Corpus) -> float:
    """log2(N / df): documents, and documents that hold the word."""
    return float(np.log2(len(corpus) / sum(word in document for document in corpus)))


@asks("range", "Is it at least 0 for every word, so that B3 has a root to take?")
def not_negative(idf: Formula) -> Answer:
    """Also in a corpus where one word occurs more often than there are different words."""
    found = {w: idf(w, corpus) for corpus in (WEATHER, REFRAIN) for w in vocabulary(corpus)}
    word = min(found, key=lambda w: found[w])
    return Answer(found[word] >= 0, f"the least is {found[word]:.3f}, of '{word}'", {"least": found[word]})


@asks("symmetry", "Do the documents matter: is a word kept to one document rarer than the same count in several?")
def documents_matter(idf: Formula) -> Answer:
    """Twice 'x' in one of two documents, or once in each."""
    together, apart = (list("xxy"), list("yyz")), (list("xyy"), list("xyz"))
    a, b = idf("x", together), idf("x", apart)
    return Answer(a > b, f"{a:.3f} together, {b:.3f} apart", {"together": a, "apart": b})


@asks("limits", "Is it 0 for a word that stands in every document?")
def zero_if_everywhere(idf: Formula) -> Answer:
    """'the' is in all four documents and tells nothing about which one it is."""
    got = idf("the", WEATHER)
    return Answer(abs(got) < 1e-12, f"'the': {got:.3f}", {"the": got})


def entropy(corpus: Corpus) -> float:
    """H = -sum p log2 p over the words of a corpus, in bits."""
    counts = np.array(list(Counter(words_in(corpus)).values()))
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def mean_product(corpus: Corpus, idf: Callable[[str, Corpus], float] = over_tokens) -> float:
    """sum over the vocabulary of tf idf / N, tf the count in the corpus and N the number of words."""
    words = words_in(corpus)
    return sum(words.count(w) * idf(w, corpus) for w in vocabulary(corpus)) / len(words)


def entropy_identity() -> Answer:
    """tf / N is p and idf is -log2 p, so the sum is the entropy, term by term."""
    gap = abs(mean_product(WEATHER) - entropy(WEATHER))
    text = f"{mean_product(WEATHER):.6f} bits, entropy {entropy(WEATHER):.6f}, difference {gap:.1g}"
    return Answer(gap < 1e-14, text, {"entropy": entropy(WEATHER), "difference": gap})


def negative_weight() -> Answer:
    """The frequent word of a small song, with N the size of the vocabulary."""
    got = over_vocabulary("na", REFRAIN)
    return Answer(got == -1, f"'na' 6 times among 3 different words: log2(3 / 6) = {got:g}", {"idf": got})


RECORDS = (
    Record(
        "B1",
        "4.1, word embedding",
        "term frequency",
        "wrong: notation",
        "tf is counted by going through the corpus; it is given as the first step of GloVe.",
        r"tf(w_i) = \text{occurrences of } w_i \text{ in the corpus}",
        (
            Reading("count over the whole corpus", count_in_corpus),
            Reading(
                "count in one document",
                count_in_document,
                "the text says corpus, and B2 uses the same count over the corpus",
            ),
        ),
        (tells_documents_apart, zero_if_absent, own_to_document),
        r"tf(w_i, d) = \text{occurrences of } w_i \text{ in document } d",
        count_in_document,
        (Finding("one count for all documents", two_documents),),
        source="H. P. Luhn 1957; C. D. Manning, P. Raghavan and H. Schütze, Introduction to information retrieval, 6.2",
        note="A count over the corpus is a right count, but its name is collection frequency.",
    ),
    Record(
        "B2",
        "4.1, word embedding",
        "inverse frequency",
        "wrong: notation",
        "N is the number of words of the corpus, n_i the occurrences of word i. The article writes idf and calls it "
        "inverse word frequency: frequent words get small values.",
        r"idf(w_i) = \log_2(\frac{N}{n_i})",
        (
            Reading("N counts all words", over_tokens),
            Reading("N counts different words", over_vocabulary),
            Reading("N and n_i count documents", over_documents, "the text says that N counts words, n_i occurrences"),
        ),
        (not_negative, documents_matter, zero_if_everywhere),
        r"idf(w_i) = \log_2 \frac{N_\text{docs}}{df(w_i)}",
        over_documents,
        (
            Finding("N all words: sum of tf idf / N is the entropy of the words", entropy_identity),
            Finding("N different words: a frequent word gets a negative weight", negative_weight),
        ),
        "K. Spärck Jones, A statistical interpretation of term specificity, Journal of Documentation 28 (1972) 11",
        note="With N all words it is the surprisal -log2 p(w), a good quantity under another name: documents do not "
        "enter it. The article's own word for it fits that reading better than its symbol.",
    ),
)
