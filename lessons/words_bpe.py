# %% [markdown]
# # Pieces of words: byte-pair encoding
#
# A list of words meets words that it does not have. A list of letters needs many steps for every word. Can a program
# find pieces in between, and how well do they shorten a text?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning |
# |---|---|
# | symbol | a byte, or two symbols that were joined |
# | pair | two symbols that stand side by side in a word |
# | $n(a, b)$ | how often the pair $(a, b)$ occurs in the text |
# | merge | make the most frequent pair one new symbol, everywhere |
# | $M$ | number of merges |

# %%
from collections import Counter
from itertools import pairwise

import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure

stories = ts.data.load_text("stories").strip().split("\n\n\n")
train, held_out = "\n\n\n".join(stories[:54]), "\n\n\n".join(stories[54:])

# %% [markdown]
# ## As printed
#
# Article A, 3.2, "Data preprocessing" (A14), speaks of words or pieces of words and gives no rule for the pieces. Here
# is one: start from single letters, and join what meets most often.
#
# $$(a, b) = \mathrm{argmax} \; n(a, b)$$

# %%
small = Counter({"low": 5, "lower": 2, "newest": 6, "widest": 3})


def count_pairs(words):
    """n(a, b) for words given as {tuple of symbols: how often}."""
    n = Counter()
    for word, times in words.items():
        for pair in pairwise(word):
            n[pair] += times
    return n


def merge(words, pair):
    """Join the pair everywhere, from the left."""
    joined = {}
    for word, times in words.items():
        symbols, i = [], 0
        while i < len(word):
            both = word[i : i + 2] == pair
            symbols.append(word[i] + word[i + 1] if both else word[i])
            i += 2 if both else 1
        joined[tuple(symbols)] = times
    return joined


def learn(counts, M):
    """The first M pairs: the most frequent one at each time; of equal ones the first in the alphabet."""
    words, merges = {tuple(word): times for word, times in counts.items()}, []
    for _ in range(M):
        n = count_pairs(words)
        if not n:
            break
        best = min(n, key=lambda pair: (-n[pair], pair))
        merges.append(best)
        words = merge(words, best)
    return merges, words


merges, words = learn(small, 4)
print("merges:", [a + "+" + b for a, b in merges])
print("words: ", [" ".join(word) for word in words])
n = count_pairs({tuple(word): times for word, times in small.items()})
check("A14", "the first pair occurs 9 times: six in newest, three in widest", n[merges[0]] == max(n.values()) == 9)
check("A14", "joined, the pieces are the words again", {"".join(word) for word in words} == set(small))

# %% [markdown]
# ## Each merge shortens the text by what it joins
#
# A pair that occurs $n$ times and does not overlap with itself saves $n$ symbols. So the most frequent pair is the best
# next step. It need not be the best two steps.

# %%
before = {tuple(word): times for word, times in small.items()}
lengths = [sum(len(word) * times for word, times in before.items())]
for pair in merges:
    saved = count_pairs(before)[pair]
    before = merge(before, pair)
    lengths.append(sum(len(word) * times for word, times in before.items()))
    check("A14", f"joining {pair[0]}+{pair[1]} saves what it occurs", lengths[-2] - lengths[-1] == saved)

# %% [markdown]
# ## A new word
#
# To cut a word, make the merges in the order they were learned. A word that was never seen is cut into pieces that
# were.


# %%
def cut(word, merges):
    symbols = {tuple(word): 1}
    for pair in merges:
        symbols = merge(symbols, pair)
    return next(iter(symbols))


print("lowest ->", cut("lowest", merges), "  slow ->", cut("slow", merges))
check("A14", "'lowest' was never seen: it is low and est", cut("lowest", merges) == ("low", "est"))
check("A14", "in another order the merges give other pieces", cut("lowest", merges[::-1]) != cut("lowest", merges))

# %% [markdown]
# ## Trained on the stories
#
# `ts.text.BPE` works on bytes, so that every text in the world can be cut, and keeps the blank before a word with the
# word. 54 stories to learn from, 6 kept out.

# %%
tokenizer = ts.text.BPE.train(train, 256 + 600)
sample = "Once upon a time a zebra sneezed: 你好!"
print(tokenizer.tokens(sample))
back = [tokenizer.decode(tokenizer.encode(text)) for text in (sample, held_out)]
check("A14", "every text comes back unchanged, Chinese and unseen words as well", back == [sample, held_out])
vocabulary = ts.text.Vocabulary.build([ts.text.words(train.lower())])
unknown = [word for word in ts.text.words(held_out.lower()) if word not in vocabulary]
share = len(unknown) / len(ts.text.words(held_out))
print(f"a list of all words: {share:.1%} of the words kept out are not on it, such as {unknown[:4]}")
check("A14", "a list of words does not know over five in a hundred", share > 0.05)

# %% [markdown]
# ## How much shorter?
#
# Bytes per token on the stories kept out, for more and more merges. The merges are in order, so the first ones of a
# large tokenizer are a small tokenizer.

# %%
counts = [0, 25, 50, 100, 200, 400, 800, 1600]
large = ts.text.BPE.train(train, 256 + max(counts), min_count=2)
data = large.to_json()
ratios = {"54 stories, learned from": [], "6 stories, kept out": []}
for M in counts:
    part = ts.text.BPE.from_json(data | {"merges": data["merges"][:M]})
    for text, row in zip((train, held_out), ratios.values(), strict=True):
        row.append(len(text.encode()) / len(part.encode(text)))
for M, inside, outside in zip(counts, *ratios.values(), strict=True):
    print(f"{M:5d} merges: {inside:.2f} bytes per token learned from, {outside:.2f} kept out")
learned, unseen = map(np.array, ratios.values())
check("A14", "no merges: one byte per token", learned[0] == unseen[0] == 1)
check("A14", "more merges, longer tokens, also on text kept out", (np.diff(unseen) > 0).all())
check("A14", "from 200 merges on, text kept out is cut shorter than the other", (unseen[4:] < learned[4:]).all())
nested = ts.text.BPE.train(train, 256 + 100).to_json()["merges"]
check("A14", "the first 100 merges of 1600 are the 100 of a smaller training", data["merges"][:100] == nested)

# %% [markdown]
# ## The power of the check
#
# Three mistakes in `cut`, and whether the round trip or the merges' order finds them.


# %%
def overlapping(word, merges):  # wrong on purpose: joins at every place, also where a part is used up
    for pair in merges:
        word = tuple(a + b if (a, b) == pair else a for a, b in pairwise((*word, ""))) if len(word) > 1 else word
    return word


mistakes = {
    "used symbols stay": lambda word: overlapping(tuple(word), merges),
    "merges backwards": lambda word: cut(word, merges[::-1]),
    "last letter dropped": lambda word: cut(word, merges)[:-1],
}
for name, wrong in mistakes.items():
    lost = "".join(wrong("lowest")) != "lowest"
    print(f"{name:20s} {wrong('lowest')}: the round trip {'finds' if lost else 'does not find'} it")
    check("A14", f"'{name}' is found by comparing pieces", tuple(wrong("lowest")) != cut("lowest", merges))
check("A14", "the round trip does not find the wrong order", "".join(cut("lowest", merges[::-1])) == "lowest")

# %%
shown = np.maximum(counts, 12)  # a logarithmic axis has no 0
across = "merges (the first point: none)"
picture = ts.plot.lines(shown, ratios, across, "bytes per token", "Longer pieces, shorter texts", log="x")
figure(picture, "The curve for text kept out falls behind: late merges learn words that only the others have.")

# %%
longest = sorted(set(large.tokens(train)), key=lambda token: (-len(token), token))[:5]
sizes = {}
for M in (100, 400, 1600):
    part = ts.text.BPE.from_json(data | {"merges": data["merges"][:M]})
    found = Counter(len(token) for token in part.tokens(held_out))
    sizes[f"{M} merges"] = [found[k] for k in range(1, 11)]
across = "characters of a token, blank included"
picture = ts.plot.lines(np.arange(1, 11), sizes, across, "tokens in the stories kept out", "How long the pieces are")
figure(picture, f"Among the longest pieces: {', '.join(token.strip() for token in longest)}.")

# %% [markdown]
# ## Your turn
#
# 1. Train on the first story alone with 200 merges and cut the last one. Expected: fewer bytes per token than with 54
#    stories.
# 2. Which pair does `learn` join first in "aaa" (once)? Expected: a+a, at one place only: the pair occurs twice, but
#    overlaps, and saves one symbol.

# %% [markdown]
# ## Limits and sources
#
# Shorter is not the same as better: whether a model learns more with long pieces is not measured here. The merges know
# nothing of meaning or grammar; "est" is found because it is frequent.
#
# P. Gage, C Users Journal 12 (1994) 23. R. Sennrich, B. Haddow and A. Birch, ACL 2016 (for words; the example with low,
# newest and widest is theirs).

# %% solution
one = ts.text.BPE.train(stories[0], 256 + 200)
many = ts.text.BPE.train(train, 256 + 200)
few, more = (len(stories[-1].encode()) / len(t.encode(stories[-1])) for t in (one, many))
print(f"bytes per token on the last story: {few:.2f} learned from one story, {more:.2f} from 54")
check("A14", "one story teaches less than 54", few < more)
first, pieces = learn(Counter(["aaa"]), 1)
check("A14", "aaa: the pair a+a, joined at one place", first == [("a", "a")] and list(pieces) == [("aa", "a")])
