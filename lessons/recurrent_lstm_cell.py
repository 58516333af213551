# %% [markdown]
# # One LSTM cell
#
# How does an LSTM decide what to keep and what to forget? And what changes when the candidate is a sigmoid, as article
# B prints it, in place of a tanh?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, D, H$ | sequences, steps, features, hidden units | numbers |
# | $x_t$ | input of step $t$ | $(B, D)$ |
# | $h_t, c_t$ | output and cell state; both 0 before the first step | $(B, H)$ |
# | $f_t, i_t, o_t$ | forget, input and output gate | $(B, H)$ |
# | $W_f, W_i, W_o, W_c$ | weights | $(H, H + D)$ |
# | $b_f, b_i, b_o, b_c$ | biases | $(H)$ |
# | $[h, x]$ | $h$ and $x$ side by side | $(B, H + D)$ |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure
from tinyslm.plot import COLOURS

rng = np.random.default_rng(0)
B, T, D, H = 2, 12, 3, 5
W = {gate: ts.tensor(rng.normal(size=(H, H + D)) * 0.8) for gate in "fioc"}
b = {gate: ts.tensor(rng.normal(size=H) * 0.3) for gate in "fioc"}
x, h, c = (ts.tensor(rng.normal(size=(B, size))) for size in (D, H, H))

# %% [markdown]
# ## The forget gate
#
# Article B, 4.1, "Hidden layer" (B5). A number between 0 and 1 per unit: how much of the old cell stays. The article's
# dot between $W_f$ and the bracket is a matrix product, for it calls $W_f$ a matrix.
#
# $$f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f)$$


# %%
def gate(h, x, W, b):
    return ts.sigmoid(ts.cat(h, x, dim=-1) @ W.T + b)


def examine_gate(name):
    f = gate(h, x, W[name], b[name]).numpy()
    return f.shape == (B, H) and f.min() > 0 and f.max() < 1, ts.gradcheck(gate, [h, x, W[name], b[name]])


good, report = examine_gate("f")
check("B5", "the forget gate has one number from 0 to 1 per unit", good)
check("B5", "its gradient is right", report, verdict="right")

# %% [markdown]
# ## The input gate
#
# The same with its own weights (B6): how much of the new candidate comes in.
#
# $$i_t = \sigma(W_i \cdot [h_{t-1}, x_t] + b_i)$$

# %%
good, report = examine_gate("i")
check("B6", "the input gate has one number from 0 to 1 per unit", good)
check("B6", "its gradient is right", report, verdict="right")

# %% [markdown]
# ## The output gate
#
# And again (B7): how much of the cell is shown.
#
# $$o_t = \sigma(W_o \cdot [h_{t-1}, x_t] + b_o)$$

# %%
good, report = examine_gate("o")
check("B7", "the output gate has one number from 0 to 1 per unit", good)
check("B7", "its gradient is right", report, verdict="right")

# %% [markdown]
# ## The cell as printed
#
# Article B, 4.1, "Cell state" (B8). It stands there with two dots in a row; in 4.2 with one. The prose of 4.2 names
# tanh and sigmoid, the formula has only sigmoid. Between gates and states the dot is elementwise: as a dot product it
# would be one number for all units, and the article says that the gates put out vectors.
#
# $$c_t = f_t \cdot c_{t-1} + i_t \cdot \mathrm{sigmoid}(W_c \cdot [h_{t-1}, x_t] + b_c)$$


# %%
def cell(c, h, x, candidate):
    z = ts.cat(h, x, dim=-1) @ W["c"].T + b["c"]
    return gate(h, x, W["f"], b["f"]) * c + gate(h, x, W["i"], b["i"]) * candidate(z)


as_dot = (gate(h, x, W["f"], b["f"]) * c).sum(-1)
check("B8", "read as a dot product, f times c is one number per sequence", as_dot.shape == (B,))
check("B8", "read element by element, the cell is a vector", cell(c, h, x, ts.sigmoid).shape == (B, H))


# %% [markdown]
# ## The output
#
# The cell, squeezed by tanh and let through by the gate (B9).
#
# $$h_t = o_t \cdot \tanh(c_t)$$


# %%
def step(c, h, x, candidate):
    c = cell(c, h, x, candidate)
    return c, gate(h, x, W["o"], b["o"]) * ts.tanh(c)


def run(xs, candidate):
    c = h = ts.tensor(np.zeros((xs.shape[0], H)))
    trace = []
    for t in range(xs.shape[1]):
        c, h = step(c, h, xs[:, t], candidate)
        trace.append((c, h))
    return tuple(ts.stack(list(series), dim=1) for series in zip(*trace, strict=True))


report = ts.gradcheck(lambda c, h, x: step(c, h, x, ts.tanh), [c, h, x])
check("B9", "the gradient of one step with a tanh candidate is right", report, verdict="right")

# %% [markdown]
# ## A gradient check does not refute it
#
# The derivative of the printed cell is the right derivative of the printed cell. That says nothing about whether it is
# the right cell. Other questions do.

# %%
report = ts.gradcheck(lambda c, h, x: step(c, h, x, ts.sigmoid), [c, h, x])
check("B8", "as printed: the gradient check passes", report)

# %% [markdown]
# ## It breaks: nothing can become negative
#
# From $c_0 = 0$ each step adds a positive number to a positive multiple. We feed inputs of all signs.

# %%
xs = ts.tensor(rng.normal(size=(100, T, D)) * 2)
states = {}
for name, candidate in {"sigmoid": ts.sigmoid, "tanh": ts.tanh}.items():
    states[name] = cs, hs = [s.numpy() for s in run(xs, candidate)]
    print(f"{name:8s} c from {cs.min():+.2g} to {cs.max():+.2g}   h from {hs.min():+.2g} to {hs.max():+.2g}")
cs, hs = states["sigmoid"]
check("B8", "as printed: every c is above 0", cs.min() > 0, verdict="wrong: value")
check("B8", "as printed: every h lies between 0 and 1", hs.min() > 0 and hs.max() < 1)
cs, hs = states["tanh"]
check("B8", "with tanh: c has both signs", cs.min() < 0 < cs.max())
check("B8", "with tanh: h lies between -1 and 1 and has both signs", -1 < hs.min() < 0 < hs.max() < 1)

# %% [markdown]
# ## It breaks: no opposite for an opposite
#
# Turn the signs of input, output and cell around, hold the gates as they are and leave out the bias. With tanh the new
# state turns around, too. With sigmoid it does not.

# %%
f, i = (ts.sigmoid(ts.tensor(rng.normal(size=(B, H)))) for _ in range(2))
turned = {}
for name, candidate in {"sigmoid": ts.sigmoid, "tanh": ts.tanh}.items():
    plus, minus = (f * (s * c) + i * candidate(ts.cat(s * h, s * x, dim=-1) @ W["c"].T) for s in (1, -1))
    turned[name] = np.abs((plus + minus).numpy()).max()
check("B8", "as printed: the odd symmetry is lost", turned["sigmoid"] > 0.1)
check("B8", "with tanh: it holds to rounding", turned["tanh"] < 1e-12)

# %% [markdown]
# ## It breaks: a quarter of the slope
#
# The steeper the candidate, the more an input moves the cell.

# %%
z = ts.tensor(np.linspace(-6, 6, 1201), requires_grad=True)
slope = {a.name: ts.grad(a(z).sum(), [z])[0].numpy().max() for a in (ts.sigmoid, ts.tanh)}
print(f"steepest slope: sigmoid {slope['sigmoid']:.4f}, tanh {slope['tanh']:.4f}")
check("B8", "the slope is at most 1/4 with sigmoid, 1 with tanh", np.allclose(list(slope.values()), [1 / 4, 1]))

# %% [markdown]
# ## Repaired
#
# The candidate is a tanh. Here it is the only change; everything above was checked with both.
#
# $$c_t = f_t \odot c_{t-1} + i_t \odot \tanh(W_c [h_{t-1}, x_t] + b_c)$$

# %%
order = "ifco"  # the library has all four blocks of rows in one matrix; it calls the candidate g
stacked = np.concatenate([W[k].numpy() for k in order])
w_hh, w_ih = (ts.tensor(part) for part in (stacked[:, :H], stacked[:, H:]))
bias = ts.tensor(np.concatenate([b[k].numpy() for k in order]))
zero = ts.tensor(np.zeros((len(xs), H)))
library = ts.lstm(xs, zero, zero, w_ih, w_hh, bias)[0].numpy()
gap = np.abs(library - states["tanh"][1]).max()
print(f"largest difference from ts.lstm over {T} steps: {gap:.1e}")
check("B8", "repaired: the cell, step by step, equals ts.lstm over the sequence", gap < 1e-12)
short = ts.tensor(rng.normal(size=(B, 3, D)))
start = ts.tensor(np.zeros((B, H)))
report = ts.gradcheck(lambda *p: ts.lstm(short, start, start, *p)[0], [w_ih, w_hh, bias])
check("B9", "repaired: the gradient of all weights through time is right", report)

# %% [markdown]
# ## The power of the check
#
# The derivative of the repaired cell by hand, with $\tanh' = 1 - \tanh^2$, and five mistakes in it.


# %%
def cell_of(f, c, i, z):
    return f * c + i * ts.tanh(z)


def by_hand(g, f, c, i, z):
    y = ts.tanh(z)
    return g * c, g * f, g * y, g * i * (1 - y * y)


mistakes = {
    "1 - tanh for 1 - tanh^2": lambda g, f, c, i, z: (g * c, g * f, g * ts.tanh(z), g * i * (1 - ts.tanh(z))),
    "the slope of a sigmoid": lambda g, f, c, i, z: (
        *by_hand(g, f, c, i, z)[:3],
        g * i * ts.tanh(z) * (1 - ts.tanh(z)),
    ),
    "f and c exchanged": lambda g, f, c, i, z: (g * f, g * c, *by_hand(g, f, c, i, z)[2:]),
    "carry to c lost": lambda g, f, c, i, z: (g * c, g * 0, *by_hand(g, f, c, i, z)[2:]),
    "sign of i": lambda g, f, c, i, z: (*by_hand(g, f, c, i, z)[:2], -g * ts.tanh(z), by_hand(g, f, c, i, z)[3]),
}
point = [rng.uniform(0.1, 0.9, (B, H)), rng.normal(size=(B, H)), rng.uniform(0.1, 0.9, (B, H)), rng.normal(size=(B, H))]
check("B8", "repaired: the derivative by hand is right", ts.gradcheck(cell_of, point, backward=by_hand))
found = {name: ts.gradcheck(cell_of, point, backward=rule) for name, rule in mistakes.items()}
for name, report in found.items():
    print(f"{name:26s} {report.verdict}: {[e.name for e in report.entries if e.verdict == 'wrong']}")
check("B8", "the check catches all five mistakes", not any(r.ok for r in found.values()))

# %%
words = ["the", "film", "was", "not", "good", "at", "all", "but", "I", "liked", "the", "end"]
sentence = ts.tensor(rng.normal(size=(1, len(words), D)) * 2)
picture = Figure(figsize=(8.6, 6.2), layout="constrained")
panels = picture.subplots(3, 2, sharex=True, sharey="row")
for column, (name, candidate) in enumerate({"as printed: sigmoid": ts.sigmoid, "repaired: tanh": ts.tanh}.items()):
    cs, hs = run(sentence, candidate)
    before = ts.cat(ts.tensor(np.zeros((1, 1, H))), hs[:, :-1], dim=1)
    for k, style in zip("fio", ("-", "--", ":"), strict=True):
        values = gate(before, sentence, W[k], b[k]).numpy()[0, :, 0]
        panels[0, column].plot(values, style, color=COLOURS[0], label=f"{k}, unit 1")
    for row, series in ((1, cs), (2, hs)):
        for values, colour in zip(series.numpy()[0].T, COLOURS[:H], strict=True):
            panels[row, column].plot(values, color=colour, linewidth=1.3)
        panels[row, column].axhline(0, color="#555555", linewidth=0.8)
    panels[0, column].set(title=name, ylim=(-0.05, 1.05))
    panels[2, column].set_xticks(range(len(words)), words, rotation=60)
for row, label in enumerate(("gate", f"cell c, {H} units", f"output h, {H} units")):
    panels[row, 0].set_ylabel(label)
picture.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8.5)
figure(picture, "The same random weights, a colour per unit. As printed, cells and outputs never go below 0.")

# %% [markdown]
# ## Your turn
#
# Start the printed cell from $c_0 = -3$. Expected: the cell is below 0 for some steps and then rises above 0, and never
# comes back: only the start was negative, no step adds a negative number.

# %% [markdown]
# ## Limits and sources
#
# The symmetry holds for the path through the candidate, with its bias 0; gates have no such symmetry. Whether the
# printed cell can learn all the same is the question of the next lesson.
#
# S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997) 1735. F. Gers, J. Schmidhuber and F. Cummins, Neural
# Computation 12 (2000) 2451 (forget gate).

# %% solution
long = rng.normal(size=(20, 60, D)) * 2
turns = {}
for name, candidate in {"sigmoid": ts.sigmoid, "tanh": ts.tanh}.items():
    c, h = ts.tensor(np.full((len(long), H), -3.0)), ts.tensor(np.zeros((len(long), H)))
    above = []
    for t in range(long.shape[1]):
        c, h = step(c, h, ts.tensor(long[:, t]), candidate)
        above.append(c.numpy() > 0)
    above = np.array(above).astype(int)
    turns[name] = above[0].mean(), above[-1].mean(), (np.diff(above, axis=0) < 0).sum()
    first, last, falls = turns[name]
    print(f"{name:8s} above 0 after one step: {first:.0%}, after {len(above)}: {last:.0%}; falls below 0: {falls}")
first, last, falls = turns["sigmoid"]
check(
    "B8",
    "from c = -3 most printed cells are still below 0 after a step, and in the end none",
    first < 0.5 and last == 1,
)
check("B8", "none falls back below 0", falls == 0)
check("B8", "cells with tanh do fall back", turns["tanh"][2] > 0)
