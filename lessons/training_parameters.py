# %% [markdown]
# # Counting parameters
#
# How many numbers does BERT consist of, and how many GPT-3? Both articles say what "small" and "large" mean; here it is
# counted from the published sizes.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $V$ | entries of the vocabulary | number |
# | $C$ | positions that the model knows | number |
# | $L$ | blocks | number |
# | $D, F$ | features of a token; width inside the feed-forward network | numbers |
# | $P$ | parameters | number |

# %%
import numpy as np
from matplotlib.figure import Figure

from tinyslm import nn
from tinyslm.lesson import check, figure

M, G = 1e6, 1e9

# %% [markdown]
# ## As printed
#
# Article A, 2 and question 1 of the appendix (A19): small models have thousands to millions of parameters, foundation
# models hundreds of millions to billions, and GPT-3 and BERT are given as examples of billions.
#
# Article B, 1, "recent progress", and 9.1 (B17): small models have millions to hundreds of millions, large ones such as
# GPT-3 and BERT billions or more; GPT-2 with 1.5 billion is counted as small and dated 2020.
#
# We read "millions" generously: up to 10 million, "hundreds of millions" up to 1000 million, "billions" 1 to 100
# thousand million (the Chinese word covers the tens, too).

# %%
printed = {
    "A: small": (1e3, 10 * M),
    "A: foundation": (100 * M, 100 * G),
    "B: small": (1 * M, 1 * G),
    "A and B: GPT-3, BERT": (1 * G, 100 * G),
}

# %% [markdown]
# ## One block
#
# Attention has four square matrices with their biases (queries, keys, values, output), the feed-forward network two
# matrices, and there are two norms with two vectors each. We hold the count against a real block of this library.
#
# $$P_{\mathrm{block}} = (4 D^2 + 4 D) + (2 D F + F + D) + 4 D$$


# %%
def block(D, F):
    return {"attention": 4 * D * D + 4 * D, "feed-forward": 2 * D * F + F + D, "norms": 4 * D}


real = nn.TransformerEncoderLayer(12, 3, 48, rng=np.random.default_rng(0)).num_parameters()
check("A19", f"a block with D = 12, F = 48 has {real:,} parameters, as counted", sum(block(12, 48).values()) == real)
quick = 12 * 768**2 / sum(block(768, 3072).values())
print(f"12 D^2 is {quick:.2%} of a block with D = 768, F = 4 D")
check("A19", "with F = 4 D a block is 12 D^2, to 1 percent", abs(quick - 1) < 0.01)

# %% [markdown]
# ## The whole model
#
# Below the blocks stand the tables of words and positions. BERT has a table for two kinds of segment, a norm after the
# tables and a dense layer for the first token; GPT-2 and GPT-3 have a norm at the end, and their output uses the table
# of words a second time.
#
# $$P = V D + C D + L P_{\mathrm{block}} + P_{\mathrm{rest}}$$


# %%
def count(V, C, L, D, bert):
    """The parameters by part. F = 4 D in all of these models."""
    rest = 2 * D + 2 * D + D * D + D if bert else 2 * D
    return {"words": V * D, "positions": C * D, **{k: L * n for k, n in block(D, 4 * D).items()}, "rest": rest}


sizes = {
    "BERT-base": (30522, 512, 12, 768, True),
    "BERT-large": (30522, 512, 24, 1024, True),
    "GPT-2": (50257, 1024, 48, 1600, False),
    "GPT-3": (50257, 2048, 96, 12288, False),
}
parts = {name: count(*size) for name, size in sizes.items()}
total = {name: sum(part.values()) for name, part in parts.items()}
for name, n in total.items():
    print(f"{name:11s} {n:>17,} parameters, {4 * n / 1e9:7.1f} GB in float32")
check("A19", "BERT-base: 109.5 million, to the last one", total["BERT-base"] == 109_482_240)
check("A19", "BERT-large: 335 million", round(total["BERT-large"] / M) == 335)
check("B17", "GPT-2: 1.558 thousand million, to the last one", total["GPT-2"] == 1_557_611_200)
check("A19", "GPT-3: 174.6 thousand million", round(total["GPT-3"] / G, 1) == 174.6)

# %% [markdown]
# ## Held against what the papers say
#
# The papers give rounded totals. A count from the published sizes should meet them within 2 percent.

# %%
paper = {"BERT-base": 110 * M, "BERT-large": 340 * M, "GPT-2": 1542 * M, "GPT-3": 175 * G}
off = {name: total[name] / paper[name] - 1 for name in total}
for name, gap in off.items():
    print(f"{name:11s} counted against published: {gap:+.2%}")
check("A19", "all four counts are within 2 percent of the published totals", max(map(abs, off.values())) < 0.02)

# %% [markdown]
# ## It breaks
#
# Now the statements of the articles are put to the counts.


# %%
def within(name, band):
    low, high = printed[band]
    return low <= total[name] <= high


claims = {(name, band): within(name, band) for name in total for band in printed}
for name in total:
    print(f"{name:11s}", "  ".join(f"{band}: {'yes' if claims[name, band] else 'no':3s}" for band in printed))
both = "A and B: GPT-3, BERT"
check("A19", "neither BERT reaches the billions", not (claims["BERT-base", both] or claims["BERT-large", both]),
      None, "wrong: fact")  # fmt: skip
check("A19", "GPT-3 is beyond article A's range for foundation models", not claims["GPT-3", "A: foundation"])
berts = [claims[name, "B: small"] for name in ("BERT-base", "BERT-large")]
check("B17", "by article B's own range both BERTs are small models", all(berts), None, "wrong: fact")
check("B17", "and GPT-2, which it counts as small, is not", not claims["GPT-2", "B: small"])
between = [name for name, n in total.items() if printed["A: small"][1] < n < printed["A: foundation"][0]]
print("between article A's two ranges:", between or "none of these four")

# %% [markdown]
# ## Dates
#
# Article B dates GPT-2 to 2020, and recurrent and convolutional networks to the 2010s. The sources below show what was
# in print earlier. No calculation can check a date; only the source can. Networks of both kinds are older still.
#
# | what | in print by, at the latest | source |
# |---|---|---|
# | convolutional network | 1989 | LeCun et al. |
# | recurrent network | 1990 | Elman |
# | LSTM | 1997 | Hochreiter and Schmidhuber |
# | GPT-2 | 2019 | Radford et al. |

# %% [markdown]
# ## The power of the check
#
# Four ways to miscount. The comparison with the papers at 2 percent catches the gross ones only; the comparison with a
# real model of the library catches all, for it is exact.


# %%
def miscount(V, C, L, D, bert, how):  # wrong on purpose
    p = count(V, C, L, D, bert)
    wrong = {
        "biases forgotten": -L * (4 * D + 5 * D),
        "output matrix of attention forgotten": -L * D * D,
        "output table counted again": V * D,
        "positions forgotten": -C * D,
    }
    return sum(p.values()) + wrong[how]


def real_gpt(V, C, L, D):
    rng = np.random.default_rng(0)
    stack = nn.TransformerEncoder(L, D, 2, 4 * D, norm_first=True, rng=rng)
    return stack.num_parameters() + nn.Embedding(V, D, rng=rng).num_parameters() + C * D


small = (50, 10, 3, 8)
check(
    "B17",
    "a small GPT of this library has exactly the counted number",
    real_gpt(*small) == sum(count(*small, False).values()),
)
exact, rough = {}, {}
for how in (
    "biases forgotten",
    "output matrix of attention forgotten",
    "output table counted again",
    "positions forgotten",
):
    exact[how] = miscount(*small, False, how) != real_gpt(*small)
    rough[how] = any(abs(miscount(*sizes[n], how) / paper[n] - 1) > 0.02 for n in sizes)
    print(f"{how:38s} caught by the papers: {rough[how]!s:5s}  by the real model: {exact[how]}")
check("A19", "the exact comparison catches all four miscounts", all(exact.values()))
check("A19", "the rounded totals miss at least one of them", not all(rough.values()))

# %%
picture = Figure(figsize=(9.0, 3.8), layout="constrained")
axes = picture.subplots()
colours = ("#0072B2", "#0072B2", "#E69F00", "#CC79A7")  # article A, A, B, both
for row, ((low, high), colour) in enumerate(zip(printed.values(), colours, strict=True)):
    axes.barh(row, high - low, left=low, color=colour, height=0.55)
for name, n in total.items():
    axes.axvline(n, color="black", linewidth=1.1, linestyle="--")
    axes.text(0.93 * n, 0, name, rotation=90, ha="right", va="center", fontsize=10)
axes.set_yticks(range(4), list(printed))
axes.set(xscale="log", xlabel="number of parameters", xlim=(500, 1e12), title="Printed ranges and real models")
figure(
    picture, "The ranges that the articles print (bars) and the counted models (dashed). No BERT reaches the top bar."
)

# %%
picture = Figure(figsize=(8.6, 3.2), layout="constrained")
axes = picture.subplots()
shown = {"words": "#0072B2", "positions": "#000000", "attention": "#E69F00", "feed-forward": "#009E73"}
left = np.zeros(4)
for part, colour in shown.items():
    share = np.array([100 * parts[name][part] / total[name] for name in total])
    axes.barh(list(total), share, left=left, color=colour, label=part, height=0.6)
    left += share
axes.invert_yaxis()
words = [parts[name]["words"] / total[name] for name in ("BERT-base", "GPT-3")]
axes.set(xlabel="share of all parameters (%)", xlim=(0, 100), title="Where the parameters are")
axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
figure(
    picture,
    f"Word vectors are {words[0]:.0%} of BERT-base and {words[1]:.1%} of GPT-3, where nearly all lies in the blocks.",
)

# %% [markdown]
# ## Your turn
#
# 1. How many parameters has the smallest GPT-2 ($L = 12$, $D = 768$)? Expected: about 124 million, and by both articles
#    it lies in another class than its large brother.
# 2. How many blocks would GPT-3 need to have the size of BERT-large, with its own $D$? Expected: none: its table of
#    words alone is larger.

# %% [markdown]
# ## Limits and sources
#
# BERT is counted as the published encoder with its dense layer for the first token and without the head for
# pre-training. GPT-2 and GPT-3 are counted with a bias in every layer. Where the ranges begin and end is our reading of
# words such as "billions"; the verdicts stay for any reading that keeps BERT's 0.1 and 0.3 thousand million outside
# "billions". Article B also cites a paper of 1992 that we could not find.
#
# J. Devlin et al., BERT, NAACL 2019. A. Radford et al., Language models are unsupervised multitask learners, February
# 2019. T. Brown et al., Language models are few-shot learners, NeurIPS 2020. J. Elman, Finding structure in time, 1990.
# S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997. Y. LeCun et al., Backpropagation applied to
# handwritten zip code recognition, 1989.

# %% solution
smallest = sum(count(50257, 1024, 12, 768, False).values())
print(f"smallest GPT-2: {smallest:,}")
check("A19", "exercise 1: about 124 million, small by B and foundation by A",
      round(smallest / M) == 124 and printed["B: small"][0] < smallest < printed["B: small"][1]
      and smallest > printed["A: foundation"][0])  # fmt: skip
check(
    "A19",
    "exercise 2: GPT-3's table of words alone has more than BERT-large",
    parts["GPT-3"]["words"] > total["BERT-large"],
)
