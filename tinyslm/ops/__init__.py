"""The operations, one file per family; each is one block: formula, forward, rule, kernels, test inputs."""

from .attention import attention, attention_simple, attention_weights
from .conv import avg_pool1d, conv1d, fold, max_pool1d, unfold
from .elementwise import (
    abs,
    add,
    cast,
    clip,
    clone,
    cos,
    div,
    dropout,
    elu,
    erf,
    exp,
    gelu,
    leaky_relu,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    relu,
    sigmoid,
    silu,
    sin,
    softplus,
    sqrt,
    sub,
    tanh,
    where,
)
from .index import embedding, gather, getitem, one_hot, put, scatter_add
from .loss import binary_cross_entropy_with_logits, cross_entropy, kl_div, mse_loss, nll_loss, perplexity
from .matmul import einsum, linear, matmul
from .norm import batch_norm, layer_norm, rms_norm
from .recurrent import gru, gru_simple, lstm, lstm_simple, rnn, rnn_simple
from .reduce import cumsum, logsumexp, max, mean, min, norm, prod, std, sum_, var
from .shape import broadcast_to, cat, flip, narrow, pad, permute, reshape, split, squeeze, stack, sum_to, transpose
from .shape import unsqueeze as unsqueeze
from .softmax import log_softmax, softmax

sum = sum_

__all__ = [name for name in dir() if not name.startswith("_")]
