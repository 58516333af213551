# %% [markdown]
# # The articles' classifier, trained
#
# What do the two listings build, and what comes out when they are given data? Article A (5.2) trains an LSTM on a file
# that does not come with it (A16); article B (5.2) trains one on two sentences and reports how well it fits them (B14).
# %%
import numpy as np

import tinyslm as ts
from tinyslm import lesson, nn, ops, optim, plot
from tinyslm.data import batches, load_table, stratified_split
from tinyslm.metrics import accuracy, class_report
from tinyslm.text import WordTokenizer, pad

# %% [markdown]
# ## Symbols and shapes
#
# | symbol | meaning | shape |
# |---|---|---|
# | ids | word numbers, 0 is padding | (B, T) |
# | x | word vectors | (B, T, E) |
# | h | the LSTM's last state | (B, H) |
# | p | probability of "positive" | (B,) |
# %% [markdown]
# ## As printed: the number of parameters
#
# An embedding holds $V E$ numbers, an LSTM $4 (E + H + 1) H$, a dense layer $(H + 1) C$. Built layer by layer, each
# listing must have exactly that many.


# %%
def build(words, vector, hidden, layers, outputs, rng):
    """Embedding, LSTM, dense layer, as in the listings."""
    return nn.ModuleList(
        [
            nn.Embedding(words, vector, scale=0.05, rng=rng),
            nn.LSTM(vector, hidden, layers, rng=rng),
            nn.Linear(hidden, outputs, rng=rng),
        ]
    )


def count(V, E, H, layers, C):
    """The formula above, for one or two LSTM layers."""
    return V * E + sum(4 * (n + H + 1) * H for n in [E, H][:layers]) + (H + 1) * C


listings = {"A16": (10_000, 64, 128, 1, 1), "B14": (10_000, 50, 128, 1, 2), "B13": (10_000, 50, 128, 2, 2)}
for id, sizes in listings.items():
    built = build(*sizes, np.random.default_rng(0)).num_parameters()
    lesson.check(id, f"the listing has {built:,} parameters", built == count(*sizes))

# %% [markdown]
# ## It breaks: texts are not numbers
#
# The second listing of article B hands raw sentences to an embedding, which takes numbers of words. The listing of
# article A turns them into numbers first, but reads a table `data.csv` that does not come with the article.
# %%
try:
    nn.Embedding(10_000, 50, rng=np.random.default_rng(0))(np.array(["I love it"]))
    said = ""
except (TypeError, ValueError) as error:
    said = str(error)
lesson.check("B13", "raw texts, as the listing passes them, are refused", said, verdict="wrong: value")

# %% [markdown]
# ## It breaks: a score on two sentences says nothing about a third
#
# Article B trains for 10 epochs on two sentences and prints probabilities of 0.9999 in an array of shape (2, 2, 1). Run
# over five seeds, 20 steps of Adam do not get there, and the output for two texts has the shape (2, 2).
# %%
two = np.array([[0, 0, 1, 2, 3, 4], [0, 0, 5, 6, 7, 8]])
surest = []
for seed in range(5):
    embedding, lstm, dense = model = build(10_000, 50, 128, 1, 2, np.random.default_rng(seed))
    adam = optim.Adam(model.parameters(), lr=1e-3)
    for step in range(20):
        row = step % 2
        _, (h, _) = lstm(embedding(two[row : row + 1]))
        adam.zero_grad()
        ops.cross_entropy(dense(h[0]), np.array([row])).backward()
        adam.step()
    p = dense(lstm(embedding(two))[1][0][0]).softmax(-1).numpy()
    surest.append(p.max())
lesson.check("B15", f"the output for two texts has shape {p.shape}", p.shape == (2, 2), verdict="wrong: shape")
lesson.check("B15", f"the surest of five seeds reaches {max(surest):.3f}, not 0.9999", max(surest) < 0.9999)

# %% [markdown]
# ## Repaired: data that is split in three
#
# Article A's listing validates on its own test part, so the best epoch is picked with knowledge of the test. Here the
# epoch is picked on a validation part. The test part holds kinds of goods that training never saw.
# %%
table = load_table("reviews")
known, test = table.where("split", "train"), table.where("split", "test")
keep, held = stratified_split(known.labels, (0.875, 0.125), rng=np.random.default_rng(1))
train, valid = known.take(keep), known.take(held)
tokenizer = WordTokenizer(size=10_000, punctuation=True).fit(train.texts)


def numbers(part):
    """Texts and labels of a part as ids (N, 100) and classes (N,)."""
    ids, _ = pad([tokenizer.encode(text) for text in part.texts], length=100)
    return ids, np.array([label == "positive" for label in part.labels], np.int64)


lesson.check("A16", "no text of the test part stands in the training part", not set(test.texts) & set(train.texts))

# %% [markdown]
# ## One equation per cell: the model
#
# The last state of the LSTM becomes one number, and its sigmoid is the probability of the second class:
# $p = \sigma(w^\top h_T + b)$.
# %%
rng = np.random.default_rng(2)
embedding, lstm, dense = model = build(10_000, 64, 128, 1, 1, rng)


def logits(ids):
    """Scores (B,) before the sigmoid."""
    _, (h, _) = lstm(embedding(ids))
    return dense(h[0]).squeeze(-1)


# %% [markdown]
# ## The loss
#
# $L = -\frac{1}{B} \sum_b [y_b \ln p_b + (1 - y_b) \ln (1 - p_b)]$, written on logits, so that no logarithm meets 0.
# The gradient that Adam will use is checked before anything is trained, on one short text in double precision.


# %%
def loss_of(ids, classes, scores=logits):
    """Mean binary cross-entropy."""
    z = scores(ids)
    return ops.binary_cross_entropy_with_logits(z, ts.tensor(classes.astype(str(z.dtype))))


small = build(7, 3, 2, 1, 1, np.random.default_rng(3)).to("float64")
ids, classes = np.array([[0, 3, 1, 3, 6]]), np.array([1])
target = ts.tensor(classes.astype("float64"))


def by_recurrent_weights(w_hh):
    """The loss as a function of the recurrent weights alone."""
    zero = ts.tensor(np.zeros((1, 2)))
    _, h, _ = ops.lstm(small[0](ids), zero, zero, small[1].weight_ih_l0, w_hh, small[1].bias_l0)
    return ops.binary_cross_entropy_with_logits(small[2](h).squeeze(-1), target)


report = ts.gradcheck(by_recurrent_weights, [small[1].weight_hh_l0.numpy()], rng=np.random.default_rng(4))
lesson.check("A16", "the gradient through time of the recurrent weights is right", report)

# %% [markdown]
# ## Ten epochs
#
# Batches of 32, Adam with a learning rate of 0.001, as in the listing.


# %%
def evaluate(part):
    """Loss, predicted classes and true classes of a part."""
    ids, classes = numbers(part)
    with ts.no_grad():
        z = logits(ids)
    return loss_of(ids, classes, lambda _: z).item(), (z.numpy() > 0).astype(int), classes


adam = optim.Adam(model.parameters(), lr=1e-3)
ids, classes = numbers(train)
history, best = [], {}
for epoch in range(1, 11):
    for x, y in batches(ids, classes, 32, rng):
        adam.zero_grad()
        loss_of(x, y).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
    scores = {"epoch": epoch}
    for name, part in (("train", train), ("valid", valid)):
        loss, found, true = evaluate(part)
        scores |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy(true, found)}
    history.append(scores)
    if scores["valid_accuracy"] >= max(s["valid_accuracy"] for s in history):
        best = model.state_dict()
print(f"training {history[-1]['train_accuracy']:.1%}, validation {history[-1]['valid_accuracy']:.1%} after ten epochs")

# %% [markdown]
# ## The test part, opened once
#
# The training score tells how well the model remembers. Only the test score tells how well it reads.
# %%
model.load_state_dict(best)
_, found, true = evaluate(test)
report = class_report(true, found, ["negative", "positive"])
print(report)
remembers, reads = max(s["train_accuracy"] for s in history), report.accuracy
lesson.check("B14", f"it remembers {remembers:.0%} of the training texts", remembers > 0.95, verdict="incomplete")
lesson.check("B14", f"of unseen texts it gets {remembers - reads:.0%} fewer right", remembers - reads > 0.1)
lesson.check(
    "A16", f"with a table, right on {reads:.0%} of the test part (guessing 50%)", reads > 0.6, verdict="incomplete"
)
lesson.figure(plot.curves(history), "The training loss goes on falling when the validation loss has stopped.")
lesson.figure(plot.confusion(report.confusion, report.labels), "Which class is taken for which, in the test part.")

# %% [markdown]
# ## Inside: the gates over one sentence
#
# The same weights, one step at a time, so that each gate can be seen: input $i$, forget $f$, output $o$, cell $c$. Of
# the 128 units the one is shown whose gates move most.
# %%
sentence = "It looks cheap, but after a year I still love it."
words = tokenizer.tokens(sentence)
padded, _ = pad([tokenizer.encode(sentence)], length=100)
W, U, b = (p.numpy().astype(float) for p in (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_l0))
h, c, steps = np.zeros(128), np.zeros(128), []
for x in embedding(padded[0]).numpy():
    i, f, g, o = np.split(W @ x + U @ h + b, 4)
    i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
    c = f * c + i * np.tanh(g)
    h = o * np.tanh(c)
    steps.append((i, f, o, c))
_, (last, _) = lstm(embedding(padded))
difference = np.abs(last.numpy()[0, 0] - h).max()
lesson.check("B9", "the state computed gate by gate is the layer's own", difference < 1e-5)
read = np.array(steps)[-len(words) :]
unit = read[:, :3].std(axis=0).sum(axis=0).argmax()
picture = plot.gates(dict(zip("ifoc", read[:, :, unit].T, strict=True)), words)
lesson.figure(picture, "One unit reads the sentence: the cell adds up what the words bring.")

# %% [markdown]
# ## Your turn
#
# 1. Train on 100 texts instead of all. Expect the training score to stay and the test score to fall (B21).
# 2. Remove the stop words with `WordTokenizer(drop_stop_words=True)`. Both lists hold "not": look at the reviews whose
#    verdict hangs on a negation.
# %% [markdown]
# ## Limits and sources
#
# One seed, 200 test texts: a difference of a few percent between two models means nothing here. The command
# `tinyslm train classifier` trains the same system on any table of texts and labels. LSTM: Hochreiter and Schmidhuber
# 1997; forget gate: Gers et al. 2000; Adam: Kingma and Ba 2015; clipping: Pascanu et al. 2013.

# %% solution
deciding = test.where("style", "negation").texts
stop = ts.text.stop_words("en")
negations = {word for word in stop if word in ("not", "no", "nor", "never", "neither") or word.endswith("n't")}
lists = {"all words": {}, "stop words out": {"drop_stop_words": True}}
lists["negations kept"] = {"drop_stop_words": True, "keep": tuple(sorted(negations))}
have = {}
for name, options in lists.items():
    tokens = WordTokenizer(size=10_000, punctuation=True, **options).tokens
    have[name] = sum(bool(negations & set(tokens(text))) for text in deciding)
    print(f"{name:15s} {have[name]} of {len(deciding)} reviews have a negation word")
lesson.check("A14", "exercise 2: with the stop words goes every negation of the list", have["stop words out"] == 0)
lesson.check("A14", "at least nine in ten of these reviews had one", have["all words"] >= 0.9 * len(deciding))
lesson.check("A14", "and with `keep` they all have it again", have["negations kept"] == have["all words"])
