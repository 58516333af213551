# %% [markdown]
# # Float32, kernels and the reference
#
# Training computes in float32, and fast kernels add in another order than NumPy. How large are the differences, and how
# do they compare with those that a mistake makes?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning |
# |---|---|
# | $u$ | rounding unit: a float32 result is off by at most this share of itself, $2^{-24}$ |
# | reference | the same formula in float64 with NumPy |
# | kernel | the same formula in compiled code (numba) |
# | error | largest difference from the reference, divided by the reference's largest value |

# %%
import math

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import device
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
u = 2.0**-24
works = device.probe("numba").works
backends = ["numpy", "numba"] if works else ["numpy"]
print("backends here:", backends)
one = np.float32(1)
check("", "1 + u is 1 in float32, and 1 + 2u is not", one + np.float32(u) == one and one + np.float32(2 * u) != one)

# %% [markdown]
# ## Adding in another order gives another result
#
# $$(a + b) + c \neq a + (b + c)$$
#
# Each sum is rounded. A sum from left to right rounds a large intermediate result again and again; adding in pairs,
# then pairs of pairs, rounds each number only as often as the tree is high.

# %%
a, b, c = np.float32(1e8), np.float32(-1e8), np.float32(1)
print(f"(a + b) + c = {(a + b) + c},  a + (b + c) = {a + (b + c)}")
check("", "the two orders differ", (a + b) + c == 1 and a + (b + c) == 0)


def kahan(x):
    """Left to right, and what each rounding lost is carried along."""
    total = lost = np.float32(0)
    for value in x:
        y = value - lost
        new = total + y
        total, lost = new, (new - total) - y
    return total


def in_pairs(x):
    while len(x) > 1:
        x = x[0::2] + x[1::2]
    return x[0]


orders = {"left to right": lambda x: np.cumsum(x)[-1], "in pairs": in_pairs, "Kahan": kahan}
lengths = 2 ** np.arange(4, 17, 2)
off = {name: [] for name in orders}
for n in lengths:
    x = rng.uniform(0, 1, n).astype(np.float32)
    exact = math.fsum(x.tolist())
    for name, order in orders.items():
        off[name].append(max(abs(float(order(x)) / exact - 1), u / 100))
print("error in u for", lengths[-1], "numbers:", {name: f"{values[-1] / u:.1f}" for name, values in off.items()})
bound = np.log2(lengths)
check("", "in pairs: within the bound of log2(n) u", (np.array(off["in pairs"]) <= bound * u).all())
check("", "Kahan: within 2 u, however long", max(off["Kahan"]) <= 2 * u)
check(
    "",
    "left to right is the worst for the longest sum",
    off["left to right"][-1] > max(off["in pairs"][-1], off["Kahan"][-1]),
)

# %% [markdown]
# ## Three operations, forward and backward
#
# Softmax, layer norm and an LSTM over 30 steps, with the same numbers: once in float64 with NumPy, then in float32 with
# each backend that is here.


# %%
def draw(*shape, scale=1.0):
    return rng.normal(0, scale, shape).astype(np.float32)


H, T = 32, 30
cases = {
    "softmax": (ts.softmax, [draw(64, 200, scale=3)]),
    "layer norm": (ts.layer_norm, [draw(64, 200), 1 + draw(200, scale=0.1), draw(200)]),
    "LSTM": (lambda *p: ts.lstm(*p)[0], [draw(8, T, H), draw(8, H, scale=0), draw(8, H, scale=0),
                                         draw(4 * H, H, scale=H**-0.5), draw(4 * H, H, scale=H**-0.5), draw(4 * H)]),
}  # fmt: skip


def run(name, backend, dtype):
    """The output and the gradients of one operation; the cotangent is the same for all."""
    function, inputs = cases[name]
    with ts.use(backend, small=0):
        tensors = [ts.tensor(x.astype(dtype), requires_grad=True) for x in inputs]
        y = function(*tensors)
        g = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
        return [y.numpy(), *(t.numpy() for t in ts.grad(y, tensors, ts.tensor(g.astype(dtype))))]


def error(found, true):
    return np.abs(found - true).max() / np.abs(true).max()


errors = {}
for name in cases:
    reference = run(name, "numpy", "float64")
    for backend in backends:
        found = run(name, backend, "float32")
        each = [error(x, y) for x, y in zip(found, reference, strict=True)]
        errors[name, backend] = each[0], max(each[1:])
        out, back = (value / u for value in errors[name, backend])
        print(f"{name:11s} {backend:6s} error of the output {out:6.1f} u, of the gradients {back:6.1f} u")
largest = max(map(max, errors.values()))
check("", "all errors, with every backend here, are below 100 u", largest < 100 * u)
ratio = [errors[n, b][k] / max(errors[n, "numpy"][k], u) for n in cases for b in backends for k in (0, 1)]
check("", "no kernel is more than 8 times as far off as NumPy in float32", max(ratio) < 8)

# %% [markdown]
# ## In float64 the kernels have the reference's result
#
# The same code in double precision: what is left is rounding of that size, so the formula is the same.

# %%
double = {}
for name in cases:
    reference = run(name, "numpy", "float64")
    for backend in backends:
        double[name, backend] = max(error(x, y) for x, y in zip(run(name, backend, "float64"), reference, strict=True))
print({f"{name}, {backend}": f"{value:.0e}" for (name, backend), value in double.items()})
check("", "in float64 backend and reference agree to 1 part in 10^12", max(double.values()) < 1e-12)

# %% [markdown]
# ## What goes wrong if the order is chosen badly
#
# Two formulas that are equal on paper. The variance as mean of squares minus square of the mean subtracts two large
# numbers where the mean is large; softmax without subtracting the maximum overflows.

# %%
shifted = (draw(64, 200) + np.float32(1000)).astype(np.float32)
true = shifted.astype(float).var(axis=1)
two_passes = ((shifted - shifted.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)
one_pass = (shifted**2).mean(axis=1) - shifted.mean(axis=1) ** 2
bad, good = (error(v, true) for v in (one_pass, two_passes))
print(f"variance at mean 1000: in one pass off by {bad:.1e}, in two passes by {good:.1e}")
check("", "one pass is more than 1000 times as far off as two", bad > 1000 * good)
with np.errstate(over="ignore", invalid="ignore"):
    scores = np.array([100.0, 0.0], np.float32)
    plain = np.exp(scores) / np.exp(scores).sum()
check("", "without the maximum a score of 100 gives NaN, with it 1",
      np.isnan(plain[0]) and ts.softmax(ts.tensor(scores)).numpy()[0] == 1)  # fmt: skip

# %% [markdown]
# ## The power of the check
#
# Are 100 $u$ small enough to see a mistake? Five of them, each against the float64 reference.

# %%
x = cases["layer norm"][1][0].astype(float)
z = np.exp(cases["softmax"][1][0].astype(float))
mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
right = (x - mean) / np.sqrt(var + 1e-5)
mistakes = {
    "epsilon forgotten": error((x - mean) / np.sqrt(var), right),
    "epsilon outside the root": error((x - mean) / (np.sqrt(var) + 1e-5), right),
    "variance with n - 1": error((x - mean) / np.sqrt(var * 200 / 199 + 1e-5), right),
    "mean forgotten": error(x / np.sqrt(var + 1e-5), right),
    "last column left out of the sum": error(
        z / z[:, :-1].sum(axis=1, keepdims=True), z / z.sum(axis=1, keepdims=True)
    ),
}
for name, value in mistakes.items():
    print(f"{name:38s} {value / u:12.1f} u   {'seen' if value > 100 * u else 'not seen'}")
seen = [name for name, value in mistakes.items() if value > 100 * u]
check("", "the three gross mistakes are seen", len(seen) == 3 and "variance with n - 1" in seen)
check(
    "", "what epsilon does is below the bar: that takes float64 or a smaller variance", "epsilon forgotten" not in seen
)

# %%
picture = Figure(figsize=(9.2, 3.8), layout="constrained")
left, right_panel = picture.subplots(1, 2)
for (name, values), colour, style in zip(
    off.items(), ("#D55E00", "#0072B2", "#009E73"), ("s:", "o-", "^--"), strict=True
):
    left.loglog(lengths, np.array(values) / u, style, color=colour, label=name, markersize=4)
left.loglog(lengths, bound, color="#888888", linewidth=0.8, label="log2(n)")
left.set(xlabel="numbers in the sum", ylabel="error in u", title="A sum in float32")
left.legend(fontsize=9)
bars = [
    (f"{name}\n{part}", [errors[name, b][k] / u for b in backends])
    for name in cases
    for k, part in enumerate(("output", "gradient"))
]
for i, backend in enumerate(backends):
    place = np.arange(len(bars)) + (i - (len(backends) - 1) / 2) * 0.38
    right_panel.bar(place, [values[i] for _, values in bars], 0.36, color=("#0072B2", "#E69F00")[i], label=backend)
right_panel.set_xticks(range(len(bars)), [label for label, _ in bars], fontsize=8)
right_panel.set(ylabel="error in u, against float64", title="Float32, by backend")
right_panel.legend(fontsize=9)
figure(picture, "Left: the order decides how a sum's error grows. Right: both backends are a few rounding units off.")

# %% [markdown]
# ## Your turn
#
# 1. Add 0.1 ten times in float64 and compare with 1. Expected: not equal, and the difference is of the size of the
#    rounding unit of float64.
# 2. From which whole number on does float32 skip numbers? Expected: from $2^{24}$: adding 1 to it changes nothing.

# %% [markdown]
# ## Limits and sources
#
# The sizes hold for these shapes and ranges. Longer sums, longer sequences, and functions that subtract nearly equal
# numbers have larger errors. Results are repeated bit by bit on one machine with one number of threads, not across
# machines.
#
# N. Higham, Accuracy and stability of numerical algorithms, 2002, 4.2 and 4.3. W. Kahan, 1965.

# %% solution
tenth = sum([0.1] * 10)
check("", "exercise 1: ten times 0.1 is not 1 in float64, and nearly", tenth != 1 and abs(tenth - 1) < 1e-15)
edge = np.float32(2**24)
check("", "exercise 2: 2^24 + 1 is 2^24 in float32", edge + np.float32(1) == edge and edge - np.float32(1) != edge)
