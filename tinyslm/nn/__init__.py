"""Layers: a module knows its parameters by name, and its forward is written with the operations."""

from . import init
from .activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .attention import MultiHeadAttention
from .container import ModuleList, Sequential
from .conv import AvgPool1d, Conv1d, MaxPool1d
from .dropout import Dropout, SequenceDropout
from .embedding import Embedding
from .linear import Linear
from .loss import BCEWithLogitsLoss, CrossEntropyLoss, KLDivLoss, MSELoss
from .module import Mismatch, Module, Parameter
from .norm import BatchNorm1d, LayerNorm, RMSNorm
from .pooling import AttentionPool, Pool, last_over_time, max_over_time, mean_over_time
from .positions import LearnedPositions, SinusoidalPositions, apply_rotary, sinusoidal_positions
from .recurrent import GRU, LSTM, RNN, Recurrent
from .transformer import TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AttentionPool",
    "AvgPool1d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "Conv1d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "KLDivLoss",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "Mismatch",
    "Module",
    "ModuleList",
    "MultiHeadAttention",
    "Parameter",
    "Pool",
    "RMSNorm",
    "ReLU",
    "Recurrent",
    "SequenceDropout",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Tanh",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "apply_rotary",
    "init",
    "last_over_time",
    "max_over_time",
    "mean_over_time",
    "sinusoidal_positions",
]
