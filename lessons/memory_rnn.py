# %% [markdown]
# # A recurrent network, and its gradient through time
#
# How does a network with one fixed set of weights read a sequence of any length? And how does a gradient find its way
# back through all the steps?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, D, H$ | sequences, steps, features, hidden units | numbers |
# | $x_t$ | input of step $t$ | $(B, D)$ |
# | $h_t$ | state after step $t$; $h_0$ is given | $(B, H)$ |
# | $W, U, b$ | weights of input and state, bias: the same at every step | $(H, D)$, $(H, H)$, $(H)$ |
# | $a_t$ | what tanh is applied to at step $t$ | $(B, H)$ |
# | $\delta_t = \partial L / \partial a_t$ | its gradient | $(B, H)$ |

# %%
import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
B, T, D, H = 2, 5, 3, 4
x, h0 = rng.normal(size=(B, T, D)), rng.normal(size=(B, H)) * 0.5
W, U, b = rng.normal(size=(H, D)) * 0.7, rng.normal(size=(H, H)) * 0.7, rng.normal(size=H) * 0.3
point = [x, h0, W, U, b]
names = ["x", "h0", "W", "U", "b"]

# %% [markdown]
# ## As printed
#
# Both articles name the recurrent network (A 1 and 3.1; B 4.1, "Neural network architecture", B12) and print no formula
# for it. The plain form is one line, Elman's:
#
# $$h_t = \tanh(W x_t + U h_{t-1} + b)$$
#
# Article B (4.1, B4) calls the whole list of word vectors $x_t$. One step reads one row of it.


# %%
def forward(x, h, W, U, b):
    """All states, h_0 first."""
    states = [h]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ W.T + states[-1] @ U.T + b))
    return states


outputs = np.stack(forward(*point)[1:], axis=1)
library = ts.rnn(*map(ts.tensor, point))[0].numpy()
check("B12", "our states equal those of ts.rnn", np.abs(outputs - library).max() < 1e-12, verdict="incomplete")
sizes = x[0].shape, x[0, 0].shape
check("B4", "the list is X (T, D); a step reads x_t (D)", sizes == ((T, D), (D,)), verdict="wrong: notation")
longer = np.stack(forward(np.concatenate([x, x], axis=1), *point[1:])[1:], axis=1)
check("B12", "a sequence twice as long has the same weights and begins alike", np.array_equal(longer[:, :T], outputs))
exchanged = x[:, [1, 0, *range(2, T)]]
moved = np.abs(forward(exchanged, *point[1:])[-1] - outputs[:, -1]).max()
check("B12", "the order counts: two inputs exchanged change the last state", moved > 1e-4)

# %% [markdown]
# ## Back through one step
#
# The state of a step goes two ways: out, to the loss, and into the next step. So two gradients come back and are added,
# and then go through the slope of tanh, $1 - h_t^2$:
#
# $$\delta_t = \left( \frac{\partial L}{\partial h_t} + U^\top \delta_{t+1} \right) \odot (1 - h_t^2)$$
#
# ## Back to the weights
#
# The same weights work at every step. So each step adds its part:
#
# $$\frac{\partial L}{\partial U} = \sum_t \delta_t^\top h_{t-1} , \quad
# \frac{\partial L}{\partial W} = \sum_t \delta_t^\top x_t , \quad \frac{\partial L}{\partial b} = \sum_t \delta_t$$


# %%
def backward(g_out, x, h0, W, U, b, last_only=False, carry=1.0, slope=lambda h: 1 - h**2, state=0, turn=False):
    """Gradients of x, h0, W, U, b. The options are the mistakes that are tried further below."""
    states = forward(x, h0, W, U, b)
    dx, dW, dU, db = (np.zeros_like(p) for p in (x, W, U, b))
    from_next = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        delta = (g_out[:, t] + carry * from_next) * slope(states[t + 1])
        if not last_only or t == x.shape[1] - 1:
            dW += delta.T @ x[:, t]
            dU += delta.T @ states[t + state]
            db += delta.sum(axis=0)
        dx[:, t] = delta @ W
        from_next = delta @ (U.T if turn else U)
    return dx, from_next, dW, dU, db


def examine(point=point, **mistake):
    def rule(g, *inputs):
        return backward(g.numpy(), *(p.numpy() for p in inputs), **mistake)

    return ts.gradcheck(lambda *inputs: ts.rnn(*inputs)[0], point, backward=rule)


check("B12", "by hand, through time: all five gradients are right", examine(), verdict="right")
tensors = [ts.tensor(p, requires_grad=True) for p in point]
probe = rng.normal(size=(B, T, H))
engine = [g.numpy() for g in ts.grad((ts.rnn_simple(*tensors)[0] * ts.tensor(probe)).sum(), tensors)]
gaps = [np.abs(a - e).max() / np.abs(e).max() for a, e in zip(backward(probe, *point), engine, strict=True)]
print("largest relative difference from the engine:", {n: f"{gap:.0e}" for n, gap in zip(names, gaps, strict=True)})
check("B12", "and equal to what the engine finds step by step, to rounding", max(gaps) < 1e-14, max(gaps))

# %% [markdown]
# ## The power of the check
#
# Five mistakes, and whether a check with a single step would see them. Two of them concern only the way from step to
# step: with one step there is none.

# %%
mistakes = {
    "carry forgotten": {"carry": 0.0},
    "weights from the last step only": {"last_only": True},
    "U transposed on the way back": {"turn": True},
    "slope 1 - h": {"slope": lambda h: 1 - h},
    "h_t in place of h_(t-1)": {"state": 1},
}
one_step = [x[:, :1], *point[1:]]
seen = {name: (not examine(one_step, **m).ok, not examine(**m).ok) for name, m in mistakes.items()}
for name, (once, often) in seen.items():
    print(f"{name:34s} caught with one step: {once!s:6s} with {T} steps: {often}")
check("B12", f"{T} steps: all {len(mistakes)} are caught", all(often for _, often in seen.values()))
unseen = [name for name, (once, _) in seen.items() if not once]
check("B12", "one step: two of them pass", unseen == ["carry forgotten", "weights from the last step only"])

# %% [markdown]
# ## Each step's share
#
# Give every step a copy of $U$ of its own, all with the same numbers. The gradients of the copies are the addends of
# the sum above.

# %%
copies = [ts.tensor(U, requires_grad=True) for _ in range(T)]
h = ts.tensor(h0)
loss = 0.0
for t in range(T):
    h = ts.tanh(ts.tensor(x[:, t]) @ ts.tensor(W).T + h @ copies[t].T + ts.tensor(b))
    loss = loss + (h * ts.tensor(probe[:, t])).sum()
shares = [g.numpy() for g in ts.grad(loss, copies)]
check("B12", "the shares of the steps add up to the gradient of U", np.allclose(sum(shares), engine[3], rtol=1e-13))

# %% [markdown]
# ## It learns
#
# A small task: is the number of ones so far odd? The state must turn over with every 1 and stay with every 0. Training
# on sequences of 8, test on sequences of 24.


# %%
def parity(rng, batch, T):
    bits = rng.integers(0, 2, size=(batch, T))
    return ts.tensor(bits[:, :, None] * 2.0 - 1), ts.tensor(np.cumsum(bits, axis=1) % 2 * 1.0)


def train(seed, units=12, updates=160, batch=32):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(units, units)))[0]
    shapes = [rng.normal(size=(units, 1)), turn, rng.normal(size=units) * 0.1, rng.normal(size=(units, 1)) * 0.3]
    weights = [ts.tensor(p, requires_grad=True) for p in shapes]
    optimizer = ts.optim.Adam(weights, lr=0.02)
    start = ts.tensor(np.zeros((batch, units)))
    trace = []
    for _ in range(updates):
        bits, odd = parity(rng, batch, 8)
        answer = (ts.rnn(bits, start, *weights[:3])[0] @ weights[3]).squeeze(-1)
        loss = ts.binary_cross_entropy_with_logits(answer, odd)
        optimizer.zero_grad()
        loss.backward()
        ts.optim.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        trace.append(loss.item())
    return weights, trace


runs = [train(seed) for seed in range(2)]
bits, odd = parity(np.random.default_rng(9), 200, 24)
accuracy = []
for weights, _ in runs:
    answer = (ts.rnn(bits, ts.tensor(np.zeros((200, 12))), *weights[:3])[0] @ weights[3]).squeeze(-1).numpy()
    accuracy.append(((answer > 0) == (odd.numpy() > 0.5)).mean())
print("share right on sequences of 24, two starts:", np.round(accuracy, 3))
check("B12", "at least one start learns it: over 95 % on sequences three times as long", max(accuracy) > 0.95)

# %%
smooth = {f"start {k + 1}": np.convolve(trace, np.ones(20) / 20, "valid") for k, (_, trace) in enumerate(runs)}
steps = np.arange(19, 160)
picture = ts.plot.lines(steps, smooth, "update", "cross-entropy (nats), mean of 20", "Odd or even, sequences of 8")
figure(picture, "Guessing gives ln 2 = 0.69. Both starts learn to turn the state over with every 1.")

# %%
weights = runs[int(np.argmax(accuracy))][0]
states = ts.rnn(bits, ts.tensor(np.zeros((200, 12))), *weights[:3])[0].numpy()
change = np.abs(np.diff(states, axis=1)).mean(axis=2)
ones = bits.numpy()[:, 1:, 0] > 0
print(f"mean change of a unit when a 1 is read {change[ones].mean():.2f}, when a 0 is {change[~ones].mean():.2f}")
check("B12", "reading a 1 moves the state more than reading a 0", change[ones].mean() > change[~ones].mean())
rows, columns = [f"unit {k + 1}" for k in range(12)], [f"{int(bit > 0)}" for bit in bits.numpy()[0, :, 0]]
picture = ts.plot.heatmap(states[0].T, rows, columns, "States while reading the bits below", "h")
picture.set_size_inches(8, 4.4)
figure(
    picture, "Columns are steps, with the bit that is read. The pattern depends on all bits before, not on this one."
)

# %% [markdown]
# ## Your turn
#
# 1. Cut the way back after two steps (truncated). Expected: with the loss on the last state only, the inputs before get
#    gradient 0.
# 2. Build by hand a network that tells odd from even, with tanh replaced by a step. Expected: two hidden units are
#    enough: "1 and was even", "0 and was odd"; odd is their sum.

# %% [markdown]
# ## Limits and sources
#
# The check says that the derivative belongs to the formula. Whether training finds good weights depends on the start;
# the figure shows two. What happens to the gradient over many steps is the next lesson.
#
# J. Elman, Cognitive Science 14 (1990) 179. P. Werbos, Proc. IEEE 78 (1990) 1550 (backpropagation through time).

# %% solution
last = np.zeros((B, T, H))
last[:, -1] = rng.normal(size=(B, H))
middle = forward(*point)[T - 2]
dx = np.concatenate([np.zeros((B, T - 2, D)), backward(last[:, -2:], x[:, -2:], middle, W, U, b)[0]], axis=1)
whole = backward(last, *point)[0]
good = np.allclose(dx[:, -2:], whole[:, -2:]) and not dx[:, :-2].any() and np.abs(whole[:, :-2]).max() > 1e-4
check("B12", "truncated after two steps: the last two inputs are right, the others get 0", good)
odd, right = 0, True
for bit in rng.integers(0, 2, size=100):
    expected = (odd + bit) % 2
    units = (bit - odd > 0.5), (odd - bit > 0.5)  # "1 and was even", "0 and was odd"
    odd = int(sum(units))
    right = right and odd == expected
check("B12", "two step units tell odd from even for 100 bits", right)
