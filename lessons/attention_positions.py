# %% [markdown]
# # Positions
#
# Does attention know which word came first? And how do sines and rotations tell it?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $T, D$ | tokens, features | numbers |
# | $t, s$ | positions, from 0 | integers |
# | $P$ | table of positions, added to the embeddings | $(T, D)$ |
# | $\omega_i$ | angle per step of the pair of features $(2i, 2i+1)$ | number |
# | $R_t$ | rotation of all pairs of features by their angle at position $t$ | $(D, D)$ |
# | $\Pi$ | a change of order of the tokens | $(T, T)$ |

# %%
import itertools

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import nn
from tinyslm.lesson import check, figure

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
rng = np.random.default_rng(0)
T, D = 6, 8

# %% [markdown]
# ## Without positions order is lost
#
# Change the order of the tokens, and the outputs of attention change their order in the same way and nothing else:
# attention is equivariant under permutations. What draws the outputs together by a mean can't tell "dog bites man" from
# "man bites dog". Article A names positions in its diagram (3.2) and prints no formula for them.
#
# $$\mathrm{Attention}(\Pi X) = \Pi \; \mathrm{Attention}(X)$$

# %%
layer = nn.MultiHeadAttention(D, 2, rng=rng, dtype="float64")
block = nn.TransformerEncoderLayer(D, 2, 16, 0.0, rng=rng, dtype="float64")
words = {word: rng.normal(size=D) for word in ("dog", "bites", "man")}


def read(part, text, table=0.0):
    x = np.array([words[word] for word in text.split()])
    return part(ts.tensor((x + table)[None])).numpy()[0]


x = rng.normal(size=(1, T, D))
for name, part in (("attention", layer), ("a whole block", block)):
    y = part(ts.tensor(x)).numpy()
    turns = [rng.permutation(T) for _ in range(20)]
    gap = max(np.abs(part(ts.tensor(x[:, turn])).numpy() - y[:, turn]).max() for turn in turns)
    print(f"{name}: largest difference over 20 orders {gap:.0e}")
    check("", f"{name} is equivariant under permutations", gap < 1e-12)
one, other = (read(block, text).mean(axis=0) for text in ("dog bites man", "man bites dog"))
check("", "the mean over the tokens is the same for both sentences", np.allclose(one, other))

# %% [markdown]
# ## Sines and cosines
#
# Each pair of features turns like the hand of a clock: the first by one radian per position, the next ones slower and
# slower. The table is added to the embeddings.
#
# $$P_{t,2i} = \sin(t \omega_i), \quad P_{t,2i+1} = \cos(t \omega_i), \quad \omega_i = 10000^{-2i/D}$$


# %%
def angles(positions, features):
    return np.asarray(positions)[..., None] * 10000.0 ** (-np.arange(0, features, 2) / features)


def table(time, features):
    turned = angles(np.arange(time), features)
    return np.stack([np.sin(turned), np.cos(turned)], axis=-1).reshape(time, features)


P = table(T, D)
check("", "equal to nn.sinusoidal_positions", np.allclose(P, nn.sinusoidal_positions(T, D, "float64").numpy()))
apart = min(np.linalg.norm(a - b) for a, b in itertools.combinations(table(512, 64), 2))
print(f"64 features, 512 positions: the closest two rows have the distance {apart:.2f}")
check("", "no two of 512 positions are alike", apart > 0.5)
one, other = (read(block, text, P[:3]).mean(axis=0) for text in ("dog bites man", "man bites dog"))
check("", "with the table the two sentences differ", np.abs(one - other).max() > 1e-3)

# %% [markdown]
# ## The product of two rows depends on their distance
#
# Two hands of one clock: the cosine of the angle between them is what counts, and that depends on $t - s$ alone.
#
# $$P_t \cdot P_s = \sum_i \cos((t - s) \omega_i)$$

# %%
wide = table(120, 64)
products = wide @ wide.T
t, s = np.indices(products.shape)
by_distance = np.cos(angles(t - s, 64)).sum(axis=-1)
check("", "the products are the sum of cosines of the distance", np.allclose(products, by_distance))

# %% [markdown]
# ## Rotary: turn queries and keys
#
# Nothing is added here. The query at $t$ and the key at $s$ are turned by their position; in their product only the
# difference of the turns is left, whatever the two vectors are.
#
# $$(R_t q) \cdot (R_s k) = q \cdot (R_{s-t} k)$$


# %%
def turned(v, t):
    """R_t v: the pairs of features as complex numbers, times a number of size 1."""
    pairs = (v[..., 0::2] + 1j * v[..., 1::2]) * np.exp(1j * angles(t, v.shape[-1]))
    return np.stack([pairs.real, pairs.imag], axis=-1).reshape(v.shape)


q, k = rng.normal(size=(2, D))
far = [turned(q, t) @ turned(k, t - 3) for t in (3, 10, 1000)]
print("one query and one key, 3 steps apart, at three places:", np.round(far, 10))
check("", "the score depends on the distance alone", np.allclose(far, q @ turned(k, -3)))
check("", "a turn keeps the length", np.isclose(np.linalg.norm(turned(q, 77)), np.linalg.norm(q)))
queries, keys = rng.normal(size=(2, T, D))
library = [v.numpy() for v in nn.apply_rotary(ts.tensor(queries), ts.tensor(keys))]
check("", "equal to nn.apply_rotary", np.allclose(library, [turned(v, np.arange(T)) for v in (queries, keys)]))


def rotary_attention(q, k, v):
    return ts.attention(*nn.apply_rotary(q, k), v)


check("", "attention with turned queries and keys: its gradients are right",
      ts.gradcheck(rotary_attention, [queries, keys, rng.normal(size=(T, 3))]))  # fmt: skip

# %% [markdown]
# ## What goes wrong if
#
# The test "depends on the distance alone" is put to five rules. The table that is added fails it where embeddings are
# present: the product also contains terms of the one position and of the other.


# %%
def wrong_pairs(v, t):  # wrong on purpose
    """Turns with the angle of the wrong pair for half of the features."""
    a = np.repeat(angles(t, v.shape[-1]), 2, axis=-1)
    swapped = np.stack([-v[..., 1::2], v[..., 0::2]], axis=-1).reshape(v.shape)
    return v * np.cos(a) + swapped * np.sin(np.roll(a, 1, axis=-1))


rules = {
    "rotary": (turned, turned),
    "table added": (lambda v, t: v + table(t + 1, D)[t],) * 2,
    "keys not turned": (turned, lambda v, t: v),
    "keys turned backwards": (turned, lambda v, t: turned(v, -t)),
    "angles of the wrong pair": (wrong_pairs, wrong_pairs),
}
spread = {name: np.ptp([f(q, t) @ g(k, t - 3) for t in (3, 10, 100)]) for name, (f, g) in rules.items()}
for name, value in spread.items():
    print(f"{name:26s} spread of the score over three places {value:.1e}")
check("", "only the right rotation passes", [name for name, value in spread.items() if value < 1e-9] == ["rotary"])

# %%
picture = Figure(figsize=(9.0, 3.9), layout="constrained")
left, right = picture.subplots(1, 2, width_ratios=(1.25, 1))
image = left.imshow(wide[:60].T, cmap="PuOr", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
left.set(xlabel="position t", ylabel="feature", title="The table of sines and cosines")
picture.colorbar(image, ax=left, label="value")
right.plot(np.arange(120), products[0] / 32, color="#0072B2")
right.axhline(0, color="#888888", linewidth=0.8)
right.set(xlabel="distance t - s", ylabel="product of two rows, 1 for the same", title="Near positions are alike")
figure(
    picture, "Left: fast and slow clocks, 64 features. Right: how alike two rows are depends on their distance only."
)

# %% [markdown]
# ## Your turn
#
# 1. Add a causal mask to `layer` and leave the positions out. Expected: it is no longer equivariant, for token $t$ now
#    sees $t + 1$ tokens. A causal model can count even without a table.
# 2. Is there a matrix that takes $P_t$ to $P_{t+5}$ for every $t$? Expected: yes, a rotation, and a least squares fit
#    finds it without error.

# %% [markdown]
# ## Limits and sources
#
# Equivariance was tried on random orders and holds for every attention without mask and positions. That the rows stay
# apart was counted for 512 positions. Nothing here says which kind of positions trains best, or how far beyond the
# lengths of training each kind can be read.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, 3.5. J. Su et al., RoFormer, 2021, equations 15 and 34.

# %% solution
causal = layer(ts.tensor(x), causal=True).numpy()
gap = np.abs(layer(ts.tensor(x[:, ::-1].copy()), causal=True).numpy() - causal[:, ::-1]).max()
check("", "exercise 1: with a causal mask the order matters", gap > 1e-3)
rows = table(100, D)
fitted, *_ = np.linalg.lstsq(rows[:-5], rows[5:], rcond=None)
check("", "exercise 2: one rotation moves every position by 5",
      np.allclose(rows[:-5] @ fitted, rows[5:]) and np.allclose(fitted @ fitted.T, np.eye(D)))  # fmt: skip
