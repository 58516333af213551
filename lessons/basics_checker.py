# %% [markdown]
# # What a gradient check can prove
#
# A gradient check compares a backward rule with numerical derivatives. Which mistakes does it find, which does it
# miss, and which can no gradient check find at all?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | logits | $(B, V)$ |
# | $y$ | the softmax of each row | $(B, V)$ |
# | $g$ | the cotangent, $g = \partial L / \partial y$ | $(B, V)$ |
# | $h, c$ | output and cell state of an LSTM | $(B, H)$ |
# | $f, i, o$ | its gates, between 0 and 1 | $(B, H)$ |

# %%
import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
logits = rng.normal(size=(3, 5))

# %% [markdown]
# ## Rules to judge
#
# The gradient of a softmax, and five wrong versions of it.
#
# $$\frac{\partial L}{\partial x_j} = y_j \left( g_j - \sum_k g_k y_k \right)$$


# %%
def softmax_rule(g, x):
    y = ts.softmax(x)
    return y * (g - (g * y).sum(-1, keepdim=True))


rules = {
    "right": softmax_rule,
    "wrong sign": lambda g, x: -softmax_rule(g, x),
    "ten times": lambda g, x: 10 * softmax_rule(g, x),
    "all zero": lambda g, x: 0 * softmax_rule(g, x),
    "one column": lambda g, x: softmax_rule(g, x) * ts.tensor(np.eye(5)[0]),
    "diagonal only": lambda g, x: g * ts.softmax(x) * (1 - ts.softmax(x)),
}

# %% [markdown]
# ## The trap: the plain sum
#
# The simplest check takes $L = \sum y$, so the cotangent is all ones. But the rows of a softmax always sum to 1: $L$
# is constant, its gradient is 0, and a wrong multiple of 0 is still 0.


# %%
def numerical(function, x, g, h=1e-5):
    """The gradient of sum(g * function(x)) by central differences."""
    slope = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = h
        up, down = (function(ts.tensor(x + s)).numpy() for s in (step, -step))
        slope[place] = (g * (up - down)).sum() / (2 * h)
    return slope


def passes(rule, g):
    found = rule(ts.tensor(g), ts.tensor(logits)).numpy()
    return bool(np.abs(found - numerical(ts.softmax, logits, g)).max() < 1e-8)


ones, random = np.ones(logits.shape), rng.normal(size=logits.shape)
by_ones = {name: passes(rule, ones) for name, rule in rules.items()}
by_random = {name: passes(rule, random) for name, rule in rules.items()}
for name in rules:
    said = ["pass" if passed[name] else "caught" for passed in (by_ones, by_random)]
    print(f"{name:<14} ones: {said[0]:<7} random: {said[1]}")
missed = [name for name, passed in by_ones.items() if passed and name != "right"]
check("", "with ones, all wrong softmax rules but one pass", missed == list(rules)[1:-1])
right_only = [name for name, passed in by_random.items() if passed] == ["right"]
check("", "with a random cotangent all five are caught, and the right rule passes", right_only)

# %% [markdown]
# tinyslm's check always draws random cotangents, and says what it saw. Here it judges the rule that returns zero.

# %%
reports = {name: ts.gradcheck(ts.softmax, [logits], backward=rule) for name, rule in rules.items()}
print(reports["all zero"])
check("", "gradcheck accepts the right rule", reports["right"])
check("", "and refuses the five wrong ones", not any(r.ok for name, r in reports.items() if name != "right"))

# %% [markdown]
# ## Undecided
#
# A numerical derivative is not exact, so there is a size of error below which a check should not pretend to see.
# Between "equal to rounding" and "clearly different" the honest verdict is "undecided", and it does not count as a
# pass.

# %%
factors = {"exact": 0.0, "off by 1e-6": 1e-6, "off by 1e-3": 1e-3}
verdict = {}
for name, off in factors.items():
    verdict[name] = ts.gradcheck(ts.tanh, [logits], backward=lambda g, x, k=1 + off: g * (1 - ts.tanh(x) ** 2) * k)
print({name: str(r.verdict) for name, r in verdict.items()})
check("", "three errors, three verdicts", [str(r.verdict) for r in verdict.values()] == ["right", "undecided", "wrong"])
check("", "undecided is not a pass", not verdict["off by 1e-6"].ok)

# %% [markdown]
# ## Kinks: right by convention
#
# $\mathrm{relu}(x) = \max(x, 0)$ has no derivative at 0: 0 from the left, 1 from the right. A central difference
# answers one half, and a simple check would call the usual choice, 0, a mistake. Any number from 0 to 1 is a
# defensible convention; 2 is not.

# %%
kink = np.array([-1.0, 0.0, 2.0])
middle = numerical(ts.relu, kink, np.ones(3))[1]
print("central difference of relu at 0:", middle)
check("", "the central difference at the kink is one half", abs(middle - 0.5) < 1e-9)
conventional = ts.gradcheck(ts.relu, [kink])
check("", "the gradient 0 at the kink is right by convention", str(conventional.verdict) == "right by convention")


slopes = np.array([0.0, 2.0, 1.0])
refused = ts.gradcheck(ts.relu, [kink], backward=lambda g, x: g * slopes)
check("", "the gradient 2 at the kink is wrong", str(refused.verdict) == "wrong")

# %% [markdown]
# ## It speaks about the points it saw
#
# A rule for $|x|$ that forgets the sign is right for positive $x$. At a point with only positive numbers no
# comparison can tell, and the check also moves its points only a little, so that they keep their signs.

# %%
positive = rng.uniform(0.5, 2.0, 4)
forgetful = {
    place: ts.gradcheck(abs, [point], backward=lambda g, x: g, points=5)
    for place, point in {"positive": positive, "both signs": positive * [1, -1, 1, -1]}.items()
}
print({place: str(r.verdict) for place, r in forgetful.items()})
check("", "at positive points the rule without a sign passes", forgetful["positive"].ok)
check("", "with both signs it is caught", not forgetful["both signs"].ok)

# %% [markdown]
# ## A right gradient of the wrong function
#
# Article B, section 4.1 (formula B8), prints the new content of an LSTM's cell with a sigmoid where the LSTM has a
# tanh, and with a stray second dot. Section 4.2 repeats the sigmoid, while the sentence below it names tanh and
# sigmoid. Is that a mistake that a gradient check finds? Below is the printed cell, and its repair with tanh.
#
# $$c_t = f_t \odot c_{t-1} + i_t \odot \sigma(W_c [h_{t-1}, x_t] + b_c)$$


# %%
def cell(candidate):
    def step(x, h, c, w, b):  # x (B, D), h and c (B, H), w (D + H, 4H), b (4H)
        f, i, o, new = ts.split(ts.cat([h, x], dim=1) @ w + b, h.shape[1], dim=1)
        c = ts.sigmoid(f) * c + ts.sigmoid(i) * candidate(new)
        return ts.sigmoid(o) * ts.tanh(c), c

    return step


B, D, H, T = 2, 3, 5, 40
point = [rng.normal(size=s) for s in [(B, D), (B, H), (B, H), (D + H, 4 * H), (4 * H,)]]
x, h, c, w, b = map(ts.tensor, point)
order = np.concatenate([np.arange(k * H, (k + 1) * H) for k in (1, 0, 3, 2)])  # the library's blocks are i, f, g, o
library = ts.lstm(x.unsqueeze(1), h, c, w[H:, order].T, w[:H, order].T, b[order])
one_step = zip(cell(ts.tanh)(x, h, c, w, b), library[1:], strict=True)
check("B8", "the repaired cell is one step of ts.lstm", all(np.allclose(m.numpy(), t.numpy()) for m, t in one_step))
states = {}
for name, candidate in {"printed": ts.sigmoid, "repaired": ts.tanh}.items():
    check("B8", f"the gradients of the {name} cell are right", ts.gradcheck(cell(candidate), point))
    h = c = ts.tensor(np.zeros((B, H)))
    states[name] = np.empty((T, B, H))
    for t, x in enumerate(np.random.default_rng(1).normal(size=(T, B, D))):
        h, c = cell(candidate)(ts.tensor(x), h, c, ts.tensor(point[3]), ts.tensor(point[4]))
        states[name][t] = c.numpy()
    print(f"{name}: cell states from {states[name].min():.2g} to {states[name].max():.2g}")
printed, repaired = states["printed"], states["repaired"]
check("B8", "but from c = 0 the printed cell state is always positive", (printed > 0).all(), verdict="wrong: value")
check("B8", "while the repaired one takes both signs", repaired.min() < 0 < repaired.max())

# %% [markdown]
# ## Why
#
# The check asks whether a rule is the derivative of *this* function. It never asks whether this is the function you
# wanted. Questions of another kind are needed: about shapes, ranges, symmetries and limits. The printed candidate is
# always positive, so it can only push the cell state up; the forget gate can shrink the state but not turn its sign.

# %%
series = {
    f"{name}, {which}": edge(path, axis=(1, 2))
    for name, path in states.items()
    for which, edge in {"lowest": np.min, "highest": np.max}.items()
}
title = "Range of the cell states, same weights and inputs"
picture = ts.plot.lines(range(1, T + 1), series, "time step", "cell state c", title)
figure(picture, "Both cells pass the gradient check. With the printed candidate no state is ever below zero.")

# %% [markdown]
# ## Your turn
#
# 1. Let `passes` judge `ts.log_softmax` and its rule with ones. Expected: here the sum is not constant, and a wrong
#    sign is caught. The trap is a property of the function, so a check that does not know the function must not use
#    ones.
# 2. Give `ts.gradcheck` a function that adds fresh random numbers at each call. Expected: it stops before comparing,
#    because two calls at one point differ.

# %% [markdown]
# ## Limits and sources
#
# A pass means: at these points, for these cotangents, to this precision. The verdicts' limits (1e-8 and 1e-5 of the
# gradient's scale) are conventions of tinyslm. That a formula learns worse or better cannot be read off a gradient
# check either.
#
# S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997) 1735, for the cell. Article B, section 4.1, for the
# printed form.


# %% solution
def log_softmax_rule(g, x):
    return g - ts.softmax(x) * g.sum(-1, keepdim=True)


truth = numerical(ts.log_softmax, logits, ones)
claimed = log_softmax_rule(ts.tensor(ones), ts.tensor(logits)).numpy()
apart = {sign: np.abs(sign * claimed - truth).max() for sign in (1, -1)}
print(f"log_softmax with ones: right rule off by {apart[1]:.0e}, wrong sign by {apart[-1]:.1f}")
check("", "exercise 1: for log_softmax even ones catch a wrong sign", apart[1] < 1e-8 and apart[-1] > 0.1)
noisy = ts.gradcheck(lambda x: x + rng.normal(size=x.shape), [logits])
print(noisy)
check("", "exercise 2: a function that is never twice the same is not judged", noisy.findings and not noisy.ok)
