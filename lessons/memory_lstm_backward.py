# %% [markdown]
# # The LSTM's backward pass by hand
#
# Forward, two things go from step to step: the output $h$ and the cell $c$. What goes back, in which order, and what is
# lost if one of the two is forgotten?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, D, H$ | sequences, steps, features, hidden units | numbers |
# | $i_t, f_t, g_t, o_t$ | input gate, forget gate, candidate, output gate | $(B, H)$ |
# | $a_t$ | what the four are computed from, side by side | $(B, 4H)$ |
# | $c_t, h_t$ | cell and output | $(B, H)$ |
# | $W, U, b$ | weights of input and output, bias, rows in the order i, f, g, o | $(4H, D)$, $(4H, H)$, $(4H)$ |
# | $dh, dc, da$ | gradient of the loss for $h_t$, $c_t$, $a_t$ | as those |

# %%
import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
B, T, D, H = 2, 5, 2, 3
x = rng.normal(size=(B, T, D))
h0, c0 = rng.normal(size=(B, H)) * 0.5, rng.normal(size=(B, H)) * 0.5
W, U, b = rng.normal(size=(4 * H, D)) * 0.6, rng.normal(size=(4 * H, H)) * 0.6, np.repeat([0.0, 1.0, 0.0, 0.0], H)
point = [x, h0, c0, W, U, b]
names = ["x", "h0", "c0", "W", "U", "b"]


def sigma(a):
    return 1 / (1 + np.exp(-a))


# %% [markdown]
# ## Forward, and what to keep
#
# The formulas are B5 to B9 of article B, with the candidate's tanh (see the lesson on one LSTM cell):
#
# $$c_t = f_t \odot c_{t-1} + i_t \odot g_t , \quad h_t = o_t \odot \tanh(c_t)$$
#
# The way back needs what each step had before it, and its gates.


# %%
def forward(x, h, c, W, U, b):
    outputs, kept = [], []
    for t in range(x.shape[1]):
        a = x[:, t] @ W.T + h @ U.T + b
        i, f, g, o = np.split(a, 4, axis=1)
        i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
        kept.append((h, c, i, f, g, o))
        c = f * c + i * g
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), kept


library = ts.lstm(*map(ts.tensor, point))[0].numpy()
check("", "our forward pass equals ts.lstm", np.abs(forward(*point)[0] - library).max() < 1e-12)

# %% [markdown]
# ## Two gradients arrive
#
# $h_t$ goes two ways: out, to the loss, and on, to the next step. Its gradient is the sum of both. $c_t$ goes two ways
# as well: into $h_t$, and on, to $c_{t+1}$.
#
# $$dh_t = \frac{\partial L}{\partial h_t} + U^\top da_{t+1} , \quad
# dc_t = dh_t \odot o_t \odot (1 - \tanh^2 c_t) + f_{t+1} \odot dc_{t+1}$$
#
# The second addends are the carries: handed from step $t + 1$ back to step $t$.
#
# ## Through the gates
#
# Each of the four gets its share of $dc_t$ or $dh_t$, times the slope of its own sigmoid or tanh:
#
# $$da_t = [\, dc_t \, g_t \, i_t (1 - i_t) , \; dc_t \, c_{t-1} \, f_t (1 - f_t) , \; dc_t \, i_t (1 - g_t^2) , \;
# dh_t \tanh(c_t) \, o_t (1 - o_t) \,]$$


# %%
def backward(g_out, x, h0, c0, W, U, b, carry_h=1.0, carry_c=1.0):
    """Gradients of all six inputs; a carry of 0 forgets what the next step hands back."""
    _, kept = forward(x, h0, c0, W, U, b)
    dx, dW, dU, db = (np.zeros_like(p) for p in (x, W, U, b))
    dh_next, dc_next = np.zeros_like(h0), np.zeros_like(c0)
    for t in reversed(range(x.shape[1])):
        h, c, i, f, g, o = kept[t]  # h and c of the step before
        tanh_c = np.tanh(f * c + i * g)
        dh = g_out[:, t] + carry_h * dh_next
        dc = dh * o * (1 - tanh_c**2) + carry_c * dc_next
        slopes = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)
        da = np.concatenate(slopes, axis=1)
        dW += da.T @ x[:, t]
        dU += da.T @ h
        db += da.sum(axis=0)
        dx[:, t] = da @ W
        dh_next, dc_next = da @ U, dc * f
    return dx, dh_next, dc_next, dW, dU, db


def examine(rule, point=point):
    tensors_in = lambda g, *inputs: rule(g.numpy(), *(p.numpy() for p in inputs))  # noqa: E731
    return ts.gradcheck(lambda *inputs: ts.lstm(*inputs)[0], point, backward=tensors_in)


report = examine(backward)
check("B8", "by hand, through time: all six gradients are right", report)
tensors = [ts.tensor(p, requires_grad=True) for p in point]
probe = rng.normal(size=(B, T, H))
engine = [g.numpy() for g in ts.grad((ts.lstm(*tensors)[0] * ts.tensor(probe)).sum(), tensors)]
ours = backward(probe, *point)
gap = max(np.abs(a - e).max() / np.abs(e).max() for a, e in zip(ours, engine, strict=True))
check("B8", "and equal to the engine's, to rounding", gap < 1e-13, gap)

# %% [markdown]
# ## A carry forgotten
#
# Leave one out. With a single step nobody notices, for there is no next step. With more, which gradients are wrong?


# %%
def forgetful(**carry):  # wrong on purpose
    return lambda *inputs: backward(*inputs, **carry)


one_step = [x[:, :1], *point[1:]]
lost = {"dh": forgetful(carry_h=0.0), "dc": forgetful(carry_c=0.0), "both": forgetful(carry_h=0.0, carry_c=0.0)}
for name, rule in lost.items():
    off = [np.linalg.norm(a - e) / np.linalg.norm(e) for a, e in zip(rule(probe, *point), engine, strict=True)]
    print(f"carry {name:4s} forgotten: relative error", dict(zip(names, np.round(off, 2).tolist(), strict=True)))
check("B8", "one step: all three pass the check", all(examine(rule, one_step).ok for rule in lost.values()))
check("B8", f"{T} steps: all three are caught", not any(examine(rule).ok for rule in lost.values()))
short = backward(probe[:, -1:], x[:, -1:], *forward(*point)[1][-1][:2], W, U, b)
both = lost["both"](probe, *point)
check("B8", "without both carries, the last step's input gets its gradient", np.allclose(both[0][:, -1:], short[0]))
first = backward(probe[:, :1], x[:, :1], h0, c0, W, U, b)
check("B8", "and the first state h0 gets only what the first output saw", np.allclose(both[1], first[1]))

# %% [markdown]
# ## What is lost, step by step
#
# Let the loss look at the last output only. How long is the gradient of each input, with and without a carry?

# %%
T_long = 30
x_long = rng.normal(size=(B, T_long, D))
last_only = np.zeros((B, T_long, H))
last_only[:, -1] = rng.normal(size=(B, H))
long_point = [x_long, h0, c0, W * 0.5, U * 0.5, np.repeat([0.0, 3.0, 0.0, 0.0], H)]
reach = {}
rules = {"both carries": backward, "only dc": lost["dh"], "only dh": lost["dc"], "none": lost["both"]}
for name, rule in rules.items():
    reach[name] = np.linalg.norm(rule(last_only, *long_point)[0], axis=(0, 2))
    print(f"{name:13s} 10 steps back {reach[name][-11] / reach[name][-1]:.1e} of the last step's gradient")
check("B8", "with none, nothing but the last step gets a gradient", not reach["none"][:-1].any())
whole, by_c, by_h = (reach[name][-11] for name in ("both carries", "only dc", "only dh"))
check("B8", "ten steps back, dc alone still carries over a tenth of the whole", by_c > 0.1 * whole)
check("B8", "dh alone carries less than a hundredth", by_h < 0.01 * whole)

# %% [markdown]
# ## The power of the check
#
# More mistakes that people make in these lines.


# %%
def mistaken(edit):  # wrong on purpose
    """`backward` with one gradient edited: edit(name -> array)."""

    def rule(*inputs):
        found = dict(zip(names, backward(*inputs), strict=True))
        return tuple(edit(found, *inputs)[n] for n in names)

    return rule


def swapped(found):  # wrong on purpose
    order = np.r_[H : 2 * H, 0:H, 2 * H : 4 * H]
    return found | {n: found[n][order] for n in ("W", "U", "b")}


mistakes = {
    "input and forget gate exchanged": mistaken(lambda found, *_: swapped(found)),
    "bias: mean for sum over the batch": mistaken(lambda found, *_: found | {"b": found["b"] / B}),
    "only the last step's weights": mistaken(
        lambda found, g, x, *rest: found | {"W": backward(g[:, -1:], x[:, -1:], *rest)[3]}
    ),
    "h0 and c0 exchanged": mistaken(lambda found, *_: found | {"h0": found["c0"], "c0": found["h0"]}),
    "inputs in the wrong order of time": mistaken(lambda found, *_: found | {"x": found["x"][:, ::-1]}),
}
caught = {name: not examine(rule).ok for name, rule in mistakes.items()}
check("B8", f"the check catches {len(mistakes)} more mistakes", all(caught.values()))

# %%
shown = {name: np.where(reach[name] > 0, reach[name], np.nan)[:-1] for name in ("both carries", "only dc", "only dh")}
across, down = "steps before the last", "length of the gradient of the input"
picture = ts.plot.lines(np.arange(T_long)[:0:-1], shown, across, down, "What comes back, forget bias 3", log="y")
figure(picture, "The cell's carry does nearly all the work over distance. With no carry only step 0 gets a gradient.")

# %% [markdown]
# ## Your turn
#
# 1. Cut the sequence in two and run `backward` on the halves, handing $dh$ and $dc$ over by hand. Expected: the same
#    gradients as in one piece.
# 2. Hand over $h$ and $c$ forward, but nothing backward (truncated). Expected: the gradient of the first half is wrong
#    and that of the second half is right.

# %% [markdown]
# ## Limits and sources
#
# How far each carry reaches depends on the weights and the forget bias; here they are random and the gates are mostly
# open. With large $U$ the carry of $h$ reaches further.
#
# S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997) 1735. K. Greff et al., IEEE Trans. Neural Networks and
# Learning Systems 28 (2017) 2222 (the backward pass written out).

# %% solution
cut = 3
first, kept = forward(x[:, :cut], h0, c0, W, U, b)
h_cut, c_cut = forward(*point)[1][cut][:2]
second_half = backward(probe[:, cut:], x[:, cut:], h_cut, c_cut, W, U, b)


def with_end(x, h0, c0, W, U, b):
    """The first half as a function with two results: all outputs, and the last cell."""
    outputs, _, c = ts.lstm(x, h0, c0, W, U, b)
    return outputs, c


parts = [ts.tensor(p, requires_grad=True) for p in (x[:, :cut], *point[1:])]
outputs, c = with_end(*parts)
handed = (outputs * ts.tensor(probe[:, :cut])).sum() + (outputs[:, -1] * ts.tensor(second_half[1])).sum()
handed = handed + (c * ts.tensor(second_half[2])).sum()
first_half = [g.numpy() for g in ts.grad(handed, parts)]
whole_x = np.concatenate([first_half[0], second_half[0]], axis=1)
good = np.allclose(whole_x, engine[0]) and np.allclose(first_half[3] + second_half[3], engine[3])
check("B8", "two halves, carries handed over: the same gradients", good)
truncated = backward(probe[:, :cut], x[:, :cut], h0, c0, W, U, b)[0]
check("B8", "truncated: the second half is right, the first is not",
      np.allclose(second_half[0], engine[0][:, cut:]) and not np.allclose(truncated, engine[0][:, :cut]))  # fmt: skip
