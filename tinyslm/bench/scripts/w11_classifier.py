"""W11, what `tinyslm train classifier` does, in PyTorch or Keras.

    python w11_classifier.py torch|keras DATA.csv FOLDER EPOCHS

From a CSV file to a saved model: words, a vocabulary of 10,000 from the training part, 100 words per text,
Embedding(64) -> LSTM(128) -> Dense(1), Adam with batches of 32, validation after each epoch, the best epoch's weights,
one look at the test part. Prints the accuracy there.
"""

import csv
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

VOCABULARY, LENGTH, FEATURES, HIDDEN, BATCH = 10_000, 100, 64, 128, 32
ROWS = 256  # at a time where nothing is learned, as in tinyslm
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[^\w\s]")


def read(path):
    """Three parts (training, validation, test) of ids (N, 100) and classes (N,), and the vocabulary."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["label"] for row in rows})
    words = [WORD.findall(row["text"].lower()) for row in rows]
    classes = np.array([labels.index(row["label"]) for row in rows], np.float32)
    order = np.random.default_rng(0).permutation(len(rows))
    ends = int(0.7 * len(rows)), int(0.8 * len(rows))
    counts = Counter(word for i in order[: ends[0]] for word in words[i])
    numbers = {word: i for i, (word, _) in enumerate(counts.most_common(VOCABULARY - 2), start=2)}
    ids = np.zeros((len(rows), LENGTH), np.int64)
    for row, text in zip(ids, words, strict=True):
        found = [numbers.get(word, 1) for word in text[-LENGTH:]]
        row[LENGTH - len(found) :] = found
    return [(ids[part], classes[part]) for part in np.split(order, ends)], numbers


def with_torch(parts, folder, epochs):
    """Train, keep the best epoch, save; the accuracy on the test part."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_default_device(os.environ.get("W11_DEVICE", "cpu"))
    embedding = torch.nn.Embedding(VOCABULARY, FEATURES)
    torch.nn.init.uniform_(embedding.weight, -0.05, 0.05)
    lstm = torch.nn.LSTM(FEATURES, HIDDEN, batch_first=True)
    head = torch.nn.Linear(HIDDEN, 1)
    model = torch.nn.ModuleList([embedding, lstm, head])
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    data = [(torch.as_tensor(ids), torch.as_tensor(classes)) for ids, classes in parts]

    def logits(ids):
        return head(lstm(embedding(ids))[1][0][-1]).squeeze(-1)

    def accuracy(ids, classes):
        with torch.no_grad():
            found = torch.cat([logits(ids[i : i + ROWS]) > 0 for i in range(0, len(ids), ROWS)])
        return (found == (classes > 0)).float().mean().item()

    best, kept = -1.0, {}
    for _ in range(epochs):
        for rows in torch.randperm(len(data[0][0])).split(BATCH):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(data[0][0][rows]), data[0][1][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        valid = accuracy(*data[1])
        if valid > best:
            best, kept = valid, {name: p.clone() for name, p in model.state_dict().items()}
    model.load_state_dict(kept)
    torch.save(kept, folder / "model.pt")
    return accuracy(*data[2])


def with_keras(parts, folder, epochs):
    """The same with Keras' own loop."""
    import keras

    model = keras.Sequential(
        [
            keras.layers.Embedding(VOCABULARY, FEATURES),
            keras.layers.LSTM(HIDDEN),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    best = keras.callbacks.ModelCheckpoint(folder / "model.keras", monitor="val_accuracy", save_best_only=True)
    model.fit(
        *parts[0], batch_size=BATCH, epochs=epochs, validation_data=parts[1], validation_batch_size=ROWS,
        callbacks=[best], verbose=0,
    )  # fmt: skip
    return keras.saving.load_model(folder / "model.keras").evaluate(*parts[2], batch_size=ROWS, verbose=0)[1]


if __name__ == "__main__":
    library, out = sys.argv[1], Path(sys.argv[3])
    three, numbers_of = read(sys.argv[2])
    score = {"torch": with_torch, "keras": with_keras}[library](three, out, int(sys.argv[4]))
    (out / "vocabulary.json").write_text(json.dumps(numbers_of), encoding="utf-8")
    print(score)
