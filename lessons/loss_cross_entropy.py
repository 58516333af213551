# %% [markdown]
# # Softmax and cross-entropy
#
# What does the loss $-\sum_i y_i \log p_i$ of article A measure, and what is its gradient? Over what does $i$ run, and
# why does no library compute it as it stands?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $V$ | number of classes | number |
# | $z$ | scores of one sample, before softmax (logits) | $(V)$ |
# | $p$ | predicted probabilities, the softmax of $z$ | $(V)$ |
# | $y$ | true label: 1 at the right class, 0 elsewhere | $(V)$ |
# | $L$ | loss | number |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)

# %% [markdown]
# ## As printed
#
# Article A, 3.2 and 4.1, both under "Loss function" (A1). First reading: one sample, and $i$ runs over the classes.
#
# $$L = -\sum_i y_i \log p_i$$


# %%
def printed(p, y):
    return -(y * ts.log(p)).sum()


y = np.array([0.0, 1.0, 0.0, 0.0, 0.0])
p = rng.dirichlet(np.ones(5))
loss = printed(ts.tensor(p), ts.tensor(y)).item()
print(f"p = {np.round(p, 3)}   loss = {loss:.4f}   -log p of the right class = {-np.log(p[1]):.4f}")
check("A1", "with a label of 0 and 1 the loss is -log p of the right class", np.isclose(loss, -np.log(p[1])))

# %% [markdown]
# ## What it is good for
#
# The label may also be a distribution, for instance how often each word really follows. Then no prediction has a
# smaller loss than the true distribution itself. That is the reason to minimise it.

# %%
truth = rng.dirichlet(np.ones(5))
at_truth = printed(ts.tensor(truth), ts.tensor(truth)).item()
guesses = rng.dirichlet(np.ones(5), size=2000)
best = (-(truth * np.log(guesses)).sum(axis=1)).min()
print(f"loss at p = truth: {at_truth:.4f}   smallest loss of 2000 random guesses: {best:.4f}")
check("A1", "none of 2000 random guesses has a smaller loss than the truth", best > at_truth)

# %% [markdown]
# ## Its gradient
#
# Probabilities come out of a softmax. The derivative of the logarithm and that of softmax together become very short,
# because the labels add up to 1.
#
# $$p = \mathrm{softmax}(z), \quad \frac{\partial L}{\partial z} = p - y$$


# %%
def loss_of(z):
    return printed(ts.softmax(z), ts.tensor(y))


def by_hand(g, z):
    return g * (ts.softmax(z) - ts.tensor(y))


z = rng.normal(size=5)
check("A1", "over classes: the gradient p - y is right", ts.gradcheck(loss_of, [z], backward=by_hand), verdict="right")
check("A1", "the engine finds the same by its own rules", ts.gradcheck(loss_of, [z]))

# %% [markdown]
# ## It breaks in a computer
#
# A probability below the smallest number of the machine becomes 0. If it belongs to the right class, the loss is
# infinite; if not, it is $0 \cdot (-\infty)$, which is not a number. Both spoil the gradient.

# %%
z = ts.tensor([0.0, -800.0], dtype="float64", requires_grad=True)
p = ts.softmax(z)
outcome = {}
for name, label in {"p = 0, y = 1": [0.0, 1.0], "p = 0, y = 0": [1.0, 0.0]}.items():
    with np.errstate(all="ignore"):
        loss = printed(p, ts.tensor(label, dtype="float64"))
        for_p, for_z = ts.grad(loss, [p, z], retain_graph=True)
    outcome[name] = loss.item(), for_p.numpy()[1], for_z.numpy()[1]
    print(f"{name}: loss {loss.item()}, its gradient for p {outcome[name][1]}, for z {outcome[name][2]}")
check("A1", "p = 0 and y = 1: loss and gradient for p are infinite", np.isinf(outcome["p = 0, y = 1"][:2]).all())
check("A1", "p = 0 and y = 0: loss and gradient for p are NaN", np.isnan(outcome["p = 0, y = 0"][:2]).all())
check("A1", "the gradient for z is NaN in both cases", np.isnan([o[2] for o in outcome.values()]).all())

# %% [markdown]
# ## Repaired for the computer
#
# Put the formula of softmax in: logarithm and exponential cancel, and no probability is ever computed. The largest
# score is taken out of the sum, so that nothing overflows. Here $t$ is the right class.
#
# $$L = \log \sum_j e^{z_j} - z_t$$


# %%
def fused(z, t):
    return ts.logsumexp(z) - z[t]


z.zero_grad()
loss = fused(z, 1)
loss.backward()
print(f"fused loss {loss.item()}, gradient {z.grad.numpy()}")
check("A1", "fused: the loss is 800, not infinite", loss.item() == 800.0)
check("A1", "fused: the gradient is p - y", np.array_equal(z.grad.numpy(), [1.0, -1.0]))
logits = rng.normal(size=(7, 5))
targets = rng.integers(0, 5, 7)
mean = np.mean([fused(ts.tensor(row), int(t)).item() for row, t in zip(logits, targets, strict=True)])
library = ts.cross_entropy(ts.tensor(logits), ts.tensor(targets)).item()
check("A1", "ts.cross_entropy is the mean of the fused form over the samples", np.isclose(mean, library, rtol=1e-14))

# %% [markdown]
# ## Second reading: $i$ over samples
#
# The article's code (5.2) ends in one sigmoid: one number $p_i$ per sample. If $i$ counts samples, every sample with
# $y_i = 0$ adds nothing, and raising all $p_i$ to 1 is best, whatever the labels. (The code itself names
# binary cross-entropy, which has the missing half.)

# %%
labels = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
everything = ts.tensor(np.ones(7))
at_one = printed(everything, ts.tensor(labels)).item()
sums = [-(labels * np.log(rng.uniform(0.01, 0.99, 7))).sum() for _ in range(2000)]
print(f"second reading: loss {abs(at_one):.1f} when all p are 1; smallest of 2000 random p: {min(sums):.4f}")
check("A1", "over samples: p = 1 everywhere has loss 0 and nothing is below", at_one == 0 and min(sums) > 0)
bias = ts.tensor(0.0, dtype="float64", requires_grad=True)
for _ in range(200):
    bias.data -= 5.0 * ts.grad(printed(ts.sigmoid(bias + np.zeros(7)), ts.tensor(labels)), [bias])[0].numpy()
constant = ts.sigmoid(bias).item()
print(f"one p for all samples after 200 steps: {constant:.4f}, while {labels.mean():.4f} of the labels are 1")
check("A1", "over samples: training a common p drives it to 1", constant > 0.999)

# %% [markdown]
# ## Repaired for one sigmoid
#
# One number $p$ stands for two classes with probabilities $p$ and $1 - p$. Summing over these two classes gives the
# missing half.
#
# $$L = -y \log p - (1 - y) \log (1 - p)$$


# %%
def binary(p, y):
    return -(y * ts.log(p) + (1 - y) * ts.log(1 - p)).sum()


u = rng.normal(size=7)
p = ts.sigmoid(ts.tensor(u))
pairs = ts.stack(p, 1 - p, dim=1), ts.tensor(np.stack([labels, 1 - labels], axis=1))
mine = binary(p, ts.tensor(labels)).item()
check("A1", "it is the first reading for the two classes p and 1 - p", np.isclose(mine, printed(*pairs).item()))
stable = ts.binary_cross_entropy_with_logits(ts.tensor(u), ts.tensor(labels), reduction="sum").item()
check("A1", "and ts.binary_cross_entropy_with_logits computes it", np.isclose(mine, stable))
grid = np.linspace(0.005, 0.995, 199)
curve = [binary(ts.tensor(np.full(7, q)), ts.tensor(labels)).item() for q in grid]
half = [printed(ts.tensor(np.full(7, q)), ts.tensor(labels)).item() for q in grid]
best = grid[np.argmin(curve)]
print(f"best common p: {best:.3f}   share of labels that are 1: {labels.mean():.3f}")
check("A1", "the best common p is now the share of positive labels", abs(best - labels.mean()) < 0.005)

# %% [markdown]
# ## The power of the check
#
# A check is worth what it catches. Here are five rules that someone might write instead of $p - y$.

# %%
wrong = {
    "y - p (sign)": lambda p: ts.tensor(y) - p,
    "-y (softmax left out)": lambda p: p * 0 - ts.tensor(y),
    "-y / p (for p, not for z)": lambda p: -ts.tensor(y) / p,
    "(p - y) / V (mean over classes)": lambda p: (p - ts.tensor(y)) / 5,
    "p (label forgotten)": lambda p: p,
}
z = rng.normal(size=5)
found = {n: ts.gradcheck(loss_of, [z], backward=lambda g, z, r=r: g * r(ts.softmax(z))) for n, r in wrong.items()}
for name, report in found.items():
    print(f"{name:32s} {report.verdict}, error {report.largest_error:.2g}")
check("A1", "the gradient check calls all five wrong", all(r.verdict == "wrong" for r in found.values()))

# %%
picture = Figure(figsize=(8.6, 3.8), layout="constrained")
left, right = picture.subplots(1, 2)
left.plot(grid, -np.log(grid), color="#0072B2", label="loss, -log p")
left.plot(grid, 1 - grid, color="#009E73", linestyle="--", label="size of the gradient for z, 1 - p")
left.plot(grid, 1 / grid, color="#D55E00", linestyle=":", label="size of the gradient for p, 1 / p")
left.set(
    ylim=(0, 6),
    xlabel="p of the right class",
    ylabel="loss (nats), size of gradient",
    title="One sample: loss and gradient",
)
right.plot(grid, half, color="#D55E00", linestyle=":", label="as printed, i over samples")
right.plot(grid, curve, color="#0072B2", label="with the missing half")
right.axvline(labels.mean(), color="#555555", linewidth=1, label="share of positive labels")
right.set(ylim=(0, 16), xlabel="p, the same for all seven", ylabel="loss (nats)", title="Seven samples, i over samples")
left.legend(fontsize=8.5)
right.legend(fontsize=8.5, loc="upper center")
figure(picture, "Left: the gradient for z stays below 1, the one for p does not. Right: half a loss is least at 1.")

# %% [markdown]
# ## Your turn
#
# 1. Use the logarithm to base 2 in `printed`. Expected: every loss is divided by the natural logarithm of 2 (the unit
#    is then the bit), the best guess stays the same, and the rule $p - y$ fails its check until it is divided, too.
# 2. Give `y` the label 0.9 at the right class and 0.025 at the four others. Expected: the gradient is still $p - y$,
#    and the smallest possible loss is no longer 0.

# %% [markdown]
# ## Limits and sources
#
# The formula is right when $i$ runs over classes. The article does not say over what $i$ runs. The rule $p - y$ holds
# when the labels of a sample add up to 1. That the truth has the smallest loss was tried here on random guesses; it
# follows for all of them from Gibbs' inequality.
#
# C. M. Bishop, Pattern Recognition and Machine Learning (2006), 4.3.


# %% solution
def in_bits(z):
    return loss_of(z) / np.log(2)


check("A1", "exercise 1: in bits the rule p - y fails", not ts.gradcheck(in_bits, [z], backward=by_hand).ok)
divided = ts.gradcheck(in_bits, [z], backward=lambda g, z: by_hand(g, z) / np.log(2))
check("A1", "divided by the natural logarithm of 2 it passes", divided)
nats, bits = (-(truth * log(guesses)).sum(axis=1) for log in (np.log, np.log2))
same_best = np.argmin(nats) == np.argmin(bits)
check("A1", "and the best guess stays the best", same_best and np.allclose(nats, bits * np.log(2), rtol=1e-12))
y = np.where(y == 1, 0.9, 0.025)  # loss_of and by_hand take their label from here
report = ts.gradcheck(loss_of, [z], backward=by_hand)
check("A1", "exercise 2: with the labels 0.9 and 0.025 the gradient is still p - y", report)
least = loss_of(ts.tensor(np.log(y))).item()
others = min(loss_of(ts.tensor(row)).item() for row in np.log(y) + rng.normal(size=(200, 5)))
print(f"loss at p = y: {least:.4f}, smallest of 200 others: {others:.4f}")
check("A1", "the smallest loss is at p = y and is no longer 0", others > least > 0.1)
