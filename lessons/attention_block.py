# %% [markdown]
# # The printed block against the full one
#
# Article A draws a Transformer as a chain: attention, then feed-forward, then the output. What do the residual paths
# and the norms do that it leaves out, when 8 such blocks stand on top of each other?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, D$ | texts in a batch, tokens, features | numbers |
# | $L$ | number of blocks | number |
# | $x_l$ | what block $l$ hands on; $x_0$ is the embedding with positions | $(B, T, D)$ |
# | $f, g$ | attention with several heads; feed-forward network | $(B, T, D)$, which stays |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import nn, optim
from tinyslm.lesson import check, figure, minimise

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
T, D, N, F, symbols, depths = 8, 16, 2, 32, 6, (1, 8)  # F features inside the feed-forward network

# %% [markdown]
# ## As printed
#
# Article A, 3.2, class diagram (A13): embedding, positions, attention with several heads, feed-forward, dropout,
# output. It has no formula, so we write down what the arrows say. Dropout is 0 here, so that only the wiring differs.
#
# $$x_{l+1} = g(f(x_l))$$

# %% [markdown]
# ## The full block
#
# Each part adds to what is there already (the residual path), and a layer norm gives every token mean 0 and variance 1
# before a part reads it. This order is called pre-norm. Post-norm, the order of the first Transformer article, puts the
# norm after the sum.
#
# $$x' = x_l + f(\mathrm{norm}(x_l)), \quad x_{l+1} = x' + g(\mathrm{norm}(x'))$$


# %%
PARTS = {"printed": (0, False), "paths only": (1, False), "norms only": (0, True), "pre-norm": (1, True)}


class Block(nn.TransformerEncoderLayer):
    """The full block, or what is left of it without its paths or norms; the start values are always the same."""

    def forward(self, x):
        path, norm = self.parts
        first, second = (self.norm1, self.norm2) if norm else (lambda t: t, lambda t: t)
        x = path * x + self.self_attn(first(x))
        return path * x + self.linear2(ts.relu(self.linear1(second(x))))


def block(kind, rng):
    one = (nn.TransformerEncoderLayer if kind == "post-norm" else Block)(D, N, F, 0.0, rng=rng, dtype="float64")
    one.parts = PARTS.get(kind)
    return one


x = ts.tensor(np.random.default_rng(0).normal(size=(2, T, D)))
layer, chain = block("pre-norm", np.random.default_rng(1)), block("printed", np.random.default_rng(1))
library = nn.TransformerEncoderLayer(D, N, F, 0.0, norm_first=True, rng=np.random.default_rng(1), dtype="float64")
check("A13", "the full block is the library's", np.allclose(layer(x).numpy(), library(x).numpy()))
hidden = ts.relu(chain.linear1(chain.self_attn(x)))
check("A13", "the printed chain is g(f(x))", np.allclose(chain(x).numpy(), chain.linear2(hidden).numpy()))
same = all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(layer.parameters(), chain.parameters(), strict=True))
check("A13", "both blocks start with the same numbers", same)
check("A13", "the gradient of the full block is right", ts.gradcheck(layer, [x[:1, :3]]))

# %% [markdown]
# ## The whole model
#
# Embedding, sinusoidal positions, $L$ blocks, output. The task: the symbol that stands at position 0 has to come out at
# every position. It needs attention and positions, and nothing that a single block can't do.


# %%
class Model(nn.Module):
    blocks: nn.ModuleList

    def __init__(self, kind, depth, seed):
        rng = np.random.default_rng(seed)
        self.embedding = nn.Embedding(symbols, D, scale=1.0, rng=rng, dtype="float64")
        self.blocks = nn.ModuleList(block(kind, rng) for _ in range(depth))
        self.out = nn.Linear(D, symbols, rng=rng, dtype="float64")

    def forward(self, ids):
        x = self.embedding(ids) + nn.sinusoidal_positions(T, D, dtype="float64")
        self.states = [x]
        for one in self.blocks:
            self.states.append(one(self.states[-1]))
        return self.out(self.states[-1])


def texts(count, rng):
    ids = rng.integers(0, symbols, (count, T))
    return ids, np.repeat(ids[:, :1], T, axis=1)


def loss_of(model, ids, first):
    return ts.cross_entropy(model(ids).reshape(-1, symbols), first.reshape(-1))


ids, first = texts(32, np.random.default_rng(5))
model = Model("pre-norm", 1, seed=2)
loss, scores = loss_of(model, ids, first).item(), model(ids).numpy()
start = model.embedding.weight.numpy()[ids] + nn.sinusoidal_positions(T, D, dtype="float64").numpy()
check("A13", "x_0 is the embedding plus the positions", np.allclose(model.states[0].numpy(), start))
shares = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
right = np.take_along_axis(shares, first[..., None], axis=-1)
check("A13", "the loss is the mean of -ln of the shares of the right symbols", np.isclose(loss, -np.log(right).mean()))

# %% [markdown]
# ## It breaks: the tokens become alike
#
# Attention takes means over the tokens. Without the residual path nothing else gets through, so after a few blocks all
# tokens of a text carry the same vector. We measure how much of the size of the states is difference between tokens.


# %%
kinds = {"printed": ("#D55E00", "s:"), "post-norm": ("#009E73", "^--"), "pre-norm": ("#0072B2", "o-")}


def unlike(state):  # measures the share of the size
    x = state.numpy()
    return np.linalg.norm(x - x.mean(axis=1, keepdims=True)) / np.linalg.norm(x)


spread, gradient = {}, {}
for kind in kinds:
    model = Model(kind, 8, seed=2)
    loss = loss_of(model, ids, first)
    pulled = ts.grad(loss, model.states)
    spread[kind] = np.array([unlike(s) for s in model.states])
    gradient[kind] = np.array([np.linalg.norm(g.numpy()) for g in pulled])
    print(f"{kind:10s} difference between tokens after 8 blocks {spread[kind][-1]:.1e}, "
          f"gradient at x_0 against x_8 {gradient[kind][0] / gradient[kind][-1]:.1e}")  # fmt: skip
check("A13", "printed, 8 blocks: less than 1 part in 1000 of the states differs between tokens",
      spread["printed"][-1] < 1e-3, verdict="incomplete")  # fmt: skip
check("A13", "full block: more than a tenth still differs", min(spread["pre-norm"][-1], spread["post-norm"][-1]) > 0.1)

# %% [markdown]
# ## It breaks: the gradient fades
#
# Going back, each printed block multiplies the gradient by what its two parts let through. The residual path adds 1 to
# that, so the gradient of the first layer stays of the size of the last.

# %%
ratio = {kind: g[0] / g[-1] for kind, g in gradient.items()}
check("A13", "printed, 8 blocks: less than 1 part in 1000 of the gradient reaches x_0", ratio["printed"] < 1e-3)
check("A13", "pre-norm: more than a tenth of it does", ratio["pre-norm"] > 0.1)

# %% [markdown]
# ## Why
#
# Through the path that skips a part, the derivative is the identity $I$.
#
# $$\frac{d x_{l+1}}{d x_l} = I + \frac{d (f + g)}{d x_l}$$
#
# Put the two things back one at a time, still with 8 blocks: paths without norms, norms without paths.


# %%
for name in ("paths only", "norms only"):
    model = Model(name, 8, seed=2)
    pulled = ts.grad(loss_of(model, ids, first), model.states)
    spread[name], ratio[name] = (
        unlike(model.states[-1]),
        np.divide(*(np.linalg.norm(pulled[k].numpy()) for k in (0, -1))),
    )
    size = np.abs(model.states[-1].numpy()).mean() / np.abs(model.states[0].numpy()).mean()
    print(f"{name}: unlike {spread[name]:.1e}, gradient {ratio[name]:.1e}, states grow by {size:.1f}")
alive = spread["paths only"] > 0.1 and ratio["paths only"] > 0.1
check("A13", "the paths alone keep the tokens apart and the gradient alive", alive)
check("A13", "the norms alone don't keep the tokens apart", spread["norms only"] < 0.01)

# %% [markdown]
# ## Trained
#
# A few steps of Adam for each kind and depth, with the same rate and the same texts. Guessing has a loss of the
# logarithm of the number of symbols.


# %%
def train(kind, depth, steps=60):
    model, rng = Model(kind, depth, seed=2), np.random.default_rng(3)
    return np.array(minimise(optim.Adam(model.parameters(), lr=8e-3), lambda: loss_of(model, *texts(16, rng)), steps))


guess = np.log(symbols)
losses = {(kind, depth): train(kind, depth) for kind in ("printed", "pre-norm") for depth in depths}
final = {key: run[-10:].mean() for key, run in losses.items()}
for (kind, depth), value in final.items():
    print(f"{kind:9s} depth {depth}: loss at the end {value:.3f} nats (guessing {guess:.3f})")
learned = all(final["pre-norm", n] < guess / 2 for n in depths)
check("A13", "pre-norm learns at both depths: loss below half of guessing", learned)
check("A13", "printed, 1 block: it learns, too", final["printed", 1] < guess / 2)
check("A13", "printed, 8 blocks: it stays at guessing", final["printed", 8] > 0.9 * guess)

# %%
picture = Figure(figsize=(9.0, 3.8), layout="constrained")
left, right = picture.subplots(1, 2)
for kind, (colour, style) in kinds.items():
    left.semilogy(gradient[kind] / gradient[kind][-1], style, color=colour, label=kind, markersize=5)
    right.semilogy(np.arange(9), spread[kind], style, color=colour, label=kind, markersize=5)
left.set(xlabel="block l", ylabel="gradient at x_l, against x_8", title="Gradient, before training")
right.set(xlabel="block l", ylabel="share that differs between tokens", title="States, before training")
left.legend(fontsize=9)
figure(picture, "Eight blocks, as printed: gradients fade towards the input, tokens become alike towards the output.")

# %%
picture = Figure(figsize=(9.0, 3.4), layout="constrained")
panels = picture.subplots(1, 2, sharey=True)
for axes, depth in zip(panels, depths, strict=True):
    for kind in ("printed", "pre-norm"):
        smooth = np.convolve(losses[kind, depth], np.ones(10) / 10, "valid")
        axes.plot(smooth, kinds[kind][1][1:], color=kinds[kind][0], label=kind)
    axes.axhline(guess, color="#888888", linewidth=0.8)
    axes.set(title=f"{depth} block{'s' if depth > 1 else ''}", xlabel="step", ylim=(0, 2.1))
panels[0].set_ylabel("loss in nats, mean of 10 steps")
panels[0].legend(fontsize=9)
figure(picture, "Loss while training; the grey line is guessing. With depth the printed chain stops learning.")

# %% [markdown]
# ## Your turn
#
# 1. Set all weights of the parts of a full block to 0. Expected: a pre-norm block hands its input on unchanged; the
#    printed block gives 0.
# 2. Measure the spread at depth 1. Expected: one printed block already makes the tokens much more alike.

# %% [markdown]
# ## Limits and sources
#
# One small task, one seed, one learning rate; the sizes before training depend on the start values (Glorot's, here). A
# printed chain of one block can learn, and other start values can carry a gradient further; that the tokens become
# alike without residual paths is shown for this case here and proved in the last source. Dropout, which the article
# draws as a layer, is left out and changes nothing of this at 0.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, 3. K. He et al., Deep residual learning, CVPR 2016. R. Xiong
# et al., On layer normalization in the Transformer architecture, ICML 2020. Y. Dong et al., Attention is not all you
# need, ICML 2021.

# %% solution
for part in (layer, chain):
    for parameter in (
        part.linear2.weight,
        part.linear2.bias,
        part.self_attn.out_proj.weight,
        part.self_attn.out_proj.bias,
    ):
        parameter.copy_(np.zeros(parameter.shape))
check("A13", "exercise 1: with weights 0 pre-norm is the identity, the printed block is 0",
      np.array_equal(layer(x).numpy(), x.numpy()) and not chain(x).numpy().any())  # fmt: skip
check(
    "A13",
    "exercise 2: one printed block leaves less than half of the difference",
    spread["printed"][1] < spread["printed"][0] / 2,
)
