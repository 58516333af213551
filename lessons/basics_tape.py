# %% [markdown]
# # Recording: a tape
#
# How can a program differentiate a formula that it has never seen before, to rounding and for all inputs at once? It
# writes down every step while computing, and applies the chain rule to the list from its end.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $a, b, c$ | the inputs | numbers |
# | $p, q$ | intermediate results: $p = a b$, $q = p + c$ | numbers |
# | $L$ | the result: $L = q a$, so $a$ is used twice | number |
# | $\bar{x}$ | the derivative of $L$ with respect to $x$, for any $x$ of these | number |

# %%
import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure


def formula(a, b, c):
    return (a * b + c) * a


point = 2.0, -3.0, 10.0

# %% [markdown]
# ## The chain rule by hand
#
# There are two ways from $a$ to $L$: directly through the last product, and through $p$ and $q$. The derivative is
# the sum over the ways; along each way the local derivatives are multiplied.
#
# $$\bar{a} = \frac{\partial L}{\partial a} + \bar{q} \, \frac{\partial q}{\partial p} \frac{\partial p}{\partial a}$$
#
# Here $\partial L / \partial a = q$ (with $q$ held fixed), $\bar{q} = a$, and the last two factors are $1$ and $b$.

# %%
a, b, c = point
q = a * b + c
by_hand = q + a * 1 * b, a * 1 * a, a * 1
print("by hand: dL/da, dL/db, dL/dc =", by_hand)
numeric = (formula(a + 1e-5, b, c) - formula(a - 1e-5, b, c)) / 2e-5
check("", "the hand-made dL/da agrees with a central difference to 1e-8", abs(numeric - by_hand[0]) < 1e-8)

# %% [markdown]
# ## The tape
#
# A `Number` computes as usual. It also notes from which numbers it came, and the local derivative for each of them: 1
# and 1 for a sum; the other factor for a product. The list of all numbers in the order of their making is the tape.

# %%
tape = []


class Number:
    def __init__(self, value, parents=(), slopes=()):
        self.value, self.parents, self.slopes, self.grad = value, parents, slopes, 0.0
        tape.append(self)

    def __add__(self, other):
        return type(self)(self.value + other.value, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return type(self)(self.value * other.value, (self, other), (other.value, self.value))


# %% [markdown]
# ## The pass backward
#
# Start with $\bar{L} = 1$ and read the tape from its end. Each number $y$ hands $\bar{y}$, times the local
# derivative, to every number $x$ that it was made from. What arrives at $x$ adds up:
#
# $$\bar{x} = \sum_{y} \bar{y} \, \frac{\partial y}{\partial x} \quad \mathrm{over\ all\ } y \mathrm{\ made\ from\ } x$$


# %%
def backward(output):
    output.grad = 1.0
    for y in reversed(tape):
        for x, slope in zip(y.parents, y.slopes, strict=True):
            x.grad += y.grad * slope


leaves = [Number(v) for v in point]
backward(formula(*leaves))
by_tape = tuple(x.grad for x in leaves)
print("by tape:", by_tape, "  entries on the tape:", len(tape))
check("", "the tape gives the numbers found by hand, exactly", by_tape == by_hand)
check("", "the tape holds three inputs and one entry for each of the three operations", len(tape) == 3 + 3)

# %% [markdown]
# ## The same from tinyslm
#
# A tensor does what `Number` does, for whole arrays. The result knows the operation that made it.

# %%
a, b, c = (ts.tensor(v, dtype="float64", requires_grad=True) for v in point)
a.name, b.name, c.name = "a", "b", "c"
L = formula(a, b, c)
print(L)
picture = ts.plot.graph(L)
figure(picture, "What was recorded for L = (a b + c) a. The input a has two arrows going out: two ways to L.")

# %%
L.backward()
by_engine = tuple(t.grad.item() for t in (a, b, c))
print("by tinyslm:", by_engine)
check("", "tinyslm gives the same numbers, exactly", by_engine == by_hand)
check("", "and they agree with numerical derivatives", ts.gradcheck(formula, [np.array(v) for v in point]))

# %% [markdown]
# ## Not only this formula
#
# We draw random formulas: four inputs, then twelve sums and products of any two earlier numbers. Both programs must
# agree on all of them.

# %%
rng = np.random.default_rng(0)


def random_formula():
    steps = [(rng.random() < 0.5, rng.integers(0, k), rng.integers(0, k)) for k in range(4, 16)]

    def run(*numbers):
        numbers = list(numbers)
        for plus, i, j in steps:
            numbers.append(numbers[i] + numbers[j] if plus else numbers[i] * numbers[j])
        return numbers[-1]

    return run


def gradient_by_tape(function, values, kind=Number):
    tape.clear()
    leaves = [kind(float(v)) for v in values]
    backward(function(*leaves))
    return np.array([x.grad for x in leaves])


def gradient_by_engine(function, values):
    leaves = [ts.tensor(v, requires_grad=True) for v in values]
    function(*leaves).backward()
    return np.array([0.0 if t.grad is None else t.grad.item() for t in leaves])


worst = 0.0
for _ in range(200):
    function, values = random_formula(), rng.uniform(-1.2, 1.2, 4)
    mine, theirs = gradient_by_tape(function, values), gradient_by_engine(function, values)
    worst = max(worst, np.abs(mine - theirs).max() / max(np.abs(theirs).max(), 1e-300))
print(f"largest relative difference over 200 random formulas: {worst:.1e}")
check("", "tape and engine agree on 200 random formulas to 1e-12", worst < 1e-12)

# %% [markdown]
# ## What the check would catch
#
# A frequent mistake: each factor gets its own value instead of the other one. The check must refuse that rule. At a
# point with $a = b$ it cannot: there both rules say the same. Points are drawn at random for this reason.


# %%
class Swapped(Number):
    def __mul__(self, other):  # wrong on purpose
        return Swapped(self.value * other.value, (self, other), (self.value, other.value))


def wrong_rule(g, a, b):  # wrong on purpose
    return list(g.item() * gradient_by_tape(lambda a, b: a * b, (a, b), Swapped))


apart = ts.gradcheck(lambda a, b: a * b, [np.array(2.0), np.array(-3.0)], backward=wrong_rule)
alike = ts.gradcheck(lambda a, b: a * b, [np.array(1.5), np.array(1.5)], backward=wrong_rule)
print(apart)
check("", "the swapped rule is found wrong at a = 2, b = -3", str(apart.verdict) == "wrong")
check("", "and it passes at a = b = 1.5, where it happens to give the same numbers", alike.ok)

# %% [markdown]
# ## Your turn
#
# 1. Give `Number` a method `tanh`: the slope is $1 - y^2$ for the result $y$. Compare with `ts.tanh` at three points.
#    Expected: equal to rounding.
# 2. Call `backward` twice on the same tape without setting the gradients back to 0. Expected: not twice the gradient
#    but more, because the inner numbers still hold what they got the first time.

# %% [markdown]
# ## Limits and sources
#
# This tape knows two operations on single numbers, keeps everything for ever, and reads parts of the list that the
# result does not depend on. It needs no thought about order, because a list written while computing is in order
# already; a graph that is walked from its result needs that thought (lesson `basics_order`).
#
# R. E. Wengert, Communications of the ACM 7 (1964) 463. A. Griewank and A. Walther, Evaluating Derivatives, 2nd ed.
# (2008).


# %% solution
class WithTanh(Number):
    def tanh(self):
        y = np.tanh(self.value)
        return WithTanh(y, (self,), (1 - y * y,))


places = np.array([-0.7, 0.1, 2.0])
mine = [gradient_by_tape(lambda v: v.tanh(), [place], WithTanh)[0] for place in places]
theirs = [gradient_by_engine(ts.tanh, [place])[0] for place in places]
check("", "exercise 1: tanh on the tape has the engine's slope at three points", np.allclose(mine, theirs, rtol=1e-12))
tape.clear()
leaves = [Number(v) for v in point]
result = formula(*leaves)
backward(result)
once = np.array([x.grad for x in leaves])
backward(result)
again = np.array([x.grad for x in leaves])
print("one pass:", once, "  a second pass on top:", again)
check("", "exercise 2: after two passes every gradient is more than doubled", (again / once > 2).all())
