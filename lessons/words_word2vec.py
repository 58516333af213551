# %% [markdown]
# # Word2Vec, as printed and as it learns
#
# Article A gives one equation for Word2Vec: a word's vector is the mean of the vectors of its neighbours. Which vectors
# satisfy it, and what does a model need to learn some that mean something?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $V, d, K$ | words, features of a vector, negative samples per pair | numbers |
# | $p(w, j)$ | article A: the probability that words $w$ and $j$ occur together | $(V, V)$ as matrix $P$ |
# | $v_w$ | vector of word $w$; all together $v$ | $(d)$, $(V, d)$ |
# | $u_c$ | vector of word $c$ where it stands as context; all together $u$ | $(d)$, $(V, d)$ |
# | $\rho(P)$ | spectral radius: size of the largest eigenvalue | number |

# %%
from collections import Counter

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.lesson import check, figure, minimise

rng = np.random.default_rng(0)
stories = [ts.text.words(story.lower()) for story in ts.data.load_text("stories").strip().split("\n\n\n")]
train, held_out = stories[:54], stories[54:]
counts = Counter(word for story in train for word in story)
vocabulary = [word for word, n in counts.most_common() if n >= 15]
index = {word: i for i, word in enumerate(vocabulary)}
V, d, K = len(vocabulary), 12, 5


def neighbours(stories, window=2):
    """Pairs (word, context): words of the vocabulary at most `window` places apart, in both orders."""
    found = []
    for story in stories:
        ids = [index.get(word, -1) for word in story]
        for gap in range(1, window + 1):
            found += [pair for pair in zip(ids, ids[gap:], strict=False) if min(pair) >= 0]
    return np.array(found + [(c, w) for w, c in found])


three = vocabulary[:3]
near = [[(0, 1), (1, 2), (1, 0), (2, 1)], [(0, 1), (1, 2), (0, 2), (1, 0), (2, 1), (2, 0)]]
both = [list(map(tuple, neighbours([three], window))) for window in (1, 2)]
check("A5", "neighbours: three words have two pairs in a window of 1, three in one of 2, both ways", both == near)
pairs = neighbours(train)
together = np.zeros((V, V))
np.add.at(together, tuple(pairs.T), 1)
print(f"V = {V} words that occur at least 15 times, {len(pairs)} pairs")

# %% [markdown]
# ## As printed
#
# Article A, 4.1, "Word vectors" (A5). The same vectors stand on both sides, so this is an equation to be solved, not a
# rule to be computed.
#
# $$v_w = \sum_j p(w, j) \, v_j$$
#
# In matrix form $v = P v$. The article calls $p$ the probability of occurring together: all $V^2$ numbers add up to 1.


# %%
def iterate(P, v, steps):
    """v after the steps, and the spread of the vectors around their mean, and their size, after each step."""
    trace = []
    for _ in range(steps):
        v = P @ v
        trace.append((np.abs(v - v.mean(axis=0)).max(), np.abs(v).max()))
    return v, np.array(trace).T


joint = together / together.sum()
radius = np.abs(np.linalg.eigvals(joint)).max()
start = rng.normal(size=(V, d))
_, (_, size) = iterate(joint, start, 20)
print(f"largest eigenvalue {radius:.4f}; largest number in v from {np.abs(start).max():.1f} to {size[-1]:.0e}")
check("A5", "joint p: the spectral radius is below 1", radius < 1)
half, (apart, _) = iterate(np.diag([0.5, 0.25]), np.array([[1.0], [4.0]]), 1)
check("A5", "one step multiplies by P once", (half == [[0.5], [1.0]]).all() and apart == [0.25])
only_zero = np.linalg.matrix_rank(np.eye(V) - joint) == V
check("A5", "so v = 0 is the only solution, for every word", only_zero and size[-1] < 1e-12, verdict="wrong: value")

# %% [markdown]
# ## Another reading: given the word
#
# Let each row of $P$ add up to 1, $p(j \mid w)$. Then $v = P v$ has other solutions than 0. But where every word can be
# reached from every other, averaging makes all vectors the same.

# %%
conditional = together / together.sum(axis=1, keepdims=True)
same, (spread, _) = iterate(conditional, start, 200)
check("A5", "conditional p: every word gets the same vector", spread[-1] < 1e-12 < np.abs(same).max())
solutions = V - np.linalg.matrix_rank(np.eye(V) - conditional, tol=1e-8)
check("A5", "there is no other solution: the equation leaves one vector free, shared by all words", solutions == 1)
two = np.eye(2)[::-1]  # two words, each the only neighbour of the other
_, (swapping, _) = iterate(two, np.array([[1.0], [-1.0]]), 201)
check("A5", "two words that only meet each other swap their vectors for ever", set(swapping) == {1.0})
check("A5", "the radius is 1 in a corpus that is one word, over and over", np.linalg.norm(np.diag([1.0, 0, 0]), 2) == 1)

# %% [markdown]
# ## What the formula is good for
#
# Read as one step from given random vectors it adds up what a word's neighbours have: a count model, known as random
# indexing. Words with equal neighbours get equal vectors. But nothing is learned: there is no objective, so nothing
# that a gradient could make smaller, and no word is ever told apart from one that does not fit.


# %%
def nearest(vectors, word, n=1):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[index[word]]))
    return [vocabulary[i] for i in order if i != index[word]][:n]


twin = np.vstack([conditional, conditional[index["he"]]])  # one more word, with the neighbours of "he"
one_step = twin @ start
check("A5", "one step: equal neighbours, equal vectors", np.array_equal(one_step[-1], one_step[index["he"]]))

# %% [markdown]
# ## Repaired: an objective
#
# Skip-gram with negative sampling. For each pair that occurs, $K$ contexts are drawn at random. The model learns to
# tell the pair from the draws:
#
# $$L = -\ln \sigma(u_c \cdot v_w) - \sum_{k=1}^{K} \ln \sigma(-u_{n_k} \cdot v_w)$$


# %%
def loss_of(v, u, w, contexts):
    """w (B,), contexts (B, 1 + K): the right one first. Returns (B,)."""
    score = (ts.embedding(contexts, u) * ts.embedding(w, v).unsqueeze(1)).sum(-1)
    sign = np.ones(contexts.shape)
    sign[:, 0] = -1
    return ts.softplus(score * ts.tensor(sign)).sum(-1)  # -ln sigma(x) = softplus(-x)


# %% [markdown]
# ## Its gradient
#
# With $t = 1$ for the right context and 0 for a draw, each score has the slope $\sigma - t$.
#
# $$\frac{\partial L}{\partial v_w} = \sum_c (\sigma(u_c \cdot v_w) - t_c) \, u_c , \quad
# \frac{\partial L}{\partial u_c} = (\sigma(u_c \cdot v_w) - t_c) \, v_w$$


# %%
def by_hand(g, v, u, slope=lambda p, t: p - t, add=np.add.at):
    v, u, g = v.numpy(), u.numpy(), g.numpy()
    share = slope(1 / (1 + np.exp(-np.einsum("bkd,bd->bk", u[C], v[W]))), np.eye(1 + K)[0]) * g[:, None]
    dv, du = np.zeros_like(v), np.zeros_like(u)
    add(dv, W, np.einsum("bk,bkd->bd", share, u[C]))
    add(du, C, share[:, :, None] * v[W][:, None])
    return dv, du


W = rng.integers(0, 7, size=4)
C = rng.integers(0, 7, size=(4, 1 + K))  # 24 draws from 7 words: contexts repeat
point = [rng.normal(size=(7, 3)) for _ in range(2)]


def examine(rule):
    return ts.gradcheck(lambda v, u: loss_of(v, u, ts.tensor(W), ts.tensor(C)), point, backward=rule)


check("A5", "repaired: the gradient by hand is right", examine(by_hand), verdict="right")
mistakes = {
    "sign of the slope": lambda *a: by_hand(*a, slope=lambda p, t: t - p),
    "draws counted as right": lambda *a: by_hand(*a, slope=lambda p, t: p - 1),
    "p(1 - p) for p - t": lambda *a: by_hand(*a, slope=lambda p, t: p * (1 - p)),
    "repeated words overwritten": lambda *a: by_hand(*a, add=lambda to, at, new: to.__setitem__(at, new)),
    "u and v exchanged": lambda *a: by_hand(*a)[::-1],
}
check("A5", f"the check catches {len(mistakes)} mistakes", not any(examine(rule).ok for rule in mistakes.values()))

# %% [markdown]
# ## Trained on the stories
#
# Draws follow $n^{3/4}$, which takes rare words a little more often than they occur. Six stories are kept out: is a
# pair that occurs there scored higher than the same word with a context from another pair?


# %%
def fit(steps=350, batch=512):
    noise = np.cumsum([counts[word] ** 0.75 for word in vocabulary])
    v = ts.tensor(rng.normal(size=(V, d)) * 0.1, requires_grad=True)
    u = ts.tensor(np.zeros((V, d)), requires_grad=True)

    def loss():
        chosen = pairs[rng.integers(len(pairs), size=batch)]
        draws = np.searchsorted(noise, rng.random((batch, K)) * noise[-1])
        return loss_of(v, u, ts.tensor(chosen[:, 0]), ts.tensor(np.hstack([chosen[:, 1:], draws]))).mean()

    losses = minimise(ts.optim.Adam([v, u], lr=0.02), loss, steps)
    return v.numpy(), u.numpy(), losses


v, u, losses = fit()
print(f"loss {losses[0]:.2f} at the start, {np.mean(losses[-50:]):.2f} at the end")
check("A5", "repaired: the loss falls by a quarter", np.mean(losses[-50:]) < 0.75 * losses[0])
unseen = neighbours(held_out)
right, other = ((v[unseen[:, 0]] * u[c]).sum(1) for c in (unseen[:, 1], rng.permutation(unseen[:, 1])))
won = (right > other).mean()
print(f"held-out pairs scored above shuffled ones: {won:.1%} of {len(unseen)} (guessing: 50 %)")
check("A5", "repaired: it knows more about unseen stories than chance", won > 0.5 + 3 * 0.5 / np.sqrt(len(unseen) / 2))
for word in ("he", "his", "in", "would", "was"):
    print(f"  {word:6s} nearest: {', '.join(nearest(v, word, 3))}")
alike = "she" in nearest(v, "he", 3) and {"could", "did"} & set(nearest(v, "would", 3))
check("A5", "repaired: 'she' is near 'he', 'could' or 'did' near 'would'", alike)

# %%
picture = Figure(figsize=(9.2, 4.2), layout="constrained")
left, right_panel = picture.subplots(1, 2)
left.semilogy(range(1, 21), size, color="#D55E00", linestyle="--", label="joint p: size")
left.semilogy(range(1, 21), spread[:20], color="#0072B2", label="p given the word: spread")
left.semilogy(range(1, 21), swapping[:20], color="#009E73", linestyle=":", label="two words: spread")
left.set(title="As printed: v <- P v", xlabel="step", ylabel="largest number", xticks=range(0, 21, 5))
left.legend(frameon=False, loc="lower left")
shown = ["he", "she", "they", "it", "i", "you", "his", "her", "their", "the", "a", "would", "was", "in", "on"]
unit = (v / np.linalg.norm(v, axis=1, keepdims=True))[[index[w] for w in shown]]
centred = unit - unit.mean(axis=0)
flat = centred @ np.linalg.svd(centred)[2][:2].T
right_panel.scatter(*flat.T, s=8, color="#0072B2")
for word, place in zip(shown, flat, strict=True):
    right_panel.annotate(word, place, (3, 3), textcoords="offset points", fontsize=9)
right_panel.margins(0.16)
right_panel.set(title="Repaired: trained vectors, flattened", xlabel="first main direction", ylabel="second")
figure(picture, "Left: the printed equation leads to 0, to one shared vector, or in a circle. Right: kinds of words.")

# %% [markdown]
# ## Your turn
#
# 1. With $d \geq V$ the scores can take any value. Show that the best score of a pair is
#    $\ln \frac{p(w, c)}{p(w) \, q(c)} - \ln K$ with $q$ the distribution of the draws. Expected: the slope of the mean
#    loss is 0 there.
# 2. Train with a window of 5. Expected: the neighbours of a word become words of the same scene, less of the same kind.

# %% [markdown]
# ## Limits and sources
#
# The stories are short: only frequent words, most of them small ones, get vectors that say something. The
# neighbours printed above were looked at for a few words, chosen before. The printed equation is called wrong as a
# definition of word vectors; as one averaging step it is a known method.
#
# T. Mikolov et al., arXiv 1301.3781 and NIPS 2013. O. Levy and Y. Goldberg, NIPS 2014 (the best scores). M. Sahlgren,
# An introduction to random indexing, 2005.

# %% solution
p = rng.dirichlet(np.ones(20)).reshape(4, 5)  # any joint distribution of 4 words and 5 contexts
p_w, q = p.sum(axis=1, keepdims=True), rng.dirichlet(np.ones(5))


def mean_loss(score):
    """Pairs come from p; for each, K draws from q."""
    return (ts.tensor(p) * ts.softplus(-score) + ts.tensor(K * p_w * q) * ts.softplus(score)).sum()


best = ts.tensor(np.log(p / (p_w * q)) - np.log(K), requires_grad=True)
slope = np.abs(ts.grad(mean_loss(best), [best])[0].numpy()).max()
check("A5", "the slope of the mean loss is 0 at the stated scores", slope < 1e-12)
