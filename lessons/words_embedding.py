# %% [markdown]
# # Word vectors: a table that learns
#
# How does a word, which is a number in a list, become a vector that can be trained? And what does article A build when
# it multiplies each word vector by a weight $w_i$?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $V, n, d$ | words in the vocabulary, words in the sentence, features of a vector | numbers |
# | $x_i$ | the word at position $i$, as its number in the vocabulary | integer |
# | $E$ | table of word vectors; row $k$ belongs to word $k$ | $(V, d)$ |
# | $v_{x_i}$ | row $x_i$ of $E$ | $(d)$ |
# | $w_i$ | article A: the weight of the input vector at position $i$ | not said |
# | $W_Q$ | weights of the queries (A8) | $(d, d_k)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
vocabulary = ["cat", "dog", "sees", "the", "tree", "under", "bird"]
words = ["the", "cat", "sees", "the", "dog"]
ids = np.array([vocabulary.index(word) for word in words])
V, n, d, d_k = len(vocabulary), len(words), 3, 2
table = rng.normal(size=(V, d))
print(dict(zip(words, ids.tolist(), strict=True)), "and the sentence is", ids)

# %% [markdown]
# ## As printed
#
# Article A, 4.2, step 1 (A7). The arrows in the article make $v$ and $w_i$ vectors, and the text calls the result a
# vector, too. The dot can be read in three ways; we run all of them.
#
# $$x_i = v_{x_i} \cdot w_i$$


# %%
def readings(rows):
    """Each reading as a function of its weight and the shape of that weight."""
    return {
        "dot product": (lambda w: (rows * w).sum(-1), (n, d)),
        "element by element": (lambda w: rows * w, (n, d)),
        "matrix product": (lambda w: (rows.unsqueeze(1) @ w).squeeze(1), (n, d, d)),
    }


rows = ts.tensor(table[ids], requires_grad=True)
shapes, twos = {}, {}
for name, (read, shape) in readings(rows).items():
    twos[name] = read(ts.tensor(np.full(shape, 2.0))).numpy()
    shapes[name] = twos[name].shape
    print(f"{name:20s} weight {shape!s:10s} result {shapes[name]}")
check("A7", "read as a dot product, a word becomes one number", shapes["dot product"] == (n,), verdict="wrong: shape")
vectors = shapes["element by element"] == shapes["matrix product"] == (n, d)
check("A7", "the two other readings give a vector per word", vectors)
double = 2 * table[ids]
expected = double.sum(axis=1), double, np.tile(double.sum(axis=1, keepdims=True), d)
check("A7", "with weights of 2 each gives what it says", all(map(np.allclose, twos.values(), expected)))

# %% [markdown]
# ## It breaks: the result is never used
#
# Step 2 (A8) starts again from $v_{x_i}$, not from the $x_i$ that step 1 made. So under every reading $w_i$ has no
# influence on the output, and training cannot change it. Queries, keys and values, then any loss:
#
# $$Q_i = v_{x_i} \cdot w_Q$$

# %%
W = [ts.tensor(rng.normal(size=(d, d_k))) for _ in range(3)]
probe = ts.tensor(rng.normal(size=(n, d_k)))


def output(inputs):  # an example of a loss
    return (ts.attention(*(inputs @ w for w in W)) * probe).sum()


def both_steps(read, w):
    read(w)  # step 1: its result goes nowhere
    return output(rows)


idle = {}
for name, (read, shape) in readings(rows).items():
    w, other = (ts.tensor(rng.normal(size=shape), requires_grad=True) for _ in range(2))
    unchanged = both_steps(read, w).item() == both_steps(read, other).item()
    gradient = ts.grad(both_steps(read, w), [w], allow_unused=True)[0]
    idle[name] = unchanged and gradient is None
    print(f"{name:20s} path from the loss to w_i: {gradient}; the loss with other w_i is the same: {unchanged}")
check("A7", "under every reading the gradient of each w_i is exactly 0", all(idle.values()))
w = ts.tensor(rng.normal(size=(n, d)), requires_grad=True)
if_used = np.abs(ts.grad(output(rows * w), [w])[0].numpy()).max(axis=1)
print("if step 2 took the result of step 1, element by element:", np.round(if_used, 3))
check("A7", "had step 2 used it, the elementwise reading would train: a scaling per position", if_used.min() > 0)

# %% [markdown]
# ## Step 2 as printed: vectors give numbers
#
# The article calls $w_Q$ a weight with an arrow, a vector. Then a query is one number and $d_k$ is 1. Element by
# element it is a vector, but the score of $i$ for $j$ is always that of $j$ for $i$. With a matrix both limits fall.

# %%
q_vector, k_vector = rows.numpy() @ rng.normal(size=d), rows.numpy() @ rng.normal(size=d)
q_scaled, k_scaled = rows.numpy() * rng.normal(size=d), rows.numpy() * rng.normal(size=d)
q_matrix, k_matrix = (rows @ W[0]).numpy(), (rows @ W[1]).numpy()
scores = {"dot": np.outer(q_vector, k_vector), "elementwise": q_scaled @ k_scaled.T, "matrix": q_matrix @ k_matrix.T}
for name, s in scores.items():
    print(f"{name:12s} rank of the scores {np.linalg.matrix_rank(s)}, symmetric: {np.allclose(s, s.T)}")
check("A8", "a vector as weight gives one number per word, d_k = 1", q_vector.shape == (n,), verdict="wrong: notation")
check("A8", "element by element, the scores are symmetric", np.allclose(scores["elementwise"], scores["elementwise"].T))
symmetric = np.allclose(scores["matrix"], scores["matrix"].T)
check("A8", "with matrices of shape (d, d_k) neither holds", q_matrix.shape == (n, d_k) and not symmetric)

# %% [markdown]
# ## Repaired: a row of a table
#
# A word is a vector with a 1 at its number and 0 elsewhere. Multiplied by the table it picks one row. Nobody
# multiplies: reading the row is the same.
#
# $$v_{x_i} = \mathrm{onehot}(x_i) \, E$$

# %%
one_hot = np.eye(V)[ids]
looked_up = ts.embedding(ts.tensor(ids), ts.tensor(table)).numpy()
check("A7", "one-hot times table equals the looked-up rows, bit for bit", np.array_equal(one_hot @ table, looked_up))

# %% [markdown]
# ## Its gradient: add, don't write
#
# Each position sends a gradient $g_i$ back to its row. A word that occurs twice gets both, added up. Rows of absent
# words get 0.
#
# $$\frac{\partial L}{\partial E} = \mathrm{onehot}(x)^\top g$$


# %%
def scatter_add(g, ids):
    back = np.zeros((V, d))
    np.add.at(back, ids, g)
    return back


def last_write(g, ids):  # wrong on purpose: the second "the" replaces the first
    back = np.zeros((V, d))
    back[ids] = g
    return back


def examine(rule, ids):
    by_rule = None if rule is None else lambda g, E: ts.tensor(rule(g.numpy(), ids))
    return ts.gradcheck(lambda E: ts.embedding(ts.tensor(ids), E), [table], backward=by_rule)


g = rng.normal(size=(n, d))
back = scatter_add(g, ids)
check("A7", "scatter-add is the transposed one-hot matrix times g", np.allclose(back, one_hot.T @ g))
check("A7", "the row of the repeated word holds both", np.allclose(back[vocabulary.index("the")], g[0] + g[3]))
absent = [k for k, word in enumerate(vocabulary) if word not in words]
check("A7", "rows of absent words get exactly 0", not back[absent].any())
check("A7", "scatter-add is right", examine(scatter_add, ids))
check("A7", "the engine's rule is right", examine(None, ids))

# %% [markdown]
# ## The power of the check
#
# Writing in place of adding is a mistake that only repeated words show. A check on a sentence without one proves
# nothing about it.

# %%
with_repeat, without = examine(last_write, ids), examine(last_write, np.array([3, 0, 2, 6, 1]))
print(f"last write wins: {with_repeat.verdict} with a repeated word, {without.verdict} without one")
check("A7", "the mistake is caught when a word repeats", not with_repeat.ok)
check("A7", "and passes when none does", without.ok)
mistakes = {
    "sign": lambda g, ids: -scatter_add(g, ids),
    "mean of the repeats": lambda g, ids: scatter_add(g, ids) / np.maximum(np.bincount(ids, minlength=V), 1)[:, None],
    "one row too low": lambda g, ids: scatter_add(g, (ids + 1) % V),
}
caught = {name: not examine(rule, ids).ok for name, rule in mistakes.items()}
check("A7", f"{len(mistakes)} more mistakes are caught: {', '.join(mistakes)}", all(caught.values()))

# %% [markdown]
# ## Where the position goes
#
# The $w_i$ of the article depends on the position. What is usual is to add a second table $P$ with one row per
# position, and to hand the sum on. Then the gradient of $P$ is not 0.
#
# $$x_i = v_{x_i} + P_i$$

# %%
E, P = ts.tensor(table, requires_grad=True), ts.tensor(rng.normal(size=(n, d)) * 0.1, requires_grad=True)
x = ts.embedding(ts.tensor(ids), E) + P
for_E, for_P = (t.numpy() for t in ts.grad(output(x), [E, P]))
print("size of the gradient of each position's row:", np.round(np.abs(for_P).max(axis=1), 3))
check("A7", "repaired: every position's row has a gradient", np.abs(for_P).max(axis=1).min() > 0)
same = np.abs(table[ids][0] - table[ids][3]).max(), np.abs(x.numpy()[0] - x.numpy()[3]).max()
check("A7", "the two occurrences of one word now differ", same[0] == 0 and same[1] > 0.01)

# %%
picture = Figure(figsize=(8.8, 3.8), layout="constrained")
panels = picture.subplots(1, 4, width_ratios=[V, d, d, d])
features = [f"{k + 1}" for k in range(d)]
shown = [
    (one_hot, "one-hot (n, V)", vocabulary, words),
    (table, "table E (V, d)", features, vocabulary),
    (looked_up, "rows (n, d)", features, words),
    (back, "gradient of E", features, vocabulary),
]
for axes, (matrix, title, across, down) in zip(panels, shown, strict=True):
    image = axes.imshow(matrix, cmap="PuOr", vmin=-2.2, vmax=2.2, aspect="equal")
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("word of the vocabulary" if across is vocabulary else "feature")
    axes.set_xticks(range(len(across)), across, rotation=90 if across is vocabulary else 0)
    axes.set_yticks(range(len(down)), down)
panels[0].set_ylabel("position in the sentence")
picture.colorbar(image, ax=panels, shrink=0.7, label="value")
figure(picture, "One-hot times table picks rows. In the gradient of E only rows of words in the sentence are not 0.")

# %% [markdown]
# ## Your turn
#
# 1. Call `ts.embedding` with `padding_idx=3` and check its gradient. Expected: the row of "the" gets gradient 0, and
#    `ts.gradcheck` calls that wrong, for the forward pass does use the row. Zero there is a rule of training, not a
#    derivative.
# 2. Call `ts.attention` on the rows in another order, and put the rows of the result back in order. Expected: nothing
#    has changed without $P$, and something has with it. Attention alone does not see the order of words.

# %% [markdown]
# ## Limits and sources
#
# A7 is called wrong in shape for the dot product. The elementwise and the matrix reading give vectors, and fail because
# their result is not used: that is a fault of steps 1 and 2 together. A sentence longer than the table $P$ has no
# position vector.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, 3.4 and 3.5.

# %% solution
the = vocabulary.index("the")


def padded(E):
    return ts.embedding(ts.tensor(ids), E, padding_idx=the)


of_table = ts.tensor(table, requires_grad=True)
row_of_the = ts.grad(padded(of_table).sum(), [of_table])[0].numpy()[the]
judged = ts.gradcheck(padded, [table])
print(f"gradient of the row of 'the' with padding_idx: {row_of_the}; the check says: {judged.verdict}")
check(
    "A7",
    "exercise 1: the row of padding_idx gets 0, and the check calls it wrong",
    not row_of_the.any() and not judged.ok,
)


def attend(inputs):
    return ts.attention(*(ts.tensor(inputs) @ w for w in W)).numpy()


moved = np.roll(np.arange(n), 1)
back_in_order = np.argsort(moved)
change = {}
for name, positions in {"without P": 0.0, "with P": P.numpy()}.items():
    reordered = attend(table[ids][moved] + positions)[back_in_order]
    change[name] = np.abs(reordered - attend(table[ids] + positions)).max()
    print(f"{name}: largest change by another order of words {change[name]:.1e}")
check("A7", "exercise 2: without P the order of words changes nothing", change["without P"] < 1e-12)
check("A7", "with P it does", change["with P"] > 1e-3)
