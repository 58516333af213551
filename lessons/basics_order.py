# %% [markdown]
# # The order of the pass backward
#
# A recorded formula is a graph, not a chain: values are used more than once. In which order must the pass backward
# visit it, and what breaks if it follows every path, recurses, hands on too early, or writes `=` instead of `+=`?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | size |
# |---|---|---|
# | $n$ | how many diamonds are chained | count |
# | $x$ | the first value | number |
# | $s$ | the local derivative on an edge of the graph | number |
# | $\bar{v}$ | the derivative of the result with respect to the value $v$ | number |
#
# A diamond: a value goes two ways, and the two ways meet again.

# %%
import sys

import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure


def diamond(v):
    return 0.5 * v + 0.7 * v


check("", "a diamond hands on 0.5 + 0.7 = 1.2 times its input", np.isclose(diamond(2.0), 2.4))
x = ts.tensor(1.0, dtype="float64", requires_grad=True)
x.name = "x"
picture = ts.plot.graph(diamond(diamond(x)))
figure(picture, "Two diamonds, one above the other. Each diamond doubles the number of paths from x to the result.")

# %% [markdown]
# ## A graph of our own
#
# For the order, only the edges and their local derivatives matter. Values are left out.


# %%
class Node:
    def __init__(self, *edges):
        self.edges, self.grad = edges, 0.0  # each edge: (the node it was made from, the local derivative)


def diamonds(n):
    x = y = Node()
    for _ in range(n):
        left, right = Node((y, 0.5)), Node((y, 0.7))
        y = Node((left, 1.0), (right, 1.0))
    return x, y


# %% [markdown]
# ## Following every path
#
# The chain rule as it is often written: the derivative is the sum over all paths from the result to $x$, and along
# each path the local derivatives are multiplied. Taken literally this is a short recursion. It is right.
#
# $$\bar{x} = \sum_{\mathrm{paths}} \, \prod_{\mathrm{edges}} s$$


# %%
def follow_paths(node, share):
    visits = 1
    node.grad += share
    for v, s in node.edges:
        visits += follow_paths(v, share * s)
    return visits


depths = np.arange(1, 13)


def survey(walk):
    """Visits, and the derivative with respect to x, at each depth."""
    results = []
    for n in depths:
        x, y = diamonds(n)
        results.append((walk(y), x.grad))
    return np.array(results).T


visits, derivatives = survey(lambda y: follow_paths(y, 1.0))
print("visits by depth:", visits.astype(int))
check("", "following the paths gives the right derivative, 1.2 to the power n", np.allclose(derivatives, 1.2**depths))
check("", "its visits more than double with every diamond: 2^(n+2) - 3", np.array_equal(visits, 2 ** (depths + 2) - 3))

# %% [markdown]
# ## Each node once, in the right order
#
# A node may hand on its gradient when it is complete: after all nodes that were made from it have been visited. An
# order with this property is a topological order. This function finds one without recursion, with a list of what is
# still to do: a node is written down after everything that it was made from, and in the end the list is turned round.


# %%
def topological_order(output):
    order, seen, todo = [], set(), [(output, False)]
    while todo:
        node, ready = todo.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo.extend((v, False) for v, _ in node.edges)
    return order[::-1]


# %% [markdown]
# With the result first, this order makes every sum complete before it is used:
#
# $$\bar{v} = \sum_{u \mathrm{\ made\ from\ } v} s_{uv} \, \bar{u}$$


# %%
def backward(output, order_of=topological_order):
    output.grad = 1.0
    order = order_of(output)
    for u in order:
        for v, s in u.edges:
            v.grad += s * u.grad
    return len(order)


fewer, same = survey(backward)
print("visits by depth:", fewer.astype(int))
check("", "each node once gives the same derivatives as all paths", np.allclose(same, derivatives, rtol=1e-12))
check("", "its visits grow by three with every diamond: 3 n + 1", np.array_equal(fewer, 3 * depths + 1))

# %%
series = {"every path": visits, "each node once": fewer}
picture = ts.plot.lines(depths, series, "diamonds in a row, n", "visits", "Visits of the pass backward", log="y")
figure(
    picture, "Counted visits. On this logarithmic scale a straight line means one constant factor for every diamond."
)

# %% [markdown]
# ## Too deep for recursion
#
# A recurrent network over many time steps is a long chain. Python refuses recursion beyond a limit; a walk with a
# list of its own has no such limit.

# %%
length = max(10_000, 2 * sys.getrecursionlimit())


def chain():
    x = y = Node()
    for _ in range(length):
        y = Node((y, 1.0))
    return x, y


try:
    follow_paths(chain()[1], 1.0)
    refused = ""
except RecursionError as error:
    refused = str(error)
check("", "the recursion fails on the long chain", refused)
x, y = chain()
backward(y)
seen = len(topological_order(y))
check("", "the walk with a list goes through all of it", seen == length + 1 and x.grad == 1.0)
t = start = ts.tensor(0.0, dtype="float64", requires_grad=True)
for _ in range(length):
    t = t + 1.0
t.backward()
check("", "and so does tinyslm", start.grad.item() == 1.0)

# %% [markdown]
# ## Handing on too early
#
# Visiting the nodes by their distance from the result looks natural, and visits each once. But where a short way and
# a long way meet, the node is visited before the share of the long way has come.


# %%
def by_distance(output):
    order = [output]
    for node in order:
        order.extend(v for v, _ in node.edges if v not in order)
    return order


def shortcut():
    x = Node()
    a = Node((x, 2.0))
    b = Node((a, 3.0))
    return x, Node((a, 1.0), (b, 1.0))  # y = a + b: a is used by b, and by y directly


results = []
for order_of in (topological_order, by_distance):
    x, y = shortcut()
    backward(y, order_of)
    results.append(x.grad)
print("topological order:", results[0], "  by distance:", results[1])
check("", "y = 2x + 3 (2x) has the derivative 8, and the topological order finds it", results[0] == 8.0)
check("", "the order by distance loses the share of the long way", results[1] == 2.0)

# %% [markdown]
# ## `=` instead of `+=`
#
# With `=` the last share overwrites the others. On a chain, where each value is used once, nothing is lost; a test on
# a chain cannot see this mistake. A graph with one diamond shows it.


# %%
def overwriting(output):  # wrong on purpose
    output.grad = 1.0
    for u in topological_order(output):
        for v, s in u.edges:
            v.grad = s * u.grad


x = Node()
overwriting(Node((Node((x, 0.5)), 0.7)))  # x -> 0.5 x -> 0.7 (0.5 x)
check("", "on a chain the overwriting pass is right", x.grad == 0.5 * 0.7)
x, y = diamonds(1)
overwriting(y)
lost = x.grad
print("one diamond: right 1.2, with '=':", lost)
check("", "on a diamond it keeps one of the two shares", lost in (0.5, 0.7))
report = ts.gradcheck(diamond, [np.array(1.0)], backward=lambda g, v: [g * lost])
check("", "a gradient check of the diamond refuses it", str(report.verdict) == "wrong")
check("", "and accepts the engine's gradient", ts.gradcheck(diamond, [np.array(1.0)]))

# %% [markdown]
# ## Your turn
#
# 1. Reverse the edges of the last node in `diamonds`. Does `overwriting` keep the same share? Expected: the other
#    one. A wrong result that depends on the order of writing is a sign of this mistake.
# 2. Make `x` a tensor again and call `diamond(x).backward()` twice without `x.zero_grad()` between. Expected:
#    `x.grad` is twice as large. Across calls, `+=` is meant: shares of several batches add up until you reset them.

# %% [markdown]
# ## Limits and sources
#
# Visits are counted here, not seconds. The recursion over paths would be cured of its exponential cost by remembering
# results, but not of its depth. A graph has many topological orders; all give the same gradient up to rounding.
#
# A. Griewank and A. Walther, Evaluating Derivatives (2008), for the reverse mode; A. B. Kahn, Communications of the ACM
# 5 (1962) 558, for topological order.

# %% solution
x, y = diamonds(1)
y.edges = y.edges[::-1]
overwriting(y)
print(f"share kept by '=': {lost}, with the last edges reversed: {x.grad}")
check("", "exercise 1: reversed edges keep the other share", x.grad != lost and {x.grad, lost} == {0.5, 0.7})
x = ts.tensor(1.0, dtype="float64", requires_grad=True)
diamond(x).backward()
once = x.grad.item()
diamond(x).backward()
check("", "exercise 2: two calls without a reset give twice the gradient", np.isclose(x.grad.item(), 2 * once, 1e-12))
