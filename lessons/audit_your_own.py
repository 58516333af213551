# %% [markdown]
# # Audit a formula of your own
#
# You have found a formula in a text and want to know whether it is right. Which questions can be asked of it, when its
# own gradient check says that everything is fine?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, D$ | tokens, features | numbers |
# | $x$ | a batch of tokens | $(B, D)$ |
# | $y$ | the same, brought to one size | $(B, D)$ |
# | $c$ | a positive number | number |

# %%
import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.audit import Answer, Reading, Record, audit, examine, questions
from tinyslm.lesson import check, figure

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
rng = np.random.default_rng(0)
B, D = 4, 6
x = rng.normal(size=(B, D))

# %% [markdown]
# ## The formula to be audited
#
# This one is made up for the lesson, in the manner of notes that one finds: RMS norm, which should bring every token to
# the same size, with the root forgotten. What is meant stands in the sentence beside it: the size of the input must not
# matter.
#
# $$y = \frac{x}{\frac{1}{D} \sum_i x_i^2}$$


# %%
def found(x):
    return x / (x * x).mean(dim=-1, keepdim=True)


check("", "its gradient is right: a gradient check doesn't ask whether the formula is", ts.gradcheck(found, [x]))
sizes = found(ts.tensor([[1.0, 2.0], [3.0, 3.0]])).numpy()
check("", "(1, 2) has the mean square 5/2, and (3, 3) has 9", np.allclose(sizes, [[2 / 5, 4 / 5], [1 / 3, 1 / 3]]))

# %% [markdown]
# ## First step: write down every reading
#
# Before you judge, give the formula every sense that it can have. Here the sum may run over the features of one token
# or over the whole batch. A reading that the text rules out is run, too, and marked.

# %%
readings = (
    Reading("over the features", found),
    Reading("over the batch", lambda x: x / (x * x).mean(), excluded="the sentence speaks of every token"),
)
print([reading.name for reading in readings])

# %% [markdown]
# ## Second step: ask what follows from the purpose
#
# Each question is a property that the formula must have because of what it is for. It never mentions the repair.
#
# $$f(c x) = f(x), \quad \mathrm{mean}_i \; y_i^2 = 1$$


# %%
@questions.asks("range", "Has every token the mean square 1?")
def unit_size(formula):
    squares = (questions.value(formula, x) ** 2).mean(axis=-1)
    return Answer(bool(np.allclose(squares, 1)), f"from {squares.min():.3f} to {squares.max():.3f}")


@questions.asks("symmetry", "Does each token keep to itself?")
def alone(formula):  # measures how far the others move
    changed = x.copy()
    changed[0] *= 3
    gap = np.abs(questions.value(formula, changed)[1:] - questions.value(formula, x)[1:]).max()
    return Answer(bool(gap < 1e-9), f"the others change by {gap:.1e}")


asked = (
    questions.shapes((x,), (B, D), "(B, D), as it went in"),
    questions.homogeneous((x,), (0,), 0, "Is the size of the input forgotten?"),
    unit_size,
    alone,
    questions.equals((np.ones((1, D)),), np.ones((1, D)), "Does a token of ones stay as it is?"),
    questions.gradient((x,)),
)
for name, formula in ((r.name, r.formula) for r in readings):
    print(name)
    for question, answer in examine(name, formula, asked).answers:
        print(f"  {'yes' if answer.ok else 'no ':3s} {question.text} {answer.text}")
first = examine("", found, asked)
failed = [question.kind for question, answer in first.answers if not answer.ok]
check(
    "",
    "as found, scaling and range fail; shapes, one known value and the gradient pass",
    failed == ["scaling", "range"],
)

# %% [markdown]
# ## Why one known value is not enough
#
# For a token of ones the forgotten root changes nothing, for the root of 1 is 1. A single example that comes out right
# proves little; ask at a point where the parts of the formula differ.

# %%
known = first.answers[4][1].ok
twos = questions.equals((2 * np.ones((1, D)),), np.ones((1, D)), "And a token of twos?").ask(found)
print("token of twos:", twos.text)
check("", "the token of ones passes, the token of twos fails", known and not twos.ok)

# %% [markdown]
# ## Third step: the repair gets the same questions
#
# $$y = \frac{x}{\sqrt{\frac{1}{D} \sum_i x_i^2}}$$


# %%
def repaired(x):
    return x / (x * x).mean(dim=-1, keepdim=True).sqrt()


record = Record(
    id="X1",
    heading="made up for this lesson",
    title="RMS norm without its root",
    expected="wrong: value",
    said="the size of the input must not matter",
    readings=readings,
    questions=asked,
    repair=repaired,
)
result = audit(record)
print("verdict:", result.verdict, "  repair:", result.repair.verdict)
check("", "the verdict is computed: wrong: value", result.verdict == "wrong: value")
check("", "the repair passes all questions", result.repair.verdict == "right")
check(
    "",
    "equal to ts.rms_norm",
    np.allclose(repaired(ts.tensor(x)).numpy(), ts.rms_norm(ts.tensor(x), ts.tensor(np.ones(D)), eps=0.0).numpy()),
)

# %% [markdown]
# ## Fourth step: audit your questions
#
# Questions can be unfair. Swap the two formulas: the verdicts must swap. Then ask them of a legitimate relative that
# is written in another way: if it is condemned, the questions ask too much. And plant mistakes: each must be seen.

# %%
verdicts = {
    "as found": examine("", found, asked).verdict,
    "repaired": examine("", repaired, asked).verdict,
    "relative: root of D over the norm": examine(
        "", lambda x: x * D**0.5 / x.norm(dim=-1, keepdim=True), asked
    ).verdict,
    "mistake: sum in place of mean": examine("", lambda x: x / (x * x).sum(dim=-1, keepdim=True).sqrt(), asked).verdict,
    "mistake: largest in place of mean": examine("", lambda x: x / x.abs().max(dim=-1, keepdim=True), asked).verdict,
    "mistake: over the batch": examine("", lambda x: x / (x * x).mean().sqrt(), asked).verdict,
    "mistake: epsilon of 1": examine("", lambda x: x / ((x * x).mean(dim=-1, keepdim=True) + 1).sqrt(), asked).verdict,
    "mistake: over the tokens": examine("", lambda x: x / (x * x).mean(dim=0, keepdim=True).sqrt(), asked).verdict,
}
for name, verdict in verdicts.items():
    print(f"{name:36s} {verdict}")
swapped = audit(
    Record("X2", "", "", "right", "", readings=(Reading("repaired", repaired),), questions=asked, repair=found)
)
check("", "swapped, the verdicts swap", swapped.verdict == "right" and swapped.repair.verdict == "wrong: value")
check("", "the legitimate relative is not condemned", verdicts["relative: root of D over the norm"] == "right")
planted = [verdict for name, verdict in verdicts.items() if name.startswith("mistake")]
check("", "all five planted mistakes are seen", "right" not in planted)

# %%
shown = {"as found": found, "over the batch": readings[1].formula, "repaired": repaired}
kinds = ["shapes", "scaling", "range", "each alone", "ones", "gradient"]
answers = np.array([[bool(a.ok) for _, a in examine("", f, asked).answers] for f in shown.values()])
picture = Figure(figsize=(9.2, 3.4), layout="constrained")
left, right = picture.subplots(1, 2, width_ratios=(1.5, 1))
left.imshow(answers, cmap="cividis", vmin=-0.3, vmax=1.3, aspect="auto")
for i, j in np.ndindex(answers.shape):
    left.text(
        j, i, "yes" if answers[i, j] else "no", ha="center", va="center", color="black" if answers[i, j] else "white"
    )
left.set_xticks(range(len(kinds)), kinds)
left.set_yticks(range(len(shown)), list(shown))
left.set(title="The questions")
factors = 10.0 ** np.arange(-3, 4)
for (name, formula), colour, style in zip(
    shown.items(), ("#D55E00", "#E69F00", "#0072B2"), ("s:", "^--", "o-"), strict=True
):
    sizes = [np.sqrt((formula(ts.tensor(c * x)).numpy() ** 2).mean()) for c in factors]
    right.loglog(factors, sizes, style, color=colour, label=name, markersize=4)
right.set(xlabel="factor c", ylabel="size of y (RMS)", title="The deciding one")
right.legend(fontsize=8.5)
figure(picture, "All have the right gradient; only the repaired formula forgets the size of its input.")

# %% [markdown]
# ## Your turn
#
# 1. Audit a softmax with the wrong base: $2^{x_i} / \sum_j 2^{x_j}$. Write three questions for it: the sum is 1, adding
#    a number to all scores changes nothing, larger scores get more. Expected: it passes all three, and rightly so: it
#    is a softmax of $x \ln 2$. A verdict is only as sharp as the questions.
# 2. Which question tells it from the softmax with base $e$? Expected: the known value at the scores $(1, 0)$.

# %% [markdown]
# ## Limits and sources
#
# Questions can refute a formula. That all are answered with yes doesn't prove it right: it shows that nothing asked
# here speaks against it. The questions were written by someone who knew the repair; the swap and the relative are there
# to keep that honest.
#
# B. Zhang and R. Sennrich, Root mean square layer normalization, NeurIPS 2019.


# %% solution
def base_two(x):
    powers = ts.exp(x * np.log(2.0))
    return powers / powers.sum(dim=-1, keepdim=True)


def softmax_questions(f):
    y, moved = questions.value(f, x), questions.value(f, x + 5.0)
    return {
        "sum 1": np.allclose(y.sum(axis=1), 1),
        "shift": np.allclose(y, moved),
        "order": (y.argsort(axis=1) == x.argsort(axis=1)).all(),
    }


check("", "exercise 1: base 2 passes all three questions", all(softmax_questions(base_two).values()))
at = np.array([[1.0, 0.0]])
value = questions.equals((at,), ts.softmax(ts.tensor(at)).numpy(), "Is it the softmax at (1, 0)?")
check("", "exercise 2: the known value tells the two apart", value.ask(ts.softmax).ok and not value.ask(base_two).ok)
