# %% [markdown]
# # The GRU, in both conventions
#
# The articles name the gated recurrent unit and print no formula. Two formulas go by that name; are they the same, and
# if not, which one is right?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, T, D, H$ | sequences, steps, features, hidden units | numbers |
# | $x, h$ | input of the step, old state | $(B, D)$, $(B, H)$ |
# | $r, z$ | reset and update gate | $(B, H)$ |
# | $n, h'$ | candidate and new state | $(B, H)$ |
# | $W_r, W_z, W_n$ | weights of the input | $(H, D)$ |
# | $U_r, U_z, U_n$ | weights of the state | $(H, H)$ |
# | $b_r, b_z, b_n, b_u$ | biases; $b_u$ only in the second form | $(H)$ |

# %%
import numpy as np

import tinyslm as ts
from tinyslm.lesson import check, figure, minimise

rng = np.random.default_rng(0)
B, T, D, H = 2, 12, 3, 5
W = {gate: ts.tensor(rng.normal(size=(H, D))) for gate in "rzn"}
U = {gate: ts.tensor(rng.normal(size=(H, H)) * 0.8) for gate in "rzn"}
b = {gate: ts.tensor(rng.normal(size=H) * 0.5) for gate in "rznu"}
x, h = ts.tensor(rng.normal(size=(B, D))), ts.tensor(rng.uniform(-1, 1, size=(B, H)))

# %% [markdown]
# ## As printed
#
# Article B, 4.1, "Neural network architecture" (B12) lists RNN, LSTM and GRU and goes on with the LSTM alone. Nothing
# can be refuted where nothing is printed; we build it. Both forms share the gates:
#
# $$r = \sigma(W_r x + U_r h + b_r), \quad z = \sigma(W_z x + U_z h + b_z)$$
#
# and the way the old state and the candidate are mixed: $h' = (1 - z) \odot n + z \odot h$.


# %%
def gates(x, h, W, U, b):
    return tuple(ts.sigmoid(x @ W[k].mT + h @ U[k].mT + b[k]) for k in "rz")


r, z = gates(x, h, W, U, b)
inside = all(gate.numpy().min() > 0 and gate.numpy().max() < 1 for gate in (r, z))
check("B12", "both gates lie between 0 and 1", inside, verdict="incomplete")

# %% [markdown]
# ## Reset before the product
#
# The form of the paper: the reset gate lets through parts of the old state, and then they are mixed.
#
# $$n = \tanh(W_n x + U_n (r \odot h) + b_n)$$


# %%
def before(x, h, W, U, b):
    r, z = gates(x, h, W, U, b)
    n = ts.tanh(x @ W["n"].mT + (r * h) @ U["n"].mT + b["n"])
    return (1 - z) * n + z * h


# %% [markdown]
# ## Reset after the product
#
# The form of cuDNN, and so of most libraries: first mixed, then let through, with a bias of its own inside. All three
# products with $h$ can then be made at once, for none waits for the gates.
#
# $$n = \tanh(W_n x + r \odot (U_n h + b_u) + b_n)$$


# %%
def after(x, h, W, U, b):
    r, z = gates(x, h, W, U, b)
    n = ts.tanh(x @ W["n"].mT + r * (h @ U["n"].mT + b["u"]) + b["n"])
    return (1 - z) * n + z * h


def examine(form, names):
    """The gradient of one step for x, h and every weight and bias that the form has."""
    keys = [(group, k) for group, ks in (("W", "rzn"), ("U", "rzn"), ("b", names)) for k in ks]
    groups = {"W": W, "U": U, "b": b}

    def step(x, h, *values):
        parts = {"W": {}, "U": {}, "b": {}}
        for (group, k), value in zip(keys, values, strict=True):
            parts[group][k] = value
        return form(x, h, parts["W"], parts["U"], parts["b"])

    return ts.gradcheck(step, [x, h, *(groups[group][k] for group, k in keys)])


check("B12", "reset before: the gradient of one step is right", examine(before, "rzn"), verdict="right")
check("B12", "reset after: the gradient of one step is right", examine(after, "rznu"), verdict="right")

# %% [markdown]
# ## They differ
#
# With the same weights and $b_u = 0$. They agree only where it makes no difference whether one scales before or after:
# if all reset gates are equal, or if $U_n$ does not mix units.

# %%
no_inner = b | {"u": ts.tensor(np.zeros(H))}


def gap(U, b):
    return np.abs((before(x, h, W, U, b) - after(x, h, W, U, b)).numpy()).max()


even = {"W": W | {"r": W["r"] * 0}, "U": U | {"r": U["r"] * 0}, "b": no_inner | {"r": ts.tensor(np.full(H, 0.3))}}
same_reset = before(x, h, even["W"], even["U"], even["b"]) - after(x, h, even["W"], even["U"], even["b"])
diagonal = U | {"n": ts.tensor(np.diag(rng.normal(size=H)))}
print(f"largest difference of one step: {gap(U, no_inner):.3f}")
check("B12", "the two forms give different states", gap(U, no_inner) > 0.01)
check("B12", "equal where all reset gates are equal", np.abs(same_reset.numpy()).max() < 1e-12)
check("B12", "equal where the matrix is diagonal", gap(diagonal, no_inner) < 1e-12)

# %% [markdown]
# ## No other matrix makes up for it
#
# Perhaps the same function with other weights? For given gates: we look for the matrix $A$ that brings
# $r \odot (A h)$ closest to $U_n (r \odot h)$, over 400 random gates and states. For each unit that is a least-squares
# problem.

# %%
rs, hs = rng.uniform(size=(400, H)), rng.uniform(-1, 1, size=(400, H))
wanted = (rs * hs) @ U["n"].numpy().T
fitted = [rs[:, i, None] * hs @ np.linalg.lstsq(rs[:, i, None] * hs, wanted[:, i])[0] for i in range(H)]
missed = np.linalg.norm(wanted - np.stack(fitted, axis=1)) / np.linalg.norm(wanted)
print(f"the best matrix leaves {missed:.0%} of the length unexplained")
check("B12", "at least a tenth is left over: with the same gates they are different functions", missed > 0.1)

# %% [markdown]
# ## The library
#
# `ts.gru` is the second form, so that weights from PyTorch can be read. A file of weights does not say to which form it
# belongs. Run through the wrong one, the states drift apart.


# %%
def run(form, xs, b):
    h, trace = ts.tensor(np.zeros((len(xs), H))), []
    for t in range(xs.shape[1]):
        h = form(xs[:, t], h, W, U, b)
        trace.append(h)
    return ts.stack(trace, dim=1).numpy()


xs = ts.tensor(rng.normal(size=(B, T, D)))
w_ih, w_hh = (ts.tensor(np.concatenate([part[k].numpy() for k in "rzn"])) for part in (W, U))
bias = ts.tensor(np.concatenate([b[k].numpy() for k in "rzn"]))
zero = ts.tensor(np.zeros((B, H)))
library = ts.gru(xs, zero, w_ih, w_hh, bias, b["u"])[0].numpy()
same = np.abs(run(after, xs, b) - library).max() < 1e-12
check("B12", "reset after, step by step, equals ts.gru over the sequence", same)
apart = np.abs(run(before, xs, b) - library).max(axis=(0, 2))
print("reset before, same weights, largest difference per step:", np.round(apart, 2))
check("B12", "the wrong form is off by over 0.1 within the sequence", apart.max() > 0.1)

# %% [markdown]
# ## Update gate: z or 1 - z
#
# Some write $h' = z \odot n + (1 - z) \odot h$. That is no other network: $1 - \sigma(a) = \sigma(-a)$, so turning the
# signs of $W_z$, $U_z$, $b_z$ gives the same states.

# %%
turned = [{k: -v if k == "z" else v for k, v in part.items()} for part in (W, U, b)]
r, z = gates(x, h, *turned)
n = ts.tanh(x @ W["n"].mT + r * (h @ U["n"].mT + b["u"]) + b["n"])
other = (z * n + (1 - z) * h).numpy()
same = np.abs(other - after(x, h, W, U, b).numpy()).max() < 1e-12
check("B12", "z and 1 - z exchanged, signs turned: the same state", same)

# %% [markdown]
# ## Both learn
#
# Both are trained to add up five random numbers, four units, four random starts each.


# %%
def train(form, steps=100, size=4, batch=32, starts=4):
    rng = np.random.default_rng(0)
    first = [rng.normal(size=(starts, size, n)) / np.sqrt(n) for n in (1, size) for _ in "rzn"]
    weights = [ts.tensor(w, requires_grad=True) for w in first]
    bias = [ts.tensor(np.zeros((starts, 1, size)), requires_grad=True) for _ in "rznu"]
    readout = ts.tensor(rng.normal(size=(starts, size, 1)), requires_grad=True)
    w, u = (dict(zip("rzn", part, strict=True)) for part in (weights[:3], weights[3:]))
    v = dict(zip("rznu", bias, strict=True))

    def errors():
        numbers, h = rng.normal(size=(batch, 5, 1)), ts.tensor(np.zeros((starts, batch, size)))
        for t in range(5):
            h = form(ts.tensor(np.broadcast_to(numbers[:, t], (starts, batch, 1))), h, w, u, v)
        return ((h @ readout - ts.tensor(numbers.sum(axis=1) / np.sqrt(5))) ** 2).mean(dim=(1, 2))

    minimise(ts.optim.Adam([*weights, *bias, readout], lr=0.03), errors, steps)
    return np.median(errors().numpy())


errors = {form.__name__: train(form) for form in (before, after)}
print("median squared error (guessing 0 gives 1):", {name: f"{value:.3f}" for name, value in errors.items()})
check("B12", "both bring the error below 0.15", max(errors.values()) < 0.15)

# %% [markdown]
# ## The power of the check
#
# Four mistakes in the derivative of the second form's candidate, $n = \tanh(a + r \odot s)$ with $s = U_n h + b_u$.


# %%
def candidate(a, r, s):
    return ts.tanh(a + r * s)


def by_hand(g, a, r, s):
    y = ts.tanh(a + r * s)
    d = g * (1 - y * y)
    return d, d * s, d * r


mistakes = {
    "reset gate's gradient lost": lambda g, a, r, s: (by_hand(g, a, r, s)[0], r * 0, by_hand(g, a, r, s)[2]),
    "reset gate not on s": lambda g, a, r, s: (*by_hand(g, a, r, s)[:2], by_hand(g, a, r, s)[0]),
    "s and r exchanged": lambda g, a, r, s: tuple(by_hand(g, a, r, s)[i] for i in (0, 2, 1)),
    "slope of a sigmoid": lambda g, a, r, s: by_hand(g * candidate(a, r, s), a, r, s),
}
point = [rng.normal(size=(B, H)), rng.uniform(size=(B, H)), rng.normal(size=(B, H))]
check("B12", "the candidate's derivative by hand is right", ts.gradcheck(candidate, point, backward=by_hand))
caught = [not ts.gradcheck(candidate, point, backward=rule).ok for rule in mistakes.values()]
check("B12", f"the check catches {len(mistakes)} mistakes", all(caught))

# %%
picture = ts.plot.lines(
    np.arange(1, T + 1),
    {"reset before, unit 1": run(before, xs, b)[0, :, 0], "reset after, unit 1": library[0, :, 0],
     "reset before, unit 2": run(before, xs, b)[0, :, 1], "reset after, unit 2": library[0, :, 1]},
    "step", "state h", "The same weights in both forms",
)  # fmt: skip
figure(picture, "Two units of one network. One ends alike in both forms, the other does not; neither form is wrong.")

# %% [markdown]
# ## Your turn
#
# 1. Set $r = 1$ in both forms, with $b_u = 0$. Expected: they agree, and what is left is a network with one gate.
# 2. What must $b_z$ be for a state to be kept to one percent over 100 steps, if nothing else enters $z$? Expected: over
#    9, for $z$ must be at least $0.99^{1/100}$.

# %% [markdown]
# ## Limits and sources
#
# That no matrix makes up for the difference was shown for given gates. Networks whose gates change as well may come
# closer. Which form learns better was not measured; one small task cannot say.
#
# K. Cho et al., EMNLP 2014, arXiv 1406.1078 (its update gate keeps the old state, as here). J. Chung et al., arXiv
# 1412.3555 (with $1 - z$). The second form is that of NVIDIA's cuDNN.

# %% solution
open_reset = b | {"r": ts.tensor(np.full(H, 50.0)), "u": ts.tensor(np.zeros(H))}  # sigma(50) is 1 to rounding
check("B12", "with an open reset gate the two forms agree", gap(U, open_reset) < 1e-12)
needed = 0.99 ** (1 / 100)
bias_z = np.log(needed / (1 - needed))
print(f"the update gate must be at least {needed:.6f}, its bias {bias_z:.2f}")
check(
    "B12",
    "the bias must be over 9, and then 99 % is kept",
    bias_z > 9 and np.isclose((1 / (1 + np.exp(-bias_z))) ** 100, 0.99),
)
