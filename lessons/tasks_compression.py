# %% [markdown]
# # Smaller models: pruning, quantisation, distillation
#
# How many numbers of a trained classifier can go, how few bits does each need, and can a smaller model learn from a
# larger one? Size, score and time are measured before and after, on the same test reviews.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | which words a review holds | $(N, V)$ |
# | $E, U, W$ | weights of the three layers | $(V, D), (D, H), (H, 2)$ |
# | $z, \; z^t$ | scores of the small model and of its teacher | $(N, 2)$ |
# | $s$ | step of the quantised numbers, one per row | $(\mathrm{rows}, 1)$ |
# | $T$ | temperature | number |

# %%
import time
from functools import partial
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm import optim, plot
from tinyslm.data import batches, load_table
from tinyslm.lesson import check, figure
from tinyslm.metrics import paired_difference
from tinyslm.text import WordTokenizer

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
table = load_table("reviews")
known, test = table.where("split", "train"), table.where("split", "test")
tokenizer = WordTokenizer(size=10_000, punctuation=True).fit(known.texts)


def numbers(part):
    """Bags (N, V) of 0 and 1, and classes (N,)."""
    x = np.zeros((len(part), len(tokenizer)), np.float32)
    for row, text in enumerate(part.texts):
        x[row, tokenizer.encode(text)] = 1
    return x, np.array([label == "positive" for label in part.labels], np.int64)


x, y = numbers(known)
x_test, y_test = numbers(test)

# %% [markdown]
# ## As printed
#
# Article B, 8.2 and 9.4 (B18), names pruning, quantisation and distillation as ways to smaller and faster models, with
# no formula and no number. "Smaller" and "faster" are measured below; they are not the same.
#
# $$z = \mathrm{relu}(\mathrm{relu}(x E) U) W$$


# %%
def scores(x, E, U, W):
    return ts.relu(ts.relu(x @ E) @ U) @ W


def answer(x, E, U, W):
    """The classes, in NumPy alone: this is what is timed."""
    return (np.maximum(np.maximum(x @ E, 0) @ U, 0) @ W).argmax(-1)


def start(D, H, rng):
    sizes = ((len(tokenizer), D), (D, H), (H, 2))
    return [ts.tensor((rng.normal(size=s) * (2 / s[0]) ** 0.5).astype(np.float32), requires_grad=True) for s in sizes]


def fit(weights, loss_of, epochs, rng, keep=(1.0, 1.0, 1.0), reviews=800):
    """Train on the first reviews with Adam; where `keep` is 0, a weight is 0 throughout and gets no gradient."""
    adam = optim.Adam(weights, lr=2e-3)
    for _ in range(epochs):
        for rows, _ in batches(np.arange(reviews), None, 32, rng):
            adam.zero_grad()
            used = [w * k for w, k in zip(weights, keep, strict=True)]
            loss_of(scores(ts.tensor(x[rows]), *used), rows).backward()
            adam.step()
    return [w.numpy() * k for w, k in zip(weights, keep, strict=True)]


def hard(z, rows):
    return ts.cross_entropy(z, y[rows])


rng = np.random.default_rng(0)
big = fit(start(96, 48, rng), hard, 3, rng)
right = {"as trained": answer(x_test, *big) == y_test}
print(f"{sum(w.size for w in big):,} numbers, {right['as trained'].mean():.1%} of {len(test)} unseen reviews")
check("B18", "the trained model is right far more often than a guess", right["as trained"].mean() > 0.65)
z = scores(ts.tensor(x_test), *map(ts.tensor, big)).numpy()
by_formula = np.maximum(np.maximum(x_test @ big[0], 0) @ big[1], 0) @ big[2]
check("B18", "the scores are the formula", np.allclose(z, by_formula, atol=1e-4))
check("B18", "equal scores lose ln 2", abs(hard(ts.tensor(np.zeros((4, 2))), np.arange(4)).item() - np.log(2)) < 1e-12)
same = np.array_equal(answer(x_test, *big), by_formula.argmax(-1))
check("B18", "the NumPy form that is timed gives the classes of the trained form", same)

# %% [markdown]
# ## Pruning
#
# The numbers nearest to 0 become 0: a share $a$ of each matrix, those below its threshold $\tau$. Of all matrices with
# so many zeros this one is nearest to the original.
#
# $$w_i \leftarrow w_i \; \mathrm{where} \; |w_i| \geq \tau, \quad 0 \; \mathrm{elsewhere}$$


# %%
def kept(w, share, size=np.abs):
    """1 where a number stays, 0 for the `share` of them whose `size` is least."""
    order = np.argsort(size(w), axis=None, kind="stable")
    keep = np.ones(w.size, np.float32)
    keep[order[: round(share * w.size)]] = 0
    return keep.reshape(w.shape)


w = np.array([[3.0, -0.1, 0.2], [-4.0, 0.3, -0.5]])
check("B18", "half of six numbers: the three nearest to 0 go", np.array_equal(kept(w, 0.5), [[1, 0, 0], [1, 0, 1]]))
keep = [kept(w, 0.9) for w in big]
exact = all((k == 0).sum() == round(0.9 * k.size) for k in keep)
check("B18", "the share of zeros is exactly the one asked for", exact)
apart = all(np.abs(w[k == 0]).max() <= np.abs(w[k == 1]).min() for w, k in zip(big, keep, strict=True))
check("B18", "no number that went is larger than one that stayed", apart)

# %% [markdown]
# ## How much can go?
#
# The same shares are cut in three ways: numbers picked by chance, the smallest ones, and the smallest ones with one
# more pass over the training part, in which the zeros stay zeros (Han et al. 2015).

# %%
shares = np.array([0, 0.5, 0.8, 0.9, 0.97])
curve = {"by chance": [], "the smallest": [], "the smallest, trained again": []}
for share in shares:
    for name, picked in curve.items():
        size = (lambda w: rng.random(w.shape)) if name == "by chance" else np.abs
        keep = [kept(w, share, size) for w in big]
        pruned = [w * k for w, k in zip(big, keep, strict=True)]
        if name.endswith("again"):
            pruned = fit([ts.tensor(w, requires_grad=True) for w in pruned], hard, 1, rng, keep)
        picked.append((answer(x_test, *pruned) == y_test).mean())
        if share == 0.9:
            right[f"90 % zeros, {name}"], sparse = answer(x_test, *pruned) == y_test, pruned
zeros = all(np.array_equal(w != 0, k == 1) for w, k in zip(pruned, keep, strict=True))
check("B18", "after more training the zeros are the same ones", zeros)
worse = paired_difference(*(right[f"90 % zeros, {name}"].astype(float) for name in ("the smallest", "by chance")))
print(f"90 % zeros: the smallest minus by chance {worse}")
check("B18", "the smallest can go where numbers picked by chance can't", worse.low > 0)

# %% [markdown]
# ## Quantisation
#
# Each row is written as whole numbers from -127 to 127 times one step of its own: 1 byte a number instead of 4.
# Rounding is off by half a step at most.
#
# $$s_r = \frac{\max_j |w_{rj}|}{127}, \quad q_{rj} = \mathrm{round}(w_{rj} / s_r), \quad |w_{rj} - s_r q_{rj}| \leq
# \frac{s_r}{2}$$


# %%
def quantise(w, top=127):
    s = np.abs(w).max(axis=1, keepdims=True) / top
    return np.round(w / s).astype(np.int16).astype(np.int8), s


def error(w, q, s):
    """The largest error in steps."""
    return (np.abs(w - s * q) / s).max()


coded = [quantise(w.T) for w in big]
worst = max(error(w.T, *code) for w, code in zip(big, coded, strict=True))
reached = all((np.abs(q.astype(int)).max(axis=1) == 127).all() and q.dtype == np.int8 for q, _ in coded)
print(f"the largest error is {worst:.4f} steps")
check("B18", "no error is above half a step", 0.45 < worst <= 0.5 + 1e-4)
check("B18", "each row has one step, and its largest number is 127 of them", reached and coded[0][1].shape == (96, 1))
one = np.abs(big[0]).max() / 127
rows = np.abs(big[0].T - coded[0][0] * coded[0][1]).mean() / np.abs(big[0] - np.round(big[0] / one) * one).mean()
print(f"a step per row leaves {rows:.0%} of the mean error of one step for the whole matrix")
check("B18", "steps per row lose less than one step for all", rows < 0.9)

# %% [markdown]
# ## It breaks: 128 does not fit
#
# A byte holds 256 numbers, from -128 to 127. If the largest number of a row becomes 128, it comes out as -128: the most
# important weight changes its sign. The check above must see this, and rounding down instead of to the nearest.

# %%
row = np.array([[0.5, -0.25, 1.0]])
q, s = quantise(row, top=128)
print(f"with 128: {(q * s)[0]} for {row[0]}")
check("B18", "planted: with 128 the largest weight comes back with the other sign", (q * s)[0, 2] < 0 < row[0, 2])
floored = np.floor(big[0].T / coded[0][1])
check("B18", "the check sees both mistakes", min(error(row, q, s), error(big[0].T, floored, coded[0][1])) > 0.9)
whole = [(s * q).T.astype(np.float32) for q, s in coded]
right["int8"] = answer(x_test, *whole) == y_test

# %% [markdown]
# ## Distillation: the loss
#
# A teacher's probabilities say more than its answer: how near the other class was. The student is compared with them at
# a temperature $T$, which softens both, and with the true classes (Hinton et al. 2015).
#
# $$p_T = \mathrm{softmax}(z^t / T), \quad q_T = \mathrm{softmax}(z / T), \quad L_T = T^2 \, \mathrm{KL}(p_T \| q_T)$$
#
# The derivative of a KL with respect to its scores is $q - p$; each of $z / T$ brings a factor $1 / T$, so $T^2 \cdot 1
# / T = T$ is left:
#
# $$\frac{\partial L_T}{\partial z} = T (q_T - p_T) \to \frac{(z - \bar z) - (z^t - \bar z^t)}{C} \quad (T \to \infty)$$


# %%
def soft(z, teacher, T, scale=True):
    """The mean over the rows of KL(p_T || q_T), times T² where `scale`."""
    loss = ts.kl_div(ts.log_softmax(z / T), ts.softmax(teacher / T))
    return loss * T**2 if scale else loss


def slope(z, teacher, T):
    """The derivative above, by hand."""
    return T * (ts.softmax(z / T) - ts.softmax(teacher / T)).numpy() / len(z.numpy())


z, teacher = (ts.tensor(rng.normal(size=(5, 3)), requires_grad=k == 0) for k in range(2))
for T in (1.0, 3.0):
    report = ts.gradcheck(partial(soft, teacher=teacher, T=T), [z])
    check("B18", f"the gradient of the loss at T = {T:.0f} is right", report)
    (g,) = ts.grad(soft(z, teacher, T), z)
    check("B18", "and equals T (q - p) / N", np.allclose(g.numpy(), slope(z, teacher, T), atol=1e-12))
far = (z - z.mean(1, keepdim=True)).numpy() - (teacher - teacher.mean(1, keepdim=True)).numpy()
limit = np.allclose(slope(z, teacher, 1e5), far / 15, atol=1e-5)
check("B18", "for large T it is the difference of the centred scores", limit)

# %% [markdown]
# ## It breaks: without the factor
#
# Without $T^2$ the gradient falls as $1 / T^2$. At the temperature that one happens to pick, the teacher then says
# almost nothing beside the true classes.

# %%
warm = 2.0 ** np.arange(0, 7)
sizes = {
    name: [np.linalg.norm(ts.grad(soft(z, teacher, T, scale), z)[0].numpy()) for T in warm]
    for name, scale in (("with the factor", True), ("without", False))
}
fall = np.diff(np.log2(sizes["without"]))[-1]
print(f"doubling T multiplies the size of the gradient by {2**fall:.3f} without the factor")
check("B18", "without the factor: a quarter for each doubling, at large T", abs(fall + 2) < 0.03)
check("B18", "with it the size settles", abs(sizes["with the factor"][-1] / sizes["with the factor"][-2] - 1) < 0.02)
figure(
    plot.lines(warm, sizes, "temperature T", "norm of the gradient", "What the teacher still says", log="xy"),
    "With the factor the teacher's word keeps its weight at every temperature.",
)

# %% [markdown]
# ## The student
#
# A model with a twelfth of the teacher's width, trained three times with equally many steps: on all labels, on the
# labels of the first hundred reviews, and on the teacher's probabilities for all reviews without any label.

# %%
said = scores(ts.tensor(x), *map(ts.tensor, big)).detach()


def taught(z, rows):
    return soft(z, said[rows], 3.0)


students = {}
lessons = {"small, all labels": (hard, 800), "small, 100 labels": (hard, 100), "small, taught": (taught, 800)}
for name, (loss, reviews) in lessons.items():
    begin = start(8, 4, np.random.default_rng(1))
    students[name] = fit(begin, loss, 150 // -(-reviews // 32), np.random.default_rng(2), reviews=reviews)
    right[name] = answer(x_test, *students[name]) == y_test
    print(f"{name:18s} {right[name].mean():.1%} of the test part")
won = paired_difference(right["small, taught"].astype(float), right["small, 100 labels"].astype(float))
even = paired_difference(right["small, taught"].astype(float), right["small, all labels"].astype(float))
print(f"taught minus 100 labels {won}; minus all labels {even}")
check("B18", "the teacher's word is worth more than a hundred labels", won.low > 0)
check("B18", "that it is worth more than all labels is not shown", even.low <= 0)

# %% [markdown]
# ## Size and time
#
# A zero takes as many bytes as any number, unless only the others are kept, each with its column. Bytes are those of
# the arrays; times are the best of five, on this machine, for all test reviews.


# %%
def packed(w):
    """The numbers that are not 0, row by row: values, their columns, and where each row starts."""
    at = [np.flatnonzero(row).astype(np.uint16) for row in w]
    values = np.concatenate([row[j] for row, j in zip(w, at, strict=True)])
    return values, np.concatenate(at), np.cumsum([0, *map(len, at)], dtype=np.int32)


def times_packed(x, values, columns, starts):
    """x wᵀ for a packed w."""
    return np.stack([x[:, columns[a:b]] @ values[a:b] for a, b in pairwise(starts)], axis=1)


def answer_packed(x, *layers):
    for k, layer in enumerate(layers):
        x = times_packed(x if k == 0 else np.maximum(x, 0), *layer)
    return x.argmax(-1)


def answer_int8(x, *layers):
    return answer(x, *((s * q).T for q, s in layers))


parts = [packed(w.T) for w in sparse]
product = times_packed(x_test, *parts[0])
check("B18", "the packed product is the whole one", np.allclose(product, x_test @ sparse[0], atol=1e-4))
ways = {
    "as trained": (answer, [(w,) for w in big]),
    "90 % zeros, whole": (answer, [(w,) for w in sparse]),
    "90 % zeros, packed": (answer_packed, parts),
    "int8": (answer_int8, coded),
} | {name: (answer, [(w,) for w in weights]) for name, weights in students.items()}
size = {name: sum(a.nbytes for layer in layers for a in layer) for name, (_, layers) in ways.items()}
print(f"{'':20s}{'bytes':>10s}{'accuracy':>10s}{'ms':>7s}")
score = {}
for name, (run, layers) in ways.items():
    given, clock = [layer[0] if run is answer else layer for layer in layers], []
    for _ in range(5):
        began = time.perf_counter()
        answers = run(x_test, *given)
        clock.append(1000 * (time.perf_counter() - began))
    score[name] = (answers == y_test).mean()
    print(f"{name:20s}{size[name]:10,}{score[name]:10.1%}{min(clock):7.2f}")
expected = 6 * sum(int((w != 0).sum()) for w in sparse) + 4 * (96 + 48 + 2 + 3)
small = size["90 % zeros, packed"] == expected < 0.2 * size["as trained"]
check("B18", "packed: 4 bytes a value and 2 a column, a fifth of the size or less", small)
check("B18", "int8: a quarter of the size, and the steps", size["int8"] == size["as trained"] // 4 + 4 * (96 + 48 + 2))
agree = (answer_int8(x_test, *coded) == answer(x_test, *big)).mean()
check("B18", f"int8 gives the same class for {agree:.1%} of the reviews", agree > 0.97, verdict="task")

# %%
picture = plot.lines(100 * shares, curve, "zeros (% of each matrix)", "accuracy on unseen reviews", "What can go")
figure(picture, "Half right is a guess. The smallest numbers can go where numbers picked by chance can't.")
picture = Figure(figsize=(7.2, 4), layout="constrained")
axes = picture.subplots()
for (name, share), mark, colour in zip(score.items(), "oXsD^v<", plot.COLOURS, strict=True):
    bar = np.sqrt(share * (1 - share) / len(y_test))
    axes.errorbar(size[name] / 1000, share, bar, fmt=mark, color=colour, capsize=3, markersize=8, label=name)
axes.set(xscale="log", ylim=(0.4, 1), xlabel="size (kB)", ylabel="accuracy on unseen reviews", title="What is left")
axes.set_xticks([100, 200, 500, 1000], ["100", "200", "500", "1000"])
axes.minorticks_off()
axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower right")
figure(picture, "Thin lines are one standard error. Only a hundred labels cost much accuracy.")

# %% [markdown]
# ## Your turn
#
# 1. Four bits: whole numbers from -7 to 7. Expected: still at most half a step, but the steps are 127/7 times as long,
#    and so is the mean error.
# 2. One threshold for all three matrices together. Expected: the share of zeros is the same over all, but no longer in
#    each matrix: the one with the largest numbers keeps most.

# %% [markdown]
# ## Limits and sources
#
# One seed, 200 test reviews, a task that a hundredth of the numbers can solve. NumPy has no fast product for bytes or
# for packed rows, so smaller was not faster here; a processor's own byte instructions are a matter of kernels.
#
# Han, Pool, Tran and Dally 2015 (pruning); Hinton, Vinyals and Dean 2015 (distillation, with the factor $T^2$); Jacob
# et al. 2018 (whole numbers with one step per row or channel).

# %% solution
four = [quantise(w.T, top=7) for w in big]
worst = max(error(w.T, *code) for w, code in zip(big, four, strict=True))
eight, less = (np.abs(big[0].T - s * q).mean() for q, s in (coded[0], four[0]))
share = (answer_int8(x_test, *four) == y_test).mean()
print(f"four bits: {worst:.4f} steps at most, a mean error {less / eight:.1f} times as large; {share:.1%} right")
check("B18", "exercise 1: half a step again", 0.45 < worst <= 0.5 + 1e-4)
check("B18", "and steps 127/7 times as long: so is the mean error, nearly", abs(less / eight / (127 / 7) - 1) < 0.15)
every = np.concatenate([np.abs(w).ravel() for w in big])
bar = np.sort(every)[round(0.9 * every.size)]
zeros = [float((np.abs(w) < bar).mean()) for w in big]
print("zeros in each matrix with one threshold:", np.round(zeros, 3))
check(
    "B18",
    "exercise 2: 90 % over all, and not the same in each",
    (every < bar).sum() == round(0.9 * every.size) and np.ptp(zeros) > 0.1,
)
