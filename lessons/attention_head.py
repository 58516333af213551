# %% [markdown]
# # One attention head
#
# How does a token collect what it needs from the other tokens? And what happens when the result is divided by $V$, as
# article A prints it, in place of multiplied?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $n$ | number of tokens | number |
# | $d_k, d_v$ | features of a query or key, and of a value | numbers |
# | $Q, K$ | queries and keys, one row per token | $(n, d_k)$ |
# | $V$ | values, one row per token | $(n, d_v)$ |
# | $S, A$ | scores, and weights: row $i$ says how much token $i$ takes from each token | $(n, n)$ |
# | $Y$ | output, one row per token | $(n, d_v)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)


def draw(n, d_k, d_v):
    return tuple(ts.tensor(rng.normal(size=(n, d))) for d in (d_k, d_k, d_v))


def weights(q, k):
    return ts.softmax(q @ k.mT * q.shape[-1] ** -0.5)


# %% [markdown]
# ## As printed
#
# Article A, 4.1, "Transformer model" (A6). The division has no sign of its own, so we run several readings: element by
# element, the inverse matrix, and the pseudo-inverse, which also exists where $V$ is not square.
#
# $$\mathrm{Attention}(Q, K, V) = \frac{\mathrm{softmax}(Q K^\top / \sqrt{d_k})}{V}$$

# %%
readings = {
    "A / V elementwise": lambda q, k, v: (weights(q, k) / v).numpy(),
    "A inv(V)": lambda q, k, v: weights(q, k).numpy() @ np.linalg.inv(v.numpy()),
    "A pinv(V)": lambda q, k, v: weights(q, k).numpy() @ np.linalg.pinv(v.numpy()),
    "pinv(V) A": lambda q, k, v: np.linalg.pinv(v.numpy()) @ weights(q, k).numpy(),
    "A pinv(V).T": lambda q, k, v: weights(q, k).numpy() @ np.linalg.pinv(v.numpy()).T,
    "A V (repaired)": lambda q, k, v: (weights(q, k) @ v).numpy(),
}

# %% [markdown]
# ## It breaks: the shapes
#
# $A$ is $(n, n)$ and $V$ is $(n, d_v)$. We divide element by element for all sizes up to 6.


# %%
def result_shape(read, n, d_v):  # measures a reading
    try:
        return read(*draw(n, 2, d_v)).shape
    except (ValueError, np.linalg.LinAlgError):
        return None


sizes = [(n, d_v) for n in range(1, 7) for d_v in range(1, 7)]
divide = readings["A / V elementwise"]
defined = {size for size in sizes if result_shape(divide, *size) is not None}
broadcast = {(n, d_v) for n, d_v in sizes if n == d_v or d_v == 1 or n == 1}
print(f"defined for {len(defined)} of {len(sizes)} sizes; (3, 1) gives {result_shape(divide, 3, 1)}")
only = "A / V is undefined except where NumPy broadcasts: n = d_v, d_v = 1, n = 1"
check("A6", only, defined == broadcast, verdict="wrong: shape")
check("A6", "with d_v = 1 the result has n features in place of 1", result_shape(divide, 3, 1) == (3, 3))

# %% [markdown]
# ## Three more questions
#
# A weighted mean of the values has three properties, whatever the weights are: twice the values give twice the result;
# no feature leaves the range that it has among the values (so the result stays in their convex hull); and the order of
# the pairs of keys and values doesn't matter.


# %%
def holds(question):  # measures a reading
    try:
        return bool(question())
    except (ValueError, np.linalg.LinAlgError):
        return False


def within(read, q, k, v):  # measures a reading
    y, low, high = read(q, k, v), v.numpy().min(axis=0), v.numpy().max(axis=0)
    return y.shape[1] == len(low) and (y >= low - 1e-9).all() and (y <= high + 1e-9).all()


def questions(read, n, d_v):
    q, k, v = draw(n, 2, d_v)
    turn = rng.permutation(n)
    while n > 1 and (turn == np.arange(n)).any():
        turn = rng.permutation(n)
    return {
        "shape (n, d_v)": holds(lambda: read(q, k, v).shape == (n, d_v)),
        "linear in V": holds(lambda: np.allclose(read(q, k, v * 10.0), 10 * read(q, k, v))),
        "within range": holds(lambda: all(within(read, q, k, v * c) for c in (0.1, 1.0, 10.0))),
        "order of pairs": holds(lambda: np.allclose(read(q, k, v), read(q, k[turn], v[turn]))),
    }


answers = {(name, size): questions(read, *size) for name, read in readings.items() for size in ((5, 3), (4, 4))}
for (name, size), answer in answers.items():
    print(f"n, d_v = {size}  {name:18s}", "  ".join(f"{q}: {'yes' if a else 'no':3s}" for q, a in answer.items()))
repaired = [all(a.values()) for (name, _), a in answers.items() if name == "A V (repaired)"]
others = [a for (name, _), a in answers.items() if name != "A V (repaired)"]
check("A6", "no reading of the division is linear in V", not any(a["linear in V"] for a in others))
check("A6", "no reading of the division stays within the range of V", not any(a["within range"] for a in others))
check("A6", "the repaired formula passes all four questions", all(repaired))

# %% [markdown]
# ## Why: the reciprocal
#
# All these readings contain one over $V$ in some form. Values ten times as large give a result a tenth as large, and
# where a value is near 0 the result explodes.

# %%
q, k, v = draw(4, 2, 4)
factors = 10.0 ** np.arange(-3, 4)
largest = {name: [np.abs(read(q, k, v * c)).max() for c in factors] for name, read in readings.items()}
slopes = {name: np.polyfit(np.log(factors), np.log(sizes), 1)[0] for name, sizes in largest.items()}
for name, slope in slopes.items():
    print(f"{name:18s} output grows like the power {slope:+.3f} of the size of V")
check("A6", "every reading of the division scales as 1/V", np.allclose([*slopes.values()][:-1], -1))
check("A6", "the repaired formula scales as V", np.isclose(slopes["A V (repaired)"], 1))
small = v.numpy()
small[1, 2] = 1e-9
exploded = np.abs(divide(q, k, ts.tensor(small))).max()
print(f"largest output when one value is 1e-9: {exploded:.1e}")
check("A6", "one value near 0 makes the result explode", exploded > 1e6)

# %% [markdown]
# ## Step 4 of the derivation: softmax of one number
#
# The legend of 4.1 calls $Q, K, V$ vectors, and 4.2, step 4 (A10), divides the softmax of a single score $Q_i
# K_i^\top$ by $V_i$. A softmax over one number is 1 whatever the number is, so neither query nor key has an influence.
# The prose beside it says attention weights: without the division and over all keys $j$, steps 5 and 6 are the right
# weighted sum for one query.

# %%
qi, ki, vi = (ts.tensor(rng.normal(size=7), requires_grad=True) for _ in range(3))
one = ts.softmax((qi * ki).sum().reshape(1) / 7**0.5)
for_q, for_k = ts.grad((one / vi).sum(), [qi, ki])
largest_of = [np.abs(t.numpy()).max() for t in (for_q, for_k)]
print(f"softmax of one number: {one.item()}; largest gradients of Q and K: {largest_of}")
check("A10", "the softmax of one number is 1", one.item() == 1.0, verdict="wrong: value")
check("A10", "the gradients of Q and K are exactly 0", max(largest_of) == 0)
q, k, v = draw(5, 7, 3)
over_keys = ts.softmax(ts.stack([(q[2] * k[j]).sum() / 7**0.5 for j in range(5)]))
summed = sum(over_keys[j] * v[j] for j in range(5)).numpy()
same = np.allclose(summed, ts.attention(q, k, v).numpy()[2])
check("A10", "over all keys and without the division, steps 5 and 6 give row i of A V", same)

# %% [markdown]
# ## Repaired, first: a score for every pair
#
# Token $i$ asks with its query, token $j$ answers with its key. The dot product says how well they fit.
#
# $$S = \frac{Q K^\top}{\sqrt{d_k}}$$

# %%
s = q @ k.mT / 7**0.5
same = np.isclose(s[1, 3].item(), (q[1] * k[3]).sum().item() / 7**0.5)
check("A6", "one score per pair of tokens", s.shape == (5, 5) and same)

# %% [markdown]
# ## Second: weights
#
# Softmax over the keys makes each row of scores a row of shares.
#
# $$A_{ij} = \frac{e^{S_{ij}}}{\sum_l e^{S_{il}}}$$

# %%
a = ts.softmax(s, dim=-1)
shares = a.numpy()
check(
    "A6", "the weights are positive and every row adds up to 1", shares.min() > 0 and np.allclose(shares.sum(axis=1), 1)
)

# %% [markdown]
# ## Third: a weighted mean of the values
#
# $$Y = A V$$

# %%
y = a @ v
gap = np.abs((y - ts.attention(q, k, v)).numpy()).max()
check("A6", "repaired: equal to ts.attention", gap < 1e-14)
check("A6", "repaired: its gradients are right", ts.gradcheck(ts.attention, [q, k, v]))

# %% [markdown]
# ## The power of the check
#
# The gradient by hand, and six mistakes in it. The sizes are different primes, so that no wrong shape can pass unseen.


# %%
def by_hand(g, q, k, v, root=True, mean=True, path_q=True, path_k=True, turned=False, sign=1):
    a, scale = weights(q, k), q.shape[-1] ** (-0.5 if root else 0)
    for_a = g @ v.mT
    for_s = a * (for_a - (for_a * a).sum(-1, keepdim=True) * mean)
    return for_s @ k * scale * path_q, for_s.mT @ q * scale * path_k, (a if turned else a.mT) @ g * sign


mistakes = {
    "root forgotten": {"root": False},
    "normaliser of softmax not differentiated": {"mean": False},
    "path through Q dropped": {"path_q": False},
    "path through K dropped": {"path_k": False},
    "A not transposed": {"turned": True},
    "sign of the gradient of V": {"sign": -1},
}
point = draw(5, 7, 3)
report = ts.gradcheck(ts.attention, point, backward=by_hand)
check("A6", "the gradient by hand is right", report)
found = {
    name: ts.gradcheck(ts.attention, point, backward=lambda *p, m=mistake: by_hand(*p, **m))
    for name, mistake in mistakes.items()
}
for name, report in found.items():
    print(f"{name:42s} {report.verdict}: {[e.name for e in report.entries if e.verdict == 'wrong']}")
check("A6", "the check catches all six mistakes", not any(r.ok for r in found.values()))

# %%
picture = Figure(figsize=(7.6, 4.0), layout="constrained")
axes = picture.subplots()
chosen = {"A / V elementwise": ("#D55E00", "s:"), "A inv(V)": ("#E69F00", "^--"), "A V (repaired)": ("#0072B2", "o-")}
for name, (colour, style) in chosen.items():
    axes.loglog(factors, largest[name], style, color=colour, label=name, markersize=5)
axes.set(xlabel="factor by which V is multiplied", ylabel="largest output", title="Larger values, smaller output?")
axes.legend(fontsize=9)
figure(picture, "As printed, in both readings shown, the output shrinks when the values grow.")

# %% [markdown]
# ## Your turn
#
# Add a row of zeros to `k` and to `v`. Expected: the output changes, for a key of zeros has score 0, and that gives a
# weight like any other. To hide a key its score must be minus infinity (`mask` of `ts.attention`).

# %% [markdown]
# ## Limits and sources
#
# The questions about shape, scale and hull decide against the printed formula for all readings that were run here; the
# pseudo-inverse transposed passes those about shape and order.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, equation 1 and 3.2.1.

# %% solution
q, k, v = point
with_zeros = [ts.cat([t, ts.tensor(np.zeros((1, t.shape[1])))]) for t in (k, v)]
before, seen = (ts.attention(q, *pair).numpy() for pair in ((k, v), with_zeros))
hidden = ts.attention(q, *with_zeros, mask=np.arange(6) < 5).numpy()
print(f"a key of zeros changes the output by up to {np.abs(seen - before).max():.2f}")
check("A6", "a key of zeros changes the output", np.abs(seen - before).max() > 0.01)
check("A6", "hidden by a mask it does not", np.allclose(hidden, before, rtol=1e-12, atol=1e-12))
