"""Models that are trained here: text classifiers, language models, word vectors."""

from .classifier import Classifier, ClassifierConfig, Prediction, TextClassifier
from .decoding import Decoder
from .language import LanguageModel, generate
from .skipgram import SkipGram, train_skipgram

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "Decoder",
    "LanguageModel",
    "Prediction",
    "SkipGram",
    "TextClassifier",
    "generate",
    "train_skipgram",
]
