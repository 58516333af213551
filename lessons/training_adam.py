# %% [markdown]
# # Adam
#
# How does Adam turn gradients into steps? And what do the three formulas that article A prints for it do instead?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $\theta$ | parameters | any |
# | $g$ | gradient of the loss with respect to $\theta$ | as $\theta$ |
# | $m, v$ | running means of $g$ and of $g^2$; both start at 0 | as $\theta$ |
# | $\beta_1, \beta_2$ | share of the old mean that is kept at each step | numbers in $[0, 1)$ |
# | $\eta, \epsilon$ | learning rate; a small number against division by 0 | numbers |
# | $t, T$ | number of the step, from 1; number of all steps | integers |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import plot
from tinyslm.lesson import check, figure

b1, b2, eps, eta, T = 0.9, 0.999, 1e-8, 1e-3, 1000  # the usual values
rng = np.random.default_rng(0)

# %% [markdown]
# ## As printed
#
# Article A, 3.2, under "Optimisation algorithm" (A2, A3, A4). The text calls $g$ the gradient, $\beta_1$ and $\beta_2$
# momentum coefficients, $T$ the number of all iterations.
#
# $$m = \beta_1 g + (1 - \beta_1)(1 - t/T)$$
#
# $$v = \beta_2 g^2 + (1 - \beta_2)(1 - t/T)$$
#
# $$\theta = \theta - \eta \frac{m}{\sqrt{v} + \epsilon}$$


# %%
class Printed:
    def __init__(self, eta=eta, T=T):
        self.eta, self.T, self.t = eta, T, 0

    def step(self, theta, g):
        self.t += 1
        self.m = b1 * g + (1 - b1) * (1 - self.t / self.T)
        self.v = b2 * g * g + (1 - b2) * (1 - self.t / self.T)
        return theta - self.eta * self.m / (np.sqrt(self.v) + eps)


def run(rule, gradient, theta=0.0, steps=T):
    path = [np.array(theta, float)]
    for _ in range(steps):
        path.append(rule.step(path[-1], gradient(path[-1])))
    return np.array(path)


# %% [markdown]
# ## It breaks: it moves where the gradient is 0
#
# At a minimum, or on flat ground, there is no reason to move. The number that is added to $m$ moves it all the same.

# %%
drift = run(Printed(), lambda theta: 0.0)[-1]
print(f"gradient 0 throughout, {T} steps of eta = {eta}: theta goes from 0 to {drift:.3f}")
check("A2", "at gradient 0 the parameter drifts by -2.107", abs(drift + 2.107) < 5e-4, verdict="wrong: value")
from_zero = Printed()
from_zero.t = -1
again = run(from_zero, lambda theta: 0.0)[-1]
check("A2", f"if t counts from 0 the drift is the same to 1 percent: {again:.3f}", abs(again / drift - 1) < 0.01)

# %% [markdown]
# ## It breaks: it moves the wrong way
#
# With a small negative gradient the parameter should grow. The sign of $m$ decides.

# %%
rule = Printed()
after = rule.step(0.0, -0.05)
print(f"g = -0.05 at t = 1: m = {rule.m:+.4f}, theta goes from 0 to {after:+.5f}")
check("A2", "g = -0.05: m = +0.0549, so the step goes the wrong way", np.isclose(rule.m, 0.0549) and after < 0)

# %% [markdown]
# ## It breaks: it depends on the unit of the loss
#
# Writing the loss in another unit multiplies every gradient by the same factor. The printed $m$ adds a pure number to a
# gradient, so its path changes. We give it the same 100 gradients twice, once in another unit.

# %%
gradients = rng.normal(size=(100, 5)) * 0.1


def follow(rule, scale):
    steps = iter(gradients * scale)
    return run(rule, lambda theta: next(steps), np.zeros(5), steps=100)


change = np.abs(follow(Printed(), 1000.0) - follow(Printed(), 1.0)).max()
print(f"largest change of the printed path when the loss is multiplied by 1000: {change / eta:.1f} eta")
check("A2", "the printed path depends on the unit of the loss", change > 10 * eta)
moment = {}
for scale in (1.0, 1000.0):
    rule = Printed()
    rule.step(0.0, 0.01 * scale)
    moment[scale] = rule.v
growth = moment[1000.0] / moment[1.0]
print(f"printed v: {moment[1.0]:.6f}, in the other unit {moment[1000.0]:.6f}: {growth:.0f} times, not a million")
slow = "gradients 1000 times as large make the printed v less than 10^5 times as large"
check("A3", slow, growth < 1e5, verdict="wrong: value")

# %% [markdown]
# ## Why: the old mean is missing, and the weights are exchanged
#
# A running mean needs its old value. Putting the old $m$ back where the article has a pure number is not enough:
# $\beta_1$ still weighs the new gradient, and nearly all that was known before is forgotten at each step. The memory is
# the mean age of the gradients in $m$, counting the newest as 1.


# %%
def memory(old, new, steps=2000):
    weights = new * old ** np.arange(steps)
    return (weights * np.arange(1, steps + 1)).sum() / weights.sum()


print(f"memory in steps: {memory(1 - b1, b1):.2f} with the printed weights, {memory(b1, 1 - b1):.2f} with Adam's")
check("A2", "with only m put back the memory is about 1.1 steps", abs(memory(1 - b1, b1) - 1.1) < 0.05)
check("A3", "with only v put back the memory is 1.001 steps", abs(memory(1 - b2, b2) - 1.001) < 1e-4)
check("A2", "Adam's weights remember 10 steps", np.isclose(memory(b1, 1 - b1), 10))

# %% [markdown]
# ## Repaired, first moment
#
# The mean keeps the share $\beta_1$ of itself and takes in a little of the new gradient (A2).
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g$$


# %%
def first_moment(m, g):
    return b1 * m + (1 - b1) * g


check("A2", "repaired: zero gradients leave m at 0", first_moment(0.0, 0.0) == 0)
m = 0.0
for _ in range(200):
    m = first_moment(m, -0.05)
check("A2", "repaired: with the same gradient again and again m tends to it", np.isclose(m, -0.05))

# %% [markdown]
# ## Repaired, second moment
#
# The same for the squares (A3).
#
# $$v \leftarrow \beta_2 v + (1 - \beta_2) g^2$$


# %%
def second_moment(v, g):
    return b2 * v + (1 - b2) * g * g


squared = np.isclose(second_moment(0, 30.0), 900 * second_moment(0, 1))
check("A3", "repaired: v grows with the square of the unit", squared)

# %% [markdown]
# ## A4 alone is incomplete
#
# With these $m$ and $v$ the printed step is nearly right. But both start at 0 and are too small at first, $v$ by far
# more than $m$, so the first steps are too long.

# %%
first = first_moment(0.0, 1.0) / (np.sqrt(second_moment(0.0, 1.0)) + eps)
print(f"first step without correction: {first:.3f} eta;   (1 - b1) / sqrt(1 - b2) = {(1 - b1) / np.sqrt(1 - b2):.3f}")
check("A4", "without bias correction the first step is 3.16 eta", abs(first - 3.16) < 0.005, verdict="incomplete")
large = abs(Printed().step(0.0, 1e8)) / eta
print(f"step as printed for a very large gradient: {large:.4f} eta")
check("A4", "as printed, the step tends to b1 / sqrt(b2), about 0.90 eta", abs(large - 0.90) < 0.005)

# %% [markdown]
# ## Completed
#
# If all gradients so far were equal to $g$, then $m = (1 - \beta_1^t) g$. Dividing by that factor makes $m$ right from
# the first step on, and $v$ likewise.
#
# $$\hat m = \frac{m}{1 - \beta_1^t}, \quad \hat v = \frac{v}{1 - \beta_2^t}$$
#
# $$\theta \leftarrow \theta - \eta \frac{\hat m}{\sqrt{\hat v} + \epsilon}$$


# %%
class Repaired:
    def __init__(self, eta=eta, decay=lambda t: 1.0):
        self.eta, self.decay, self.t, self.m, self.v = eta, decay, 0, 0.0, 0.0

    def step(self, theta, g):
        self.t += 1
        self.m, self.v = first_moment(self.m, g), second_moment(self.v, g)
        m, v = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        return theta - self.eta * self.decay(self.t) * m / (np.sqrt(v) + eps)


check("A4", "completed: the first step has length eta", np.isclose(abs(Repaired().step(0.0, 1.0)), eta))
check("A2", "completed: at gradient 0 nothing moves", run(Repaired(), lambda theta: 0.0)[-1] == 0)
change = np.abs(follow(Repaired(), 1000.0) - follow(Repaired(), 1.0)).max()
print(f"largest change of the path when the loss is multiplied by 1000: {change / eta:.1e} eta")
check("A2", "completed: the path hardly depends on the unit (only through epsilon)", change < 1e-4 * eta)
parameter = ts.tensor(np.zeros(5), requires_grad=True)
library = ts.optim.Adam([parameter], lr=eta, betas=(b1, b2), eps=eps)
for g in gradients:
    parameter.grad = ts.tensor(g)
    library.step()
referee = parameter.numpy()
gap = np.abs(follow(Repaired(), 1.0)[-1] - referee).max()
print(f"largest difference from ts.optim.Adam after 100 steps: {gap / eta:.0e} eta")
check("A4", "completed: equal to ts.optim.Adam", gap < 1e-12 * eta)

# %% [markdown]
# ## On a curved loss
#
# Now a small quadratic loss, ten times as steep in its second direction. The printed rule rests where its $m$ is 0, and
# that is not where $g$ is 0.

# %%
slopes, start, steps, rate = np.array([1.0, 10.0]), [1.5, 1.0], 300, 0.05
schedule = ts.optim.linear(steps)
rules = {
    "as printed": lambda: Printed(rate, steps),
    "repaired": lambda: Repaired(rate),
    "repaired, 1 - t/T on the rate": lambda: Repaired(rate, lambda t: schedule(t - 1)),
}
paths = {name: run(make(), lambda theta: slopes * theta, start, steps) for name, make in rules.items()}
middle, last = (paths["as printed"][k] for k in (steps // 2, -1))
bias = -(1 - b1) * 0.5 / (b1 * slopes[0])
print(f"printed, half way, first direction: {middle[0]:.4f}; where m is 0: {bias:.4f}")
print(f"printed, length of the last step: {np.abs(last - paths['as printed'][-2]).max() / rate:.2f} eta")
stays = abs(middle[0] / bias - 1) < 0.02
check("A2", "printed: half way the first parameter stays where m is 0, beside the minimum", stays)
near = np.linalg.norm(paths["repaired"][-1])
print(f"distance from the minimum at the end: printed {np.linalg.norm(last):.1e}, repaired {near:.1e}")
check("A4", "repaired: it ends at least 1000 times as near the minimum", 1000 * near < np.linalg.norm(last))

# %% [markdown]
# ## Where $1 - t/T$ belongs
#
# A factor that falls from 1 to 0 is useful on the learning rate when gradients are noisy, as they are when each comes
# from a few samples: the steps become smaller, and the noise averages out. We add noise and take 64 runs of each rule.

# %%
gaps = {}
for name, make in rules.items():
    noise = np.random.default_rng(1)
    noisy = run(make(), lambda theta, n=noise: slopes * theta + n.normal(size=theta.shape), [start] * 64, steps)
    gaps[name] = np.sqrt((noisy**2).sum(axis=2).mean(axis=1))
    print(f"{name:30s} distance at the end, root mean square of 64 runs: {gaps[name][-1]:.3f}")
decayed = gaps["repaired, 1 - t/T on the rate"][-1]
ratio = decayed / gaps["repaired"][-1]
check("A4", "with noise, 1 - t/T on the rate ends at less than three quarters of the distance", ratio < 0.75)
check("A4", "and the printed rule ends farthest", max(gaps, key=lambda n: gaps[n][-1]) == "as printed")

# %% [markdown]
# ## The power of the check
#
# Comparing with the library on the same gradients must tell single mistakes apart. Four of them:


# %%
def with_mistake(m_of, v_of, correct=True, root=np.sqrt):  # wrong on purpose
    theta, m, v = np.zeros(5), 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = m_of(m, g), v_of(v, g)
        c1, c2 = (1 - b1**t, 1 - b2**t) if correct else (1, 1)
        theta = theta - eta * m / c1 / (root(v / c2) + eps)
    return np.abs(theta - referee).max() / eta


distances = {
    "none": with_mistake(first_moment, second_moment),
    "weights of m exchanged": with_mistake(lambda m, g: (1 - b1) * m + b1 * g, second_moment),
    "weights of v exchanged": with_mistake(first_moment, lambda v, g: (1 - b2) * v + b2 * g * g),
    "no bias correction": with_mistake(first_moment, second_moment, correct=False),
    "root forgotten": with_mistake(first_moment, second_moment, root=lambda v: v),
}
for name, distance in distances.items():
    print(f"mistake: {name:24s} distance from ts.optim.Adam {distance:8.1e} eta")
check("A4", "the comparison tells all four mistakes from the right rule", sorted(distances.values())[1] > 0.1)

# %%
picture = Figure(figsize=(5.2, 4.0), layout="constrained")
axes = picture.subplots()
a, b = np.meshgrid(np.linspace(-0.35, 1.6, 80), np.linspace(-0.35, 1.1, 80))
axes.contour(a, b, (slopes[0] * a**2 + slopes[1] * b**2) / 2, levels=10, colors="#BBBBBB", linewidths=0.7)
for (name, path), style, colour in zip(paths.items(), (":", "-", "--"), plot.COLOURS[:3], strict=True):
    axes.plot(*path.T, style, color=colour, label=name, linewidth=1.6)
axes.plot(0, 0, "k+", markersize=11)
axes.set(xlabel="first parameter", ylabel="second parameter", title="Without noise; the cross is the minimum")
axes.legend(fontsize=8.5)
figure(picture, "As printed, the path stays beside the minimum.")
every = {name: gap[::10] for name, gap in gaps.items()}
title = "With noise, 64 runs each"
picture = plot.lines(range(0, steps + 1, 10), every, "step t", "distance from the minimum (RMS)", title, log="y")
figure(picture, "A falling rate averages the noise out.")

# %% [markdown]
# ## Your turn
#
# 1. Run both rules on a gradient that alternates between 1 and -1. Expected: after some steps `Repaired` hardly moves,
#    because its m is near 0; `Printed` goes back and forth by about 0.9 eta.
# 2. Use `T = 10` in `Printed` and 1000 steps. Expected: after the tenth step the added number is negative, $v$ becomes
#    negative at gradient 0, and its root is not a number.

# %% [markdown]
# ## Limits and sources
#
# The drift was computed where the gradient is exactly 0. Where the loss is curved, the printed rule stops beside the
# minimum instead, at the point where its $m$ is 0; that point comes closer as $t$ approaches $T$. One quadratic loss
# says nothing about which rule trains a network best.
#
# D. P. Kingma and J. Ba, Adam, ICLR 2015, Algorithm 1. I. Loshchilov and F. Hutter, Decoupled weight decay
# regularization, ICLR 2019.

# %% solution
moves = {}
for rule in (Printed(), Repaired()):
    signs = iter(np.tile([1.0, -1.0], T // 2))
    moves[type(rule).__name__] = np.abs(np.diff(run(rule, lambda theta, s=signs: next(s))))[100:] / eta
    print(f"{type(rule).__name__:9s} mean step after the first 100: {moves[type(rule).__name__].mean():.3f} eta")
check("A4", "exercise 1: on gradients 1 and -1 in turn the printed rule steps by 0.9 eta, to a tenth",
      abs(moves["Printed"].mean() - 0.9) < 0.09)  # fmt: skip
check("A2", "the repaired one by less than a tenth of eta", moves["Repaired"].max() < 0.1)
with np.errstate(invalid="ignore"):
    path = run(Printed(T=10), lambda theta: 0.0)
lost = np.flatnonzero(np.isnan(path))
print(f"T = 10 at gradient 0: not a number from step {lost[0]} on")
check("A3", "exercise 2: after step T the printed v is negative and its root is not a number", lost[0] == 11)
check("A4", "and it stays so to the end", len(lost) == T - 10)
