# %% [markdown]
# # Listening: symbols without times
#
# How does a model learn to write down what it hears, when nobody says which frame of sound belongs to which symbol?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $F$ | frames of sound | $(T, D)$ |
# | $y_t$ | probabilities of the symbols in frame $t$; symbol 0 is blank | $(K)$ |
# | $z$ | the true symbols, with a blank before, between and after them | $(S)$ |
# | $\alpha_{ts}$ | probability of all ways to have written $z_1 \ldots z_s$ by frame $t$ | $(T, S)$ |

# %%
import itertools
from functools import partial

import numpy as np

import tinyslm as ts
from tinyslm import plot
from tinyslm.lesson import check, figure
from tinyslm.metrics import edit_distance

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
rng = np.random.default_rng(0)


def softmax(scores):
    return ts.softmax(ts.tensor(scores)).numpy()


# %% [markdown]
# ## As printed
#
# Article B, 6 (B20), names speech recognition among the uses of small models, without a formula.

# %% [markdown]
# ## All ways at once
#
# Frames of sound are many, symbols few. CTC adds up all ways: a path names one symbol or blank per frame, repeats are
# merged, blanks dropped. The sum over all paths is a recursion; the last term is there only between two symbols that
# differ:
#
# $$\alpha_{ts} = y_{t z_s} (\alpha_{t-1,s} + \alpha_{t-1,s-1} + \alpha_{t-1,s-2}), \quad
# P = \alpha_{TS} + \alpha_{T,S-1}$$


# %%
def forward(y, z):
    """alpha (T, S) of probabilities y (T, K); s - 2 is skipped to from a symbol that differs."""
    skip = np.array([s >= 2 and z[s] != 0 and z[s] != z[s - 2] for s in range(len(z))])
    alpha = np.zeros((len(y), len(z)))
    alpha[0, :2] = y[0, z[:2]]
    for t in range(1, len(y)):
        before = alpha[t - 1].copy()
        before[1:] += alpha[t - 1, :-1]
        before[2:] += np.where(skip[2:], alpha[t - 1, :-2], 0)
        alpha[t] = before * y[t, z]
    return alpha


def ctc(scores, symbols):
    """-ln P, and its derivative by the scores (T, K): y minus how much of P goes through each symbol (Graves 2006)."""
    y, z = softmax(scores), np.array([0, *itertools.chain(*((k, 0) for k in symbols))])
    alpha, after = forward(y, z), forward(y[::-1], z[::-1])[::-1, ::-1]
    through = alpha * after / y[:, z]
    total = alpha[-1, -2:].sum()
    share = np.zeros_like(y)
    np.add.at(share.T, z, through.T / total)
    return -np.log(total), y - share


def collapse(path):
    return tuple(k for k, _ in itertools.groupby(path) if k != 0)


scores, symbols = rng.normal(size=(5, 3)), (1, 2, 2)
paths = [p for p in itertools.product(range(3), repeat=5) if collapse(p) == symbols]
every = sum(np.prod(softmax(scores)[np.arange(5), list(p)]) for p in paths)
same = np.isclose(ctc(scores, symbols)[0], -np.log(every))
check("", f"CTC: the recursion is the sum over all {len(paths)} paths", same)
for symbols in ((1, 2, 2), (1, 2), (2,)):
    value = partial(ctc, symbols=symbols)
    report = ts.gradcheck(
        lambda x, value=value: ts.tensor(value(x.numpy())[0]),
        [scores],
        backward=lambda g, x, value=value: [g.item() * value(x.numpy())[1]],
    )
    check("", f"its gradient is right for {symbols}", report)

# %% [markdown]
# ## A toy ear
#
# Three sounds, each lasting one to four frames with noise, pauses between them. The ear is a classifier with one
# answer per frame, and CTC for a loss.


# %%
def utterance(rng):
    symbols = rng.integers(1, 4, rng.integers(2, 5))
    held = np.concatenate([np.repeat([0, k], rng.integers(1, 5, 2)) for k in symbols])
    return sounds[held] + rng.normal(scale=0.5, size=(len(held), 6)), tuple(int(k) for k in symbols)


def hear(F, W, b):
    return collapse((F @ W + b).argmax(1).tolist())


sounds = rng.normal(size=(4, 6))
known, unseen = [utterance(rng) for _ in range(40)], [utterance(rng) for _ in range(100)]
W, b, course = np.zeros((6, 4)), np.zeros(4), []
for _ in range(12):
    course.append(np.mean([ctc(F @ W + b, symbols)[0] for F, symbols in known]))
    for F, symbols in known:
        d = ctc(F @ W + b, symbols)[1]
        W, b = W - 0.05 * F.T @ d, b - 0.05 * d.sum(0)
wrong = sum(edit_distance(symbols, hear(F, W, b)) for F, symbols in unseen) / sum(len(s) for _, s in unseen)
print(f"loss {course[0]:.2f} to {course[-1]:.2f}; {wrong:.1%} of the symbols of unseen utterances are wrong")
check("", "a toy ear learns from symbols without times", course[-1] < 0.3 * course[0] and wrong < 0.3)

# %%
F, symbols = max(unseen, key=lambda one: len(set(one[1])))
y = softmax(F @ W + b).T
names = ["blank", "sound 1", "sound 2", "sound 3"]
picture = plot.heatmap(
    y, names, [str(t) for t in range(1, len(F) + 1)], f"True symbols {symbols}, heard {hear(F, W, b)}", "probability"
)
picture.axes[0].set_xlabel("frame")
figure(picture, "What the toy ear hears in each frame of an utterance that it does not know.")

# %% [markdown]
# ## Your turn
#
# Take out the rule that a symbol may not be skipped to from its equal (`skip` always true for symbols). Expected: for
# (1, 2, 2) the recursion now counts paths that collapse to (1, 2), and the check by paths fails.

# %% [markdown]
# ## Limits and sources
#
# Frames made by a formula, not by a microphone; three sounds, one seed; products of probabilities underflow for long
# sounds, where one adds logarithms. `tinyslm derive ctc` derives the gradient line by line.
#
# Graves, Fernández, Gomez and Schmidhuber 2006.


# %% solution
def too_free(y, z):
    """The recursion with a skip over every blank, also between equal symbols."""
    alpha = np.zeros((len(y), len(z)))
    alpha[0, :2] = y[0, z[:2]]
    for t in range(1, len(y)):
        for s in range(len(z)):
            alpha[t, s] = y[t, z[s]] * alpha[t - 1, max(0, s - 2 if z[s] else s - 1) : s + 1].sum()
    return alpha[-1, -2:].sum()


p = softmax(scores)
free = too_free(p, np.array([0, 1, 0, 2, 0, 2, 0]))
print(f"{free:.4f} instead of {every:.4f}")
check("", "equal symbols without a blank between them are counted too often", free > 1.05 * every)
agree = np.isclose(too_free(p, np.array([0, 1, 0, 2, 0])), forward(p, np.array([0, 1, 0, 2, 0]))[-1, -2:].sum())
check("", "and where all symbols differ nothing changes", agree)
