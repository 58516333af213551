# %% [markdown]
# # The six printed steps of attention
#
# Article A derives attention in six steps. What number comes out at the end, and which words of which step have to
# change until each token can take from the others?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $n, d$ | number of tokens, features of a token | numbers |
# | $x_i$ | vector of token $i$ | $(d)$ |
# | $W_Q, W_K, W_V$ | weights of queries, keys and values | $(d, d_k), (d, d_k), (d, d_v)$ |
# | $Q_i, K_i, V_i$ | query, key and value of token $i$ | $(d_k), (d_k), (d_v)$ |
# | $S, A$ | scores and weights of all pairs | $(n, n)$ |
# | $Y$ | outputs, one row per token | $(n, d_v)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import nn
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
n, d, d_k, d_v = 5, 6, 4, 3


def draw(*shape, scale=1.0):
    return ts.tensor(rng.normal(0, scale, shape), requires_grad=True)


x, w_q, w_k, w_v = draw(n, d), *(draw(d, width, scale=d**-0.5) for width in (d_k, d_k, d_v))

# %% [markdown]
# ## As printed
#
# Article A, 4.2. Steps 1 and 2 (A7, A8) make queries, keys and values; the lesson `words_embedding` is about them, and
# here the weights are matrices, the reading that works. The rest is taken as it stands: step 3 (A9), step 4 (A10, see
# `attention_head`), step 5 (A11), step 6 (A12).
#
# $$\mathrm{Score}_i = Q_i K_i^\top / \sqrt{d_k}$$
#
# $$\mathrm{Attention}_i = \mathrm{softmax}(\mathrm{Score}_i) / V_i$$
#
# $$\mathrm{Output}_i = \mathrm{Attention}_i \cdot V_i, \quad \mathrm{Output} = \sum_i \mathrm{Output}_i$$
#
# Two signs leave a choice: the softmax may run over the one score or over all tokens $i$, and the product of step 5 may
# be element by element or a dot product.


# %%
def project(x, w_q, w_k, w_v):
    return x @ w_q, x @ w_k, x @ w_v


def printed(x, w_q, w_k, w_v, over="one score", dot=False, divide=True):
    q, k, v = project(x, w_q, w_k, w_v)
    score = (q * k).sum(dim=-1, keepdim=True) / q.shape[-1] ** 0.5  # step 3: (n, 1), token i with itself
    weight = ts.softmax(score, dim=-1 if over == "one score" else 0)  # step 4
    attention = weight / v if divide else weight
    outputs = attention * v  # step 5: (n, d_v)
    return outputs.sum(dim=-1, keepdim=True) if dot else outputs


readings = {(over, dot): {"over": over, "dot": dot} for over in ("one score", "all tokens") for dot in (False, True)}

# %% [markdown]
# ## It breaks: the result is known before the text is
#
# Step 5 multiplies by what step 4 divided by. What is left adds up to a constant. We ask 20 random texts.

# %%
inputs = [[draw(n, d), draw(d, d_k), draw(d, d_k), draw(d, d_v)] for _ in range(20)]
results = {key: [printed(*point, **how).sum(dim=0).numpy() for point in inputs] for key, how in readings.items()}
for (over, dot), found in results.items():
    spread = np.ptp(np.array(found))
    print(f"softmax over {over:10s}, {'dot' if dot else 'elementwise':11s}: {found[0].round(6)}, spread {spread:.0e}")
one, all_tokens = (results[over, False] for over in ("one score", "all tokens"))
check("A11", "element by element, step 5 gives 1 for every token", np.allclose(printed(*inputs[0]).numpy(), 1))
over_all = printed(*inputs[0], over="all tokens", divide=False).numpy()
q, k, v = (t.numpy() for t in project(*inputs[0]))
share = np.exp((q * k).sum(axis=1, keepdims=True) / d_k**0.5)
check(
    "A9", "steps 3 and 4 weigh the values by the softmax of the scores", np.allclose(over_all, share / share.sum() * v)
)
check("A12", "softmax of one score: the six steps give n, whatever the text", np.allclose(one, n), None, "wrong: value")
check("A12", "with the dot product they give n d_v", np.allclose(results["one score", True], n * d_v))
check("A12", "softmax over all tokens: they give 1, also whatever the text", np.allclose(all_tokens, 1))

# %% [markdown]
# ## It breaks: nothing can be learned
#
# An output that doesn't depend on the weights has gradient 0: what is left is rounding. And a single value of 0 makes
# step 4 divide by 0.

# %%
g = ts.tensor(rng.normal(size=(n, d_v)))
gradients = [np.abs(t.numpy()).max() for t in ts.grad(printed(x, w_q, w_k, w_v), [x, w_q, w_k, w_v], g)]
print("largest gradients of x, W_Q, W_K, W_V:", [f"{size:.0e}" for size in gradients])
check("A11", "all gradients are 0 up to rounding", max(gradients) < 1e-12, verdict="wrong: value")
zero = x.numpy()
zero[2] = 0
with np.errstate(invalid="ignore", divide="ignore"):
    undefined = printed(ts.tensor(zero), w_q, w_k, w_v).numpy()
check(
    "A11", "a token of zeros makes its row undefined", np.isnan(undefined[2]).all() and np.isfinite(undefined[0]).all()
)

# %% [markdown]
# ## Why, first: step 3 asks each token only about itself
#
# The root is right, the index is not. What is printed are the $n$ scores on the diagonal of $Q K^\top / \sqrt{d_k}$; a
# token can only look at another if their pair has a score, too.

# %%
q, k, v = project(x, w_q, w_k, w_v)
all_scores = (q @ k.mT / d_k**0.5).numpy()
own = ((q * k).sum(dim=-1) / d_k**0.5).numpy()
print(f"printed: {own.size} scores; pairs of tokens: {all_scores.size}")
check("A9", "the printed scores are the diagonal of the scores of all pairs", np.allclose(own, np.diag(all_scores)))
other_key = k.numpy()
other_key[1] += 1.0
changed = (q * ts.tensor(other_key)).sum(dim=-1).numpy() / d_k**0.5
check("A9", "a new key at token 1 changes no score of the others", np.array_equal(changed != own, np.arange(n) == 1),
      None, "wrong: notation")  # fmt: skip

# %% [markdown]
# ## Why, second: without the division each token stays alone
#
# Leaving out "$/ V_i$" is not enough. The softmax of one score is 1, so step 5 hands on the token's own value.

# %%
alone = printed(x, w_q, w_k, w_v, divide=False)
check("A11", "without the division, step 5 gives back V_i itself", np.allclose(alone.numpy(), v.numpy()))

# %% [markdown]
# ## Repaired, steps 3 and 4: scores of all pairs, shares over the keys
#
# $$S_{ij} = \frac{Q_i K_j^\top}{\sqrt{d_k}}, \quad A_{ij} = \frac{e^{S_{ij}}}{\sum_l e^{S_{il}}}$$


# %%
def shares(q, k):
    return ts.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1)


a = shares(q, k)
check("A9", "repaired: one score per pair, each row of weights adds up to 1",
      a.shape == (n, n) and np.allclose(a.numpy().sum(axis=1), 1))  # fmt: skip

# %% [markdown]
# ## Repaired, step 5: every token takes a mean of all values
#
# $$Y_i = \sum_j A_{ij} V_j$$


# %%
def repaired(x, w_q, w_k, w_v):
    q, k, v = project(x, w_q, w_k, w_v)
    return shares(q, k) @ v


y = repaired(x, w_q, w_k, w_v)
check("A11", "repaired: equal to ts.attention", np.allclose(y.numpy(), ts.attention(q, k, v).numpy()))
check("A11", "repaired: its four gradients are right", ts.gradcheck(repaired, [x, w_q, w_k, w_v]))

# %% [markdown]
# ## Step 6 even so: a sum forgets who came when
#
# Add the repaired rows up and one vector is left for the whole text, the same for every order of the tokens.

# %%
turn = np.array([3, 0, 4, 1, 2])
turned = repaired(x[turn], w_q, w_k, w_v).numpy()
check(
    "A12", "the sum over tokens is the same for another order", np.allclose(turned.sum(axis=0), y.numpy().sum(axis=0))
)
check("A12", "one output per token: the rows change places with the tokens", np.allclose(turned, y.numpy()[turn]))

# %% [markdown]
# ## Repaired, step 6: heads side by side
#
# The section speaks of several heads and none of its steps has one. Each head has its own three matrices; their rows
# are put side by side, not added, and a last matrix $W_O$ mixes them.
#
# $$Y = [Y^{(1)}, \ldots, Y^{(N)}] W_O$$


# %%
def heads(x, w_in, w_out, count=2):
    parts = [w.T for w in ts.split(w_in, d // count)]  # N queries, N keys, N values
    rows = [repaired(x, *parts[i::count]) for i in range(count)]
    return ts.cat(rows, dim=-1) @ w_out.T


layer = nn.MultiHeadAttention(d, 2, bias=False, rng=rng, dtype="float64")
w_in, w_out = layer.in_proj_weight, layer.out_proj.weight
referee = layer(x.reshape(1, n, d)).numpy()[0]
check("A12", "repaired: equal to nn.MultiHeadAttention", np.allclose(heads(x, w_in, w_out).numpy(), referee))

# %% [markdown]
# ## The power of the check
#
# The same three questions, which know nothing of the repair, are put to each stage: is there one output per token, does
# token 0 feel token 1, and do the weights get a gradient? Only the repaired steps get three times yes.


# %%
def influence(step):  # measures who feels whom
    """How much output i moves with token j: the size of the derivative, (n, n)."""
    sizes = np.zeros((n, n))
    for i in range(n):
        rows = [ts.grad(step(x, w_q, w_k, w_v)[i, f], [x])[0].numpy() for f in range(d_v)]
        sizes[i] = np.sqrt(np.square(rows).sum(axis=(0, 2)))
    return sizes


def without_division(x, w_q, w_k, w_v):  # wrong on purpose
    return printed(x, w_q, w_k, w_v, divide=False)


def summed(x, w_q, w_k, w_v):  # wrong on purpose
    return repaired(x, w_q, w_k, w_v).sum(dim=0, keepdim=True).expand(n, d_v)


stages = {"as printed": printed, "without the division": without_division, "summed over tokens": summed,
          "repaired": repaired}  # fmt: skip
felt, answers = {}, {}
for name, step in stages.items():
    felt[name] = influence(step)
    rows = step(x, w_q, w_k, w_v)
    to_q = np.abs(ts.grad(rows, [w_q], g)[0].numpy()).max()
    distinct = np.ptp(rows.numpy(), axis=0).max() > 1e-9
    answers[name] = (bool(distinct), bool(felt[name][0, 1] > 1e-9), bool(to_q > 1e-9))
    print(f"{name:22s} own output, feels others, W_Q learns: {answers[name]}")
passed = [name for name, answer in answers.items() if all(answer)]
check("A12", "only the repaired steps pass all three questions", passed == ["repaired"])

# %%
picture = Figure(figsize=(8.8, 3.4), layout="constrained")
shown = ("as printed", "without the division", "repaired")
top = max(felt[name].max() for name in shown)
panels = picture.subplots(1, 3, sharey=True)
for axes, name in zip(panels, shown, strict=True):
    image = axes.imshow(felt[name], cmap="cividis", vmin=0, vmax=top)
    for i, j in np.ndindex(n, n):
        size = felt[name][i, j]
        axes.text(j, i, f"{size:.1f}", ha="center", va="center", color="black" if size > top / 2 else "white")
    axes.set(title=name, xlabel="token j that moves", xticks=range(n), yticks=range(n))
panels[0].set_ylabel("output i")
picture.colorbar(image, ax=panels, label="size of the derivative", shrink=0.9)
figure(picture, "How much each output feels each token: nothing as printed, only itself, and at last all of them.")

# %% [markdown]
# ## Your turn
#
# 1. What do the six printed steps give for 7 tokens with 4 value features, in the reading with the dot product? Say the
#    number first. Expected: 28, from seven tokens that each bring the number of features.
# 2. Let the softmax run over the queries ($i$) in place of the keys ($j$). Expected: columns add up to 1, rows don't,
#    so an output is no longer a mean of the values.

# %% [markdown]
# ## Limits and sources
#
# The constants hold for all values other than 0, up to rounding. That the sum forgets the order is true without
# position vectors; with them, see `attention_positions`, the order comes in through $x$. With $i$ read as running over
# the keys of one query and without the division, steps 4 to 6 are right for that query; the printed index excludes it.
#
# A. Vaswani et al., Attention is all you need, NIPS 2017, 3.2.

# %% solution
seven = printed(draw(7, d), draw(d, d_k), draw(d, d_k), draw(d, 4), dot=True).sum().item()
check("A12", "exercise 1: seven tokens with four features give 28", np.isclose(seven, 28))
wrong_way = ts.softmax(q @ k.mT / d_k**0.5, dim=0).numpy()
check("A9", "exercise 2: over the queries, rows of weights don't add up to 1",
      np.allclose(wrong_way.sum(axis=0), 1) and not np.allclose(wrong_way.sum(axis=1), 1))  # fmt: skip
