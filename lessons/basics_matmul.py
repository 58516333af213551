# %% [markdown]
# # Matrix products and their transposes
#
# Where do the transposes in the gradients of a matrix product come from? And why should one test with rectangular
# matrices, and not with square ones?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $A$ | the left factor | $(M, K)$ |
# | $B$ | the right factor | $(K, N)$ |
# | $Y$ | the product $A B$ | $(M, N)$ |
# | $G$ | the cotangent, $G_{ij} = \partial L / \partial Y_{ij}$ | $(M, N)$ |
#
# In a layer of a network, $A$ is a batch of rows and $B$ holds the weights.

# %%
from itertools import product

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
M, K, N = 2, 3, 5
A, B, G = rng.normal(size=(M, K)), rng.normal(size=(K, N)), rng.normal(size=(M, N))

# %% [markdown]
# ## Forward
#
# Row $i$ of $A$ times column $j$ of $B$: the inner index $k$ is summed away.
#
# $$Y_{ij} = \sum_k A_{ik} B_{kj}$$

# %%
Y = np.array([[sum(A[i, k] * B[k, j] for k in range(K)) for j in range(N)] for i in range(M)])
check("", "the sum is what @ computes", np.allclose(Y, A @ B, rtol=0, atol=1e-14))

# %% [markdown]
# ## Backward to the left factor
#
# $A_{ik}$ takes part in all $Y_{ij}$ of its row, each time multiplied by $B_{kj}$. So the index $j$ is summed now. In
# $G B$ the neighbouring indices would be $j$ and $k$; turning $B$ over puts $j$ beside $j$.
#
# $$\frac{\partial L}{\partial A_{ik}} = \sum_j G_{ij} B_{kj} = (G B^\top)_{ik}$$

# %%
by_index = np.array([[sum(G[i, j] * B[k, j] for j in range(N)) for k in range(K)] for i in range(M)])
check("", "the sum over j is G times B transposed", np.allclose(by_index, G @ B.T, rtol=0, atol=1e-14))

# %% [markdown]
# ## Backward to the right factor
#
# $B_{kj}$ takes part in all $Y_{ij}$ of its column, each time multiplied by $A_{ik}$. Here the row index $i$ is
# summed.
#
# $$\frac{\partial L}{\partial B_{kj}} = \sum_i A_{ik} G_{ij} = (A^\top G)_{kj}$$

# %%
by_index = np.array([[sum(A[i, k] * G[i, j] for i in range(M)) for j in range(N)] for k in range(K)])
check("", "the sum over i is A transposed times G", np.allclose(by_index, A.T @ G, rtol=0, atol=1e-14))


def right_rule(g, a, b):
    return g @ b.T, a.T @ g


check("", "both gradients are right", ts.gradcheck(lambda a, b: a @ b, [A, B], backward=right_rule))

# %% [markdown]
# ## All the ways to get it wrong
#
# Say you remember only that the gradient of $A$ is a product of $G$ and $B$, somehow transposed, in some order. There
# are eight candidates. We try them all, at several sizes $(M, K, N)$: does the product exist, has it the shape of
# $A$, are the numbers right?


# %%
def turned(t, turn):
    return t.T if turn else t


def candidate(order, turn_g, turn_b):
    def rule(g, a, b):
        pair = turned(g, turn_g), turned(b, turn_b)
        return pair[0] @ pair[1] if order == "GB" else pair[1] @ pair[0]

    return rule


def name_of(order, turn_g, turn_b):
    parts = {"G": "Gᵀ" if turn_g else "G", "B": "Bᵀ" if turn_b else "B"}
    return " ".join(parts[letter] for letter in order)


candidates = {name_of(*c): candidate(*c) for c in product(("GB", "BG"), (False, True), (False, True))}


def judge(rule, a, b):
    """0: no product, or the wrong shape. 1: runs, wrong numbers. 2: right."""
    try:
        found = ts.gradcheck(lambda a: a @ b, [a], backward=lambda g, a: rule(g, a, ts.tensor(b)))
    except ts.errors.ShapeError:
        return 0
    return 0 if found.findings else 1 + found.ok


sizes = [(2, 3, 5), (3, 3, 5), (3, 5, 5), (3, 5, 3), (3, 3, 3)]
points = {str(s): (rng.normal(size=s[:2]), rng.normal(size=s[1:])) for s in sizes}
S = rng.normal(size=(3, 3))
points["(3, 3, 3)\nB symmetric"] = rng.normal(size=(3, 3)), S + S.T
table = {size: [judge(rule, *point) for rule in candidates.values()] for size, point in points.items()}
for size, row in table.items():
    print(f"{size.replace(chr(10), ' '):<22} shape fits: {sum(v > 0 for v in row)}   numbers right: {row.count(2)}")

# %% [markdown]
# ## What the table says
#
# With three different sizes no wrong candidate fits: the shapes alone leave one. With square matrices all eight run,
# so a training program would go on with a wrong gradient and raise no error.

# %%
fits = {size: sum(v > 0 for v in row) for size, row in table.items()}
check("", "three different sizes: exactly one of eight candidates has the right shape", fits["(2, 3, 5)"] == 1)
check("", "and it is the right one: G times B transposed", table["(2, 3, 5)"][list(candidates).index("G Bᵀ")] == 2)
check("", "square: all eight candidates run and have the right shape", fits["(3, 3, 3)"] == 8)
check("", "two equal sizes are not safe either: some wrong candidate runs", all(fits[str(s)] > 1 for s in sizes[1:4]))

# %% [markdown]
# ## Numbers still find it, mostly
#
# A gradient check with random square matrices does see the seven wrong ones. But special square matrices hide them:
# where $B$ equals its transpose, $G B$ and $G B^\top$ are the same numbers. The identity and the matrix of ones are
# of this kind, and they come to mind first for a test by hand.

# %%
check("", "random square matrices: the numbers leave one candidate", table["(3, 3, 3)"].count(2) == 1)
check("", "a symmetric B: two candidates pass", table["(3, 3, 3)\nB symmetric"].count(2) == 2)
ones = [judge(rule, np.ones((3, 3)), np.eye(3)) for rule in candidates.values()]
print("B the identity:", dict(zip(candidates, ones, strict=True)))
check("", "B the identity: four of eight pass", ones.count(2) == 4)

# %%
picture = Figure(figsize=(7.2, 4.4), layout="constrained")
axes = picture.subplots()
rows = np.array(list(table.values()))
axes.imshow(rows, cmap=ListedColormap(["#E6E6E6", "#E69F00", "#0072B2"]), vmin=0, vmax=2, aspect="auto")
words = ["no", "runs,\nwrong", "passes"]
for (i, j), v in np.ndenumerate(rows):
    axes.text(j, i, words[v], ha="center", va="center", fontsize=9, color="white" if v == 2 else "black")
axes.set_xticks(range(8), list(candidates))
axes.set_yticks(range(len(table)), list(table))
axes.set(xlabel="candidate for the gradient of A", ylabel="sizes (M, K, N)", title="Which wrong formulas run?")
figure(
    picture,
    "Grey: no product, or not the shape of A. Orange: runs with wrong numbers. Blue: passes the gradient check.",
)

# %% [markdown]
# ## With a batch
#
# A layer sees $X$ of shape $(B, T, D)$ and one weight matrix for all of it. The weights are used at every place of
# every sequence, so their gradient sums over both: it is the rule above, with batch and time laid out as one long
# index.

# %%
X, W = rng.normal(size=(2, 3, 5)), rng.normal(size=(5, 7))
y, pull = ts.vjp(lambda x, w: x @ w, ts.tensor(X), ts.tensor(W))
C = rng.normal(size=y.shape)
rows = X.reshape(-1, 5).T @ C.reshape(-1, 7)
check(
    "", "the weight gradient of a batch is one long product", np.allclose(pull(C)[1].numpy(), rows, rtol=0, atol=1e-12)
)
check("", "and the engine's rule is right there", ts.gradcheck(lambda x, w: x @ w, [X, W]))

# %% [markdown]
# ## Your turn
#
# 1. A layer is often stored as $Y = X W^\top$ with $W$ of shape (outputs, inputs). Derive the gradient of $W$ by
#    shapes alone, then check it. Expected: $G^\top X$, and no transpose is left over.
# 2. In `candidates` allow $G$ and $A$ as factors too. Expected: with different sizes none of the new ones has the
#    shape of $A$.

# %% [markdown]
# ## Limits and sources
#
# Shapes find only those mistakes that change a shape. A factor, a sign or a dropped batch has the right shape at all
# sizes; numbers decide there. Distinct primes as sizes also keep products apart: no size is the product of others.
#
# J. R. Magnus and H. Neudecker, Matrix Differential Calculus (1988), for the rules of matrix gradients.

# %% solution
stored = rng.normal(size=(7, 5))  # (outputs, inputs)
flat, layer = X.reshape(-1, 5), lambda x, w: x @ w.T
report = ts.gradcheck(layer, [flat, stored], backward=lambda g, x, w: (g @ w, g.T @ x))
check("", "exercise 1: with W stored as (outputs, inputs) its gradient is G transposed times X", report)
factors = {"G": G, "Gᵀ": G.T, "B": B, "Bᵀ": B.T, "A": A, "Aᵀ": A.T}
fitting = [
    f"{left} {right}"
    for left, right in product(factors, repeat=2)
    if factors[left].shape[1] == factors[right].shape[0]
    and (factors[left].shape[0], factors[right].shape[1]) == A.shape
]
print(f"{len(factors) ** 2} products of two of G, B and A; with the shape of A: {fitting}")
check("", "exercise 2: with G, B and A as factors still only G times B transposed fits", fitting == ["G Bᵀ"])
