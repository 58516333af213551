# %% [markdown]
# # Translating with an encoder and a decoder
#
# How does a Transformer write a sentence in another language, one character after the other? And what can be said of a
# model that has read two hundred sentences?

# %% [markdown]
# ## Symbols
#
# | symbol | meaning | shape |
# |---|---|---|
# | $B, S, T, D$ | sentences, English words, Chinese characters, features | numbers |
# | $x$ | English word numbers; 0 is padding | $(B, S)$ |
# | $y$ | Chinese character numbers; 1 starts a sentence, 2 ends it | $(B, T)$ |
# | $z_t$ | scores of the character that follows $y_1 \ldots y_t$ | $(V)$ |

# %%
import numpy as np

import tinyslm as ts
from tinyslm import nn, optim, plot
from tinyslm.data import batches, load_table
from tinyslm.lesson import check, figure, minimise
from tinyslm.metrics import bleu
from tinyslm.text import Vocabulary, pad, words

ts.use("numpy")  # the arrays are small: no kernel has to be compiled
PAD, START, END = range(3)
table = load_table("phrases_en_zh")
train, test = table.where("split", "train"), table.where("split", "test")


def cut(text):
    """English into words, Chinese into characters, marks apart."""
    return words(text.lower(), punctuation=True)


def vocabulary(texts):
    return Vocabulary.build(map(cut, texts), 200, specials=("<pad>", "<start>", "<end>"), unknown="error")


english, chinese = vocabulary(train.texts), vocabulary(train.extra["chinese"])


def numbers(part):
    """x and y of a part, padded on the right."""
    x, _ = pad([english.encode(cut(text)) for text in part.texts], side="right")
    y, _ = pad([[START, *chinese.encode(cut(text)), END] for text in part.extra["chinese"]], side="right")
    return x, y


x, y = numbers(train)
x_test, y_test = numbers(test)
truth = [cut(text) for text in test.extra["chinese"]]
sizes = f"{len(english) - 3} words and {len(chinese) - 3} characters"
print(f"{len(x)} pairs of {sizes} to learn from, {len(x_test)} to test")
seen = set(train.texts) & set(test.texts) | set(train.extra["chinese"]) & set(test.extra["chinese"])
check("A18", "no test sentence was seen, in either language", not seen)
whole = "".join(chinese.decode(y[0], skip_specials=True)) == train.extra["chinese"][0]
framed = (y[:, 0] == START).all() and ((y == END).sum(1) == 1).all()
check("A18", "a row is <start>, one sentence, <end>", whole and framed)

# %% [markdown]
# ## As printed
#
# Article A, 4.3, case 2 (A18): cut and clean sentences of both languages, build a Transformer, train it with
# cross-entropy on pairs, report BLEU, use it. What is missing is how a model that gives one vector per *English* word
# comes to write *Chinese*: a second stack that reads what it has written so far and looks at the first.


# %% [markdown]
# ## The model
#
# The encoder reads $x$. The decoder reads $y_1 \ldots y_t$, attends to the encoder's states, and gives the scores of
# the next character:
#
# $$p(y_{t+1} \mid y_1 \ldots y_t, x) = \mathrm{softmax}(z_t)$$


# %%
class Translator(nn.Module):
    def __init__(self, size, rng, dtype="float32", causal=True):
        options = {"dropout": 0.0, "norm_first": True, "rng": rng, "dtype": dtype}
        self.source = nn.Embedding(len(english), size, scale=0.3, rng=rng, dtype=dtype)
        self.target = nn.Embedding(len(chinese), size, scale=0.3, rng=rng, dtype=dtype)
        self.encoder = nn.TransformerEncoder(1, size, 2, 2 * size, **options)
        self.decoder = nn.TransformerDecoder(1, size, 2, 2 * size, **options)
        self.dense = nn.Linear(size, len(chinese), rng=rng, dtype=dtype)
        self.place, self.causal = nn.SinusoidalPositions(), causal

    def read(self, x):
        return self.encoder(self.place(self.source(x)), key_padding_mask=x == PAD)

    def write(self, memory, x, y):
        states = self.place(self.target(y))
        return self.dense(self.decoder(states, memory, causal=self.causal, memory_key_padding_mask=x == PAD))

    def forward(self, x, y):
        return self.write(self.read(x), x, y)


small = Translator(4, np.random.default_rng(1), "float64")
D = 4
attention, feed_forward, norm = 4 * (D * D + D), 2 * (2 * D * D) + 3 * D, 2 * D
parts = D * len(english) + (2 * D + 1) * len(chinese) + 3 * attention + 2 * feed_forward + 7 * norm
check("A18", "two tables, an encoder, a decoder with two attentions, the scores", small.num_parameters() == parts)
some = y[:3, :-1]
z = small(x[:3], some).numpy()
longer = np.pad(x[:3], ((0, 0), (0, 5)))
check("A18", "more padding behind the English changes nothing", np.abs(small(longer, some).numpy() - z).max() < 1e-12)
later = some.copy()
later[:, 4:] = later[:, 4:][:, ::-1]
moved = np.abs(small(x[:3], later).numpy() - z).max(axis=(0, 2))
check("A18", "scores depend on what was written, not on what follows", moved[:4].max() < 1e-12 < 1e-6 < moved[4:].min())
other = np.abs(small(x[3:6], some).numpy() - z).max(axis=2)
check("A18", "and, everywhere, on the English sentence", other.min() > 1e-6)

# %% [markdown]
# ## Teacher forcing
#
# While training, the decoder reads the true characters and has to name the next one at every place, all at once: input
# $y_1 \ldots y_{T-1}$, answer $y_2 \ldots y_T$. Padding is no answer. The sum over the places is the logarithm of the
# probability of the whole sentence.
#
# $$L = -\frac{1}{n} \sum_{b, t: \; y_{b,t+1} \neq 0} \ln p(y_{b,t+1} \mid y_{b,1} \ldots y_{b,t}, x_b)$$


# %%
def loss_of(model, x, y):
    return ts.cross_entropy(model(x, y[:, :-1]), y[:, 1:], ignore_index=PAD)


def log_probability(model, x, y):
    """ln p of one sentence, step by step: each step is given only what stands before it."""
    total = 0.0
    for t in range(1, len(y)):
        z = model(x[None], y[None, :t]).numpy()[0, -1]
        total += z[y[t]] - np.log(np.exp(z).sum())
    return total


sentences = [row[row != PAD] for row in y[:3]]
by_steps = sum(log_probability(small, a, b) for a, b in zip(x[:3], sentences, strict=True))
by_steps /= sum(len(b) - 1 for b in sentences)
apart = abs(loss_of(small, x[:3], y[:3]).item() + by_steps)
check("A18", "the loss is minus the mean of the steps' logarithms", apart < 1e-12)
a, b = x[:1], y[:1]
states = small.read(a).detach()
report = ts.gradcheck(lambda m: ts.cross_entropy(small.write(m, a, b[:, :-1]), b[:, 1:], ignore_index=PAD), [states])
check("A18", "the gradient that reaches the encoder is right", report)

# %% [markdown]
# ## It breaks: a decoder that sees the answer
#
# Two models with the same start are trained in the same way. The second one lacks the causal mask: at place $t$ it sees
# $y_{t+1}$, which it should name.


# %%
def fit(model, epochs, rng):
    """Train; the mean loss of each epoch."""
    adam, history = optim.Adam(model.parameters(), lr=0.006), []
    for _ in range(epochs):
        losses = [minimise(adam, lambda a=a, b=b: loss_of(model, a, b), 1) for a, b in batches(x, y, 20, rng)]
        history.append(np.mean(losses))
    return history


models = {name: Translator(48, np.random.default_rng(0), causal=name == "masked") for name in ("masked", "not masked")}
epochs = {"masked": 12, "not masked": 8}
history = {name: fit(model, epochs[name], np.random.default_rng(2)) for name, model in models.items()}
for name, losses in history.items():
    print(f"{name}: {models[name].num_parameters():,} numbers, loss by epoch", *(f"{loss:.2f}" for loss in losses))
lower = [a < b for a, b in zip(history["not masked"], history["masked"], strict=False)]
check("A18", "without the mask the training loss falls faster", all(lower[2:]))

# %% [markdown]
# ## Greedy decoding
#
# Used in earnest, there are no true characters. The model starts with <start>, takes the likeliest character, reads it
# as if it were true, and goes on to <end>.
#
# $$y_{t+1} = \arg\max_v \; (z_t)_v$$


# %%
def greedy(model, x, longest=14):
    with ts.no_grad():
        memory, y = model.read(x), np.full((len(x), 1), START)
        for _ in range(longest):
            best = model.write(memory, x, y).numpy()[:, -1].argmax(-1)
            y = np.append(y, np.where((y == END).any(axis=1), PAD, best)[:, None], axis=1)
    return y


def read_back(y):
    return [chinese.decode(row, skip_specials=True) for row in y]


written = {name: greedy(model, x_test) for name, model in models.items()}
at_once = models["masked"](x_test, written["masked"][:, :-1]).numpy().argmax(-1)
given = written["masked"][:, 1:]
agree = np.mean(at_once[given != PAD] == given[given != PAD])
check("A18", "each character is the likeliest after those before it", agree > 0.995)
ended = ((written["masked"] == END).sum(1) == 1).mean()
check("A18", "nearly every translation comes to its end, once", ended > 0.9)

# %% [markdown]
# ## The score
#
# BLEU counts the runs of 1 to 4 characters that a translation shares with the true one. Beside it stands the share of
# sentences that are right to the last character. The yardstick is a memory without a model: the translation of the
# training sentence that shares most words.


# %%
def overlap(a, b):
    return len(set(a) & set(b)) / len(set(a) | set(b))


check("A18", "one word shared of three in all: a third", overlap("ab", "bc") == 1 / 3)
seen = [cut(text) for text in train.texts]
nearest = [int(np.argmax([overlap(cut(text), other) for other in seen])) for text in test.texts]
answers = {name: read_back(rows) for name, rows in written.items()}
answers["nearest sentence"] = [cut(train.extra["chinese"][i]) for i in nearest]
score, exact = {}, {}
for name, lines in answers.items():
    score[name] = bleu([[t] for t in truth], lines).score
    exact[name] = np.mean([a == t for a, t in zip(lines, truth, strict=True)])
    print(f"{name:17s} BLEU {score[name]:.3f}, {exact[name]:.0%} of {len(truth)} sentences right")
far = score["masked"] > score["nearest sentence"] + 0.2 and exact["masked"] > 0.5
check("A18", "the model puts known pieces together: far beyond the nearest sentence", far, verdict="task")
check("A18", "which is never right, since no test sentence was seen", exact["nearest sentence"] == 0)
check("A18", "the model that saw the answers can't translate", score["not masked"] < 0.5 * score["masked"])
wrong = [(e, a, t) for e, a, t in zip(test.texts, answers["masked"], truth, strict=True) if a != t]
for e, a, t in wrong[:4]:
    print(f"  {e} -> {''.join(a)} (true: {''.join(t)})")
for text in ("I don't want to drink tea.", "Tea likes my mother.", "Today I don't like my old car."):
    line = "".join(read_back(greedy(models["masked"], np.array([english.encode(cut(text))])))[0])
    print(f"  beyond the patterns: {text} -> {line}")

# %% [markdown]
# ## Where the decoder looks
#
# The decoder's layer once more, part by part, to get at the weights with which each character, before it is written,
# looks at the English words (the mean of both heads).


# %%
def attention_map(model, x, y):
    """The scores (B, T, V), and the weights (B, N, T, S) of the attention to the English words."""
    layer, memory = model.decoder.layers[0], model.read(x)
    h = model.place(model.target(y))
    h = h + layer.self_attn(layer.norm1(h), causal=True)
    seen, weights = layer.multihead_attn(layer.norm2(h), memory, key_padding_mask=x == PAD, need_weights=True)
    h = h + seen
    h = h + layer.linear2(ts.relu(layer.linear1(layer.norm3(h))))
    return model.dense(model.decoder.norm(h)), weights.numpy()


z, weights = attention_map(models["masked"], x_test, y_test)
apart = np.abs(z.numpy() - models["masked"](x_test, y_test).numpy()).max()
check("A18", "part by part gives the model's own scores", apart < 1e-4)
padding = np.broadcast_to((x_test == PAD)[:, None, None], weights.shape)
whole = np.allclose(weights.sum(-1), 1, atol=1e-5)
check("A18", "padding gets no weight, the words share 1", whole and not weights[padding].any())
shown = test.extra["kind"].index("every day")
source, line = cut(test.texts[shown]), [*answers["masked"][shown], "<end>"]
a = attention_map(models["masked"], x_test[[shown]], written["masked"][[shown]])[1]
a = a[0].mean(0)[: len(line), : len(source)]
# Not every computer has Chinese characters for pictures, so the rows are named by their sounds.
spoken = (
    "我 wǒ 你 nǐ 他 tā 她 tā 们 men 爸 bà 妈 mā 老 lǎo 师 shī 每 měi 天 tiān 吃 chī 喝 hē 一 yī 个 gè 苹 píng 果 guǒ "
)
spoken += "米 mǐ 饭 fàn 面 miàn 包 bāo 条 tiáo 茶 chá 水 shuǐ 牛 niú 奶 nǎi 。 . <end> <end>"
sounds = dict(zip(spoken.split()[::2], spoken.split()[1::2], strict=True))
rows = [sounds.get(c, "?") for c in line]
picture = plot.heatmap(np.round(a, 2), rows, source, "Each row: the character that is written", "attention weight")
print(" ".join(source), "->", "".join(line))
figure(picture, "Chinese from top to bottom. The time stands last in English and is wanted early in Chinese.")
first = {name: losses[:8] for name, losses in history.items()}
title = "The better curve belongs to the useless model"
picture = plot.lines(range(1, 9), first, "epoch", "training loss (nats per character)", title)
figure(picture, "Without the mask the loss falls faster, and the model can't translate.")

# %% [markdown]
# ## Your turn
#
# 1. Cut every translation after three characters. Expected: the characters that are left are as good as before, and
#    BLEU falls all the same, by the factor for brevity $e^{1 - r/c}$.
# 2. Let the model judge: is the true translation more probable than the same characters in reverse? Expected: nearly
#    always.

# %% [markdown]
# ## Limits and sources
#
# One seed, 45 test sentences made of seen words in seen patterns, one true translation each. The score shows that
# pieces are put together in a new way. The three sentences beyond the patterns show how soon that ends; nothing here
# speaks about real text. Real systems learn from millions of pairs, cut rare words into pieces, and search with beams.
#
# Encoder and decoder: Sutskever et al. 2014; attention between them: Bahdanau et al. 2015; Transformer: Vaswani et al.
# 2017; teacher forcing: Williams and Zipser 1989; BLEU: Papineni et al. 2002.

# %% solution
references, short = [[t] for t in truth], [line[:3] for line in answers["masked"]]
full, less = (bleu(references, lines, max_order=2) for lines in (answers["masked"], short))
r, c = sum(map(len, truth)), 3 * len(short)
print(
    f"exercise 1: single characters right {full.precisions[0]:.2f} and {less.precisions[0]:.2f}, "
    f"factor {less.brevity_penalty:.2f}, BLEU of pairs {full.score:.2f} and {less.score:.2f}"
)
check("A18", "the factor for brevity is exp(1 - r/c)", abs(less.brevity_penalty - np.exp(1 - r / c)) < 1e-12)
check(
    "A18",
    "BLEU falls, though the characters are as good",
    less.score < 0.7 * full.score < full.score < less.precisions[0] + 0.2,
)
wins = []
for a, b in zip(x_test, y_test, strict=True):
    true = b[b != PAD]
    reverse = np.concatenate([true[:1], true[-2:0:-1], true[-1:]])
    losses = [loss_of(models["masked"], a[None], b[None]).item() for b in (true, reverse)]
    wins.append(losses[0] < losses[1])
print(f"exercise 2: the true order is the more probable one for {np.mean(wins):.0%} of the sentences")
check("A18", "nearly always", np.mean(wins) > 0.9)
