# %% [markdown]
# # Dropout in a recurrent network
#
# Dropout switches units off at random while a network learns. A recurrent network hands its state from step to step: is
# a new mask drawn at every step, or one for the whole sequence, and what does it do to the memory?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, H$ | sequences, steps, hidden units | numbers |
# | $p$ | probability that a unit is switched off | number |
# | $m_t$ | mask of step $t$: 0 with probability $p$, else 1 | $(B, H)$ |
# | $h_t$ | state | $(B, H)$ |
# | $U$ | weights of the old state | $(H, H)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)

# %% [markdown]
# ## As named
#
# Article B, 7.3 (B19), lists the paper on dropout in recurrent networks and goes no further. So there is nothing to
# refute, and something to build. One mask on one layer:
#
# $$\tilde h = \frac{m \odot h}{1 - p}$$
#
# What is left is scaled up, so that the mean over all masks is the undisturbed state.


# %%
def drop(h, mask, p):
    return h * ts.tensor(mask) / (1 - p)


p, h = 0.3, rng.normal(size=(1, 6))
draws = rng.random((40_000, 6)) >= p
mean = drop(ts.tensor(h), draws, p).numpy().mean(axis=0)
bar = 5 * np.abs(h[0]) * np.sqrt(p / (1 - p) / len(draws))  # five standard errors
near = (np.abs(mean - h[0]) < bar).all()
check("B19", "over 40000 masks the mean is h, within five standard errors", near, verdict="task")
mask = rng.random((2, 6)) >= p
x = rng.normal(size=(2, 6))
check("B19", "with the mask held, the gradient is right", ts.gradcheck(lambda h: ts.tanh(drop(h, mask, p)), [x]))


def redrawn(g, h):  # a new mask on the way back
    other = rng.random(h.shape) >= p
    return drop(g, other, p)


kept_scale = ts.gradcheck(lambda h: drop(h, mask, p), [x], backward=lambda g, h: g * ts.tensor(1.0 * mask))
check(
    "B19",
    "a mask redrawn for the way back is caught",
    not ts.gradcheck(lambda h: drop(h, mask, p), [x], backward=redrawn).ok,
)
check("B19", "so is a gradient without 1/(1 - p)", not kept_scale.ok)
unseeded = ts.gradcheck(lambda h: drop(h, rng.random(h.shape) >= p, p), [x])
check("B19", "and a forward pass that draws by itself: it is not repeatable", not unseeded.ok)

# %% [markdown]
# ## What a state goes through
#
# Take the simplest memory, a unit that hands on what it has. With a fresh mask per step it is cut off by the first 0 it
# meets. With one mask for all steps it is either cut off at once or never.
#
# $$P(\mathrm{alive \ after} \ T) = (1 - p)^T \quad \mathrm{against} \quad 1 - p$$

# %%
T, units = 12, 20_000
fresh = rng.random((T, units)) >= p
once = np.broadcast_to(rng.random(units) >= p, (T, units))
alive = {name: np.cumprod(masks, axis=0).mean(axis=1) for name, masks in (("fresh", fresh), ("once", once))}
print(f"alive after {T} steps with p = {p}: fresh masks {alive['fresh'][-1]:.3f}, one mask {alive['once'][-1]:.3f}")
steps = np.arange(1, T + 1)
expected = {"fresh": (1 - p) ** steps, "once": np.full(T, 1 - p)}
close = all((np.abs(alive[k] - q) < 5 * np.sqrt(q * (1 - q) / units)).all() for k, q in expected.items())
check("B19", "measured: the two laws, within five standard errors at every step", close)

# %% [markdown]
# ## The noise it makes
#
# The survivors are scaled up at every step. The mean stays right, and the spread grows like a power: the product of $T$
# fresh scaled masks has
#
# $$\mathrm{Var} = \left( \frac{1}{1 - p} \right)^T - 1$$

# %%
product = np.prod(rng.random((5, 200_000)) >= p, axis=0) / (1 - p) ** 5
variance = (1 / (1 - p)) ** 5 - 1
print(f"five fresh masks: mean {product.mean():.3f}, variance {product.var():.2f}, by the formula {variance:.2f}")
check(
    "B19",
    "the mean is 1 and the variance as stated, to three percent",
    abs(product.mean() - 1) < 0.03 and abs(product.var() / variance - 1) < 0.03,
)


# %% [markdown]
# ## A memory to train
#
# A recurrent network reads four bits in the first step and has to tell them ten steps later. Between them
# $h_t = \tanh(U \tilde h_{t-1} + b)$. Three ways at once, each from the same three starts: no dropout, one mask per
# sequence, fresh masks.


# %%
KINDS, STARTS, H, BITS, STEPS = ("none", "once", "fresh"), 3, 16, 4, 10


def make_masks(rng, batch, p):
    """STEPS masks for all three ways, (3, STARTS, batch, H), scaled."""
    first = rng.random((STARTS, batch, H)) >= p
    for _ in range(STEPS):
        fresh = rng.random((STARTS, batch, H)) >= p
        yield np.stack([np.ones(first.shape), first / (1 - p), fresh / (1 - p)])


def remember(bits, weights, masks):
    W, U, b, R = weights
    h = ts.tanh(ts.tensor(np.broadcast_to(bits, (len(KINDS), STARTS, *bits.shape))) @ W + b)
    for mask in masks:
        h = ts.tanh((h if mask is None else h * ts.tensor(mask)) @ U + b)
    return h @ R


sizes = ((BITS, H), (H, H), (1, H), (H, BITS))
W, U, b, R = parts = [rng.normal(size=(len(KINDS), STARTS, *size)) for size in sizes]
bits, mask = rng.choice([-1.0, 1.0], size=(2, BITS)), rng.integers(0, 2, size=(len(KINDS), STARTS, 2, H)) * 2.0
by_formula = np.tanh(np.tanh(np.tanh(bits @ W + b) * mask @ U + b) @ U + b) @ R
found = remember(bits, [ts.tensor(part) for part in parts], [mask, None]).numpy()
check("B19", "two steps, one with a mask, are the formula", np.allclose(found, by_formula))


def train(p, updates=200, batch=32):
    rng = np.random.default_rng(1)
    turns = [np.linalg.qr(rng.normal(size=(H, H)))[0] for _ in range(STARTS)]
    first = [rng.normal(size=(STARTS, BITS, H)) * 0.5, np.stack(turns), np.zeros((STARTS, 1, H))]
    first.append(rng.normal(size=(STARTS, H, BITS)) / np.sqrt(H))
    weights = [ts.tensor(np.stack([w] * len(KINDS)), requires_grad=True) for w in first]
    optimizer = ts.optim.Adam(weights, lr=0.01)
    for _ in range(updates):
        bits = rng.choice([-1.0, 1.0], size=(batch, BITS))
        answer = remember(bits, weights, make_masks(rng, batch, p))
        loss = ts.softplus(-answer * ts.tensor(bits)).mean(dim=(2, 3))
        optimizer.zero_grad()
        loss.sum().backward()
        ts.optim.clip_grad_norm_(weights, 5.0)
        optimizer.step()
    return weights


def right_bits(weights, p=None):
    """Share of bits told rightly, (3, STARTS); with masks where p is given."""
    rng = np.random.default_rng(2)
    bits = rng.choice([-1.0, 1.0], size=(300, BITS))
    with ts.no_grad():
        answer = remember(bits, weights, [None] * STEPS if p is None else make_masks(rng, 300, p)).numpy()
    return ((answer > 0) == (bits > 0)).mean(axis=(2, 3))


weights = train(p)
tested, masked = right_bits(weights), right_bits(weights, p)
for k, name in enumerate(KINDS):
    print(f"{name:6s} right bits, masks off: {np.round(tested[k], 2)}   masks on: {np.round(masked[k], 2)}")
none, one_mask, fresh_masks = tested.mean(axis=1)
check("B19", "without dropout nearly all bits are right", none > 0.98)
check("B19", "with one mask per sequence over nine in ten", one_mask > 0.9)
check("B19", "with fresh masks at least a tenth less", fresh_masks < one_mask - 0.1)

# %% [markdown]
# ## In the library
#
# `ts.nn.SequenceDropout` draws one mask per sequence. `recurrent_dropout` of `ts.nn.RNN`, `LSTM` and `GRU` drops the
# same units of the old state at all steps, by dropping columns of $U$: a column meets one unit.

# %%
layer = ts.nn.SequenceDropout(p, rng=np.random.default_rng(0))
ones = layer(ts.tensor(np.ones((3, 7, 8)))).numpy()
check("B19", "SequenceDropout: the same mask at all steps, another per sequence",
      (ones == ones[:, :1]).all() and not (ones[0] == ones[1]).all())  # fmt: skip
U, state, m = rng.normal(size=(4, 4)), rng.normal(size=4), np.array([1.0, 0.0, 1.0, 1.0])
check("B19", "dropping a column of U is dropping a unit of the state", np.allclose((U * m) @ state, U @ (m * state)))

# %%
picture = Figure(figsize=(9, 3.9), layout="constrained")
left, right = picture.subplots(1, 2)
for name, colour, marker, label in (("once", "#0072B2", "o", "one mask"), ("fresh", "#D55E00", "s", "fresh masks")):
    left.plot(steps, alive[name], marker, color=colour, label=label)
    left.plot(steps, expected[name], color=colour)
left.set(title=f"Units never switched off, p = {p}", xlabel="step", ylabel="share of the units", ylim=(0, 1))
left.legend(frameon=False)
for k, colour in enumerate(("#555555", "#0072B2", "#D55E00")):
    right.bar(k, tested[k].mean(), color=colour, width=0.6)
    right.plot([k] * STARTS, tested[k], "o", color="white", markeredgecolor="black")
right.axhline(0.5, color="black", linestyle=":", linewidth=1)
right.set(title="Bits remembered over ten steps, masks off", ylabel="share of the bits right", ylim=(0, 1.04))
right.set_xticks(range(3), ["no dropout", "one mask", "fresh masks"])
said = "Left: dots are measured, lines the formulas. Right: bars are means, circles the three starts, dotted guessing."
figure(picture, said)

# %% [markdown]
# ## Your turn
#
# 1. Which $p$ leaves half of the units alive after ten steps with fresh masks? Expected: about 0.067.
# 2. Ask for one bit only (`BITS = 1`). Expected: fresh masks do no harm to speak of: 16 units keep one bit many times
#    over.

# %% [markdown]
# ## Limits and sources
#
# What is shown is harm: fresh masks on the state make a memory hard to learn, one mask makes it less hard. Whether
# dropout helps on unseen text is not measured here. In an LSTM the memory runs through the cell; masks on $h$ alone
# leave it in peace, and the difference is smaller.
#
# Y. Gal and Z. Ghahramani, NIPS 2016 (one mask). N. Srivastava et al., JMLR 15 (2014) 1929. W. Zaremba, I. Sutskever
# and O. Vinyals, arXiv 1409.2329 (dropout between layers only).

# %% solution
half = 1 - 0.5 ** (1 / 10)
survivors = (rng.random((10, 100_000)) >= half).all(axis=0).mean()
print(f"p = {half:.3f} leaves {survivors:.3f} of the units")
check("B19", "about 0.067, and half survive", abs(half - 0.067) < 0.001 and abs(survivors - 0.5) < 0.01)
BITS = 1
easy = right_bits(train(p, updates=100)).mean(axis=1)
check("B19", "one bit: fresh masks get over 95 % right", easy[2] > 0.95)
