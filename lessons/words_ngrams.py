# %% [markdown]
# # Counting what comes next: n-grams and maximum entropy
#
# How far does one get without any network: by counting which letter follows which? These are the baselines that every
# model of language has to beat.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning |
# |---|---|
# | $c_i$ | letter (or blank, or mark) at place $i$ of the text; $N$ places |
# | $V$ | different letters |
# | $h$ | history: the last $n - 1$ letters |
# | $n(h), n(h, c)$ | how often $h$ occurs, and how often $c$ follows it |
# | $t(h)$ | how many different letters follow $h$ |
# | $PP$ | perplexity: among how many equally likely letters one would have to choose |

# %%
from collections import Counter, defaultdict

import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
stories = [" ".join(story.lower().split()) + "\n" for story in ts.data.load_text("stories").strip().split("\n\n\n")]
train, held_out = "".join(stories[:54]), "".join(stories[54:])
letters = sorted(set(train))
V, ORDERS = len(letters), range(1, 7)
check("", "every letter of the stories kept out occurs in the others", set(held_out) <= set(train))
print(f"{len(train)} letters to learn from, {len(held_out)} kept out, V = {V}")

# %% [markdown]
# ## Named, not printed
#
# Article A, 1, "The evolution of language models", names n-gram and maximum-entropy models and prints no formula. The
# simplest n-gram model divides counts:
#
# $$p(c \mid h) = \frac{n(h, c)}{n(h)}$$

# %%
follow = {n: defaultdict(Counter) for n in ORDERS}  # follow[n][h][c]: how often c follows the n - 1 letters h
for n in ORDERS:
    for i in range(n - 1, len(train)):
        follow[n][train[i - n + 1 : i]][train[i]] += 1


def divide(c, h):
    seen = follow[len(h) + 1].get(h)
    return seen[c] / seen.total() if seen else 0.0


print("after 'th':", {c: round(divide(c, "th"), 3) for c, _ in follow[3]["th"].most_common(4)})
sums = [sum(divide(c, h) for c in letters) for h in ("", "q", "th", "once ")]
check("", "each history's probabilities add up to 1", np.allclose(sums, 1))

# %% [markdown]
# ## How good is it?
#
# Perplexity: the probability that the model gives to the text, per letter, turned over.
#
# $$PP = \exp \left( -\frac{1}{N} \sum_i \ln p(c_i \mid h_i) \right)$$


# %%
def perplexity(model, text, n):
    p = np.array([model(text[i], text[i - n + 1 : i]) for i in range(max(ORDERS) - 1, len(text))])
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.log(p).mean()))


inside = {n: perplexity(divide, train[:4000], n) for n in ORDERS}
outside = {n: perplexity(divide, held_out, n) for n in ORDERS}
for n in ORDERS:
    print(f"n = {n}: perplexity {inside[n]:6.2f} on text it counted, {outside[n]:6.2f} on text kept out")
check("", "a model that knows nothing has perplexity V", np.isclose(perplexity(lambda c, h: 1 / V, held_out, 1), V))
check("", "on text it counted, longer histories only get better", (np.diff(list(inside.values())) < 0).all())

# %% [markdown]
# ## It breaks: what was never seen
#
# One letter after a history that it never followed has probability 0, and the perplexity of the whole text is infinite.
# Long histories make that certain.

# %%
new = np.mean([held_out[i - 3 : i + 1] not in train for i in range(3, len(held_out))])
print(f"{new:.1%} of the runs of four letters in the stories kept out never occur in the others")
check("", "n = 4: some runs are new, so the perplexity is infinite", new > 0 and np.isinf(outside[4]))

# %% [markdown]
# ## Repaired: ask the shorter history
#
# Witten and Bell: a history that was followed by many different letters will be followed by new ones. Give those as
# much weight as there were different letters, and spread it as the next shorter history says.
#
# $$p_n(c \mid h) = \frac{n(h, c) + t(h) \, p_{n-1}(c \mid h')}{n(h) + t(h)}$$
#
# Here $h'$ is $h$ without its first letter, and below $n = 1$ all letters are alike.


# %%
def witten_bell(c, h, shorter=None):
    if shorter is None:
        shorter = witten_bell(c, h[1:]) if h else 1 / V
    seen = follow[len(h) + 1].get(h)
    return (seen[c] + len(seen) * shorter) / (seen.total() + len(seen)) if seen else shorter


def add_one(c, h):
    seen = follow[len(h) + 1].get(h, Counter())
    return (seen[c] + 1) / (seen.total() + V)


curves = {"add one": {}, "Witten-Bell": {}}
for n in ORDERS:
    curves["add one"][n] = perplexity(add_one, held_out, n)
    curves["Witten-Bell"][n] = perplexity(witten_bell, held_out, n)
    print(f"n = {n}: kept out, add one {curves['add one'][n]:6.2f}, Witten-Bell {curves['Witten-Bell'][n]:6.2f}")
sums = [sum(model(c, h) for c in letters) for model in (add_one, witten_bell) for h in ("th", "zzzz", "once ")]
check("", "both give probabilities that add up to 1, also after histories never seen", np.allclose(sums, 1))
add, back = (np.array(list(curve.values())) for curve in curves.values())
check(
    "", "add one: the best history is short, and longer ones get worse", add.argmin() < 4 and add[-1] > 1.2 * add.min()
)
check("", "Witten-Bell: better than add one at every length from 3 on", (back[2:] < add[2:]).all())
check("", "Witten-Bell with n = 5: below a third of what frequencies alone give", back[4] < back[0] / 3)

# %% [markdown]
# ## Maximum entropy
#
# Do not count histories; score features and add up. Here: which letter stands one, two, three places before. Each pair
# of a feature and a next letter has a number $s$.
#
# $$p(c \mid h) = \frac{\exp \sum_k s_k(h_k, c)}{\sum_{c'} \exp \sum_k s_k(h_k, c')}$$
#
# Of all distributions in which each feature is as frequent as in the text, this is the one of largest entropy.

# %%
number = {c: i for i, c in enumerate(letters)}
K = 3


def histories(text):
    """(N, K) numbers of the features: block k holds the letter k + 1 places before; and (N,) the next letters."""
    ids = np.array([number[c] for c in text])
    return np.stack([ids[K - 1 - k : len(ids) - 1 - k] + k * V for k in range(K)], axis=1), ids[K:]


def scores(table, features):
    return ts.embedding(ts.tensor(features), table).sum(1)


def fit(features, following, updates=250, batch=1024):
    table = ts.tensor(np.zeros((K * V, V)), requires_grad=True)
    optimizer = ts.optim.Adam([table], lr=0.1)
    for step in range(updates):
        rows = rng.integers(0, len(following), batch)
        loss = ts.cross_entropy(scores(table, features[rows]), ts.tensor(following[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / updates)
        optimizer.step()
    return table


table = fit(*histories(train))
features, following = histories(held_out)
entropy = float(np.exp(ts.cross_entropy(scores(table, features), ts.tensor(following)).item()))
print(f"maximum entropy with three letters of history: perplexity {entropy:.2f} on text kept out")
check("", "better than counting with one letter of history", entropy < back[1])
check("", "not as good as counting with three: adding up features misses what letters mean together", entropy > back[3])

# %% [markdown]
# ## What it means to be fitted
#
# The slope of the loss for $s_k(a, c)$ is how often the model expects $c$ after $a$, minus how often it was, per letter
# of text. At the best point both agree. With one letter of history it is known: the logarithms of the counts.

# %%
with_one, after = histories(train)[0][:, :1], histories(train)[1]
counted = np.zeros((V, V))
np.add.at(counted, (with_one[:, 0], after), 1)
with np.errstate(divide="ignore", invalid="ignore"):
    best = np.maximum(np.log(counted / counted.sum(axis=1, keepdims=True)), -60.0)
best = ts.tensor(np.nan_to_num(best, nan=0.0), requires_grad=True)
loss = ts.cross_entropy(scores(best, with_one), ts.tensor(after))
slope = np.abs(ts.grad(loss, [best])[0].numpy()).max()
print(f"largest slope at the logarithms of the counts: {slope:.0e}")
check("", "one feature: the counts are the best point, all slopes are 0 to rounding", slope < 1e-12)
random = ts.tensor(rng.normal(size=(V, V)), requires_grad=True)
slopes = ts.grad(ts.cross_entropy(scores(random, with_one), ts.tensor(after)), [random])[0].numpy()
p = ts.softmax(random).numpy()
by_hand = (p * counted.sum(axis=1, keepdims=True) - counted) / len(after)
check("", "elsewhere the slope is expected minus counted", np.abs(slopes - by_hand).max() < 1e-12)

# %% [markdown]
# ## The power of the check
#
# A low perplexity proves nothing by itself. Three models that look better than they are, and the question that finds
# each.


# %%
def too_much(c, h):  # wrong on purpose
    return min(1.0, witten_bell(c, h) * 1.5)


total = sum(too_much(c, "th") for c in letters)
check("", "probabilities that are too large: found, they do not add up to 1", abs(total - 1) > 0.1)
changed = held_out[:6] + "".join(rng.permutation(list(held_out[6:])))


def peeking(text):  # wrong on purpose
    """Perplexity of a model that has been handed the letter it should guess, and gives it 0.9."""
    handed = text[6:]
    p = [0.9 if c == right else 0.1 / (V - 1) for c, right in zip(text[6:], handed, strict=True)]
    return float(np.exp(-np.log(p).mean()))


check("", "a model that peeks: found, it is as sure on shuffled letters", peeking(changed) == peeking(held_out))
honest = perplexity(witten_bell, changed, 4) / back[3]
check("", "an honest one is far worse there", honest > 3)
check(
    "",
    "judged on the text it counted: found by text kept out",
    perplexity(witten_bell, train[:4000], 6) < 0.7 * back[5],
)

# %%
places = np.array(ORDERS)
shown = {"add one": add, "Witten-Bell": back, "maximum entropy, n = 4": np.where(places == 4, entropy, np.nan)}
across = "n: the letter and the n - 1 letters before it"
picture = ts.plot.lines(places, shown, across, "perplexity per letter", "Stories kept out")
figure(picture, "Counting alone gets worse when histories are long; asking the shorter history nearly stops that.")

# %% [markdown]
# ## Your turn
#
# 1. Let the models write: draw letter after letter. Expected: with n = 2 it can hardly be read aloud, with n = 6 most
#    words are words.
# 2. What is the perplexity per word? Expected: that per letter to the power of the mean length of a word, its blank
#    included.

# %% [markdown]
# ## Limits and sources
#
# Perplexities per letter, per word and per piece can't be compared without converting. The numbers hold for these
# stories; six of them were kept out, the last ones.
#
# C. Shannon, Bell System Technical Journal 27 (1948) 379. I. Witten and T. Bell, IEEE Trans. Information Theory 37
# (1991) 1085. A. Berger, S. and V. Della Pietra, Computational Linguistics 22 (1996) 39 (maximum entropy).

# %% solution
vocabulary = set(ts.text.words(train))


def write(n, length=300):
    text = "once upon"
    for _ in range(length):
        p = np.array([witten_bell(c, text[len(text) - n + 1 :]) for c in letters])
        text += letters[rng.choice(V, p=p / p.sum())]
    return text


real = {}
for n in (2, 6):
    written = write(n)
    real[n] = np.mean([word in vocabulary for word in ts.text.words(written)])
    print(f"n = {n}: {real[n]:.0%} real words: {written[9:90]!r}")
check("", "with n = 6 most words are words, with n = 2 fewer", real[6] > 0.6 and real[6] > real[2] + 0.2)
nats = -sum(np.log(witten_bell(held_out[i], held_out[i - 4 : i])) for i in range(5, len(held_out)))
count = len(held_out[5:].split())
per_word, length = np.exp(nats / count), len(held_out[5:]) / count
print(f"n = 5: {length:.2f} letters and blanks per word, perplexity per word {per_word:.0f}")
check(
    "", "per word: that per letter, to the power of the mean length", np.isclose(per_word, back[4] ** length, rtol=1e-6)
)
