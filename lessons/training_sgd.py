# %% [markdown]
# # Learning rate, momentum, schedules
#
# Why does training diverge at one learning rate and crawl at another? And what do momentum and a falling rate buy?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $\theta$ | parameters | any |
# | $g$ | gradient of the loss | as $\theta$ |
# | $\eta$ | learning rate | number |
# | $a$ | curvature: how fast the gradient grows along one direction | number |
# | $\mu, v$ | momentum: share of the old direction that is kept; the direction | number; as $\theta$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import nn, optim, plot
from tinyslm.lesson import check, figure, minimise

ts.use("numpy")  # the arrays are small: no kernel has to be compiled

# %% [markdown]
# ## Gradient descent
#
# Article A, 3.2, names SGD beside Adam and prints no formula for it.
#
# $$\theta \leftarrow \theta - \eta g$$


# %%
def descend(gradient, start, eta, steps=100, momentum=0.0, decay=lambda t: 1.0):
    """All points of the path, (steps + 1, ...)."""
    path, v = [np.array(start, float)], 0.0
    for t in range(steps):
        v = momentum * v + gradient(path[-1])
        path.append(path[-1] - eta * decay(t) * v)
    return np.array(path)


def library(start, slopes, steps=100, **how):
    """The same with ts.optim.SGD, on the loss sum(a theta^2) / 2."""
    theta = ts.tensor(np.array(start, float), requires_grad=True)
    minimise(optim.SGD([theta], **how), lambda: theta * theta * ts.tensor(slopes) / 2, steps)
    return theta.numpy()


slopes, start = np.array([1.0, 25.0]), [1.0, 1.0]
ours = descend(lambda p: slopes * p, start, 0.03)[-1]
check("", "equal to ts.optim.SGD", np.allclose(ours, library(start, slopes, lr=0.03)))

# %% [markdown]
# ## On a parabola everything can be said exactly
#
# With the loss $a \theta^2 / 2$ the gradient is $a \theta$, and each step multiplies $\theta$ by the same factor.
#
# $$\theta_t = (1 - \eta a)^t \; \theta_0$$

# %%
a = 4.0
rates = {"slow": 0.02, "in one step": 1 / a, "zigzag": 0.45, "diverges": 0.51}
paths = {name: descend(lambda p: a * p, 1.0, eta, 20) for name, eta in rates.items()}
exact = {name: (1 - eta * a) ** np.arange(21) for name, eta in rates.items()}
for name, path in paths.items():
    print(f"eta = {rates[name]:.2f} ({name}): factor {1 - rates[name] * a:+.2f}, after 20 steps {path[-1]:+.1e}")
check("", "the paths are the powers of 1 - eta a", all(np.allclose(paths[n], exact[n]) for n in rates))
check("", "eta = 1 / a arrives in one step", abs(paths["in one step"][1]) < 1e-15)
edges = [abs(descend(lambda p: a * p, 1.0, eta, 2000)[-1]) for eta in (1.99 / a, 2.01 / a)]
check("", "the border is 2 / a: just below it falls, just above it grows", edges[0] < 1e-6 and edges[1] > 1e6)

# %% [markdown]
# ## Two directions, one rate
#
# Now one direction is 25 times as steep as the other. The steep one sets the border for $\eta$, and with that rate the
# flat one crawls. The best single rate is $2 / (a_1 + a_2)$, where both factors have the same size.

# %%
low, high = slopes
best = 2 / (low + high)
factor = (high - low) / (high + low)
plain = descend(lambda p: slopes * p, start, best)
tried = [np.abs(descend(lambda p: slopes * p, start, eta)[-1]).max() for eta in np.linspace(0.01, 0.08, 50)]
print(f"best rate {best:.4f}, factor per step {factor:.3f}, distance after 100 steps {np.abs(plain[-1]).max():.1e}")
check("", "both directions shrink by the same factor", np.allclose(np.abs(plain[-1]), factor**100))
check("", "no other of 50 rates is better", min(tried) >= np.abs(plain[-1]).max())

# %% [markdown]
# ## Momentum
#
# Keep a share $\mu$ of the last direction. Along the flat direction steps point the same way and add up to $1 / (1 -
# \mu)$ times the plain step; across the valley they cancel.
#
# $$v \leftarrow \mu v + g, \quad \theta \leftarrow \theta - \eta v$$

# %%
root = np.sqrt(high / low)
mu, eta_mu = ((root - 1) / (root + 1)) ** 2, (2 / (np.sqrt(low) + np.sqrt(high))) ** 2
heavy = descend(lambda p: slopes * p, start, eta_mu, momentum=mu)
print(f"mu = {mu:.3f}, eta = {eta_mu:.4f}: distance after 100 steps {np.abs(heavy[-1]).max():.1e}")
nearer = np.abs(plain[-1]).max() / np.abs(heavy[-1]).max()
check("", "with momentum it comes more than a million times as near", nearer > 1e6)
theirs = library(start, slopes, lr=eta_mu, momentum=mu)
check("", "equal to ts.optim.SGD with momentum", np.allclose(heavy[-1], theirs, atol=1e-12))
last = -np.diff(descend(lambda p: 1.0, 0.0, 0.01, 500, momentum=0.9))[-1]
check("", "on an even slope the steps grow to 1 / (1 - mu) times as long", np.isclose(last, 0.01 / (1 - 0.9)))

# %% [markdown]
# ## Noise, and a rate that falls
#
# From small batches the gradient comes with noise. A constant rate then ends in a cloud whose size grows with $\eta$; a
# falling rate has the speed of a large one first and the small cloud of a small one at the end. 200 runs of each.

# %%
schedules = {
    "constant, large": (0.06, optim.constant()),
    "constant, small": (0.006, optim.constant()),
    "linear to 0": (0.06, optim.linear(300)),
    "cosine to 0": (0.06, optim.cosine(300)),
}


def noisy(eta, decay):
    rng = np.random.default_rng(0)
    path = descend(lambda p: slopes * p + rng.normal(size=p.shape), [[3.0, 3.0]] * 200, eta, 300, decay=decay)
    return np.sqrt((path**2).sum(axis=2).mean(axis=1))


clouds = {name: noisy(*how) for name, how in schedules.items()}
for name, cloud in clouds.items():
    print(f"{name:16s} distance after 30 steps {cloud[30]:.3f}, after 300 {cloud[-1]:.3f}")
predicted = np.sqrt((0.06 / (2 - 0.06 * slopes) / slopes).sum())
print(f"cloud of the large rate as computed from eta and a: {predicted:.3f}")
large, small, *falling = (cloud[-1] for cloud in clouds.values())
check("", "the size of the cloud is the computed one, to 10 percent", abs(large / predicted - 1) < 0.1)
check("", "both falling rates end nearer than both constant ones", max(falling) < min(large, small))

# %% [markdown]
# ## A small net
#
# Two half moons, a net of 16 hidden units. Nobody knows its curvature beforehand, so the rate is tried out by factors.
# The same start values, the same 150 steps.

# %%
rng = np.random.default_rng(1)
turn = rng.uniform(0, np.pi, 200)
labels = np.arange(200) % 2
moons = np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.where(labels, -1, 1)[:, None]
x = ts.tensor(moons + labels[:, None] * [1.0, 0.5] + rng.normal(0, 0.15, moons.shape))


def train(eta, steps=150, momentum=0.0):
    rng = np.random.default_rng(2)
    net = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.Tanh(), nn.Linear(16, 2, rng=rng)).to("float64")
    sgd = optim.SGD(net.parameters(), lr=eta, momentum=momentum)
    return np.array(minimise(sgd, lambda: ts.cross_entropy(net(x), labels), steps))


tried_rates = 10.0 ** np.arange(-3, 3.1, 0.5)
ends = {eta: train(eta)[-30:] for eta in tried_rates}
final = np.array([run.mean() for run in ends.values()])
for eta, loss in zip(tried_rates, final, strict=True):
    print(f"eta = {eta:8.3f}: loss {loss:9.4f}   (guessing {np.log(2):.3f})")
at = int(final.argmin())
check("", "the smallest rate has hardly moved: the loss is above half of guessing", final[0] > np.log(2) / 2)
check("", "the largest is worse than guessing", final[-1] > np.log(2))
check("", "the best lies between", 0 < at < len(final) - 1)
with_momentum = train(tried_rates[2], momentum=0.9)[-30:].mean()
print(f"eta = {tried_rates[2]:.3f}: loss {final[2]:.3f}, with momentum 0.9 {with_momentum:.3f}")
check("", "momentum 0.9 acts like a rate ten times as large: nearer to that loss than to the old one",
      abs(with_momentum - final[4]) < abs(with_momentum - final[2]))  # fmt: skip

# %% [markdown]
# ## The power of the check
#
# Comparison with the library's path must tell single mistakes in the momentum apart.


# %%
def mistaken(kind, steps=20):  # wrong on purpose
    p, v = np.array(start), np.zeros(2)
    for _ in range(steps):
        g = slopes * p
        old, v = v, (mu * v + (1 - mu) * g if kind == "new gradient weighed" else mu * v + g)
        p = p + eta_mu * v if kind == "sign" else p - eta_mu * (old if kind == "old direction" else v)
    return np.abs(p - library(start, slopes, steps, lr=eta_mu, momentum=mu)).max()


gaps = {kind: mistaken(kind) for kind in ("none", "new gradient weighed", "sign", "old direction")}
print({kind: f"{gap:.0e}" for kind, gap in gaps.items()})
check("", "the comparison tells all three mistakes", gaps.pop("none") < 1e-12 and min(gaps.values()) > 1e-4)

# %%
picture = Figure(figsize=(9.2, 3.8), layout="constrained")
left, right = picture.subplots(1, 2)
p, q = np.meshgrid(np.linspace(-0.15, 1.15, 90), np.linspace(-2.1, 2.1, 90))
left.contour(p, q, low * p**2 + high * q**2, levels=12, colors="#BBBBBB", linewidths=0.7)
left.plot(*plain[:25].T, "o:", color="#D55E00", markersize=3, label="plain, best rate")
left.plot(*heavy[:25].T, "s-", color="#0072B2", markersize=3, label="momentum")
left.set(xlabel="flat direction", ylabel="steep direction", title="25 steps in a valley")
left.legend(fontsize=9)
right.loglog(tried_rates, np.minimum(final, 50), "o-", color="#0072B2")
right.axhline(np.log(2), color="#888888", linewidth=0.9, label="guessing")
right.set(xlabel="learning rate", ylabel="loss in nats", title="A small net after 150 steps")
right.legend(fontsize=9)
figure(picture, "Left: momentum swings wider and arrives sooner. Right: too small crawls, too large diverges.")

# %%
every = {name: cloud[::10] for name, cloud in clouds.items()}
picture = plot.lines(np.arange(0, 301, 10), every, "step", "distance (RMS of 200 runs)", "Noisy gradients", log="y")
figure(picture, "A large rate is fast and stays in its cloud; one that falls gets out of it.")

# %% [markdown]
# ## Your turn
#
# 1. Which is the largest rate for which plain descent converges on the two-direction loss? Say it first. Expected: 2
#    divided by the curvature of the steep direction, 0.08.
# 2. A warm-up over 10 steps, then constant: which rate has step 3? Expected: four tenths of the full one, counting
#    steps from 0.

# %% [markdown]
# ## Limits and sources
#
# The exact statements hold for parabolas. A net has a curvature of its own at each point, so the border is found by
# trying. The valley has two directions; a net has as many as parameters.
#
# H. Robbins and S. Monro, 1951. B. Polyak, 1964. I. Sutskever et al., On the importance of initialization and momentum
# in deep learning, ICML 2013. I. Loshchilov and F. Hutter, SGDR, ICLR 2017 (cosine).

# %% solution
edge = [np.abs(descend(lambda p: slopes * p, start, eta, 5000)[-1]).max() for eta in (0.0799, 0.0801)]
check("", "exercise 1: the border is 2 / 25 = 0.08", edge[0] < 1e-3 and edge[1] > 1e3)
share = optim.warmup(10, optim.constant())(3)
check("", "exercise 2: step 3 of a warm-up over 10 has 0.4 of the rate", np.isclose(share, 0.4))
