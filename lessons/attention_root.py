# %% [markdown]
# # Why the square root
#
# Attention divides its scores by $\sqrt{d_k}$. What happens to the weights and to the gradients of long vectors
# without it?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $d_k$ | features of a query and of a key | number |
# | $q, k$ | one query, one key | $(d_k)$ |
# | $a$ | the weights of one query over all keys | $(n)$ |
# | $g$ | gradient of the loss with respect to $a$ | $(n)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)

# %% [markdown]
# ## Weights, and the way back through them
#
# Article A, 4.1 (A6), prints the root and does not say why it is there.
#
# $$a = \mathrm{softmax}\left( \frac{q k^\top}{\sqrt{d_k}} \right)$$
#
# The gradient of a score is its weight times how far its $g$ lies from the mean:
#
# $$\frac{\partial L}{\partial s_j} = a_j \left( g_j - \sum_l a_l g_l \right)$$


# %%
def weights(q, keys, scale):
    """q (m, d), keys (n, d): weights (m, n)."""
    scores = q @ keys.T * scale
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def back(shares, g):
    """The gradient of the scores; all (m, n)."""
    return shares * (g - (shares * g).sum(axis=1, keepdims=True))


def entropy(shares):
    """In nats, for each row; 0 ln 0 is 0."""
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)


q, keys, values = rng.normal(size=(7, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
library = ts.attention(ts.tensor(q), ts.tensor(keys), ts.tensor(values)).numpy()
check("A6", "with the root the weights are those of ts.attention", np.allclose(weights(q, keys, 0.5) @ values, library))
scores = q @ keys.T
report = ts.gradcheck(ts.softmax, [scores], backward=lambda g, s: ts.tensor(back(ts.softmax(s).numpy(), g.numpy())))
check("A6", "the gradient of the scores is right", report)
known = entropy(np.array([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]]))
check("A6", "entropy: ln 4 for equal shares, 0 for a single one, ln 2 for two", np.allclose(known, np.log([4, 1, 2])))

# %% [markdown]
# ## With the root and without it
#
# A dot product of $d_k$ independent pairs of numbers with mean 0 and variance 1 has variance $d_k$. Without the root
# the scores of long vectors are large, and softmax puts nearly all weight on one key. There it is flat: for a typical
# query hardly any gradient comes back through the scores. A few queries with two keys near a tie still get a large
# one, so the mean over all queries hides this; we take the median.

# %%
widths, ratio, spread, typical, mean_q = (4, 16, 64, 256), {}, {}, {}, {}
for d in widths:
    many, keys, g = rng.normal(size=(150, d)), rng.normal(size=(25, d)), rng.normal(size=(150, 25))
    ratio[d] = (rng.normal(size=(5000, d)) * rng.normal(size=(5000, d))).sum(axis=1).var() / d
    for root, scale in ((True, d**-0.5), (False, 1.0)):
        rows = weights(many, keys, scale)
        spread[d, root] = entropy(rows).mean()
        typical[d, root] = np.median(np.linalg.norm(back(rows, g), axis=1))
        mean_q[d, root] = np.linalg.norm(back(rows, g) @ keys * scale, axis=1).mean()
print("variance of q.k / d_k:", {d: f"{ratio[d]:.3f}" for d in widths})
for root, words in ((True, "with the root:"), (False, "without it:")):
    print(f"{words:14s} entropy of a row in nats   ", {d: f"{spread[d, root]:.3f}" for d in widths})
    print(f"{words:14s} gradient of the scores, median", {d: f"{typical[d, root]:.3f}" for d in widths})
check("A6", "the variance of q.k is d_k, to 10 percent in this sample", all(abs(r - 1) < 0.1 for r in ratio.values()))
check("A6", "d_k = 256: without the root the entropy is below a tenth", spread[256, False] < spread[256, True] / 10)
check("A6", "and a typical query gets below a fifth of the gradient", typical[256, False] < typical[256, True] / 5)
check("A6", "but the mean gradient of Q is not smaller without it", mean_q[256, False] > mean_q[256, True])

# %%
words = ["the", "dog", "that", "saw", "the", "cat"]
d = 64
q, k = (rng.normal(size=(len(words), d)) for _ in range(2))
picture = Figure(figsize=(8.6, 4.2), layout="constrained")
panels = picture.subplots(1, 2, sharey=True)
titles = (r"Scores divided by $\sqrt{d_k}$", "Not divided: rows nearly one-hot")
for axes, scale, title in zip(panels, (d**-0.5, 1.0), titles, strict=True):
    shares = ts.softmax(ts.tensor(q @ k.T * scale)).numpy()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.ndindex(shares.shape):
        colour = "black" if shares[i, j] > 0.5 else "white"
        axes.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(words)), words)
    axes.set_yticks(range(len(words)), words)
    axes.set(title=title, xlabel="key: looked at")
panels[0].set_ylabel("query: looks")
picture.colorbar(image, ax=panels, label="weight", shrink=0.85)
figure(picture, "Weights of six random tokens with 64 features. Without the root nearly every row puts all on one key.")

# %% [markdown]
# ## Your turn
#
# Let `q` and `k` be the same array in the heat map. Expected: the largest weight of every row is on the diagonal: with
# random vectors a token fits itself best.

# %% [markdown]
# ## Limits and sources
#
# The variance of $q \cdot k$ is $d_k$ for independent entries with mean 0 and variance 1, as at the start of training;
# trained vectors need not be like that.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, 3.2.1.

# %% solution
shares = {name: ts.softmax(ts.tensor(q @ other.T * d**-0.5)).numpy() for name, other in (("k", k), ("q", q))}
own = {name: share.argmax(axis=1) == np.arange(len(words)) for name, share in shares.items()}
check("A6", "with k = q every token fits itself best", own["q"].all() and not own["k"].all())
