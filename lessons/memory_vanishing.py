# %% [markdown]
# # Gradients that vanish and explode
#
# A recurrent network multiplies by the same matrix at every step, forward and backward. How much of a gradient is left
# after many steps, and what can be done when it is too little or too much?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $T, B, D, H$ | steps, sequences, features, hidden units | numbers |
# | $x_t, h_t$ | input and state of step $t$ | $(B, D)$, $(B, H)$ |
# | $W, U$ | weights of the input and of the old state | $(H, D)$, $(H, H)$ |
# | $J_t = \partial h_t / \partial h_{t-1}$ | how a small change of the old state moves the new one | $(H, H)$ |
# | $\sigma_1(U)$ | largest singular value: the most that $U$ can stretch a vector | number |
# | $g$, $\theta$ | gradient of all weights as one vector; the longest that is allowed | vector, number |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)
T, D, H = 50, 3, 24
x = rng.normal(size=(1, T, D))
W = rng.normal(size=(H, D)) * 0.3
turn = np.linalg.qr(rng.normal(size=(H, H)))[0]  # it turns vectors and keeps their length: all singular values are 1

# %% [markdown]
# ## One step back
#
# Article A, appendix Q2 (A20) says that long distances are hard and names remedies. Here we measure how hard. The
# network is
#
# $$h_t = \tanh(W x_t + U h_{t-1})$$
#
# and the chain rule gives the factor of one step: the slope of tanh at each unit, times $U$.
#
# $$J_t = \mathrm{diag}(1 - h_t^2) \, U$$


# %%
def states(x, h, W, U):
    """All states h_0 ... h_T, each (B, H)."""
    found = [h]
    for t in range(x.shape[1]):
        found.append(ts.tanh(x[:, t] @ W.T + found[-1] @ U.T))
    return found


def factors(trace, U):
    """J_1 ... J_T for the first sequence."""
    return [(1 - h.numpy()[0][:, None] ** 2) * U for h in trace[1:]]


x_t, h_0 = ts.tensor(x), ts.tensor(np.zeros((1, H)), requires_grad=True)
trace = states(x_t, h_0, ts.tensor(W), ts.tensor(turn))
library = ts.rnn(x_t, h_0, ts.tensor(W), ts.tensor(turn), ts.tensor(np.zeros(H)))[0].numpy()
ours = np.stack([h.numpy() for h in trace[1:]], axis=1)
check("A20", "the states are those of ts.rnn", np.allclose(ours, library, rtol=0, atol=1e-12))
probe = rng.normal(size=(1, H))
by_engine = ts.grad((trace[5] * ts.tensor(probe)).sum(), [h_0])[0].numpy()
by_hand = probe
for J in factors(trace[:6], turn)[::-1]:
    by_hand = by_hand @ J
error = np.abs(by_hand - by_engine).max() / np.abs(by_engine).max()
check("A20", "five factors J, last one first, are the engine's gradient through five steps", error < 1e-12, error)

# %% [markdown]
# ## How much can be left
#
# A product of matrices stretches a vector at most by the product of their largest singular values. The slope of tanh is
# at most 1. So after $k$ steps, with $g_t = \partial L / \partial h_t$,
#
# $$|g_{t-k}| \leq \sigma_1(U)^k \, |g_t|$$


# %%
def reach(U, x, W):
    """Length of the gradient of (probe . h_T) for h_{T-k}, k = 0 ... T, relative to k = 0."""
    jacobians = factors(states(ts.tensor(x), ts.tensor(np.zeros((1, H))), ts.tensor(W), ts.tensor(U)), U)
    g, lengths = probe, [np.linalg.norm(probe)]
    for J in jacobians[::-1]:
        g = g @ J
        lengths.append(np.linalg.norm(g))
    return np.array(lengths) / lengths[0]


k = np.arange(T + 1)
curves = {s: reach(s * turn, x, W) for s in (0.5, 0.9, 1.0, 1.3)}
for s, curve in curves.items():
    print(f"largest singular value {s}: {curve[10]:.1e} left after 10 steps, {curve[T]:.1e} after {T}")
bounded = all((c <= s**k * (1 + 1e-9)).all() for s, c in curves.items())
check("A20", "the bound holds at every distance, for all four", bounded)
check("A20", "below 1 the gradient must vanish: under a billionth after 50 steps at 0.5", curves[0.5][T] < 1e-9)
check("A20", "above 1 it may shrink all the same, for tanh is flat where units are full", curves[1.3][T] < 0.1)

# %% [markdown]
# ## Exploding
#
# Nothing bounds it from below, and from above only if $\sigma_1 \leq 1$. Where the units are near 0, tanh hardly bends,
# and the gradient grows with $U$. With inputs of 0 the network stays there.

# %%
quiet = {s: reach(s * turn, 0 * x, W) for s in (0.9, 1.0, 1.1)}
for s, curve in quiet.items():
    print(f"inputs 0, largest singular value {s}: factor {curve[T]:.3g} after {T} steps")
check("A20", "then the factor is exactly the power", all(np.allclose(c, s**k, rtol=1e-9) for s, c in quiet.items()))
check("A20", "1.1 grows beyond 100 times in 50 steps, 0.9 falls below 1/100", quiet[1.1][T] > 100 > 1e4 * quiet[0.9][T])

# %% [markdown]
# ## What it means for learning
#
# The gradient of $U$ is a sum over all steps. Take it apart: which share comes through step $t$, when the loss looks at
# the last state only?


# %%
def share_of_step(U):
    copies = [ts.tensor(U, requires_grad=True) for _ in range(T)]  # one copy of U per step, all equal
    h = ts.tensor(np.zeros((1, H)))
    for t, copy in enumerate(copies):
        h = ts.tanh(x_t[:, t] @ ts.tensor(W).T + h @ copy.T)
    return np.array([g.numpy() for g in ts.grad((h * ts.tensor(probe)).sum(), copies)])


U = ts.tensor(turn, requires_grad=True)
last = ts.rnn(x_t, h_0, ts.tensor(W), U, ts.tensor(np.zeros(H)))[0][:, -1]
whole = ts.grad((last * ts.tensor(probe)).sum(), [U])[0].numpy()
check("A20", "all shares add up to the gradient of U", np.allclose(share_of_step(turn).sum(axis=0), whole, rtol=1e-9))
shares = {s: np.linalg.norm(share_of_step(s * turn), axis=(1, 2)) for s in (0.5, 1.0)}
early = {s: share[1:11].sum() / share.sum() for s, share in shares.items()}
check("A20", "at 0.5 the first ten steps contribute less than a millionth of the gradient", early[0.5] < 1e-6)
check("A20", "with an orthogonal U they contribute over a thousand times as much", early[1.0] > 1000 * early[0.5])

# %% [markdown]
# ## A path that does not multiply by U
#
# The LSTM's cell goes from step to step by $c_t = f_t \odot c_{t-1} + \dots$: the factor along it is the forget gate
# alone. With a bias of the forget gate that keeps it near 1, more arrives.

# %%
parts = [rng.normal(size=(4 * H, n)) * 0.1 / np.sqrt(H) for n in (D, H)]
left = {}
for bias in (0.0, 1.0, 4.0):
    b = ts.tensor(np.repeat([0, bias, 0, 0], H))
    c_0 = ts.tensor(np.zeros((1, H)), requires_grad=True)
    c_T = ts.lstm(x_t, ts.tensor(np.zeros((1, H))), c_0, *map(ts.tensor, parts), b)[2]
    left[bias] = np.linalg.norm(ts.grad((c_T * ts.tensor(probe)).sum(), [c_0])[0].numpy()) / np.linalg.norm(probe)
near = [0.1 < arrived * (1 + np.exp(-bias)) ** T < 10 for bias, arrived in left.items()]
check("A20", "it is the gate to the power of 50, within a factor of 10", all(near))
check("A20", "with forget bias 4 a tenth arrives", left[4.0] > 0.1)

# %% [markdown]
# ## Clipping
#
# Against too much: if the gradient is longer than $\theta$, shorten it and keep its direction.
#
# $$g \leftarrow g \cdot \min\left(1, \frac{\theta}{|g|}\right)$$


# %%
def clip(g, limit):
    return g * min(1.0, limit / np.linalg.norm(g))


g = rng.normal(size=40) * 100
by_library = ts.tensor(np.zeros(40), requires_grad=True)
by_library.grad = ts.tensor(g)
ts.optim.clip_grad_norm_([by_library], 1.0)
check("A20", "the library's clipping is this one", np.allclose(clip(g, 1.0), by_library.grad.numpy()))
check("A20", "the direction stays", np.isclose(clip(g, 1.0) @ g, np.linalg.norm(g)))
check("A20", "short gradients stay as they are", np.array_equal(clip(g / 1e4, 1.0), g / 1e4))
single = np.clip(g, -1, 1)
bent = single @ g / np.linalg.norm(single) / np.linalg.norm(g)
print(f"cosine between the gradient and one limited number by number: {bent:.2f}")
check("A20", "limiting each number by itself bends the direction", bent < 0.95)

# %% [markdown]
# ## A cliff
#
# One unit, $h_t = \tanh(3 h_{t-1} + b)$, ten steps from $h_0 = 0.3$. As a function of $b$ the loss is nearly flat, but
# for one cliff: there $h$ ends at the other of two resting points. A step of plain descent from the cliff is thrown far
# away; a clipped one is not.


# %%
def cliff(b, u=3.0, steps=10, target=0.9):
    """The loss for each number of b, and its slope."""
    b = ts.tensor(b, requires_grad=True)
    h = ts.tensor(np.full(b.shape, 0.3))
    for _ in range(steps):
        h = ts.tanh(u * h + b)
    loss = (h - target) ** 2
    return loss.numpy(), ts.grad(loss.sum(), [b])[0].numpy()


one_step = cliff(np.array([0.1]), steps=1)[0][0]
check("A20", "after one step the loss is (tanh(0.9 + b) - 0.9)^2", np.isclose(one_step, (np.tanh(1.0) - 0.9) ** 2))
line = np.linspace(-1.2, 0, 20001)
losses, slopes = cliff(line)
at = np.abs(slopes).argmax()
edge, slope = line[at], slopes[at]
steep = np.abs(slopes) > 1
plain, clipped = edge - 0.1 * slope, edge - 0.1 * clip(np.array([slope]), 1.0)[0]
print(f"steepest slope {slope:.3g} at b = {edge:.3f}; a step of rate 0.1 goes to {plain:.3g}, clipped to {clipped:.3f}")
check("A20", "the slope is over 100 on less than a fiftieth of the line", abs(slope) > 100 and steep.mean() < 0.02)
far, near = abs(plain - edge), abs(clipped - edge)
check("A20", "a plain step moves by over 10, a clipped one by at most 0.1", far > 10 and near < 0.1 * (1 + 1e-9))

# %%
series = {f"singular values {s}": curve for s, curve in curves.items()} | {"1.1, inputs 0": quiet[1.1]}
across, down = "steps back, k", "length of the gradient / its length at k = 0"
picture = ts.plot.lines(k, series, across, down, "What is left of a gradient, tanh network", log="y")
figure(picture, "Straight on a logarithmic scale would be the same factor at every step. Most curves come close.")

# %%
picture = Figure(figsize=(8, 3.6), layout="constrained")
axes = picture.subplots()
axes.plot(line, losses, color="#0072B2")
axes.plot(edge, losses[at], "o", color="#D55E00", label="steepest point")
axes.plot(clipped, cliff(np.array([clipped]))[0][0], "s", color="#009E73", label="after a clipped step")
axes.set(title="Loss after ten steps of one unit", xlabel="bias b", ylabel="squared error")
axes.legend(frameon=False)
figure(picture, "Nearly flat on both sides of one cliff. The plain step from it ends far outside this picture.")

# %% [markdown]
# ## Your turn
#
# 1. Run `reach` with `x * 5`. Expected: it vanishes faster, also for 1.3: full units have slopes near 0.
# 2. Let all eigenvalues of $U$ be below 1, but not all singular values: $U = ((0.9, 5), (0, 0.9))$. What does its power
#    do? Expected: it grows first and vanishes in the end.

# %% [markdown]
# ## Limits and sources
#
# The bound is one-sided: singular values below 1 are enough to vanish; values above 1 are needed to explode, but not
# enough. All networks here are untrained. What distance a trained network bridges is a question for the lesson on
# recall (A20).
#
# S. Hochreiter, diploma thesis, TU Munich 1991. Y. Bengio, P. Simard and P. Frasconi, IEEE Trans. Neural Networks 5
# (1994) 157. R. Pascanu, T. Mikolov and Y. Bengio, ICML 2013 (clipping, the cliff).

# %% solution
loud = reach(1.3 * turn, 5 * x, W)
check("A20", "louder inputs, less gradient", loud[T] < curves[1.3][T] / 10)
skew = np.array([[0.9, 5.0], [0.0, 0.9]])
powers = [np.linalg.norm(np.linalg.matrix_power(skew, n), 2) for n in range(1, 201)]
print(f"length of the powers: first {powers[0]:.1f}, largest {max(powers):.1f}, last {powers[-1]:.1e}")
check("A20", "it grows first and vanishes in the end", max(powers) > 2 * powers[0] and powers[-1] < 1e-5)
