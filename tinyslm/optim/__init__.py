"""Optimizers, limits on gradients, and schedules of the learning rate."""

from .adam import Adam, AdamW, adam_step
from .clip import clip_factor, clip_grad_norm_, clip_grad_value_, grad_norm
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .schedule import LRScheduler, constant, cosine, inverse_sqrt, linear, product, step_decay, warmup
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "LRScheduler",
    "Optimizer",
    "RMSprop",
    "adam_step",
    "clip_factor",
    "clip_grad_norm_",
    "clip_grad_value_",
    "constant",
    "cosine",
    "grad_norm",
    "inverse_sqrt",
    "linear",
    "product",
    "step_decay",
    "warmup",
]
