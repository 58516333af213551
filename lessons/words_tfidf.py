# %% [markdown]
# # Counts are not vectors: tf and idf as printed
#
# What do the three formulas compute that article B gives for word vectors? And what would a formula have to look at to
# say something about documents?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | size |
# |---|---|---|
# | $w$ | a word of the vocabulary | $V$ words |
# | $n_w$ | occurrences of $w$ in the whole corpus | whole number |
# | $n_{w,d}$ | occurrences of $w$ in document $d$ | whole number |
# | $N$ | article B: the number of words; all tokens, or $V$? | number |
# | $D$, $D_w$ | documents, and documents that hold $w$ | whole numbers |
# | $p_w = n_w / N$ | share of the tokens | 0 to 1 |
# | $k$ | article B: a constant | number |

# %%
from collections import Counter
from math import e, fsum, log2

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

stories = [ts.text.words(story.lower()) for story in ts.data.load_text("stories").strip().split("\n\n\n")]
tokens = [word for story in stories for word in story]
counts = Counter(tokens)
per_story = [Counter(story) for story in stories]
N, V, D = len(tokens), len(counts), len(stories)
print(f"{D} stories, N = {N} tokens, V = {V} different words")

# %% [markdown]
# ## As printed: tf
#
# Article B, 4.1, "Word embedding" (B1). The article calls the number of occurrences in the corpus the term frequency.
# A term frequency belongs to a word in a document. A count over the corpus is the collection frequency.
#
# $$\mathrm{tf}(w) = n_w = \sum_d n_{w,d}$$

# %%
word = "goat"
in_each = [count[word] for count in per_story]
print(f"{word!r}: {counts[word]} in the corpus; in the stories that have it: {[n for n in in_each if n]}")
check("B1", "the printed count is the sum of the counts per story", sum(in_each) == counts[word])
differ = sum(len({count[w] for count in per_story}) > 1 for w in counts)
print(f"{differ} of {V} words have different counts in different stories; the printed tf has one number for all")
check("B1", "for most words the count depends on the document", differ > 0.9 * V, verdict="wrong: notation")

# %% [markdown]
# ## As printed: idf
#
# B2. The article calls $N$ the number of words. If all tokens are meant, then this is the surprisal $-\log_2 p_w$: how
# many bits it takes to say that a token is $w$.
#
# $$\mathrm{idf}(w) = \log_2 \frac{N}{n_w}$$


# %%
def idf(counts, N):
    return {w: log2(N / n) for w, n in counts.items()}


surprisal = idf(counts, N)
for w in ("the", "said", "river", "goat"):
    print(f"{w:6s} {counts[w]:5d} times: {surprisal[w]:.2f} bits")
check("B2", "N as tokens: never below 0", min(surprisal.values()) >= 0)

# %% [markdown]
# ## What tf and idf give together
#
# Add up tf times idf over all words, divide by $N$, and out comes the entropy of the words in bits: the mean number of
# yes-or-no questions that name a token. This holds for every corpus.
#
# $$\frac{1}{N} \sum_w \mathrm{tf}(w) \, \mathrm{idf}(w) = -\sum_w p_w \log_2 p_w = H$$


# %%
def mean_tf_idf(counts, values):
    return fsum(n * values[w] for w, n in counts.items()) / sum(counts.values())


def entropy(counts):
    p = np.array(list(counts.values())) / sum(counts.values())
    return -fsum(p * np.log2(p))


left, right = mean_tf_idf(counts, surprisal), entropy(counts)
print(f"stories: {left:.12f} and {right:.12f} bits")
check("B2", "the identity holds on the stories to rounding", abs(left - right) < 1e-12)
dyadic = Counter("aaaabbcd")  # shares 1/2, 1/4, 1/8, 1/8: no rounding at all
check("B2", "and exactly where no rounding occurs", mean_tf_idf(dyadic, idf(dyadic, 8)) == entropy(dyadic) == 1.75)

# %% [markdown]
# ## It breaks: the other reading, and no document
#
# If $N$ is the size of the vocabulary, the number depends on how long one reads: read the same stories twice and
# frequent words fall below 0. And under both readings a word that is in every story and one that fills a single story
# get the same number.

# %%
twice = Counter(tokens + tokens)
once_V, twice_V = idf(counts, V), idf(twice, V)
print(f"'the' with N = V: {once_V['the']:+.3f} read once, {twice_V['the']:+.3f} read twice")
check("B2", "N as vocabulary: reading twice turns 'the' negative", once_V["the"] > 0 > twice_V["the"])
stable = max(abs(idf(twice, 2 * N)[w] - surprisal[w]) for w in counts)
check("B2", "N as tokens: reading twice changes nothing", stable < 1e-12)
spread = {w: sum(w in count for count in per_story) for w in counts}
frequent = [w for w in counts if counts[w] >= 12]
pairs = [(a, b) for a in frequent for b in frequent if counts[a] == counts[b]]
a, b = max(pairs, key=lambda pair: spread[pair[0]] / spread[pair[1]])
print(f"{a!r} and {b!r}: {counts[a]} times each, in {spread[a]} and in {spread[b]} of {D} stories")
no_document = surprisal[a] == surprisal[b] and spread[a] > 3 * spread[b]
check("B2", "no document enters: equal counts, equal idf", no_document, verdict="wrong: notation")

# %% [markdown]
# ## As printed: the word vector
#
# B3, called a GloVe vector. There is no vector in it: it is one number per word.
#
# $$v(w) = \sqrt{\frac{\mathrm{tf}(w) \, \mathrm{idf}(w)}{k}}$$


# %%
def printed(counts, N, k=1.0):
    with np.errstate(invalid="ignore"):
        return {w: np.sqrt(n * np.log2(N / n) / k) for w, n in counts.items()}


v = printed(counts, N)
check("B3", "one number per word", all(np.ndim(value) == 0 for value in v.values()), verdict="wrong: shape")
print(f"{V} words share {len(set(v.values()))} different values")
check("B3", "words with equal counts coincide", len(set(v.values())) <= len(set(counts.values())) < V / 10)
halves = printed(Counter("aabc"), 4)
check("B3", "k divides under the root", np.isclose(2 * printed(Counter("aabc"), 4, k=4)["a"], halves["a"]))
check("B3", "even a share of 1/2 and one of 1/4 give the same number", halves["a"] == halves["b"])
shuffled = Counter(np.random.default_rng(0).permutation(tokens).tolist())
check("B3", "who stands beside whom does not matter: shuffled, all v are the same", printed(shuffled, N) == v)
check("B3", "with N = V, read twice: the root of a negative number", np.isnan(printed(twice, V)["the"]))

# %% [markdown]
# ## Repaired: idf over documents
#
# Count documents, not tokens. A word in all stories gets 0: it tells none apart. What B3 promises, vectors from
# co-occurrence, needs an objective; that is the lesson on GloVe.
#
# $$\mathrm{idf}(w) = \log_2 \frac{D}{D_w}$$

# %%
repaired = {w: log2(D / spread[w]) for w in counts}
tf_idf = [{w: n * repaired[w] for w, n in count.items()} for count in per_story]
top = sorted(tf_idf[0], key=lambda w: -tf_idf[0][w])[:5]
print("first story, by count: ", [w for w, _ in per_story[0].most_common(5)])
print("first story, by tf-idf:", top)
check("B2", "repaired: the word that fills few stories gets more", repaired[b] > repaired[a] + 1.5)
check("B2", "repaired: words in every story get exactly 0", all(repaired[w] == 0 for w in counts if spread[w] == D))
check("B2", "repaired: the first story, a goat rings a bell, is known by it", {"bell", "pepper"} <= set(top))

# %% [markdown]
# ## The power of the check
#
# Four mistakes in idf: does the entropy identity see them?

# %%
mistakes = {
    "natural logarithm": {w: value * np.log(2) for w, value in surprisal.items()},
    "N = vocabulary": once_V,
    "upside down": {w: -value for w, value in surprisal.items()},
    "documents for tokens": repaired,
}
off = {name: abs(mean_tf_idf(counts, values) - right) for name, values in mistakes.items()}
print({name: f"{value:.2f} bits" for name, value in off.items()})
check("B2", "the identity tells all four from the surprisal", min(off.values()) > 0.5)

# %%
picture = Figure(figsize=(9, 4), layout="constrained")
left_panel, right_panel = picture.subplots(1, 2)
share = np.linspace(1e-4, 1, 2000)
left_panel.plot(share, np.sqrt(share * np.log2(1 / share)), color="#0072B2")
for p, label, place in ((0.5, "p = 1/2", 0.42), (0.25, "p = 1/4", 0.22)):
    left_panel.plot(p, np.sqrt(p * log2(1 / p)), "o", color="#D55E00")
    left_panel.annotate(label, (p, np.sqrt(p * log2(1 / p))), (place, 0.62))
left_panel.set(
    title="As printed: one number, not unique", xlabel="share p of the tokens", ylabel="v / sqrt(N), with k = 1"
)
right_panel.plot([surprisal[w] for w in counts], [repaired[w] for w in counts], ".", color="#0072B2", alpha=0.35)
for w, place in ((a, (22, -26)), (b, (-62, 12)), ("the", (4, 12))):
    right_panel.plot(surprisal[w], repaired[w], "o", color="#D55E00")
    right_panel.annotate(
        w, (surprisal[w], repaired[w]), place, textcoords="offset points", arrowprops={"arrowstyle": "-"}
    )
right_panel.set(title="Equal counts, different spread", xlabel="printed idf (bits)", ylabel="idf over documents (bits)")
figure(picture, "Left: 1/2 and 1/4 coincide. Right: words on one vertical line have the same count and the same v.")

# %% [markdown]
# ## Your turn
#
# 1. For which share $p$ is the printed $v$ largest? Expected: $1/e$; more frequent words get smaller again.
# 2. Give every story a vector of $V$ tf-idf numbers and find the two most similar stories by cosine. Expected: they
#    share a name or a thing, not only "the" and "and".

# %% [markdown]
# ## Limits and sources
#
# B1 and B2 are good formulas under wrong names: collection frequency and surprisal. Only B3's claim to be a vector
# fails. The logarithm's base and the smoothing of idf differ between libraries; that changes no ranking of idf.
#
# K. Spärck Jones, Journal of Documentation 28 (1972) 11 (idf). C. Shannon, Bell System Technical Journal 27 (1948) 379.

# %% solution
best = share[np.argmax(share * np.log2(1 / share))]
check("B3", "v is largest at p = 1/e", abs(best - 1 / e) < 1e-3)
index = {w: i for i, w in enumerate(counts)}
X = np.zeros((D, V))
for d, weights in enumerate(tf_idf):
    X[d, [index[w] for w in weights]] = list(weights.values())
X /= np.linalg.norm(X, axis=1, keepdims=True)
likeness = X @ X.T - 2 * np.eye(D)
i, j = np.unravel_index(likeness.argmax(), likeness.shape)
shared = sorted(set(tf_idf[i]) & set(tf_idf[j]), key=lambda w: -tf_idf[i][w] * tf_idf[j][w])[:4]
print(f"stories {i + 1} and {j + 1}, cosine {likeness[i, j]:.2f}, above all through {shared}")
check("B2", "what they share are rare words", max(spread[w] for w in shared[:2]) < D / 4)
