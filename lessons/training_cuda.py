# %% [markdown]
# # From NumPy to CUDA: one kernel
#
# How does a formula become a program for the thousands of threads of a GPU? And how does one find its mistakes, if
# there is no GPU at hand?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning |
# |---|---|
# | $R, C$ | rows and columns of $x$, in float32 |
# | thread | runs the kernel's text with a number of its own, $t$ |
# | warp | 32 threads that a GPU runs together |
# | block | threads that share a small fast memory, and can wait for each other at a barrier |
# | sector | 32 bytes, the least that is fetched from memory: 8 numbers |
# | $m, s$ | maximum of some entries, and the sum of $e^{x - m}$ over them |

# %%
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tinyslm.kernels.cuda import _launch

import tinyslm as ts
from tinyslm import device
from tinyslm.lesson import check, figure

R, C, WARP = 32, 96, 32
x = np.random.default_rng(0).normal(0, 3, (R, C)).astype(np.float32)
x[0, 0] = 1000  # its exponential overflows

# %% [markdown]
# ## NumPy: three passes over every row
#
# $$y_j = \frac{e^{x_j - m}}{\sum_k e^{x_k - m}}, \quad m = \max_k x_k$$
#
# One pass for the maximum, one for the sum, one to write.


# %%
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


true = softmax(x.astype(float))
with ts.use("numpy"):
    engine = ts.softmax(ts.tensor(x.astype(float))).numpy()
check("", "it is the engine's softmax, also where a plain exponential overflows", np.allclose(true, engine, rtol=1e-12))

# %% [markdown]
# ## Maximum and sum in one pass
#
# Two parts of a row, each with its own maximum and sum, merge without another look at the entries:
#
# $$m = \max(m_1, m_2), \quad s = s_1 e^{m_1 - m} + s_2 e^{m_2 - m}$$
#
# A single entry $x_j$ is the part $m_2 = x_j$, $s_2 = 1$. So one loop does the work of two.


# %%
def merge(m1, s1, m2, s2):
    m = max(m1, m2)
    return m, s1 * np.exp(m1 - m) + s2 * np.exp(m2 - m)


def online(x, y):
    for r in range(len(x)):
        m, s = -np.inf, 0.0
        for j in range(x.shape[1]):
            m, s = merge(m, s, x[r, j], 1.0)
        for j in range(x.shape[1]):
            y[r, j] = np.exp(x[r, j] - m) / s


y = np.zeros((R, C))
online(x.astype(float), y)
check("", "one pass gives what two gave, to 1 part in 10^12", np.allclose(y, true, rtol=1e-12))

# %% [markdown]
# ## numba: the same text, compiled
#
# On a CPU one thread takes whole rows. The text stays as it is. Where numba is missing, this step is left out.

# %%
if device.probe("numba").works:
    numba = importlib.import_module("numba")
    merge = numba.njit(inspect.unwrap(merge))  # the function itself, without what a tool may have put around it
    y = np.zeros((R, C))
    numba.njit(inspect.unwrap(online))(x.astype(float), y)
    check("", "compiled, the result is the same", np.allclose(y, true, rtol=1e-12))

# %% [markdown]
# ## CUDA: who touches what?
#
# At each step of the loop the 32 threads of a warp read 32 numbers. Give each thread a row, or share each row among
# the threads: entry number
#
# $$a_{\mathrm{row}} = t \, C + \mathrm{step}, \quad a_{\mathrm{shared}} = 32 \, \mathrm{step} + t$$
#
# The first is the plain loop. In the second, neighbours read neighbours; that is called coalesced.


# %%
def by_row(t, step):
    return t * C + step


def by_entry(t, step):
    return step * WARP + t


def sectors(entries):
    # How many pieces of 32 bytes hold these entries of 4 bytes.
    return len(np.unique(entries * 4 // 32))


t = np.arange(WARP)
fetched = {"a row each": sectors(by_row(t, 0)), "shared row": sectors(by_entry(t, 0))}
print("sectors that one step of a warp fetches:", fetched)
check("", "a row each: a sector for each thread, so an eighth of it is used", fetched["a row each"] == WARP)
check("", "a shared row: 4 sectors, and nothing is fetched in vain", fetched["shared row"] == 4)

# %% [markdown]
# ## A sum over the threads of a warp
#
# Shared rows leave each thread with a part of the sum. In shared memory a tree adds them, with a barrier after each
# level. Within a warp registers can be exchanged instead; after five exchanges each thread has the whole sum:
#
# $$v_t \leftarrow v_t + v_{t \oplus k}, \quad k = 16, 8, 4, 2, 1$$


# %%
def warp_sum(v):
    for k in (16, 8, 4, 2, 1):
        v = v + v[np.arange(WARP) ^ k]
    return v


check("", "every thread has the sum", (warp_sum(t**2) == (t**2).sum()).all())

# %% [markdown]
# ## The four versions, run
#
# `kernels/cuda/softmax.cu` holds them: naive (a row each), shared (a shared row, and the tree), shuffle (the exchange
# above), and the fused one with a single pass. CuPy runs them where it finds a GPU. Elsewhere the emulator in
# `tests/cuda_sim` does: each thread of the GPU becomes a small task on the CPU, and the order of the tasks is drawn.
#
# Behind them stand two kernels that write down who was there, and one with a mistake, for later: the shared version
# without one of its barriers.

# %%
WHO = """
extern "C" __global__ void who_by_row(int* who, int rows, int cols) {
    for (int j = 0; j < cols; ++j) who[threadIdx.x * cols + j] = 100 * j + threadIdx.x;
}
extern "C" __global__ void who_by_entry(int* who, int rows, int cols) {
    for (int j = threadIdx.x; j < cols; j += 32) who[blockIdx.x * cols + j] = 100 * (j / 32) + threadIdx.x;
}
"""
OPTIONS = ("-std=c++17", "-DREAL=float")
source = _launch.source("softmax")
(shared,) = re.findall(r'extern "C"[^{]*softmax_2_shared\((?:.|\n)*?\n}\n', source)
racy = re.sub(r" *__syncthreads\(\); *// everyone has read.*\n", "", shared).replace("softmax_2_shared", "racy")
code = f'{source}{WHO}#line 1 "racy.cu"\n{racy}'
sys.path.append(str(Path(ts.__file__).resolve().parents[1] / "tests" / "cuda_sim"))
lacking = "the CUDA emulator is part of a checkout (its folder tests/cuda_sim), and this is none"
if importlib.util.find_spec("emulator"):
    emulator = importlib.import_module("emulator")
    lacking = emulator.missing()
modules = [] if lacking else [emulator.RawModule(code, OPTIONS, emulator.Setting("check", seed)) for seed in range(3)]
if device.probe("cuda").works and importlib.util.find_spec("on_gpu"):
    modules = [importlib.import_module("on_gpu").RawModule(code, OPTIONS)]
print("the kernels run on", [f"nothing: {lacking}", "a GPU", "", "the emulator, in three orders"][len(modules)])


def run(module, name, blocks, threads):
    # What the kernel writes: threads' numbers (int32) or the softmax (float32).
    y = np.full((R, C), -1, np.int32 if "who" in name else np.float32)
    sent = [np.int32(n) for n in y.shape]
    module.get_function(name)((blocks,), threads, (y, *sent) if "who" in name else (x, y, *sent))
    return y


# Blocks, and threads in each.
VERSIONS = {"softmax_1_naive": (1, (R,)), "softmax_2_shared": (R, (WARP,)),
            "softmax_3_shuffle": (R, (2 * WARP,)), "softmax_forward": (R // 8, (WARP, 8))}  # fmt: skip
for module in modules:
    errors = {name: np.abs(run(module, name, *shape) - true).max() for name, shape in VERSIONS.items()}
    print({name: f"off by {error * 2**24:.1f} rounding units" for name, error in errors.items()})
    check("", "all four versions are right to 32 rounding units of float32", max(errors.values()) < 32 * 2**-24)
    rows, entries = run(module, "who_by_row", 1, (R,)).ravel(), run(module, "who_by_entry", R, (WARP,)).ravel()
    check("", "a row each: the threads were where we said", (rows[by_row(t, 5)] == 500 + t).all())
    check("", "a shared row: so were these", (entries[by_entry(t, 2)] == 200 + t).all())

# %% [markdown]
# ## The power of the check: a race
#
# In the version `racy` a thread may put its sum where another has yet to read the maximum. Who comes first decides, so
# right results prove little: some orders hide the mistake. The emulator has a second way to look. It keeps, for each
# byte, who wrote and who read it since the last barrier, and names the two lines whatever the order was.

# %%
right, named = [], []
for seed in () if lacking else (0, 1, 2, 7):
    fast, watching = (emulator.RawModule(code, OPTIONS, emulator.Setting(mode, seed)) for mode in ("fast", "check"))
    right.append(bool(np.allclose(run(fast, "racy", R, (2 * WARP,)), true, atol=1e-5)))
    try:
        run(watching, "racy", R, (2 * WARP,))
    except emulator.EmulatorError as error:
        named.append(str(error))
if right:
    lines = {racy.split("\n")[int(n) - 1].strip() for n in re.findall(r"racy\.cu:(\d+)", named[0])}
    print(f"right results, by order: {right}\n{named[0]}\nthe two lines: {sorted(lines)}")
    check("", "some orders give wrong results, and at least one hides the mistake", True in right and False in right)
    check("", "the checker names the race in every order", [("race on" in told) for told in named] == [True] * 4)
    check("", "and one of the two lines reads the maximum", "const real top = s[0];" in lines)
else:
    print("the race needs the emulator:", lacking)

# %%
picture = Figure(figsize=(10, 3.6), layout="constrained")
row, column = np.indices((8, 16))
panels = [("a row each", row, column == 0), ("shared row", column % 8, (row == 0) & (column < 8))]
for axes, (name, thread, first) in zip(picture.subplots(1, 2), panels, strict=True):
    axes.imshow(thread, cmap="cividis", alpha=0.55)
    for i, j in np.ndindex(row.shape):
        frame = {"facecolor": "none", "edgecolor": "#D55E00", "linewidth": 2, "pad": 3.5} if first[i, j] else None
        axes.text(j, i, thread[i, j], ha="center", va="center", fontsize=9, bbox=frame)
    axes.set(title=f"{name}: the number of the thread", ylabel="row", yticks=range(8))
    axes.set_xlabel(f"column\n(a warp of 32 threads fetches {fetched[name]} sectors in each step)")
figure(picture, "Which of 8 threads touches which entry; framed: the first step. On the right a block has one row.")

# %% [markdown]
# ## Your turn
#
# 1. Let the 32 threads read every second entry. Expected: 8 sectors, so half of what is fetched is used.
# 2. Merge a part of a row with an empty part, which has the maximum $-\infty$ and the sum 0. Expected: the part itself,
#    so threads without entries do no harm.

# %% [markdown]
# ## Limits and sources
#
# Sectors are counted for one step of one warp; a cache may still serve the rest of a sector later. The emulator says
# nothing about time, and rounds without the fused multiply-add of a GPU. A softmax does little with each
# number that it fetches; where more is done with each, as in matrix products, other things decide.
#
# M. Milakov and N. Gimelshein, Online normalizer calculation for softmax, 2018. NVIDIA, CUDA C++ Programming Guide,
# device memory accesses and warp shuffle functions.

# %% solution
check("", "exercise 1: 8 sectors", sectors(2 * t) == 8)
check("", "exercise 2: the part itself", merge(1.5, 4.0, -np.inf, 0.0) == (1.5, 4.0) == merge(-np.inf, 0.0, 1.5, 4.0))
