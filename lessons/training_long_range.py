# %% [markdown]
# # How far back can a model remember?
#
# Article A says that attention handles long-range dependencies, and that more layers and hidden units help, too. Here
# it is measured: a symbol has to be recalled after a growing number of others.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $d$ | distance: how many symbols stand between the first one and the question | number |
# | $B, T$ | texts in a batch; tokens, $d + 2$ of them | numbers |
# | $H, L$ | width (features or hidden units) and depth (layers) | numbers |
# | $x_t, h_t$ | vector of token $t$; state after it | $(H)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import nn, optim
from tinyslm.lesson import check, figure

K = 8  # symbols that may have to be recalled; as many others fill the distance
near_and_far = (2, 4, 8, 16, 32, 64)
trained_on = near_and_far[:-1]  # 64 is longer than anything seen in training


# %% [markdown]
# ## The claim, and the task
#
# Article A, appendix, question 2 (A20). It is a statement of fact without a number, so it gets its verdict from a run.
#
# The first token is one of $K$ symbols. Then come $d$ others, drawn at random, and a question mark. The answer is the
# first token. Guessing is right once in $K$.


# %%
def texts(count, d, rng):
    """ids (B, d + 2) and answers (B,)."""
    first, others = rng.integers(0, K, count), rng.integers(K, 2 * K, (count, d))
    return np.concatenate([first[:, None], others, np.full((count, 1), 2 * K)], axis=1), first


ids, answers = texts(4, 3, np.random.default_rng(0))
print(ids)
first = (ids[:, 0] == answers).all() and ids[:, 1:].min() >= K
check("A20", "the answer stands in the first column and nowhere else", first)
check("A20", "one question mark, in the last column", ((ids == 2 * K) == (np.arange(3 + 2) == 4)).all())

# %% [markdown]
# ## The models
#
# They differ in the middle only: a recurrent network, an LSTM, or pre-norm Transformer blocks with sinusoidal
# positions. The last vector answers.


# %%
class Model(nn.Module):
    def __init__(self, kind, depth, width, rng, dtype="float32"):
        options = {"rng": rng, "dtype": dtype}
        self.kind, self.embedding = kind, nn.Embedding(2 * K + 1, width, **options)
        if kind == "attention":
            self.body = nn.TransformerEncoder(depth, width, 2, 2 * width, 0.0, norm_first=True, **options)
        else:
            self.body = (nn.RNN if kind == "RNN" else nn.LSTM)(width, width, depth, **options)
        self.out = nn.Linear(width, K, **options)

    def through(self, x):
        """(B, T, H) -> the vector of the last token (B, H)."""
        if self.kind == "attention":
            return self.body(x + nn.sinusoidal_positions(*x.shape[1:], dtype=x.dtype))[:, -1]
        return self.body(x)[0][:, -1]

    def forward(self, ids):
        return self.out(self.through(self.embedding(ids)))


kinds = {"RNN": ("#D55E00", "s:"), "LSTM": ("#009E73", "^--"), "attention": ("#0072B2", "o-")}
sizes = [(depth, width) for depth in (1, 2) for width in (16, 32)]
weights = {
    (kind, *size): Model(kind, *size, np.random.default_rng(0)).num_parameters() for kind in kinds for size in sizes
}
for kind in kinds:
    print(f"{kind:10s}", "  ".join(f"L = {d}, H = {h}: {weights[kind, d, h]:6,} parameters" for d, h in sizes))
by_hand = [936, 2520, 2664]  # L = 1, H = 16: 17 H + 8 H + 8, and 2 H^2 + H, four times that, or 8 H^2 + 13 H
check("A20", "the numbers of parameters are those counted by hand", [weights[k, 1, 16] for k in kinds] == by_hand)
small = {kind: Model(kind, 1, 4, np.random.default_rng(0), "float64") for kind in ("LSTM", "attention")}
x = np.random.default_rng(1).normal(size=(1, 5, 4))
check("A20", "the gradient through the distance is right", ts.gradcheck(small["LSTM"].through, [x]))
small["attention"].body = nn.Sequential()  # no blocks: what they would get comes out
marked = x[:, 4] + [np.sin(4), np.cos(4), np.sin(0.04), np.cos(0.04)]  # the fifth token: position 4
got = small["attention"].through(ts.tensor(x)).numpy()
check("A20", "attention: the blocks get a token with the sine and cosine of its position", np.allclose(got, marked))

# %% [markdown]
# ## Before training: how much gradient arrives from afar
#
# For every distance: the size of the derivative of the last vector with respect to the first token. In a recurrent
# network it is a product of as many factors as there are steps; attention has one path of the same length for all.
#
# $$\frac{\partial h_T}{\partial x_1} = \frac{\partial h_T}{\partial h_{T-1}} \cdots \frac{\partial h_1}{\partial x_1}$$


# %%
def arriving(kind, d):
    rng = np.random.default_rng(2)
    model = Model(kind, 1, 32, rng, "float64")
    x = ts.tensor(model.embedding(texts(8, d, rng)[0]).numpy(), requires_grad=True)
    g = ts.tensor(rng.normal(size=(8, 32)))
    return np.linalg.norm(ts.grad(model.through(x), [x], g)[0].numpy()[:, 0])


gradient = {kind: np.array([arriving(kind, d) for d in near_and_far]) for kind in kinds}
ratio = {kind: values[-1] / values[0] for kind, values in gradient.items()}
for kind, value in ratio.items():
    print(f"{kind:10s} gradient from distance {near_and_far[-1]} against distance {near_and_far[0]}: {value:.1e}")
shorter = near_and_far[0] / near_and_far[-1]
check("A20", "RNN and LSTM: it falls to less than 1 part in 1000", max(ratio["RNN"], ratio["LSTM"]) < 1e-3)
check("A20", "attention: it falls no more than one token's share does, about 1 / T", ratio["attention"] > shorter / 2)

# %% [markdown]
# ## Trained
#
# Every model gets the same number of texts, with distances drawn at random from 2 to 32, the same learning rate, and
# two seeds. Then it answers for each distance, and for 64, which it has never seen.


# %%
def recall(kind, depth, width, seed, steps=80):
    rng = np.random.default_rng(seed)
    model = Model(kind, depth, width, rng)
    adam = optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        ids, answers = texts(16, int(rng.choice(trained_on)), rng)
        adam.zero_grad()
        ts.cross_entropy(model(ids), answers).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
    with ts.no_grad():
        asked = [texts(128, d, np.random.default_rng(9)) for d in near_and_far]
        return [float((model(ids).numpy().argmax(axis=1) == answers).mean()) for ids, answers in asked]


right = {(kind, *size): np.array([recall(kind, *size, seed) for seed in (1, 2)]) for kind in kinds for size in sizes}
print("right answers in %, mean of two seeds, by distance", near_and_far)
for (kind, depth, width), runs in right.items():
    print(f"{kind:10s} L = {depth}, H = {width}:", "  ".join(f"{100 * share:3.0f}" for share in runs.mean(axis=0)))

# %%
picture = Figure(figsize=(9.2, 3.6), layout="constrained")
panels = picture.subplots(1, 3, sharey=True)
for axes, kind in zip(panels, kinds, strict=True):
    for (depth, width), colour, style in zip(
        sizes, ("#56B4E9", "#0072B2", "#E69F00", "#D55E00"), ("o:", "s-", "^:", "D-"), strict=True
    ):
        axes.plot(near_and_far, 100 * right[kind, depth, width].mean(axis=0), style, color=colour, markersize=4,
                  label=f"L = {depth}, H = {width}")  # fmt: skip
    axes.axhline(100 / K, color="#888888", linewidth=0.8)
    axes.axvspan(45, 80, color="#EEEEEE")
    axes.set(title=kind, xlabel="distance d (steps)", xscale="log", xticks=near_and_far, ylim=(0, 104), xlim=(1.8, 75))
    axes.set_xticklabels(near_and_far)
    axes.minorticks_off()
panels[0].set_ylabel("right answers (%)")
panels[2].legend(fontsize=8.5, loc="lower left")
figure(picture, "Recall by distance, mean of two seeds. Grey band: farther than in training. Grey line: guessing.")

# %% [markdown]
# ## The verdict
#
# Two claims, two questions. Does attention recall more at the longest trained distance than the recurrent networks of
# the same depth and width? And do twice the layers, or twice the units, bring more than they had?

# %%
far = near_and_far.index(trained_on[-1])
at_far = {key: runs[:, far].mean() for key, runs in right.items()}
gain = {kind: at_far[kind, 2, 32] - at_far[kind, 1, 16] for kind in kinds}
wider = at_far["RNN", 1, 32] - at_far["RNN", 1, 16]
print(f"distance {trained_on[-1]}, from the smallest to the largest model:",
      {kind: f"{100 * value:+.0f} points" for kind, value in gain.items()})  # fmt: skip
ahead = [at_far[("attention", *size)] - at_far[(kind, *size)] for kind in ("RNN", "LSTM") for size in sizes]
check("A20", "attention recalls at least as much as both others at every depth and width, to 2 points",
      min(ahead) > -0.02)  # fmt: skip
check("A20", "and more than 20 points more than the RNN at every depth and width", min(ahead[:4]) > 0.2)
least = min(gain["RNN"], gain["LSTM"])
check("A20", "twice the layers and units: RNN and LSTM recall more than 10 points more", least > 0.1)
check("A20", "but it isn't so for every enlargement: wider alone brings the RNN less than 15 points",
      wider < 0.15, None, "measured: in part")  # fmt: skip

# %%
picture = Figure(figsize=(7.6, 3.8), layout="constrained")
axes = picture.subplots()
for kind, (colour, style) in kinds.items():
    axes.loglog(near_and_far, gradient[kind] / gradient[kind][0], style, color=colour, label=kind, markersize=5)
axes.loglog(near_and_far, near_and_far[0] / np.array(near_and_far), color="#888888", linewidth=0.8, label="1 / d")
axes.set(xlabel="distance d (steps)", ylabel="gradient, against d = 2", title="Before training, depth 1, width 32")
axes.set_xticks(near_and_far, near_and_far)
axes.minorticks_off()
axes.legend(fontsize=9)
figure(picture, "How much of the gradient arrives from the first token: a power of the distance with attention only.")

# %% [markdown]
# ## Your turn
#
# 1. A recurrent network with one linear unit, $h_t = w h_{t-1} + x_t$: how large must $w$ be for a thousandth of the
#    gradient to arrive over 64 steps? Expected: about 0.9, and with 0.5 nothing is left.
# 2. Start the forget bias of the LSTM at 4 in place of 1 before training. Expected: far more gradient arrives from
#    distance 64.

# %% [markdown]
# ## Limits and sources
#
# One task, two seeds, one learning rate, and few steps: the recurrent networks would go on improving. The task suits
# attention, for the token that is looked for has a kind of its own. Depth and width are counted as in the models here,
# and a model with more of them also has more parameters. Nothing is said about natural text.
#
# S. Hochreiter, Untersuchungen zu dynamischen neuronalen Netzen, 1991. Y. Bengio et al., Learning long-term
# dependencies with gradient descent is difficult, 1994. A. Vaswani et al., Attention is all you need, NIPS 2017, 4.

# %% solution
w = 0.001 ** (1 / 64)
arrived = {}
for factor in (w, 0.5):
    x = start = ts.tensor(1.0, requires_grad=True)
    for _ in range(64):
        x = x * factor
    arrived[factor] = ts.grad(x, [start])[0].item()
print(f"w = {w:.3f}: {arrived[w]:.4f} arrives; w = 0.5: {arrived[0.5]:.0e}")
check("A20", "exercise 1: w is about 0.9; with 0.5 less than 1 part in 10^18 arrives",
      abs(w - 0.9) < 0.01 and arrived[0.5] < 1e-18)  # fmt: skip


def with_bias(bias, d=64):
    lstm = nn.LSTM(32, 32, forget_bias=bias, rng=np.random.default_rng(2), dtype="float64")
    x = ts.tensor(np.random.default_rng(3).normal(size=(8, d + 2, 32)), requires_grad=True)
    return np.linalg.norm(ts.grad(lstm(x)[0][:, -1].sum(), [x])[0].numpy()[:, 0])


enough = with_bias(4) > 1000 * with_bias(1)
check("A20", "exercise 2: with a forget bias of 4 more than 1000 times as much arrives", enough)
