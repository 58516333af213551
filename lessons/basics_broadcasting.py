# %% [markdown]
# # Broadcasting and the missing sum
#
# A bias of one row is added to a whole batch of rows. What is the gradient of the bias, and what goes wrong when the
# sum over the batch is forgotten?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | the batch | $(B, H)$ |
# | $b$ | the bias, added to every row | $(H)$ |
# | $y$ | the result | $(B, H)$ |
# | $g$ | the cotangent, $g_{ij} = \partial L / \partial y_{ij}$ | $(B, H)$ |
#
# $i$ counts the rows of the batch, $j$ the columns.

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
B, H = 5, 3  # different primes: no two sizes can be confused
x, b, g = rng.normal(size=(B, H)), rng.normal(size=H), rng.normal(size=(B, H))

# %% [markdown]
# ## Forward: a row is repeated
#
# NumPy and tinyslm stretch the bias to the shape of the batch. No copy is made, but the arithmetic is that of a copy.
#
# $$y_{ij} = x_{ij} + b_j$$


# %%
def add_bias(x, b):
    return x + b


check("", "adding b equals adding B copies of it", np.array_equal(add_bias(x, b), x + np.tile(b, (B, 1))))

# %% [markdown]
# ## Backward: the copies add up
#
# The number $b_j$ is used once in every row. Each use hands back its share, and shares of one number add up.
#
# $$\frac{\partial L}{\partial b_j} = \sum_{i=1}^{B} g_{ij}$$


# %%
def right_rule(g, x, b):
    return g, g.sum(0)


report = ts.gradcheck(add_bias, [x, b], backward=right_rule)
print(report)
check("", "the gradient of the bias is the sum over the batch", report)

# %% [markdown]
# ## Without the sum: the shape
#
# The rule "hand the cotangent on" is right for $x$ and wrong for $b$. The check sees it before it compares a number.

# %%
report = ts.gradcheck(add_bias, [x, b], backward=lambda g, x, b: (g, g))
print(report)
check(
    "",
    "without the sum the gradient has the wrong shape, and the check says so",
    "shape" in str(report) and not report.ok,
)

# %% [markdown]
# ## What happens if nobody checks
#
# Plain NumPy raises no error at the update: the bias is broadcast, and silently becomes a matrix with one row for
# each row of the batch. The program stops only when a batch of another size comes, far from the mistake.

# %%
step = b - 0.1 * g  # the update of gradient descent, with the sum forgotten
print("shape of the bias before and after one update:", b.shape, step.shape)
check("", "one update turns the bias of shape (H) into a matrix (B, H)", step.shape == (B, H) != b.shape)
check("", "the next forward pass over B rows runs as if nothing had happened", add_bias(x, step).shape == (B, H))
try:
    add_bias(x[:2], step)
    stopped = False
except ValueError as error:
    stopped, message = True, str(error)
    print("a batch of two rows:", message)
check("", "a batch of two rows stops the program", stopped)

# %% [markdown]
# ## Mistakes with the right shape
#
# The mean instead of the sum, or one row instead of all, fit the shape. Only numbers find them, and only where the
# numbers differ: in a batch of one row, sum, mean and first row are the same. The sum over the wrong axis fits where
# $B = H$.

# %%
rules = {
    "sum over rows": lambda g, x, b: (g, g.sum(0)),
    "mean over rows": lambda g, x, b: (g, g.mean(0)),
    "first row only": lambda g, x, b: (g, g[0]),
    "sum over columns": lambda g, x, b: (g, g.sum(1)),
}


def verdicts(rows):
    inputs = [rng.normal(size=(rows, H)), rng.normal(size=H)]
    return {name: ts.gradcheck(add_bias, inputs, backward=rule) for name, rule in rules.items()}


table = {rows: verdicts(rows) for rows in (1, H, B)}
for name in rules:
    print(f"{name:<18}", "   ".join(f"B={rows}: {r[name].verdict!s:<6}" for rows, r in table.items()))
check("", "with B = 5, H = 3 only the sum over rows passes", [n for n in rules if table[B][n].ok] == ["sum over rows"])
check("", "in a batch of one row, mean and first row pass too", sum(r.ok for r in table[1].values()) == 3)
square = table[H]["sum over columns"]
check("", "with B = H the wrong axis has the right shape, and numbers find it", not square.ok and not square.findings)

# %% [markdown]
# ## The general rule
#
# Broadcasting adds dimensions in front, and stretches dimensions of size 1. To undo it, sum over exactly those.
# tinyslm does this once, in its engine, for all operations; here are the lines.


# %%
def unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(d for d, n in enumerate(shape) if n == 1 != g.shape[d])
    return g.sum(axis=stretched, keepdims=True)


shapes = [(), (1,), (3,), (5, 1), (1, 3), (5, 3), (2, 1, 3), (2, 5, 1), (1, 1, 1)]
worst = 0.0
for one in shapes:
    for two in shapes:
        y, pull = ts.vjp(lambda p, q: p + q, ts.tensor(rng.normal(size=one)), ts.tensor(rng.normal(size=two)))
        cotangent = rng.normal(size=y.shape)
        for mine, theirs in zip((one, two), pull(cotangent), strict=True):
            worst = max(worst, np.abs(unbroadcast(cotangent, mine) - theirs.numpy()).max())
print(f"{len(shapes) ** 2} pairs of shapes, largest difference to the engine {worst:.1e}")
check("", "these lines and the engine agree for all pairs of shapes", worst < 1e-12)

# %% [markdown]
# ## Why it must be a sum
#
# Repeating is a linear map: a tall matrix $R$ of zeros and ones turns $b$ into $B$ copies. The pass backward always
# multiplies by the transposed matrix, and $R^\top$ adds up what $R$ had copied.
#
# $$\langle g, R\,b \rangle = \langle R^\top g, b \rangle$$

# %%
R = np.tile(np.eye(H), (B, 1))
check("", "R b is b repeated B times", np.array_equal(R @ b, np.tile(b, B)))
check("", "R transposed times g is the sum over the rows", np.allclose(R.T @ g.ravel(), g.sum(0), rtol=0, atol=1e-14))
both = g.ravel() @ (R @ b), (R.T @ g.ravel()) @ b
print("both sides:", *both)
check("", "the two scalar products are equal to rounding", np.isclose(*both, rtol=1e-12))

# %%
picture = Figure(figsize=(7.2, 4.2), layout="constrained")
left, right = picture.subplots(1, 2)
backward = np.vstack([g, g.sum(0)])
for axes, values, title in (
    (left, np.vstack([b, np.tile(b, (B, 1))]), "forward: b is copied"),
    (right, backward, "backward: g is summed"),
):
    axes.imshow(values, cmap="PuOr", vmin=-2.5, vmax=2.5)
    for i, row in enumerate(values):
        for j, number in enumerate(row):
            axes.text(j, i, f"{number:.2f}", ha="center", va="center", color="black" if abs(number) < 1.8 else "white")
    axes.set(title=title, xlabel="column j", xticks=range(H))
left.set_yticks(range(B + 1), ["b", *[f"row {i}" for i in range(B)]])
right.set_yticks(range(B + 1), [*[f"row {i}" for i in range(B)], "sum"])
left.axhline(0.5, color="black", linewidth=2)
right.axhline(B - 0.5, color="black", linewidth=2)
figure(
    picture,
    "Left: the bias and its copies. Right: the cotangents of the copies, and their sum, the gradient of the bias.",
)

# %% [markdown]
# ## Your turn
#
# 1. Multiply instead of adding: `x * b`. Write the rule for $b$ and check it with `ts.gradcheck`. Expected: first
#    multiply the cotangent by $x$, then sum; the other order is wrong.
# 2. A prediction of shape $(B, 1)$ minus a target of shape $(B)$: which shape has the difference? Expected: $(B, B)$.
#    No gradient check finds this mistake, because the gradient of the wrong difference is right.

# %% [markdown]
# ## Limits and sources
#
# Everything here is about one addition. Other operations multiply the cotangent by something first; the sum over the
# repeated dimensions comes after that, and is the same.
#
# C. R. Harris et al., Array programming with NumPy, Nature 585 (2020) 357, for the rule of broadcasting.

# %% solution
first_times = ts.gradcheck(lambda x, b: x * b, [x, b], backward=lambda g, x, b: (g * b, (g * x).sum(0)))
first_sum = ts.gradcheck(lambda x, b: x * b, [x, b], backward=lambda g, x, b: (g * b, g.sum(0) * x.sum(0)))
check("", "exercise 1: for x * b, multiply by x and then sum", first_times)
check("", "the other order has the right shape and wrong numbers", not first_sum.ok and not first_sum.findings)
prediction, target = rng.normal(size=(B, 1)), rng.normal(size=B)
check("", "exercise 2: (B, 1) minus (B) is (B, B)", (ts.tensor(prediction) - ts.tensor(target)).shape == (B, B))
report = ts.gradcheck(lambda p: ((p - ts.tensor(target)) ** 2).mean(), [prediction])
check("", "and the gradient check passes all the same", report)
