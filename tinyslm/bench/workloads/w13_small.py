"""W13: models of a first lesson. Hardly any arithmetic: what counts is what an engine spends around it."""

from __future__ import annotations

from .w1_lstm import LstmClassifier
from .w3_transformer import CharacterTransformer
from .w12_cnn import CnnClassifier

ROWS = [
    LstmClassifier(
        "W13-lstm", "LSTM classifier, hidden 32, 8 texts of 20 words, training step", 1.0, 1.5,
        batch=8, time=20, vocabulary=200, features=16, hidden=32,
    ),
    CharacterTransformer(
        "W13-transformer", "Transformer, 2 layers of 32, block 16, training step", 1.0, 1.5,
        batch=4, time=16, width=32, heads=2, layers=2,
    ),
    CnnClassifier(
        "W13-cnn", "CNN classifier, 3 times 16 filters, 8 texts of 20 words, training step", 1.0, 1.5,
        batch=8, time=20, vocabulary=200, features=16, filters=16,
    ),
]  # fmt: skip
