# %% [markdown]
# # Where to start: the spread of the first weights
#
# Article B says that weights start as Gaussian or uniform random numbers, and leaves out how large. What does the size
# do to a network of 20 layers before it has learned anything?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, n, L$ | samples, units of a layer, layers | numbers |
# | $y_l$ | output of layer $l$; $y_0$ is the input | $(B, n)$ |
# | $W_l$ | weights of layer $l$ | $(n, n)$ |
# | $s$ | standard deviation of each weight | number |
# | $g_l$ | gradient of the loss with respect to $y_l$ | $(B, n)$ |
# | $\mathrm{Var}$ | mean square around the mean | number |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
B, n, L, STARTS = 32, 100, 20, 4


def run(act, s, draw=rng.normal, L=L):
    """Mean square of the signal (L + 1), and of the gradient (L + 1), one column per start."""
    signal, gradient = [], []
    for _ in range(STARTS):
        y = [ts.tensor(rng.normal(size=(B, n)), requires_grad=True)]
        for _ in range(L):
            y.append(act(y[-1] @ ts.tensor(draw(size=(n, n)) * s)))
        loss = (y[-1] * ts.tensor(rng.normal(size=(B, n)))).sum()
        signal.append([(x.numpy() ** 2).mean() for x in y])
        gradient.append([(g.numpy() ** 2).mean() for g in ts.grad(loss, y)])
    return np.array(signal).T, np.array(gradient).T


# %% [markdown]
# ## As printed
#
# Article B, 3.2, "Model training" (B16), names two methods, Gaussian and uniform, and no size. Both shapes of the same
# standard deviation do the same. One shape with two sizes does not. So what the article gives is not enough to start.


# %%
def uniform(size):
    return rng.uniform(-np.sqrt(3), np.sqrt(3), size)  # standard deviation 1


def linear(x):
    return x


by_shape = [run(ts.tanh, 0.1, draw)[0][-1].mean() for draw in (rng.normal, uniform)]
by_size = [run(ts.tanh, s)[0][-1].mean() for s in (0.01, 0.1)]
print("signal after 20 layers, tanh: Gaussian and uniform with s = 0.1:", np.round(by_shape, 3))
print("Gaussian with s = 0.01 and 0.1:", [f"{value:.2g}" for value in by_size])
check("B16", "the shape matters little: within a factor of 2", 0.5 < by_shape[0] / by_shape[1] < 2)
check("B16", "the size decides: a factor above a billion", by_size[1] > 1e9 * by_size[0], verdict="incomplete")

# %% [markdown]
# ## One layer
#
# A sum of $n$ independent products with mean 0 has the sum of their variances. So for a layer without an activation
#
# $$\mathrm{Var}(y_l) = n \, s^2 \, \mathrm{Var}(y_{l-1})$$

# %%
scales = (0.01, 0.1, 0.5, 1.0)
measured = []
for s in scales:
    many = [np.square(rng.normal(size=(B, n)) @ (rng.normal(size=(n, n)) * s)).mean() for _ in range(50)]
    measured.append(np.mean(many) / (n * s**2))
print("measured over predicted:", np.round(measured, 3))
check("B16", "n times s squared, to two percent, at four scales", np.abs(np.array(measured) - 1).max() < 0.02)

# %% [markdown]
# ## Twenty layers
#
# A factor per layer is a power over layers: $(n s^2)^{20}$. Three sizes around $s = 1 / \sqrt{n}$, no activation.

# %%
for factor in (0.5, 1.0, 2.0):
    s = np.sqrt(factor / n)
    signal, gradient = (part.mean(axis=1) for part in run(linear, s))
    print(f"n s^2 = {factor}: signal {signal[-1]:.2g} after 20 layers, gradient {gradient[0]:.2g} back at the input")
    close = all(0.3 < value / factor**L < 3 for value in (signal[-1], gradient[0]))
    check("B16", f"n s^2 = {factor}: signal and gradient follow the power, within a factor of 3", close)

# %% [markdown]
# ## Glorot: tanh
#
# Backward the same holds with the number of outputs for the number of inputs. To keep both near 1, Glorot and Bengio
# take the middle. For tanh, whose slope is 1 at 0:
#
# $$s^2 = \frac{2}{n_{\mathrm{in}} + n_{\mathrm{out}}}$$


# %%
def glorot(n_in, n_out):
    return np.sqrt(2 / (n_in + n_out))


filled = ts.nn.init.xavier_normal_(ts.tensor(np.zeros((300, 100))), rng=rng).numpy()
check("B16", "the library's xavier_normal_ has this spread", abs(filled.std() / glorot(100, 300) - 1) < 0.02)
tanh = {s: run(ts.tanh, s) for s in (0.01, glorot(n, n), 0.5)}
for s, (signal, gradient) in tanh.items():
    print(f"tanh, s = {s:.2f}: signal {signal[-1].mean():.2g}, gradient at the input {gradient[0].mean():.2g}")
signal, gradient = tanh[glorot(n, n)]
check(
    "B16",
    "Glorot: after 20 layers over a hundredth of the signal and of the gradient",
    min(signal[-1].mean(), gradient[0].mean()) > 0.01,
)
check("B16", "0.01: the signal is gone, below a billionth", tanh[0.01][0][-1].mean() < 1e-9)
full = tanh[0.5][0][-1].mean()
check(
    "B16",
    "0.5: the units are full (mean square above 0.8), the gradient explodes",
    full > 0.8 and tanh[0.5][1][0].mean() > 100,
)

# %% [markdown]
# ## He: relu
#
# A relu cuts off half of a symmetric signal: half of the mean square is lost at each layer. Twice the variance makes up
# for it.
#
# $$s^2 = \frac{2}{n_{\mathrm{in}}}$$


# %%
def he(n_in):
    return np.sqrt(2 / n_in)


x = rng.normal(size=200_000)
kept = np.square(np.maximum(x, 0)).mean() / np.square(x).mean()
print(f"share of the mean square that a relu keeps: {kept:.4f}")
check("B16", "it is one half, to two percent", abs(kept - 0.5) < 0.01)
relu = {"Glorot": run(ts.relu, glorot(n, n)), "He": run(ts.relu, he(n))}
for name, (signal, gradient) in relu.items():
    print(f"relu, {name}: signal {signal[-1].mean():.2g}, gradient at the input {gradient[0].mean():.2g}")
signal, gradient = (np.exp(np.log(part).mean(axis=1)) for part in relu["He"])
check("B16", "He: both stay within a factor of 10", all(0.1 < value < 10 for value in (signal[-1], gradient[0])))
signal, gradient = (part.mean(axis=1) for part in relu["Glorot"])
halved = signal[-1] * 2**L, gradient[0] * 2**L
check("B16", "Glorot with relu: halved 20 times, within a factor of 10", all(0.1 < value < 10 for value in halved))

# %% [markdown]
# ## All zeros
#
# Why random at all? With equal weights all units of a layer compute the same and get the same gradient. They stay
# equal however long one trains.

# %%
W1, W2 = (ts.tensor(np.full(shape, 0.3), requires_grad=True) for shape in ((4, 8), (8, 1)))
data = ts.tensor(rng.normal(size=(16, 4)))
for _ in range(20):
    loss = ((ts.tanh(data @ W1) @ W2 - ts.tensor(data.numpy()[:, :1] ** 2)) ** 2).mean()
    for weight, g in zip((W1, W2), ts.grad(loss, [W1, W2]), strict=True):
        weight.copy_(weight.numpy() - 0.1 * g.numpy())
spread = max(np.ptp(W1.numpy(), axis=1).max(), np.ptp(W2.numpy()))
check("B16", "after 20 steps all 8 units are still the same", spread < 1e-12 and abs(W1.numpy()[0, 0] - 0.3) > 1e-3)

# %% [markdown]
# ## The power of the check
#
# Would the test of 20 layers notice a wrong formula? The bar is the one used for He: within a factor of 10.

# %%
wrong = {
    "1/n for 2/n": np.sqrt(1 / n),
    "2/n as s, no root": 2 / n,
    "root of 6/n, the bound of the uniform form, as s": np.sqrt(6 / n),
    "1 over the root of n, halved": 0.5 / np.sqrt(n),
}
last = {name: np.exp(np.log(np.maximum(run(ts.relu, s)[0][-1], 1e-300)).mean()) for name, s in wrong.items()}
print({name: f"{value:.1g}" for name, value in last.items()})
check("B16", "all four leave the band from 0.1 to 10", not any(0.1 < value < 10 for value in last.values()))

# %%
picture = Figure(figsize=(9.2, 4), layout="constrained")
panels = picture.subplots(1, 2, sharey=True)
looks = {
    "tanh, s = 0.01": (tanh[0.01], "#D55E00", "--"),
    "tanh, Glorot": (tanh[glorot(n, n)], "#0072B2", "-"),
    "tanh, s = 0.5": (tanh[0.5], "#E69F00", "-."),
    "relu, Glorot": (relu["Glorot"], "#CC79A7", (0, (5, 1, 1, 1))),
    "relu, He": (relu["He"], "#009E73", ":"),
}
for label, (parts, colour, dash) in looks.items():
    for axes, part in zip(panels, parts, strict=True):
        axes.semilogy(range(L + 1), part.mean(axis=1), color=colour, linestyle=dash, linewidth=2, label=label)
panels[0].set(title="Signal, forward", xlabel="layer", ylabel="mean square", ylim=(1e-9, 1e10))
panels[1].set(title="Gradient, backward", xlabel="layer (the loss is at 20)")
for axes in panels:
    axes.set_xticks(range(0, L + 1, 5))
panels[0].legend(frameon=False, fontsize=9.5, loc="upper left")
figure(picture, "Untrained, 20 layers of 100 units. Only Glorot with tanh and He with relu keep both in sight.")

# %% [markdown]
# ## Your turn
#
# 1. How wide is the uniform distribution from $-a$ to $a$ with Glorot's variance? Expected: $a = \sqrt{3} \, s =
#    \sqrt{6 / (n_{\mathrm{in}} + n_{\mathrm{out}})}$, the bound that the library uses.
# 2. Run He and relu with `L=60`. Expected: single starts wander off, most of them below 1. What the formula keeps is
#    the average over all starts, and a few large ones make it up.

# %% [markdown]
# ## Limits and sources
#
# The formulas hold for independent weights before training, and for layers in a row. Residual paths and layer
# normalisation change the question: they keep the sizes in sight themselves. A recurrent network uses one matrix at
# every step, not a fresh one; there orthogonal matrices serve.
#
# X. Glorot and Y. Bengio, AISTATS 2010, eq. 12 and 16. K. He, X. Zhang, S. Ren and J. Sun, ICCV 2015, eq. 10 and 14.

# %% solution
drawn = ts.nn.init.xavier_uniform_(ts.tensor(np.zeros((300, 100))), rng=rng).numpy()
a = np.sqrt(3) * glorot(100, 300)
check("B16", "the library's uniform form reaches up to a", 0.99 * a < np.abs(drawn).max() <= a)
check("B16", "and has Glorot's variance, to two percent", abs(drawn.var() / glorot(100, 300) ** 2 - 1) < 0.02)
deep = run(ts.relu, he(n), L=60)[0][-1]
print("He, relu, 60 layers, four starts:", np.round(deep, 2))
check("B16", "single starts differ by more than a factor of 1.5", deep.max() > 1.5 * deep.min())
