# %% [markdown]
# # GloVe: vectors from counts of neighbours
#
# Article B calls a root of tf times idf a GloVe vector. What does GloVe compute, and what does one have to count for
# it?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $V, d$ | words, features of a vector | numbers |
# | $X_{ij}$ | how often word $j$ stands near word $i$ | $(V, V)$ |
# | $w_i, \tilde w_j$ | vector of $i$ as a word, of $j$ as a neighbour | $(d)$ each |
# | $b_i, \tilde b_j$ | one number each, for how frequent a word is | numbers |
# | $f$ | weight of a pair | function |
# | $x_{\max}, \alpha$ | where $f$ reaches 1, and its exponent: 100 and 3/4 in the paper | numbers |

# %%
from collections import Counter

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure, minimise

rng = np.random.default_rng(0)
SUBJECTS = {
    "sea": ["boat", "wave", "sail", "fish", "harbour", "shell"],
    "farm": ["cow", "hay", "barn", "plough", "goat", "field"],
    "kitchen": ["bread", "oven", "spoon", "soup", "salt", "table"],
    "sky": ["star", "cloud", "moon", "wind", "bird", "night"],
}
SMALL_WORDS = ["the", "and", "of", "a", "was", "it"]
vocabulary = [word for words in SUBJECTS.values() for word in words] + SMALL_WORDS
subject = {word: name for name, words in SUBJECTS.items() for word in words}
V, d, WINDOW = len(vocabulary), 6, 3

# %% [markdown]
# ## A text of which we know the truth
#
# Each sentence is about one of four subjects: about every second word belongs to it, the others are small words. In
# each group the first word is the most frequent. One word in ten comes from anywhere. So it is known which words belong
# together.


# %%
def sentence(length=10):
    words, share, found = SUBJECTS[rng.choice(list(SUBJECTS))], 1 / np.arange(1, 7), []
    for place in rng.random(length):
        stray = SUBJECTS[rng.choice(list(SUBJECTS))]
        group = stray if place < 0.1 else words if place < 0.55 else SMALL_WORDS
        found.append(group[rng.choice(6, p=share / share.sum())])
    return found


text = [sentence() for _ in range(1500)]
counts = Counter(word for words in text for word in words)
index = {word: i for i, word in enumerate(vocabulary)}


def count(text):
    """A neighbour at distance k counts 1/k, in both directions."""
    X = np.zeros((V, V))
    for words in text:
        ids = [index[word] for word in words]
        for k in range(1, WINDOW + 1):
            for i, j in zip(ids, ids[k:], strict=False):
                X[i, j] += 1 / k
                X[j, i] += 1 / k
    return X


four = [index[word] for word in ("boat", "wave", "sail", "fish")]
tiny = count([["boat", "wave", "sail", "fish", "cow"]])[np.ix_(four, four)]
check("", "distances 1, 2, 3 count 1, 1/2, 1/3", np.allclose(tiny[0], [0, 1, 1 / 2, 1 / 3]) and (tiny == tiny.T).all())
X = count(text)
print(f"{V} words; {np.mean(X > 0):.0%} of the pairs occur; the most frequent: {X.max():.0f} times")

# %% [markdown]
# ## As printed
#
# Article B, 4.1, "Word embedding" (B3). The lesson on tf and idf shows that it is one number per word. Here only what
# matters for GloVe: it does not look at neighbours. Shuffle the text, and the printed numbers stay, while $X$ turns
# into something else.
#
# $$v(w) = \sqrt{\frac{\mathrm{tf}(w) \, \mathrm{idf}(w)}{k}}$$

# %%
N = sum(counts.values())
printed = np.array([np.sqrt(counts[w] * np.log2(N / counts[w])) for w in vocabulary])
check("B3", "one number per word: no vector", printed.shape == (V,), verdict="wrong: shape")
shuffled = rng.permutation(np.ravel(text)).reshape(-1, 10).tolist()
same, moved = Counter(np.ravel(shuffled).tolist()) == counts, np.abs(X - count(shuffled)).sum() / X.sum()
check("B3", "shuffled text: the same tf and idf, but over a third of the neighbours change", same and moved > 1 / 3)

# %% [markdown]
# ## Repaired: what to fit
#
# GloVe asks that the product of two vectors, plus what each word brings along by its frequency, be the logarithm of
# their count. Eq. 8 of the paper:
#
# $$J = \sum_{i, j: X_{ij} > 0} f(X_{ij}) \, (w_i \cdot \tilde w_j + b_i + \tilde b_j - \ln X_{ij})^2$$
#
# ## Repaired: how much a pair counts
#
# Rare pairs are noise, and very frequent ones must not rule. Eq. 9:
#
# $$f(x) = \min\left( (x / x_{\max})^{\alpha}, \, 1 \right)$$

# %%
X_MAX, ALPHA = 20.0, 0.75  # our counts are small, so the limit is, too


def weight(x):
    return np.minimum((x / X_MAX) ** ALPHA, 1)


def residual(w, c, b, a, log_counts):
    return w @ c.T + b.unsqueeze(1) + a - ts.tensor(log_counts)


def loss(w, c, b, a, X):
    """w, c (V, d) and b, a (V); pairs that never occur have weight 0, and their logarithm is not looked at."""
    log_counts = np.log(np.where(X > 0, X, 1))
    return (ts.tensor(weight(X)) * residual(w, c, b, a, log_counts) ** 2).sum()


grid = np.linspace(0, 100, 1001)
rising = (np.diff(weight(grid)) >= 0).all()
known = weight(0.0) == 0 and (weight(grid[grid >= X_MAX]) == 1).all() and np.isclose(weight(X_MAX / 16), 1 / 8)
check("B3", "f: 0 at 0, rising, 1/8 at a sixteenth of the limit, 1 from there on", rising and known)

# %% [markdown]
# ## Its gradient
#
# Write $r_{ij}$ for the bracket. Each pair pulls at both vectors:
#
# $$\frac{\partial J}{\partial w_i} = \sum_j 2 f(X_{ij}) \, r_{ij} \, \tilde w_j , \quad
# \frac{\partial J}{\partial b_i} = \sum_j 2 f(X_{ij}) \, r_{ij}$$
#
# and the same for $\tilde w_j$ and $\tilde b_j$ with the roles exchanged.

# %%
small = np.array([[0, 3, 1.5], [3, 0, 40], [1.5, 40, 2.0]])  # 0, below the limit, above it
point = [rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=3)]


def by_hand(g, w, c, b, a, factor=2.0, f=weight):
    log_counts = np.log(np.where(small > 0, small, 1))
    pull = g * ts.tensor(factor * f(small)) * residual(w, c, b, a, log_counts)
    return pull @ c, pull.T @ w, pull.sum(1), pull.sum(0)


def examine(rule):
    return ts.gradcheck(lambda w, c, b, a: loss(w, c, b, a, small), point, backward=rule)


check("B3", "repaired: the gradient by hand is right", examine(by_hand), verdict="right")
check("B3", "repaired: the engine finds the same", examine(None))
mistakes = {
    "factor 2 lost": lambda *a: by_hand(*a, factor=1.0),
    "weight lost": lambda *a: by_hand(*a, f=lambda x: 1.0 * (x > 0)),
    "limit lost": lambda *a: by_hand(*a, f=lambda x: (x / X_MAX) ** ALPHA),
    "w in place of c": lambda g, w, c, b, a: (by_hand(g, w, c, b, a)[1], *by_hand(g, w, c, b, a)[1:]),
    "biases exchanged": lambda *a: tuple(by_hand(*a)[i] for i in (0, 1, 3, 2)),
}
check("B3", f"the check catches {len(mistakes)} mistakes", not any(examine(rule).ok for rule in mistakes.values()))

# %% [markdown]
# ## Trained
#
# All pairs at once, for there are few. One fifth of the pairs that occur is kept out: does the fit know their counts
# better than the two biases alone, which know only how frequent each word is?

# %%
kept_out = np.triu(rng.random((V, V)) < 0.2)
kept_out = (kept_out | kept_out.T) & (X > 0)


def fit(X, d, steps=250, decay=0.3):
    rng = np.random.default_rng(1)
    first = [ts.tensor(p) for p in (*rng.normal(size=(2, V, d)) * 0.1, np.zeros(V), np.zeros(V))]
    parameters = [ts.tensor(p.numpy(), requires_grad=True) for p in first]
    w, c = parameters[:2]  # few pairs: keep the vectors short
    adam = ts.optim.Adam(parameters, lr=0.03)
    minimise(adam, lambda: loss(*parameters, X) + decay * ((w**2).sum() + (c**2).sum()), steps)
    return parameters, loss(*first, X).item(), loss(*parameters, X).item()


def error(parameters, where):  # measures the fit
    r = residual(*parameters, np.log(np.where(X > 0, X, 1))).numpy()
    return np.sqrt((weight(X) * r**2)[where].sum() / weight(X)[where].sum())


seen = np.where(kept_out, 0, X)
full, before, after = fit(seen, d)
alone = fit(seen, 1, decay=1e4)[0]  # vectors pressed to 0: the biases do it all
inside = (X > 0) & ~kept_out
errors = {name: (error(p, inside), error(p, kept_out)) for name, p in (("vectors", full), ("biases", alone))}
for name, (inside, outside) in errors.items():
    print(f"{name:8s} typical error of ln X: {inside:.3f} on pairs it saw, {outside:.3f} on pairs kept out")
check("B3", "repaired: the loss falls to less than a tenth", after < 0.1 * before)
more = errors["vectors"][1] < 0.95 * errors["biases"][1]
check("B3", "repaired: on pairs kept out, vectors know more than frequency", more)

# %% [markdown]
# ## What the vectors say
#
# The two vectors of a word play the same part, for $X$ is symmetric. The paper adds them up.

# %%
vectors = (full[0] + full[1]).numpy()
unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
likeness = unit @ unit.T
by_number = -np.abs(np.subtract.outer(printed, printed))


def same_subject(likeness):
    """How many of the words with a subject have a nearest word of the same subject."""
    known = len(subject)
    nearest = (likeness[:known, :known] - 1e9 * np.eye(known)).argmax(axis=1)
    return sum(subject[vocabulary[i]] == subject[vocabulary[j]] for i, j in enumerate(nearest))


found, by_chance = same_subject(likeness), same_subject(by_number)
print(f"nearest word of the same subject: {found} of {len(subject)} by vectors, {by_chance} by the printed number")
check("B3", "repaired: at least nine in ten words are nearest to a word of their subject", found >= 0.9 * len(subject))
check("B3", "as printed: fewer than half", by_chance < len(subject) / 2)

# %%
picture = Figure(figsize=(9.2, 4), layout="constrained")
left, right = picture.subplots(1, 2)
left.plot(grid, weight(grid), color="#0072B2")
left.set(title="What a pair counts in the fit (eq. 9)", xlabel="count X of the pair", ylabel="weight f(X)")
truth = np.log(np.where(X > 0, X, 1))
guess = residual(*full, truth).numpy() + truth
right.plot(truth[kept_out], guess[kept_out], ".", color="#0072B2", alpha=0.4)
right.axline((0, 0), slope=1, color="#D55E00")
right.set(title="Pairs that the fit never saw", xlabel="ln X, counted", ylabel="ln X, from the vectors")
figure(picture, "Left: rare pairs count little, frequent ones at most 1. Right: on the line the fit would be perfect.")

# %%
picture = ts.plot.heatmap(likeness, vocabulary, vocabulary, "Cosine of the trained vectors", "cosine")
picture.set_size_inches(7.2, 6.2)
figure(picture, "Blocks on the diagonal: words of one subject have similar vectors. The fit was told of no subjects.")

# %% [markdown]
# ## Your turn
#
# 1. Add a number $s$ to all $b_i$ and take it from all $\tilde b_j$. Expected: $J$ does not change. The biases are
#    known only up to such a shift.
# 2. What does $J$ do when $w$ and $\tilde w$ are turned by the same rotation? Expected: nothing. Single features mean
#    nothing; angles and lengths do.

# %% [markdown]
# ## Limits and sources
#
# A text made to order shows that the method finds what was put in, no more; real text needs far more words than fit
# into a lesson. The decay of the vectors is ours; the paper has none, for it has far more counts. The limit of the
# weight is set lower than in the paper for the same reason.
#
# J. Pennington, R. Socher and C. Manning, EMNLP 2014, eq. 8 and 9.

# %% solution
before = loss(*full, X).item()
shifted = loss(full[0], full[1], full[2] + 1.7, full[3] - 1.7, X).item()
check("B3", "a shift between the biases changes nothing", abs(shifted - before) < 1e-9 * before)
turn = ts.tensor(np.linalg.qr(rng.normal(size=(d, d)))[0])
turned = loss(full[0] @ turn, full[1] @ turn, full[2], full[3], X).item()
check("B3", "a rotation of all vectors changes nothing", abs(turned - before) < 1e-9 * before)
