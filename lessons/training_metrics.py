# %% [markdown]
# # Metrics
#
# How good is a model? Six numbers that the articles name, counted from scratch, and the cases in which each of them
# misleads.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning |
# |---|---|
# | $TP, FP$ | said yes: rightly, wrongly |
# | $FN, TN$ | said no: wrongly, rightly |
# | $n$ | number of all items |
# | $p_k$ | share of a translation's groups of $k$ words that a reference contains |
# | $c, r$ | length of the translation and of the reference, in words |

# %%
from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from tinyslm import metrics
from tinyslm.lesson import check, figure

rng = np.random.default_rng(0)

# %% [markdown]
# ## As printed
#
# Article A, 4.3, and question 5 of the appendix (A15) name accuracy, precision, recall, F1, BLEU and error rate, and
# give no formula. They are standard, and their use as told there is right. Here are the formulas.

# %%
true = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
said = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])


def counts(true, said):
    return [int(((true == t) & (said == s)).sum()) for t, s in ((1, 1), (0, 1), (1, 0), (0, 0))]


tp, fp, fn, tn = counts(true, said)
print(f"TP {tp}, FP {fp}, FN {fn}, TN {tn}")
check("A15", "the four counts are those of the confusion matrix",
      metrics.confusion_matrix(true, said).tolist() == [[tn, fp], [fn, tp]])  # fmt: skip

# %% [markdown]
# ## Accuracy and error rate
#
# $$\mathrm{accuracy} = \frac{TP + TN}{n}, \quad \mathrm{error\ rate} = 1 - \mathrm{accuracy}$$

# %%
accuracy = (tp + tn) / len(true)
check("A15", "accuracy 7 of 10, equal to the library's", accuracy == 0.7 == metrics.accuracy(true, said), None, "right")
check("A15", "the error rate is 1 - accuracy", np.isclose(metrics.error_rate(true, said), 1 - accuracy))

# %% [markdown]
# ## Precision and recall
#
# Of those it called: how many were right? Of those there are: how many did it find?
#
# $$\mathrm{precision} = \frac{TP}{TP + FP}, \quad \mathrm{recall} = \frac{TP}{TP + FN}$$


# %%
def scores(true, said):
    """Precision, recall and F1; 0 where nothing was called or there is nothing to find."""
    tp, fp, fn, _ = counts(true, said)
    precision, recall = tp / max(tp + fp, 1), tp / max(tp + fn, 1)
    return precision, recall, 2 * tp / max(2 * tp + fp + fn, 1)


precision, recall, f1 = scores(true, said)
check("A15", "precision 3 of 5, recall 3 of 4", (precision, recall) == (0.6, 0.75))
draws = [rng.integers(0, 2, (2, 30)) for _ in range(50)]
theirs = [metrics.class_scores(metrics.confusion_matrix(t, s, 2))[1] for t, s in draws]
ours = [scores(t, s) for t, s in draws]
check("A15", "on 50 random cases all three are equal to the library's",
      np.allclose(ours, [(x.precision, x.recall, x.f1) for x in theirs]))  # fmt: skip

# %% [markdown]
# ## F1
#
# The harmonic mean is near the smaller of the two: neither can make up for the other.
#
# $$F_1 = \frac{2}{1 / \mathrm{precision} + 1 / \mathrm{recall}}$$

# %%
check("A15", "F1 is the harmonic mean", np.isclose(f1, 2 / (1 / precision + 1 / recall)))
harmonic = 2 / (1 / 0.02 + 1 / 1.0)
print(f"precision 0.02, recall 1: mean {(0.02 + 1) / 2:.2f}, F1 {harmonic:.3f}")
check("A15", "with one of them near 0, F1 is near 0 and the plain mean is not", harmonic < 0.05 < (0.02 + 1) / 2)

# %% [markdown]
# ## When accuracy misleads
#
# Two of 100 messages are spam. A filter that never finds any is right on nearly all messages. So state the share of the
# commonest class beside every accuracy.

# %%
spam = np.arange(100) < 2
never = np.zeros(100, int)
lazy = metrics.accuracy(spam.astype(int), never)
print(f"never spam: accuracy {lazy:.0%}, recall {scores(spam, never)[1]:.0%}, F1 {scores(spam, never)[2]:.0%}")
check(
    "A15", "a filter that finds nothing has 98 percent accuracy and F1 0", lazy == 0.98 and scores(spam, never)[2] == 0
)
everything = scores(spam, np.ones(100, int))
check(
    "A15",
    "recall alone misleads, too: calling everything spam has recall 1",
    everything[1] == 1 and everything[0] == 0.02,
)

# %% [markdown]
# ## The threshold decides
#
# A model gives a score, and a threshold makes it yes or no. Precision and recall pull in opposite directions. We draw
# scores for 2000 items of which one in ten is positive; positives score higher by two standard deviations.

# %%
positive = np.arange(2000) < 200
score = rng.normal(2.0 * positive, 1.0)
thresholds = np.linspace(-1, 4, 101)
table = np.array([(*scores(positive, score > t), np.mean((score > t) == positive)) for t in thresholds])
best = {name: thresholds[table[:, column].argmax()] for name, column in (("F1", 2), ("accuracy", 3))}
print("best threshold:", {name: f"{t:.2f}" for name, t in best.items()})
check("A15", "raising the threshold never raises recall", (np.diff(table[:, 1]) <= 0).all())
check("A15", "F1 and accuracy are largest at different thresholds", best["F1"] < best["accuracy"])

# %% [markdown]
# ## BLEU
#
# For translations: the share of groups of 1 to 4 words that the reference also has, as a geometric mean, times a factor
# for too short ones. Each group counts at most as often as it stands in the reference.
#
# $$\mathrm{BLEU} = \min(1, e^{1 - r / c}) \; (p_1 p_2 p_3 p_4)^{1/4}$$


# %%
def groups(words, k):
    return Counter(tuple(words[i : i + k]) for i in range(len(words) - k + 1))


def precision_of_groups(reference, candidate, k, clip=True):
    found, known = groups(candidate, k), groups(reference, k)
    matched = sum(min(n, known[g]) if clip else n * (g in known) for g, n in found.items())
    return matched / max(found.total(), 1)


def bleu(reference, candidate, **how):
    reference, candidate = reference.split(), candidate.split()
    shares = [precision_of_groups(reference, candidate, k, **how) for k in (1, 2, 3, 4)]
    short = min(1.0, np.exp(1 - len(reference) / len(candidate)))
    return float(short * np.prod(shares) ** 0.25)


reference = "the cat sat on the mat and looked at the dog"
tries = {
    "the same": reference,
    "one word other": "the cat sat on the mat and looked at the bird",
    "first half": "the cat sat on the mat",
    "words shuffled": "dog the looked and mat cat the at on sat the",
    "said otherwise": "upon the rug a cat was sitting while it watched the dog",
}
results = {name: bleu(reference, text) for name, text in tries.items()}
for name, value in results.items():
    print(f"{name:15s} BLEU {value:.3f}")
library = [float(metrics.bleu([[reference.split()]], [text.split()])) for text in tries.values()]
check("A15", "BLEU is equal to the library's on all five", np.allclose(list(results.values()), library), None, "right")
mat = ["the", "cat", "is", "on", "the", "mat"]
again = [precision_of_groups(mat, ["the"] * 7, 1, clip) for clip in (True, False)]
check("A15", "the paper's example: 'the' seven times has 2/7 clipped, 1 else", np.allclose(again, [2 / 7, 1]))

# %% [markdown]
# ## When BLEU misleads
#
# It compares words and not meanings: a good translation in other words gets as little as a shuffled one. It is made for
# whole test sets, and one sentence without any group of four in common has the score 0.

# %%
check(
    "A15",
    "another way to say it gets 0, like shuffled words",
    results["said otherwise"] == results["words shuffled"] == 0,
)
check("A15", "half of the sentence gets less than half, by the factor for short ones", results["first half"] < 0.5)

# %% [markdown]
# ## The power of the check
#
# Five ways to miscount, on the examples above.

# %%
swapped = [scores(s, t)[0] for t, s in draws]
miscounts = {
    "precision and recall exchanged": not np.allclose(swapped, [x[0] for x in ours]),
    "plain mean in place of F1": not np.allclose([(p + r) / 2 for p, r, _ in ours], [x[2] for x in ours]),
    "true negatives in F1": not np.allclose([np.mean(t == s) for t, s in draws], [x[2] for x in ours]),
    "BLEU without clipping": not np.isclose(precision_of_groups(mat, ["the"] * 7, 1, clip=False), 2 / 7),
    "BLEU without the factor for short ones": not np.isclose(results["first half"], 1.0),
}
print({name: "caught" if caught else "missed" for name, caught in miscounts.items()})
check("A15", "all five miscounts are caught", all(miscounts.values()))

# %%
picture = Figure(figsize=(9.0, 3.8), layout="constrained")
left, right = picture.subplots(1, 2)
looks = {
    "precision": ("#D55E00", ":"),
    "recall": ("#009E73", "--"),
    "F1": ("#0072B2", "-"),
    "accuracy": ("#000000", "-."),
}
for column, (name, (colour, style)) in enumerate(looks.items()):
    left.plot(thresholds, 100 * table[:, column], style, color=colour, label=name)
for name in ("F1", "accuracy"):
    left.vlines(best[name], 0, 100, color=looks[name][0], linewidth=0.8, label=f"best for {name}")
left.set(xlabel="threshold", ylabel="score (%)", title="One in ten is positive: scores by threshold", ylim=(0, 140))
share = np.linspace(0.01, 0.5, 50)
right.plot(100 * share, 100 * (1 - share), looks["accuracy"][1], color="#000000", label="accuracy")
right.plot(100 * share, 0 * share, color="#0072B2", label="F1")
right.set(xlabel="share of positives (%)", title="The scores of always saying no", ylim=(-3, 140))
for panel in (left, right):
    panel.set_yticks(range(0, 101, 20))
    panel.legend(fontsize=9, loc="upper center", ncols=2)
figure(
    picture, "Left: the threshold trades precision for recall. Right: the rarer the class, the better saying no looks."
)

# %% [markdown]
# ## Your turn
#
# 1. Two filters on 1000 messages with 20 spams. One finds 15 and calls 10 good ones spam; the other finds 19 and calls
#    60. Which has the higher accuracy, which the higher recall? Expected: the first the accuracy and F1, the second the
#    recall.
# 2. Give BLEU a candidate that is the reference twice over. Expected: below 1, although every word of it is right.

# %% [markdown]
# ## Limits and sources
#
# Precision, recall and F1 are those of one class; for several classes they are averaged, in more than one way
# (`metrics.macro_average`, `metrics.micro_average`). No metric here says how sure it is: `metrics.bootstrap_interval`
# gives an interval. The word error rate of speech recognition is another number, with insertions and deletions.
#
# K. Papineni et al., BLEU, ACL 2002. C. J. van Rijsbergen, Information Retrieval, 1979.


# %% solution
def by_counts(found, called, spams=20, n=1000):
    f1 = 2 * found / (spams + found + called)
    return {"accuracy": 1 - (spams - found + called) / n, "recall": found / spams, "F1": f1}


first, second = by_counts(15, 10), by_counts(19, 60)
print(first, second)
accurate = first["accuracy"] > second["accuracy"] and first["F1"] > second["F1"]
check(
    "A15",
    "exercise 1: the first has accuracy and F1, the second recall",
    accurate and second["recall"] > first["recall"],
)
check(
    "A15", "exercise 2: the reference twice over has a BLEU below 1", bleu(reference, f"{reference} {reference}") < 0.6
)
