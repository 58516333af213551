# %% [markdown]
# # One encoder, many tasks
#
# Search, answering questions, topics, moods, another language, writing: how much of each is the classifier again, with
# other inputs and outputs? Each gets a recipe of a few lines here, a score, and a guess to compare it with.

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $v(d)$ | vector of a text: tf-idf of its words, length 1 | $(V)$ |
# | $W, b$ | weights of a classifier on top of it | $(V, C), (C)$ |
# | $p, y$ | probabilities of the classes; 1 at the true class, else 0 | $(N, C)$ |

# %%
from collections import Counter
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

import tinyslm as ts
from tinyslm.data import load_table, load_text
from tinyslm.lesson import check, figure
from tinyslm.text import detect_language, sentences, words

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
results = {}  # task: input, output, metric, score, score of a guess, what differs from the classifier


def tokens(text):
    return words(text.lower())


# %% [markdown]
# ## As printed
#
# Article B, 3.4 and 6 (B20), names the uses of small models: question answering, translation, generation, speech
# recognition, spam, news, sentiment, classification across languages, search. It gives no recipe. Here the shared part
# comes first: words to a vector, in which rare words weigh more, $n_w$ of the $N$ texts hold word $w$.
#
# $$v(d)_w \propto \mathrm{tf}(w, d) \; \ln \frac{N}{n_w}, \quad \|v(d)\| = 1$$


# %%
class Encoder:
    """From texts to unit vectors (N, V); words that were not there when it was made do not count."""

    def __init__(self, texts):
        count = Counter(word for text in texts for word in set(tokens(text)))
        self.place = {word: i for i, word in enumerate(sorted(count))}
        self.idf = np.log(len(texts) / np.array([count[word] for word in self.place]))

    def __call__(self, texts):
        v = np.zeros((len(texts), len(self.place)))
        for row, text in enumerate(texts):
            for word in tokens(text):
                if word in self.place:
                    v[row, self.place[word]] += 1
        v *= self.idf
        return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)


tiny = Encoder(["a cat", "a dog", "the dog"])
v = tiny(["a dog dog", "a cow"])
by_hand = np.array([np.log(3 / 2), 0, 2 * np.log(3 / 2), 0])
by_hand /= np.sqrt((by_hand**2).sum())
check("B20", "the vector of 'a dog dog' over the words a, cat, dog, the is the one by hand", np.allclose(v[0], by_hand))
check("B20", "a word that was never seen adds nothing", np.allclose(v[1], [1, 0, 0, 0]))

# %% [markdown]
# ## Search
#
# Texts and query become vectors, and the text with the largest cosine comes first. To have a truth, one sentence is
# taken out of each story and becomes the query for the rest of that story. Nothing is trained.

# %%
stories = [story.partition("\n\n")[2].replace("\n", " ") for story in load_text("stories").strip().split("\n\n\n")]
split = [sentences(story) for story in stories]
queries = [max(lines, key=len) for lines in split]
rest = [" ".join(line for line in lines if line != query) for lines, query in zip(split, queries, strict=True)]
encode = Encoder(rest)
cosine = encode(queries) @ encode(rest).T
hit = cosine.argmax(1) == np.arange(len(rest))
a, b = encode([queries[0]])[0], encode([rest[7]])[0]
angle = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
check("B20", "the products are cosines", np.isclose(cosine[0, 7], angle) and cosine.max() < 1)
results["search"] = "query", "order of texts", "first is right", hit.mean(), 1 / len(rest), "nothing is trained"
check("B20", f"search: {hit.mean():.0%} of the queries find their story first", hit.mean() > 0.6)

# %% [markdown]
# ## Question answering
#
# The same search with sentences for texts: the answer is the sentence nearest to the question. This finds answers that
# repeat the question's words, and no others.

# %%
asked = {
    "Where did the small brass bell hang?": "beside the bridge",
    "What did Pepper take in her teeth?": "the rope",
    "Who brought a wooden clock that would not go?": "Tobin",
    "What did the wind carry off?": "carried off the smell",
    "What happened to the wheel of the water mill?": "mill broke",
    "What did the toad say the light looks like?": "first day after rain",
    "Where did a hole open in the boat?": "opened in the bottom",
    "How many curved pieces of wood did the miller need?": "eight curved pieces",
    "How far could Marigold count?": "count to nine",
    "Who owned one boat?": "Dan and Will",
    "What did the mole hang on a root?": "lantern",
    "Why did the pond run away?": "There is a drain",
}
lines = [line for story in split for line in story]
encode_line = Encoder(lines)
best = (encode_line(list(asked)) @ encode_line(lines).T).argmax(1)
right = [answer in lines[i] for i, answer in zip(best, asked.values(), strict=True)]
for question, i, good in zip(asked, best, right, strict=True):
    print(f"{'right' if good else 'wrong'}  {question} {lines[i][:70]}")
guess = np.mean([[answer in line for line in lines] for answer in asked.values()])
results["questions"] = "question", "one sentence", "share right", np.mean(right), guess, "texts are sentences"
found = f"questions: {sum(right)} of {len(right)} right, out of {len(lines):,} sentences"
check("B20", found, 0.4 < np.mean(right) < 1)

# %% [markdown]
# ## Topics and moods
#
# The classifier itself: a softmax on the vector. News, spam and sentiment differ in the table that is read, and in
# nothing else. Here: what a review is about (five kinds of goods), and whether it is pleased.
#
# $$p = \mathrm{softmax}(v W + b), \quad \frac{\partial L}{\partial W} = \frac{1}{N} v^\top (p - y)$$


# %%
def slopes(v, y, W, b):
    """Derivatives of the mean cross-entropy: y holds one-hot rows (N, C)."""
    d = (ts.softmax(ts.tensor(v @ W + b)).numpy() - y) / len(v)
    return v.T @ d, d.sum(0)


def fit(v, y, steps=40, rate=20.0):
    W, b = np.zeros((v.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for _ in range(steps):
        dW, db = slopes(v, y, W, b)
        W, b = W - rate * dW, b - db
    return W, b


def classifier(texts, labels):
    """The function that gives labels to other texts."""
    encoder, names = Encoder(texts), sorted(set(labels))
    W, b = fit(encoder(texts), np.array([[label == name for name in names] for label in labels], float))
    return lambda others: np.array(names)[(encoder(others) @ W + b).argmax(1)]


rng = np.random.default_rng(0)
v, y = rng.normal(size=(6, 4)), np.eye(3)[[0, 1, 2, 1, 0, 0]]


def loss(W, b):
    return ts.cross_entropy(ts.tensor(v) @ W + b, y.argmax(1))


point = [rng.normal(size=(4, 3)), rng.normal(size=3)]
report = ts.gradcheck(loss, point, backward=lambda g, W, b: [g.item() * d for d in slopes(v, y, W.numpy(), b.numpy())])
check("B20", "the classifier's gradient by hand is right", report)
first = zip(fit(v, y, 1, 3.0), slopes(v, y, np.zeros((4, 3)), np.zeros(3)), (3, 1), strict=True)
check("B20", "the first step goes from 0 against the slopes", all(np.allclose(a, -k * d) for a, d, k in first))
left = max(np.abs(d).max() for d in slopes(v, y, *fit(v, y, 300, 1.0)))
check("B20", "training goes where it is 0", left < 0.01)
often = classifier(["a b", "c b", "a c b", "d"], ["often", "often", "often", "never"])
given = often(["?", "d d"]).tolist()
check("B20", "a text without a known word gets the most frequent label", given == ["often", "never"])
reviews = load_table("reviews")
train, test = reviews.where("split", "train"), reviews.where("split", "test")
first, last = train.take(range(600)), train.take(range(600, 800))
by_english = classifier(train.texts, train.labels)
topic = (classifier(first.texts, first.extra["kind"])(last.texts) == last.extra["kind"]).mean()
mood = (by_english(test.texts) == test.labels).mean()
results["topics"] = "review", "1 of 5 kinds", "accuracy", topic, 1 / 5, "more classes"
results["moods"] = "review", "1 of 2 moods", "accuracy", mood, 1 / 2, "the classifier (A16, A17)"
check("B20", f"topics {topic:.0%}, moods {mood:.0%}: both beyond chance", topic > 0.33 and mood > 0.65)

# %% [markdown]
# ## Another language
#
# Which language a text is in, its script tells. A classifier of English reviews knows no Chinese character: every
# Chinese review gets the same answer. With Chinese reviews beside the English ones, one set of weights serves both.

# %%
zh = load_table("reviews_zh")
zh_train, zh_test = zh.where("split", "train"), zh.where("split", "test")
told = [detect_language(t) == name for part, name in ((zh, "zh"), (reviews, "en")) for t in part.texts]
language = np.mean(told)
english_only = by_english(zh_test.texts)
both = classifier(train.texts + zh_train.texts, train.labels + zh_train.labels)(zh_test.texts)
check("B20", f"the language of {language:.1%} of all reviews is told by the script", language == 1)
check("B20", "from English alone: one answer for all, half of them right", len(set(english_only)) == 1
      and (english_only == zh_test.labels).mean() == 0.5)  # fmt: skip
across = (both == zh_test.labels).mean()
shared = "two tables, one set of weights"
results["both languages"] = "review, en or zh", "1 of 2 moods", "accuracy (zh)", across, 1 / 2, shared
print(f"with 250 Chinese reviews: {across:.0%} of 50, give or take {2 * np.sqrt(across * (1 - across) / 50):.0%}")
check("B20", "with Chinese reviews it is no longer one answer", across > 0.5 and len(set(both)) == 2)

# %% [markdown]
# ## Writing
#
# A text is written by asking, again and again, which letter comes next: a classifier whose input is the last letter
# and whose classes are the letters. Its best weights are known, $W_{hc} = \ln p(c \mid h)$, from counts.

# %%
text = " ".join(stories).lower()
letters = sorted(set(text))
codes = np.array([letters.index(c) for c in text])
cut = int(0.9 * len(codes))
counts = np.full((len(letters), len(letters)), 0.1)
np.add.at(counts, (codes[: cut - 1], codes[1:cut]), 1)
W = np.log(counts / counts.sum(1, keepdims=True))
next_letter = (W[codes[cut:-1]].argmax(1) == codes[cut + 1 :]).mean()
most = np.bincount(codes[:cut]).argmax()
rows = np.eye(len(letters))
flat = slopes(rows[codes[: cut - 1]], rows[codes[1:cut]], np.log(counts - 0.1 + 1e-9), np.zeros(len(letters)))[0]
check("B20", "at the counted weights the classifier's gradient is 0: nothing left to learn", np.abs(flat).max() < 1e-9)
guess = (codes[cut:] == most).mean()
results["writing"] = "last letter", "next letter", "share right", next_letter, guess, "its answer is its next input"
written = [letters.index("t")]
for _ in range(70):
    written.append(rng.choice(len(letters), p=np.exp(W[written[-1]])))
print("written:", "".join(letters[i] for i in written))
check("B20", "the next letter is told more often than by the most frequent one", next_letter > guess + 0.05)

# %% [markdown]
# ## All of them, beside a guess
#
# Translation, a writer that also reads, and listening have lessons of their own: `tasks_translation`,
# `tasks_listening`.

# %%
print(f"{'task':15s}{'input':18s}{'output':16s}{'metric':16s}{'score':>6s}{'guess':>7s}   what differs")
for task, (given, output, metric, got, guess, differs) in results.items():
    print(f"{task:15s}{given:18s}{output:16s}{metric:16s}{got:6.2f}{guess:7.2f}   {differs}")
check(
    "B20", "six tasks, each above its guess",
    len(results) == 6 and all(r[3] > r[4] for r in results.values()), verdict="task",
)  # fmt: skip
picture = Figure(figsize=(8.8, 3.8), layout="constrained")
axes = picture.subplots()
place = np.arange(len(results))
scores, guesses = (np.array([r[k] for r in results.values()]) for k in (3, 4))
axes.bar(place - 0.2, scores, 0.38, color="#0072B2", label="recipe")
axes.bar(place + 0.2, guesses, 0.38, color="#E69F00", hatch="//", edgecolor="white", label="guess")
axes.set_xticks(place, [f"{name}\n({r[2]})" for name, r in results.items()], fontsize=8.5)
axes.set(ylim=(0, 1.12), ylabel="score", title="Each recipe beside a guess; the scores are of different kinds")
axes.legend(frameon=False, ncols=2)
figure(picture, "The height of the blue bar above the hatched one is what the recipe adds.")

# %% [markdown]
# ## Your turn
#
# 1. Search without idf. Expected: fewer stories are found, for "the" and "and" count as much as rare words.
# 2. Write from the letters' own frequencies, without looking at the last letter. Expected: fewer pairs of letters that
#    occur in the stories.

# %% [markdown]
# ## Limits and sources
#
# Small bundled texts; 12 questions of our own. `tinyslm train classifier
# sms_spam` runs the spam recipe on public messages, and any table of news with labels goes the same way.
#
# Tf-idf: Spärck Jones 1972; cosine: Salton, Wong and Yang 1975; softmax regression: Berger et al. 1996.

# %% solution
encode.idf = np.ones_like(encode.idf)
without = ((encode(queries) @ encode(rest).T).argmax(1) == np.arange(len(rest))).mean()
print(f"exercise 1: {without:.0%} of the stories without idf, {hit.mean():.0%} with it")
check("B20", "without idf fewer are found", without < hit.mean() - 0.1)

plain = rng.choice(codes, size=1000)
guided = written[:1]
for _ in range(1000):
    guided.append(rng.choice(len(letters), p=np.exp(W[guided[-1]])))
known = [np.mean([counts[a, b] > 1 for a, b in pairwise(line)]) for line in (plain, guided)]
print(f"exercise 2: {known[0]:.0%} of the pairs occur in the stories, {known[1]:.0%} with the last letter")
check("B20", "a letter that looks at the last one makes more pairs that occur", known[0] + 0.05 < known[1])
