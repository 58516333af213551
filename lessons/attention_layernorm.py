# %% [markdown]
# # Layer norm and residual paths
#
# What does a layer norm do to a vector, and why can a wrong gradient of it pass a test? And where in a residual block
# should it stand, before the part or after the sum?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $D$ | features of a token | number |
# | $x, y$ | a token before and after the norm | $(D)$ |
# | $\mu, s$ | mean of $x$; root of its variance plus $\epsilon$ | numbers |
# | $\hat x$ | $(x - \mu) / s$ | $(D)$ |
# | $w, b$ | learned scale and shift, the same for all tokens | $(D)$ |
# | $g$ | gradient of the loss with respect to $y$ (the cotangent) | $(D)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
rng = np.random.default_rng(0)
D, eps = 6, 1e-5
x, w, b = rng.normal(size=(4, D)), rng.normal(1, 0.3, D), rng.normal(size=D)

# %% [markdown]
# ## Build
#
# $$\hat x = \frac{x - \mu}{s}, \quad y = w \odot \hat x + b$$


# %%
def standardised(x):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    s = np.sqrt(variance + eps)
    return (x - mean) / s, s


def layer_norm(x, w, b):
    return standardised(x)[0] * w + b


x_hat, s = standardised(x)
check("", "every row of x_hat has mean 0", np.abs(x_hat.mean(axis=1)).max() < 1e-12)
check("", "and variance 1, up to epsilon", np.allclose(x_hat.var(axis=1), 1, atol=1e-4))
check("", "equal to ts.layer_norm", np.allclose(layer_norm(x, w, b), ts.layer_norm(*map(ts.tensor, (x, w, b))).numpy()))

# %% [markdown]
# ## What it forgets
#
# Adding a number to all features, or multiplying them by a positive one, changes nothing. No feature gets larger than
# the root of $D - 1$, however large $x$ is.

# %%
check("", "x + 7 gives the same", np.allclose(standardised(x + 7)[0], x_hat))
check("", "1000 x gives the same, up to epsilon", np.allclose(standardised(1000 * x)[0], x_hat, atol=1e-4))
extreme = standardised(np.eye(D) * 1e6)[0].max()
print(f"largest feature for one large input: {extreme:.6f}, root of D - 1: {(D - 1) ** 0.5:.6f}")
check("", "no feature exceeds the root of D - 1", extreme <= (D - 1) ** 0.5)

# %% [markdown]
# ## Backward: three paths
#
# Each $x_i$ acts on its own $\hat x_i$, on the mean, and on the variance. With $h = g \odot w$:
#
# $$\frac{d L}{d x} = \frac{1}{s} (h - \mathrm{mean}(h) - \hat x \; \mathrm{mean}(h \odot \hat x))$$


# %%
def backward(g, x, w, b, mean_path=True, variance_path=True, divide=True, weight=True, rows=True):
    x_hat, s = standardised(x)
    h = g * w if weight else g
    for_x = h - h.mean(axis=-1, keepdims=True) * mean_path
    for_x = for_x - x_hat * (h * x_hat).mean(axis=-1, keepdims=True) * variance_path
    for_w, for_b = (g * x_hat).sum(axis=0), g.sum(axis=0) if rows else g[0]
    return for_x / s if divide else for_x, for_w, for_b


def judged(**mistake):
    return ts.gradcheck(ts.layer_norm, [x, w, b], backward=lambda g, *p: backward(*map(np.asarray, (g, *p)), **mistake))


check("", "the gradient by hand is right", judged())

# %% [markdown]
# ## Two directions without gradient
#
# What the norm forgets can't matter to the loss: the gradient has no part along a shift and none along $x - \mu$.

# %%
g = rng.normal(size=(4, D))
for_x = backward(g, x, w, b)[0]
along = {"shift": for_x.sum(axis=1), "scale": (for_x * x_hat).sum(axis=1)}
print(
    {name: f"{np.abs(part).max():.0e}" for name, part in along.items()},
    f"of a gradient of size {np.abs(for_x).max():.2f}",
)
check("", "no gradient along a shift", np.abs(along["shift"]).max() < 1e-13)
check("", "none along the scale, up to epsilon", np.abs(along["scale"]).max() < 1e-3 * np.abs(for_x).max())

# %% [markdown]
# ## What goes wrong if the test adds everything up
#
# A common test takes the sum of the output as the loss, so the cotangent is 1 everywhere. With $w = 1$ the sum of
# $\hat x$ is 0 for every $x$: its true gradient is 0, and wrong rules that also give 0 pass.

# %%
ones, unit = np.ones((4, D)), np.ones(D)
true = backward(ones, x, unit, b)[0]
wrong = {
    "zero": np.zeros((4, D)),
    "variance path forgotten": backward(ones, x, unit, b, variance_path=False)[0],
    "not divided by s": backward(ones, x, unit, b, divide=False)[0],
    "mean path forgotten": backward(ones, x, unit, b, mean_path=False)[0],
}
for name, value in wrong.items():
    print(f"cotangent 1, {name:24s} distance from the true gradient {np.abs(value - true).max():.0e}")
passed = [name for name, value in wrong.items() if np.allclose(value, true, atol=1e-12)]
check("", "three of four wrong rules pass the test with the sum", len(passed) == 3)

# %% [markdown]
# ## The power of the check
#
# With random cotangents, and $w$ other than 1, each of the five mistakes shows.

# %%
found = {name: judged(**{name: False}).ok for name in ("mean_path", "variance_path", "divide", "weight", "rows")}
print("accepted with a mistake:", found)
check("", "the check catches all five mistakes", not any(found.values()))

# %% [markdown]
# ## Where it stands: before or after
#
# A part $f$ (here a matrix, then $\mathrm{ReLU}$, then another matrix) sits on a residual path. The first line is
# post-norm, which cleans the sum; the second is pre-norm, which cleans only what the part reads.
#
# $$x_{l+1} = \mathrm{norm}(x_l + f(x_l))$$
#
# $$x_{l+1} = x_l + f(\mathrm{norm}(x_l))$$

# %%
depth, width, tokens = 32, 64, 16
start = rng.normal(size=(tokens, width))
parts = [(rng.normal(0, (2 / width) ** 0.5, (width, width)), rng.normal(0, width**-0.5, (width, width)))
         for _ in range(depth)]  # fmt: skip
norm = [ts.tensor(np.ones(width)), ts.tensor(np.zeros(width))]
orders = {
    "post": lambda x, f: ts.layer_norm(x + f(x), *norm),
    "pre": lambda x, f: x + f(ts.layer_norm(x, *norm)),
    "no norm": lambda x, f: x + f(x),
}


def climb(order):
    """Size of the states and of the gradient at each of them, from x_0 to x_L."""
    states = [ts.tensor(start, requires_grad=True)]
    for a, c in parts:
        states.append(order(states[-1], lambda x, a=a, c=c: ts.relu(x @ a) @ c))
    g = ts.tensor(np.random.default_rng(1).normal(size=start.shape))
    pulled = ts.grad(states[-1], states, g)
    return [np.array([np.linalg.norm(t.numpy()) / start.size**0.5 for t in some]) for some in (states, pulled)]


size, gradient = {}, {}
for name, order in orders.items():
    size[name], gradient[name] = climb(order)
    print(f"{name:8s} states grow by {size[name][-1] / size[name][0]:.1f}, "
          f"gradient at x_0 against x_{depth}: {gradient[name][0] / gradient[name][-1]:.2f}")  # fmt: skip
grown = {name: values[-1] / values[0] for name, values in size.items()}
root = (1 + depth) ** 0.5
check("", "pre-norm: states grow like the root of 1 + L, to 20 percent", abs(grown["pre"] / root - 1) < 0.2)
check("", "post-norm: states keep their size, to 5 percent", abs(grown["post"] - 1) < 0.05)
check("", "without a norm they grow more than 1000 times", grown["no norm"] > 1000)
check("", "with either norm the gradient at x_0 stays within a factor 10 of the last",
      all(0.1 < gradient[n][0] / gradient[n][-1] < 10 for n in ("pre", "post")))  # fmt: skip

# %%
picture = Figure(figsize=(9.0, 3.8), layout="constrained")
left, right = picture.subplots(1, 2)
looks = {"post": ("#009E73", "--"), "pre": ("#0072B2", "-"), "no norm": ("#D55E00", ":")}
for name, (colour, style) in looks.items():
    left.semilogy(size[name], style, color=colour, label=name, linewidth=1.8)
    right.semilogy(gradient[name], style, color=colour, label=name, linewidth=1.8)
left.semilogy(np.sqrt(1 + np.arange(depth + 1)), color="#888888", linewidth=0.8, label="root of 1 + l")
left.set(xlabel="layer l", ylabel="size of the states (RMS)", title="Forward")
right.set(xlabel="layer l", ylabel="size of the gradient at x_l", title="Backward, from the right")
left.legend(fontsize=9)
figure(picture, "Residual paths without norms explode; pre-norm grows like a root; post-norm keeps the size.")

# %% [markdown]
# ## Your turn
#
# 1. Give the norm tokens with 2 features. Expected: the output is (1, -1) or (-1, 1) for nearly all of them, and the
#    gradient with respect to $x$ is nearly 0: of two numbers only their order is left.
# 2. Leave out the mean (RMS norm, `ts.rms_norm`) and add 7 to $x$. Expected: the result changes.

# %% [markdown]
# ## Limits and sources
#
# The sizes by depth are those of random start values whose parts keep the size of what they read; training changes
# them. That post-norm needs a warm-up of the learning rate, and pre-norm doesn't, is a claim of the third source that
# isn't tested here.
#
# J. L. Ba et al., Layer normalization, 2016. K. He et al., Deep residual learning, CVPR 2016. R. Xiong et al., On layer
# normalization in the Transformer architecture, ICML 2020.

# %% solution
two = rng.normal(size=(20, 2))
signs = standardised(two)[0]
slope = np.abs(backward(rng.normal(size=(20, 2)), two, np.ones(2), np.zeros(2))[0])
check("", "exercise 1: of two features only the order is left", np.median(np.abs(np.abs(signs) - 1)) < 1e-3)
check("", "and the gradient is nearly 0 for a typical token", np.median(slope) < 1e-2)
rms = [ts.rms_norm(ts.tensor(v), ts.tensor(np.ones(D))).numpy() for v in (x, x + 7)]
check("", "exercise 2: RMS norm notices a shift", np.abs(rms[0] - rms[1]).max() > 0.1)
