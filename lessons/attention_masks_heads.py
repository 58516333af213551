# %% [markdown]
# # Masks and heads
#
# How is a token kept from looking at padding or into the future? And how do several heads look at once, with one matrix
# product?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, D$ | texts in a batch, tokens, features | numbers |
# | $N$ | heads; $D / N$ features each | number |
# | $S$ | scores | $(T, T)$ per head |
# | $M$ | mask: may query $i$ see key $j$? | bool, $(T, T)$ |
# | $A$ | weights | $(T, T)$ per head |
# | $W, W_O$ | weights of all queries, keys and values; of the output | $(3D, D), (D, D)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import nn
from tinyslm.lesson import check, figure

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
rng = np.random.default_rng(0)
T, D = 5, 4
q, k, v = (ts.tensor(rng.normal(size=(T, D))) for _ in range(3))
causal = np.tril(np.ones((T, T), bool))

# %% [markdown]
# ## A mask
#
# A score of minus infinity gives the weight 0 exactly, for $e^{-\infty} = 0$, and the others share the whole.
#
# $$A = \mathrm{softmax}(S'), \quad S'_{ij} = S_{ij} \; \mathrm{if} \; M_{ij}, \; \mathrm{else} \; -\infty$$


# %%
def weights(q, k, mask):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    return ts.softmax(ts.where(ts.tensor(mask), scores, -np.inf))


def masked(q, k, v, mask=causal):
    return weights(q, k, mask) @ v


a = weights(q, k, causal).numpy()
check(
    "",
    "hidden keys have the weight 0 exactly, rows add up to 1",
    (a[~causal] == 0).all() and np.allclose(a.sum(axis=1), 1),
)
check(
    "",
    "equal to ts.attention with the mask",
    np.allclose(masked(q, k, v).numpy(), ts.attention(q, k, v, mask=causal).numpy()),
)
check(
    "",
    "the causal mask is what causal=True means",
    np.allclose(masked(q, k, v).numpy(), ts.attention(q, k, v, causal=True).numpy()),
)
check("", "its gradients are right", ts.gradcheck(lambda *p: ts.attention(*p, causal=True), [q, k, v]))

# %% [markdown]
# ## Causal: the future has no influence
#
# A model that predicts the next token must not see it. The derivative of output $i$ with respect to token $j$ tells
# whether it does.


# %%
def influence(attend):  # measures who feels whom
    """The size of the derivative of each output with respect to each token, (T, T)."""
    x = ts.tensor(rng.normal(size=(T, D)), requires_grad=True)
    y = attend(x)
    each = [[ts.grad(y[i, f], [x], retain_graph=True)[0].numpy() for f in range(D)] for i in range(T)]
    return np.sqrt(np.square(each).sum(axis=(1, 3)))


felt = influence(lambda x: ts.attention(x, x, x, causal=True))
check("", "no output feels a later token: exactly 0", (felt[~causal] == 0).all())
check("", "each feels itself and all earlier ones", (felt[causal] > 0).all())

# %% [markdown]
# ## What goes wrong if the weights are masked after the softmax
#
# Setting weights to 0 afterwards looks like the same thing. But the hidden scores are still in the denominator: rows no
# longer add up to 1, and the future leaks in through it.


# %%
def too_late(x):  # wrong on purpose
    return (ts.softmax(x @ x.mT / D**0.5) * ts.tensor(causal.astype(float))) @ x


leak = influence(too_late)
sums = (ts.softmax(q @ k.mT / D**0.5).numpy() * causal).sum(axis=1)
print("row sums when masked too late:", sums.round(3), f"  largest influence of the future: {leak[~causal].max():.3f}")
check("", "masked too late: rows don't add up to 1", sums[:-1].max() < 0.999)
check("", "masked too late: the future has an influence", leak[~causal].max() > 1e-3)

# %% [markdown]
# ## A row that may see nothing
#
# All scores are minus infinity, and the softmax is 0 divided by 0: not a number, and from there it spreads to the whole
# batch. `ts.attention` gives such a query zeros, and it gets no gradient.

# %%
blind = causal.copy()
blind[2] = False
with np.errstate(invalid="ignore"):
    plain = masked(q, k, v, blind).numpy()
careful = ts.attention(q, k, v, mask=blind).numpy()
check("", "the plain softmax gives NaN in the row that sees nothing", np.isnan(plain[2]).all())
check("", "ts.attention gives zeros there and the same elsewhere",
      (careful[2] == 0).all() and np.allclose(np.delete(careful, 2, 0), np.delete(plain, 2, 0)))  # fmt: skip
check("", "and its gradients are right", ts.gradcheck(lambda *p: ts.attention(*p, mask=blind), [q, k, v]))

# %% [markdown]
# ## Padding
#
# A text that is filled up to the batch's length must give the same as it does alone.

# %%
layer = nn.MultiHeadAttention(6, 3, rng=rng, dtype="float64")
layer.in_proj_bias.copy_(rng.normal(size=18))  # a new layer has biases of 0, which would hide a mistake with them
layer.out_proj.bias.copy_(rng.normal(size=6))
text = rng.normal(size=(1, T, 6))
filled = np.concatenate([text, rng.normal(size=(1, 3, 6))], axis=1)
padding = np.arange(T + 3)[None] >= T
alone, hidden, seen = layer(ts.tensor(text)).numpy(), *(
    layer(ts.tensor(filled), key_padding_mask=p).numpy()[:, :T] for p in (padding, None))  # fmt: skip
check("", "with the padding hidden: as alone", np.allclose(hidden, alone))
check("", "with the padding seen: not", np.abs(seen - alone).max() > 1e-3)

# %% [markdown]
# ## Heads: look several times at once
#
# One row of weights is one mean. With $N$ heads each token takes $N$ means, each of its own $D / N$ features, and $W_O$
# mixes them.
#
# $$Y = [A^{(1)} V^{(1)}, \ldots, A^{(N)} V^{(N)}] W_O^\top + b_O$$


# %%
def one_by_one(x, w, b, w_o, b_o, heads):
    """x (T, D): a loop over heads, each with its own rows of W."""
    queries, keys, values = ts.split(x @ w.T + b, x.shape[-1], dim=-1)
    size = x.shape[-1] // heads
    parts = [slice(i * size, (i + 1) * size) for i in range(heads)]
    return ts.cat([ts.attention(queries[:, p], keys[:, p], values[:, p]) for p in parts], dim=-1) @ w_o.T + b_o


def by_reshape(x, w, b, w_o, b_o, heads):
    """x (B, T, D): all heads at once, as (B, N, T, D/N)."""
    batch, time, features = x.shape
    packed = (x @ w.T + b).reshape(batch, time, 3, heads, features // heads).permute(2, 0, 3, 1, 4)
    return ts.attention(packed[0], packed[1], packed[2]).permute(0, 2, 1, 3).reshape(x.shape) @ w_o.T + b_o


own = [layer.in_proj_weight, layer.in_proj_bias, layer.out_proj.weight, layer.out_proj.bias]
x = ts.tensor(rng.normal(size=(2, T, 6)))
at_once, looped = by_reshape(x, *own, 3).numpy(), [one_by_one(x[i], *own, 3).numpy() for i in range(2)]
check("", "one matrix product and a reshape give the same as the loop over heads", np.allclose(at_once, looped))
check("", "both are equal to nn.MultiHeadAttention", np.allclose(at_once, layer(x).numpy()))
check("", "their gradients are right", ts.gradcheck(lambda *p: by_reshape(*p, 3), [x[:1, :3], *own]))

# %% [markdown]
# ## The power of the check
#
# Four mistakes with shapes that fit. Comparison with the loop must tell them all.


# %%
def with_mistake(  # wrong on purpose
    order=(2, 0, 3, 1, 4), back=(0, 2, 1, 3), split=(3, 3, 2), scale=None
):
    packed = (x @ own[0].T + own[1]).reshape(2, T, *split).permute(*order)
    if split != (3, 3, 2):
        packed = packed.permute(2, 1, 0, 3, 4) if packed.shape[0] != 3 else packed
    out = ts.attention(packed[0], packed[1], packed[2], scale=scale).permute(*back)
    return np.abs((out.reshape(x.shape) @ own[2].T + own[3]).numpy() - at_once).max()


mistakes = {
    "none": {},
    "queries and keys exchanged with heads": {"order": (3, 0, 2, 1, 4)},
    "not permuted back": {"back": (0, 1, 2, 3)},
    "features of a head taken in steps": {"order": (2, 0, 4, 1, 3), "split": (3, 2, 3)},
    "root of D in place of D / N": {"scale": 6**-0.5},
}
gaps = {name: with_mistake(**how) for name, how in mistakes.items()}
for name, gap in gaps.items():
    print(f"{name:40s} difference {gap:.1e}")
check("", "the comparison tells all four mistakes", gaps.pop("none") < 1e-12 and min(gaps.values()) > 1e-4)

# %%
names = ["the", "dog", "saw", "a", "cat"]
_, per_head = layer(ts.tensor(rng.normal(0, 3, (1, T, 6))), causal=True, need_weights=True)
picture = Figure(figsize=(9.2, 3.6), layout="constrained")
panels = picture.subplots(1, 3, sharey=True)
for head, axes in enumerate(panels):
    shown = np.where(causal, per_head.numpy()[0, head], np.nan)
    image = axes.imshow(shown, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.argwhere(causal):
        colour = "black" if shown[i, j] > 0.5 else "white"
        axes.text(j, i, f"{shown[i, j]:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_facecolor("#DDDDDD")
    axes.set_xticks(range(T), names)
    axes.set_yticks(range(T), names)
    axes.set(title=f"head {head + 1}", xlabel="key: looked at")
panels[0].set_ylabel("query: looks")
picture.colorbar(image, ax=panels, label="weight", shrink=0.85)
figure(picture, "Three untrained heads with a causal mask: each row adds up to 1; grey cells are hidden and exactly 0.")

# %% [markdown]
# ## Your turn
#
# 1. Let every token see itself and the two before it only. Expected: after two layers of such attention token $t$ feels
#    token $t - 4$, and not $t - 5$.
# 2. Exchange the heads: reorder the rows of $W$ head by head, and the columns of $W_O$ in the same way. Expected: the
#    output stays.

# %% [markdown]
# ## Limits and sources
#
# That rows which see nothing get zeros is a choice made here; other libraries give NaN. PyTorch's `attn_mask` says True
# where a key is hidden, the opposite of `mask`. The heads in the figure are random; what trained heads look at is
# another question.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, 3.2.2 and 3.2.3.

# %% solution
long = rng.normal(size=(8, D))
i, j = np.indices((8, 8))
window = (j <= i) & (j > i - 3)


def two_layers(x):
    once = ts.attention(x, x, x, mask=window)
    return ts.attention(once, once, once, mask=window)


tokens = ts.tensor(long, requires_grad=True)
reach = np.abs(ts.grad(two_layers(tokens)[7].sum(), [tokens])[0].numpy()).sum(axis=1) > 0
check("", "exercise 1: two layers of width 3 reach 4 tokens back", list(np.flatnonzero(reach)) == [3, 4, 5, 6, 7])
turn = np.array([4, 5, 0, 1, 2, 3])
rows = np.concatenate([turn, 6 + turn, 12 + turn])
swapped = by_reshape(x, own[0][rows], own[1][rows], own[2][:, turn], own[3], 3).numpy()
check("", "exercise 2: the order of the heads doesn't matter", np.allclose(swapped, at_once))
