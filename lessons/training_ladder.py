# %% [markdown]
# # Why a kernel is fast
#
# The same product of two matrices, with the same number of additions, takes a hundred times as long in one program as
# in another. Where does the time go, and which change brings how much?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning |
# |---|---|
# | $A, B, C$ | matrices of $M \times K$, $K \times N$ and $M \times N$ numbers, $C = A B$ |
# | operations | $2 M K N$: a product and a sum for each triple of row, inner index and column |
# | GFLOP/s | thousand million operations in a second |
# | ceiling | what NumPy's own product reaches on one core: a library written for this processor |
# | line | 64 bytes that a processor fetches from memory at once: 16 numbers in float32 |

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from tinyslm.kernels.cpu import ladder, recurrent, recurrent_plain
from tinyslm.kernels.cpu._blas import one_thread

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
ts.set_num_threads(1)  # one core for all rungs, the ceiling too
names = {"with_numpy": "NumPy, column\ntimes row", "with_loops": "compiled\nloops",
         "with_blocks": "blocks", "with_registers": "registers"}  # fmt: skip
rungs = {names[rung.__name__]: rung for rung in ladder.RUNGS}


def draw(*shape):
    return rng.normal(0, 1, shape).astype(np.float32)


# %% [markdown]
# ## What a fast program avoids
#
# Memory is far away. A loop that walks along a row of $C$ uses all 16 numbers of every line it fetches; a loop that
# walks down a column uses one of them. How many lines does one pass over $n$ numbers fetch?


# %%
def lines(n, step, size=4, line=64):
    """Lines that n numbers of `size` bytes lie in, if each is `step` numbers behind the one before."""
    return len({i * step * size // line for i in range(n)})


along, down = lines(512, 1), lines(512, 512)
print(f"512 numbers along a row lie in {along} lines, down a column in {down}")
check("", "along a row a line serves 16 numbers, down a column one", along == 512 // 16 and down == 512)
check("", "in float64 half as many; every second number: the same lines for half the numbers",
      lines(512, 1, 8) == 64 and lines(256, 2) == 32)  # fmt: skip

# %% [markdown]
# The product uses every number of $A$ and $B$ many times: for $M = K = N = n$ there are $2 n^3$ operations on $3 n^2$
# numbers. The rungs differ in where a number lies when it is used again.
#
# 1. **NumPy, column times row**: $C \leftarrow C + A_{:k} B_{k:}$ for each $k$. All of $C$ passes through the
#    processor $K$ times.
# 2. **Compiled loops**: row by row, so one row of $C$ stays near while its sums grow.
# 3. **Blocks**: two rows and four columns of $A$ at once. A number of $B$ is fetched for two products, and a number of
#    $C$ is fetched and put back once for four.
# 4. **Registers**: $B$ is copied into panels a few vectors wide. Six rows pass at once, and their sums stay inside the
#    processor until they are done: $C$ is written once, and each number of a panel is fetched once for six rows.
#
# The processor can do two products of vectors in the time of about two fetches and one store. So what counts is how
# many fetches and stores each product needs, if a block of $A$ with $r$ rows and $s$ columns is worked off at once:
#
# $$\frac{s + 2 r}{r s} = \frac{1}{r} + \frac{2}{s}$$


# %%
def moves(rows, columns):
    """Fetches and stores for each product: of B, and of C to and fro."""
    return (columns + 2 * rows) / (rows * columns)


check("", "the loops move three numbers for each product, the blocks one", moves(1, 1) == 3 and moves(2, 4) == 1)
check("", "six rows, all columns at once: B is all that is left", abs(moves(6, 384) - 1 / 6 - 2 / 384) < 1e-12)

# %% [markdown]
# ## All rungs compute the same
#
# And so do their gradients. For $L = \sum G \odot (A B)$ they are products again:
#
# $$\frac{\partial L}{\partial A} = G B^\top \qquad \frac{\partial L}{\partial B} = A^\top G$$


# %%
def gradients(product, a, b, g):
    return product(g, b.T), product(a.T, g)


def numeric(loss, x, h=1e-3):
    """Central differences for every entry of x, in float64."""
    slope = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        up, below = x.copy(), x.copy()
        up[place] += h
        below[place] -= h
        slope[place] = (loss(up) - loss(below)) / (2 * h)
    return slope


def off(found, true):
    """The largest difference of any pair, divided by the largest true value."""
    return max(float(np.abs(f - t).max() / np.abs(t).max()) for f, t in zip(found, true, strict=True))


check("", "the distance of two results", off([np.array([1.0, -4.0])], [np.array([2.0, -2.0])]) == 1)
large, small = (draw(130, 70), draw(70, 90)), [draw(7, 5).astype(float), draw(5, 9).astype(float)]
g = rng.normal(size=(7, 9))
slopes = [numeric(lambda a: (g * (a @ small[1])).sum(), small[0]), numeric(lambda b: (g * (small[0] @ b)).sum(),
                                                                           small[1])]  # fmt: skip
for name, rung in rungs.items():
    value = off([rung(*large)], [large[0].astype(float) @ large[1].astype(float)])
    slope = off(gradients(rung, *small, g), slopes)
    told = name.replace("\n", " ")
    print(f"{told:26s} off by {value:.1e} in float32; gradients in float64 off by {slope:.1e}")
    check("", f"{told}: the product, to 70 roundings", value < 70 * 2.0**-24)
    check("", f"{told}: its gradients are the numeric ones", slope < 1e-9, error=slope)

# %% [markdown]
# ## What each step brings, on this machine
#
# Measured here and now, the best of several calls; the numbers of another machine, or of a busy one, are others. Which
# cache the matrices fit into matters less than what moves between the nearest one and the registers.


# %%
def seconds(call, *args, budget=0.08):  # measures
    call(*args)
    best, end = float("inf"), time.perf_counter() + budget
    while time.perf_counter() < end or best == float("inf"):
        begin = time.perf_counter()
        call(*args)
        best = min(best, time.perf_counter() - begin)
    return best


sizes = [32, 64, 128, 256, 384]
took = {name: [] for name in [*rungs, "ceiling"]}
for n in sizes:
    a, b = draw(n, n), draw(n, n)
    for name, rung in {**rungs, "ceiling": one_thread(np.matmul)}.items():
        took[name].append(seconds(rung, a, b))
rate = {name: 2 * sizes[-1] ** 3 / t[-1] / 1e9 for name, t in took.items()}
before = None
for name, r in rate.items():
    gain = f"{r / before:5.1f} times the rung before" if before and name != "ceiling" else ""
    told = name.replace("\n", " ")
    print(f"{told:26s} {r:7.1f} GFLOP/s, {r / rate['ceiling']:4.0%} of the ceiling {gain}")
    before = r

# %% [markdown]
# ## The same for an LSTM
#
# A step of an LSTM is a small product, $(B, D + H)$ times $(D + H, 4H)$, and then a few functions for each gate. Three
# programs, forward and backward: operations of NumPy, recorded one by one; NumPy's product with one compiled pass over
# the gates; and all in one loop over time, where the gates are computed while their sums are still in the cache.
# $2 T B \cdot 4 H (D + H)$ operations forward, twice that backward.

# %%
B, T, D, H = 32, 50, 64, 128
inputs = [draw(B, T, D), draw(B, H), draw(B, H), draw(4 * H, D) / 8, draw(4 * H, H) / 11, draw(4 * H)]
cotangent = draw(B, T, H)


def recorded():
    with ts.use("numpy"):
        tensors = [ts.tensor(x, requires_grad=True) for x in inputs]
        y = ts.lstm(*tensors)[0]
        return [y.numpy(), *(t.numpy() for t in ts.grad(y, tensors, ts.tensor(cotangent)))]


def with_kernel(kernel):
    out, saved = kernel.lstm_forward(*inputs)
    rest = tuple(np.zeros_like(state) for state in out[1:])
    return [out[0], *kernel.lstm_backward((cotangent, *rest), out, saved, tuple(inputs), (True,) * 6)]


programs = {"NumPy,\nrecorded": recorded, "a compiled pass\nfor each step": lambda: with_kernel(recurrent_plain),
            "one loop\nover time": lambda: with_kernel(recurrent)}  # fmt: skip
work, true, lstm_rate = 3 * 2 * T * B * 4 * H * (D + H), recorded(), {}
for name, program in programs.items():
    distance, told = off(program(), true), name.replace("\n", " ")
    check("", f"{told}: output and all six gradients agree in float32", distance < 1e-4, error=distance)
    lstm_rate[name] = work / seconds(one_thread(program), budget=0.3) / 1e9
for name, r in lstm_rate.items():
    share, gain, told = r / rate["ceiling"], r / lstm_rate["NumPy,\nrecorded"], name.replace("\n", " ")
    print(f"{told:30s} {r:6.1f} GFLOP/s, {share:4.0%} of the ceiling, {gain:4.1f} times NumPy's")

# %%
picture = Figure(figsize=(9.6, 3.9), layout="constrained")
left, right = picture.subplots(1, 2, width_ratios=[1.5, 1])
for panel, rates, title in ((left, rate, "Product of 384 x 384"), (right, lstm_rate, "LSTM layer, forward + backward")):
    shown = {name: r for name, r in rates.items() if name != "ceiling"}
    bars = panel.bar(range(len(shown)), shown.values(), color="#0072B2")
    panel.bar_label(bars, [f"{r:.1f}" for r in shown.values()], padding=2, fontsize=9)
    panel.axhline(rate["ceiling"], color="#D55E00", linestyle="--", linewidth=1)
    panel.text(-0.4, rate["ceiling"], "ceiling", color="#D55E00", fontsize=9, va="bottom")
    panel.set_xticks(range(len(shown)), list(shown), fontsize=8)
    panel.set(ylabel="GFLOP/s, one core", title=title, ylim=(0, 1.15 * max(*shown.values(), rate["ceiling"])))
figure(picture, "Each rung does the same operations; what changes is where the numbers lie when they are used again.")

# %%
picture = Figure(figsize=(6.4, 3.9), layout="constrained")
panel = picture.subplots()
styles = ("s:", "^-.", "v--", "o-", "--")
for (name, t), style, colour in zip(
    took.items(), styles, ("#E69F00", "#CC79A7", "#009E73", "#0072B2", "#D55E00"), strict=True
):
    panel.loglog(sizes, 1000 * np.array(t), style, color=colour, label=name.replace("\n", " "), markersize=5)
panel.set(xlabel="rows = columns", ylabel="milliseconds", title="Time against size")
panel.set_xticks(sizes, [str(n) for n in sizes])
panel.minorticks_off()
panel.legend(fontsize=9)
figure(picture, "All grow like the cube of the size; for small matrices the way to the loop costs more than the loop.")

# %% [markdown]
# ## Your turn
#
# 1. A product in three loops can nest $i$, $j$ and $k$ in six orders. In which of them does the innermost loop walk
#    along rows in $B$ and in $C$? Write that loop for `a, b, c`. Expected: the two with $j$ innermost.
# 2. A panel of $B$ has $K$ rows of 16 numbers in float32. Up to which $K$ does it fit into half of a nearest cache of
#    32 KB? Expected: 256; for longer products one cuts $K$, too.

# %% [markdown]
# ## Limits and sources
#
# The rates are those of one core of this machine in this minute, and need numba; a checked statement never depends on
# them. The library behind NumPy's product goes further than the last rung: it cuts all three directions for all caches.
#
# K. Goto and R. van de Geijn, Anatomy of high-performance matrix multiplication, 2008. S. Williams, A. Waterman and
# D. Patterson, Roofline, 2009. S. Hochreiter and J. Schmidhuber, 1997.


# %% solution
def in_order(a, b, c):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
    return c


a, b = small
check("", "exercise 1: the order i, k, j gives the product", off([in_order(a, b, np.zeros((7, 9)))], [a @ b]) < 1e-12)
step_in_b = {"i": 0, "k": 9, "j": 1}  # numbers from one value of the index to the next; in C: 9, 0, 1
check("", "exercise 1: of the three indices only j walks along both rows", step_in_b["j"] == 1 and step_in_b["k"] > 1)
fits = max(k for k in range(1, 2000) if k * 16 * 4 <= 32 * 1024 // 2)
check("", "exercise 2: a panel of 256 rows fits into half of 32 KB", fits == 256)
