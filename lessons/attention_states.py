# %% [markdown]
# # Attention over states
#
# A recurrent network leaves one state per word. How are they drawn together to one vector, and over what must the
# softmax run?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $T, H$ | number of steps, features of a state | numbers |
# | $h_t$ | state after step $t$; $h_0 = 0$ | $(H)$ |
# | $q$ | query: what is asked for | $(D)$ |
# | $e_t, a_t$ | score and weight of step $t$ | numbers |
# | $c$ | context: the states drawn together | $(H)$ |

# %%
import numpy as np

import tinyslm as ts
from tinyslm import optim, plot
from tinyslm.lesson import check, figure

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
rng = np.random.default_rng(0)
T, H = 7, 5


def draw(*shape, scale=1.0):
    return ts.tensor(rng.normal(0, scale, shape), requires_grad=True)


h = draw(T, H)

# %% [markdown]
# ## As printed
#
# Article B, 4.1, "attention mechanism" (B10, B11). The shape of $W_a$ is not said.
#
# $$a_t = \mathrm{softmax}(W_a [h_{t-1}, h_t] + b_a)$$
#
# $$h^*_t = \sum_{t=1}^{T} a_t h_t$$
#
# With $W_a$ of shape $(1, 2H)$ there is one score per step, with $(H, 2H)$ one per feature. A third reading takes one
# score per step and lets the softmax run over the steps.


# %%
def pairs(h):
    """[h_{t-1}, h_t] for every step, on the last two dimensions: (..., T, 2H)."""
    before = ts.pad(h, ((0, 0),) * (h.ndim - 2) + ((1, 0), (0, 0)))[..., :-1, :]
    return ts.cat([before, h], dim=-1)


def weights(h, w, b, dim=-1):
    return ts.softmax(pairs(h) @ w.T + b, dim=dim)


one, per_feature = (draw(1, 2 * H), draw(1)), (draw(H, 2 * H), draw(H))

rows = np.hstack([np.vstack([np.zeros((1, H)), h.numpy()[:-1]]), h.numpy()]) @ one[0].numpy().T + one[1].numpy()
by_numpy = np.exp(rows) / np.exp(rows).sum()
check("B10", "over the steps it is the formula's softmax", np.allclose(weights(h, *one, dim=0).numpy(), by_numpy))

# %% [markdown]
# ## It breaks: one score per step
#
# A softmax over one number is 1. The weights are the same for every text, and $W_a$ has no gradient.

# %%
a = weights(h, *one)
for_w = ts.grad((a * h).sum(), [one[0]])[0].numpy()
grown = [np.abs((weights(x, *one) * x).sum(dim=0).numpy()).mean() for x in (h, ts.cat([h] * 10))]
print("weights:", a.numpy().ravel(), "  size of the sum for T and 10 T:", np.round(grown, 2))
check("B10", "one score per step: every weight is 1 and W_a gets no gradient",
      (a.numpy() == 1).all() and (for_w == 0).all(), None, "wrong: notation")  # fmt: skip
check(
    "B11", "the sum grows with the length: ten times the text gives ten times it", np.isclose(grown[1], 10 * grown[0])
)

# %% [markdown]
# ## It breaks: one score per feature
#
# Now the shares are taken among the features of one step. All steps have the same total share, and no step can gain
# what another loses.

# %%
a = weights(h, *per_feature)
moved = h.numpy()
moved[5] += 2.0
after = weights(ts.tensor(moved), *per_feature)
unmoved = [t for t in range(T) if np.array_equal(a.numpy()[t], after.numpy()[t])]
print("total share of each step:", a.numpy().sum(axis=1).round(12), "  weights unchanged at steps", unmoved)
check("B10", "one score per feature: every step has a total of 1, the text T", np.allclose(a.numpy().sum(axis=1), 1))
check("B10", "a change at step 5 leaves the weights of all but steps 5 and 6", unmoved == [0, 1, 2, 3, 4])

# %% [markdown]
# ## It breaks: one letter for two things
#
# In B11, $t$ is the index of the result and the index of the sum. The right side has no free $t$ left: whatever stands
# for $t$ on the left, the same vector comes out.

# %%
over_time = weights(h, *one, dim=0)
stars = np.array([(over_time * h).sum(dim=0).numpy() for _ in range(T)])
check("B11", "the T vectors that are printed are one vector", np.ptp(stars, axis=0).max() == 0, None, "wrong: notation")

# %% [markdown]
# ## Repaired: the softmax runs over the steps
#
# The third reading compares the steps with each other. It has no query, so it can only learn what is important in
# every text alike.
#
# $$a_t = \frac{e^{e_t}}{\sum_{s=1}^{T} e^{e_s}}$$

# %%
check("B10", "repaired: the weights of all steps add up to 1", np.isclose(over_time.numpy().sum(), 1))
check("B10", "repaired: its gradient is right", ts.gradcheck(lambda h, w, b: weights(h, w, b, dim=0), [h, *one]))

# %% [markdown]
# ## Repaired: a query
#
# Bahdanau's score lets a query ask the states. $W_q$ and $W_h$ bring both to the same width; $\tanh$ lets them meet;
# $u$ makes one number of it.
#
# $$e_t = u^\top \tanh(W_q q + W_h h_t + b)$$


# %%
def scores(q, h, w_q, w_h, b, u):
    """q (..., D), h (..., T, H) -> (..., T)."""
    return ts.tanh((q @ w_q.T).unsqueeze(-2) + h @ w_h.T + b) @ u


D, M = 4, 6
parts = [draw(M, D), draw(M, H), draw(M), draw(M)]
q = draw(D)
by_hand = [
    parts[3].numpy() @ np.tanh(parts[0].numpy() @ q.numpy() + parts[1].numpy() @ x + parts[2].numpy())
    for x in h.numpy()
]
check("B10", "repaired: one score per step, as the formula says", np.allclose(scores(q, h, *parts).numpy(), by_hand))

# %% [markdown]
# ## Repaired: one context per query
#
# $$c = \sum_{t=1}^{T} a_t h_t$$


# %%
def context(q, h, *parts):
    a = ts.softmax(scores(q, h, *parts), dim=-1)
    return (a.unsqueeze(-2) @ h).squeeze(-2)


three = draw(3, D)
together = context(three, h, *parts).numpy()
singly = np.array([context(three[i], h, *parts).numpy() for i in range(3)])
check("B11", "repaired: three queries get three contexts", together.shape == (3, H) and np.allclose(together, singly))
inside = (together >= h.numpy().min(axis=0)).all() and (together <= h.numpy().max(axis=0)).all()
check("B11", "repaired: a context stays within the range of the states, for any length", inside)
check("B11", "repaired: all six gradients are right", ts.gradcheck(context, [q, h, *parts]))

# %% [markdown]
# ## The power of the check
#
# Five mistakes in the backward pass, written by hand; the check must tell each from the right one.


# %%
def backward(g, q, h, w_q, w_h, b, u, keep_mean=True, slope=True, direct=True, path_q=True, sum_b=True):
    z = np.tanh(w_q @ q + h @ w_h.T + b)
    a = np.exp(z @ u - (z @ u).max())
    a /= a.sum()
    for_a = h @ g
    for_e = a * (for_a - (a @ for_a) * keep_mean)
    for_z = for_e[:, None] * u * (1 - z**2 if slope else 1)
    for_w_q = np.outer(for_z.sum(axis=0), q) * path_q
    for_h = np.outer(a, g) * direct + for_z @ w_h
    return w_q.T @ for_z.sum(axis=0), for_h, for_w_q, for_z.T @ h, for_z.sum(axis=0) if sum_b else for_z[0], for_e @ z


def judged(**mistake):
    return ts.gradcheck(context, [q, h, *parts], backward=lambda g, *p: backward(*map(np.asarray, (g, *p)), **mistake))


check("B11", "the gradient by hand is right", judged())
found = {name: judged(**{name: False}).ok for name in ("keep_mean", "slope", "direct", "path_q", "sum_b")}
print("accepted with a mistake:", found)
check("B11", "the check catches all five mistakes", not any(found.values()))

# %% [markdown]
# ## A small task
#
# Each text has 8 steps with a key and a value; every key occurs once, values come as they like. The query names a key
# and the answer is its value. The states are given, so only the drawing together is learned.


# %%
def texts(count, steps=8, kinds=8):
    """States (B, T, 16), queries (B, 8), answers (B,): the key of each step is another one."""
    keys = np.array([rng.permutation(kinds)[:steps] for _ in range(count)])
    values = rng.integers(0, kinds, (count, steps))
    at = rng.integers(0, steps, count)
    rows = np.arange(count)
    states = np.concatenate([np.eye(kinds)[keys], np.eye(kinds)[values]], axis=-1)
    return ts.tensor(states), ts.tensor(np.eye(kinds)[keys[rows, at]]), values[rows, at], at


def train(pool, sizes, steps=200):
    """The share of right answers on new texts, and the parameters, for one way to draw states together."""
    parameters = [draw(*size, scale=0.3) for size in (*sizes, (8, 24), (8,))]
    adam = optim.Adam(parameters, lr=0.03)
    for _ in range(steps):
        states, query, answer, _ = texts(16)
        *own, w, b = parameters
        drawn = ts.cat([pool(query, states, *own), query], dim=-1)
        adam.zero_grad()
        ts.cross_entropy(drawn @ w.T + b, answer).backward()
        adam.step()
    states, query, answer, _ = texts(1000)
    drawn = ts.cat([pool(query, states, *own), query], dim=-1)
    return float(((drawn @ w.T + b).numpy().argmax(axis=1) == answer).mean()), own


ways = {
    "printed, one score per step": (lambda q, h, w, b: (weights(h, w, b) * h).sum(dim=-2), [(1, 32), (1,)]),
    "printed, one score per feature": (lambda q, h, w, b: (weights(h, w, b) * h).sum(dim=-2), [(16, 32), (16,)]),
    "over the steps, no query": (lambda q, h, w, b: (weights(h, w, b, dim=-2) * h).sum(dim=-2), [(1, 32), (1,)]),
    "over the steps, with a query": (context, [(16, 8), (16, 16), (16,), (16,)]),
}
right = {}
for name, (pool, sizes) in ways.items():
    right[name], learned = train(pool, sizes)
    print(f"{name:32s} right answers {right[name]:.1%}   (guessing: 12.5%)")
best = right.pop("over the steps, with a query")
check("B10", "with a query more than 9 of 10 answers are right", best > 0.9)
check("B10", "without one, fewer than half are, in all three readings", max(right.values()) < 0.5)

# %%
states, query, answer, at = texts(1)
names = [f"key {k}, value {v}" for k, v in zip(*(states.numpy()[0].reshape(8, 2, 8).argmax(axis=2).T), strict=True)]
each = ts.softmax(scores(ts.tensor(np.eye(8)), states[0], *learned)).numpy()
picture = plot.heatmap(each.round(2), [f"query {k}" for k in range(8)], names, "Which step each query looks at")
figure(picture, "After training every query puts its weight on the step with its key; each row adds up to 1.")

# %% [markdown]
# ## Your turn
#
# 1. Give `context` a text of one step. Expected: its state comes back, for any query.
# 2. Add a padding step of zeros to `h`. Expected: the context changes, for a state of zeros has a score like any other;
#    setting its score to minus infinity before the softmax brings the old context back.

# %% [markdown]
# ## Limits and sources
#
# That the readings without a query fail here says that this task needs one, not that they never learn: where the texts
# themselves mark the important step, the third reading is enough. The states were made by hand and not by a recurrent
# network. `nn.AttentionPool` is the layer to use on real states.
#
# D. Bahdanau et al., Neural machine translation by jointly learning to align and translate, ICLR 2015, 3.1 and A.1.2.

# %% solution
single = context(q, h[:1], *parts).numpy()
check("B11", "exercise 1: one step gives its own state", np.allclose(single, h.numpy()[0]))
padded = ts.cat([h, ts.tensor(np.zeros((1, H)))])
hidden = ts.where(ts.tensor(np.arange(T + 1) < T), scores(q, padded, *parts), -np.inf)
masked = (ts.softmax(hidden) @ padded).numpy()
check("B11", "exercise 2: hidden padding changes nothing, padding that is seen does",
      np.allclose(masked, context(q, h, *parts).numpy())
      and not np.allclose(context(q, padded, *parts).numpy(), masked))  # fmt: skip
