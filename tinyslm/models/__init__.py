"""Models that are trained here: text classifiers."""

from .classifier import Classifier, ClassifierConfig, Prediction, TextClassifier

__all__ = ["Classifier", "ClassifierConfig", "Prediction", "TextClassifier"]
